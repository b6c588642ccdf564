//! From the file's shape to a validated [`Profile`].

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use time::UtcOffset;
use yanqian_vocabulary::{Field, FieldVerdict, KeyLine, Mode, ProfileHash, Sex, Verdict};

use super::envelope;
use super::raw::{
    RawAnswer, RawApply, RawChip, RawForms, RawLimits, RawMember, RawPayload, RawProfile, RawReading, RawRequest,
    RawSource,
};
use super::transport::RawTransport;
use super::{
    AnswerForm, ApplyForm, ChipNames, Forms, Layout, Limits, ModeForm, PayloadForm, Profile, ProfileError, ReadingForm,
    RequestForm, Source,
};
use crate::times::Times;

const FORMAT_VERSION: u32 = 1;
/// The whole answer goes into its outcome record, which has at most 1 MiB with everything else in it.
const MAX_ANSWER: u32 = 512 * 1024;
/// The fields that are printed on a document and sent as text.
const PRINTED: &[Field] = &[Field::Number, Field::Name, Field::BirthDate, Field::Nationality, Field::Expiry];

/// Names a fault by its key.
pub(super) type Fault = (&'static str, &'static str);

fn distinct<'a>(key: &'static str, names: impl IntoIterator<Item = &'a str>) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() {
            return Err((key, "holds an empty name"));
        }
        if !seen.insert(name) {
            return Err((key, "holds a name twice"));
        }
    }
    Ok(())
}

fn complete<K: Ord>(key: &'static str, map: &BTreeMap<K, String>, all: &[K]) -> Result<(), Fault> {
    if all.iter().all(|kind| map.contains_key(kind)) { Ok(()) } else { Err((key, "does not name every kind")) }
}

/// The members of one step's signed object; `key` names the list.
fn members(key: &'static str, raw: Vec<RawMember>, needed: &[Source]) -> Result<Vec<(String, Source)>, Fault> {
    let mut members = Vec::new();
    for member in raw {
        let source = match (member.constant, member.source) {
            (Some(text), None) => Source::Constant(text),
            (None, Some(RawSource::Customer)) => Source::Customer,
            (None, Some(RawSource::Application)) => Source::Application,
            (None, Some(RawSource::Time)) => Source::Time,
            (None, Some(RawSource::Nonce)) => Source::Nonce,
            (None, Some(RawSource::Mode)) => Source::Mode,
            (None, Some(RawSource::Purpose)) => Source::Purpose,
            (None, Some(RawSource::Payload)) => Source::Payload,
            (None, Some(RawSource::CertificateSerial)) => Source::CertificateSerial,
            (None, Some(RawSource::BusinessSerial)) => Source::BusinessSerial,
            (None, Some(RawSource::ApplyDigest)) => Source::ApplyDigest,
            _ => return Err((key, "each member has either `constant` or `source`")),
        };
        members.push((member.name, source));
    }
    distinct(key, members.iter().map(|(name, _)| name.as_str()))?;
    // Each of these stands exactly once where the step needs it, and nowhere else.
    for source in [
        Source::Time,
        Source::Nonce,
        Source::Mode,
        Source::Purpose,
        Source::Payload,
        Source::BusinessSerial,
        Source::ApplyDigest,
    ] {
        let count = members.iter().filter(|(_, found)| *found == source).count();
        if count != usize::from(needed.contains(&source)) {
            return Err((
                key,
                "time, nonce, mode, purpose and payload must each stand once; with [apply], business-serial and \
                 apply-digest too, and no payload in apply.members",
            ));
        }
    }
    Ok(members)
}

fn path(key: &'static str, path: String) -> Result<String, Fault> {
    if path.starts_with('/') && path.parse::<http::Uri>().is_ok() {
        Ok(path)
    } else {
        Err((key, "expected an absolute path"))
    }
}

fn request_form(mut raw: RawRequest, payload: RawPayload, applies: bool) -> Result<RequestForm, Fault> {
    let mut needed = vec![Source::Time, Source::Nonce, Source::Mode, Source::Purpose, Source::Payload];
    if applies {
        needed.extend([Source::BusinessSerial, Source::ApplyDigest]);
    }
    let envelope = raw.envelope().build(&envelope::REQUEST)?;
    let members = members("request.members", raw.members, &needed)?;
    match &envelope.layout {
        Layout::Package { package, name, .. } => distinct("request.signature", [package.as_str(), name])?,
        Layout::Member { name, .. } => distinct(
            "request.signature",
            std::iter::once(name.as_str()).chain(members.iter().map(|(member, _)| member.as_str())),
        )?,
        Layout::Attached { .. } | Layout::Header { .. } => {}
    }
    if envelope.certificate.is_some() && !matches!(envelope.layout, Layout::Header { .. }) {
        return Err((
            "request.certificate",
            "is a header field; in an object, a member of source \"certificate-serial\" says it",
        ));
    }
    if raw.modes.is_empty() {
        return Err(("request.modes", "names no service"));
    }
    distinct("request.modes", raw.modes.values().map(|mode| mode.word.as_str()))?;
    let mut modes = BTreeMap::new();
    for (mode, form) in raw.modes {
        modes.insert(mode, ModeForm { word: form.word, path: path("request.modes", form.path)? });
    }
    if modes.contains_key(&Mode::RealPerson) != payload.portrait.is_some() {
        return Err(("payload.portrait", "must stand when request.modes has real-person, and only then"));
    }
    if modes.contains_key(&Mode::ChipReading) != payload.chip.is_some() {
        return Err(("payload.chip", "must stand when request.modes has chip-reading, and only then"));
    }
    complete("payload.fields", &payload.fields, PRINTED)?;
    if payload.document_types.is_empty() {
        return Err(("payload.document_types", "names no document"));
    }
    let names = payload.fields.values().chain(&payload.portrait).chain(std::iter::once(&payload.document_type));
    distinct("payload.fields", names.map(String::as_str))?;
    distinct("payload.document_types", payload.document_types.values().map(String::as_str))?;
    Ok(RequestForm {
        envelope,
        idempotent: raw.idempotent,
        members,
        payload: PayloadForm {
            document_type: payload.document_type,
            fields: payload.fields,
            document_types: payload.document_types,
            days: payload.days,
            portrait: payload.portrait,
            chip: payload.chip.map(chip_names).transpose()?,
        },
        modes,
    })
}

fn chip_names(raw: RawChip) -> Result<ChipNames, Fault> {
    distinct("payload.chip", [raw.com.as_str(), &raw.dg1, &raw.dg2, &raw.sod])?;
    Ok(ChipNames { com: raw.com, dg1: raw.dg1, dg2: raw.dg2, sod: raw.sod })
}

fn apply_form(raw: RawApply, answer: &AnswerForm) -> Result<ApplyForm, Fault> {
    let members = members("apply.members", raw.members, &[Source::Time, Source::Nonce, Source::Mode, Source::Purpose])?;
    let form = raw.answer;
    let names = [&form.serial, &answer.time, &answer.nonce, &answer.digest, &answer.code];
    let all = names.into_iter().chain(form.constants.keys()).chain(&form.ignored);
    distinct("apply.answer", all.map(String::as_str))?;
    distinct("apply.answer.accepted", std::iter::once(&form.accepted).chain(&answer.refused).map(String::as_str))?;
    Ok(ApplyForm {
        path: path("apply.path", raw.path)?,
        members,
        serial: form.serial,
        constants: form.constants,
        ignored: form.ignored,
        accepted: form.accepted,
    })
}

fn reading_form(raw: RawReading) -> Result<ReadingForm, Fault> {
    let names = [&raw.document_type, &raw.number, &raw.name, &raw.sex, &raw.birth_date, &raw.nationality, &raw.expiry];
    distinct("answer.reading", names.into_iter().map(String::as_str))?;
    complete("answer.reading.sexes", &raw.sexes, Sex::ALL)?;
    distinct("answer.reading.sexes", raw.sexes.values().map(String::as_str))?;
    Ok(ReadingForm {
        digest: raw.digest,
        envelope: raw.envelope,
        encrypted_key: raw.encrypted_key.into(),
        document_type: raw.document_type,
        number: raw.number,
        name: raw.name,
        sex: raw.sex,
        birth_date: raw.birth_date,
        nationality: raw.nationality,
        expiry: raw.expiry,
        sexes: raw.sexes,
    })
}

fn answer_form(mut raw: RawAnswer, modes: &BTreeMap<Mode, ModeForm>) -> Result<AnswerForm, Fault> {
    let envelope = raw.envelope().build(&envelope::ANSWER)?;
    let reading = raw.reading.map(reading_form).transpose()?;
    let beside = reading.as_ref().map(|reading| reading.envelope.as_str());
    match &envelope.layout {
        Layout::Package { package, name, .. } => {
            distinct("answer.signature", [package.as_str(), name].into_iter().chain(beside))?;
        }
        // Evidence keeps a signed answer whole and nothing of a reading, so a reading must stand outside what is signed.
        _ if reading.is_some() => return Err(("answer.reading", "only with form \"package\"")),
        _ => {}
    }
    let members = [&raw.serial, &raw.time, &raw.nonce, &raw.digest, &raw.code, &raw.fields];
    let all = members.into_iter().chain(raw.constants.keys()).chain(&raw.ignored);
    let all = all.chain(reading.as_ref().map(|reading| &reading.digest)).map(String::as_str);
    distinct("answer", all.chain(envelope.own_members()))?;
    let mut fields = PRINTED.to_vec();
    fields.extend(modes.contains_key(&Mode::RealPerson).then_some(Field::Portrait));
    fields.extend(modes.contains_key(&Mode::ChipReading).then_some(Field::Chip));
    complete("answer.field_names", &raw.field_names, &fields)?;
    if modes.contains_key(&Mode::ChipReading) != reading.is_some() {
        return Err(("answer.reading", "must stand when request.modes has chip-reading, and only then"));
    }
    distinct("answer.field_names", raw.field_names.values().map(String::as_str))?;
    let results = raw.field_results;
    let mut field_results: Vec<(Value, FieldVerdict)> = Vec::new();
    for (text, verdict) in [
        (results.r#match, FieldVerdict::Match),
        (results.mismatch, FieldVerdict::Mismatch),
        (results.undecided, FieldVerdict::Undecided),
    ] {
        let value = serde_json::from_str(&text).map_err(|_| ("answer.field_results", "expected JSON texts"))?;
        if field_results.iter().any(|(known, _)| *known == value) {
            return Err(("answer.field_results", "holds a value twice"));
        }
        field_results.push((value, verdict));
    }
    let codes = raw.codes;
    let verdicts = [
        (codes.r#match, Verdict::Match),
        (codes.mismatch, Verdict::Mismatch),
        (codes.not_found, Verdict::NotFound),
        (codes.undecided, Verdict::Undecided),
    ];
    let all = verdicts.iter().map(|(code, _)| code).chain(&codes.refused);
    distinct("answer.codes", all.map(String::as_str))?;
    Ok(AnswerForm {
        envelope,
        constants: raw.constants,
        ignored: raw.ignored,
        serial: raw.serial,
        time: raw.time,
        nonce: raw.nonce,
        digest: raw.digest,
        code: raw.code,
        fields: raw.fields,
        field_names: raw.field_names,
        field_results,
        verdicts: verdicts.into_iter().collect(),
        refused: codes.refused,
        reading,
    })
}

fn forms(raw: &RawForms) -> Result<Forms, Fault> {
    const OFFSET: &str = "forms.utc_offset_minutes";
    let offset = match (raw.time.has_zone(), raw.utc_offset_minutes) {
        (true, Some(minutes)) => UtcOffset::from_whole_seconds(i32::from(minutes) * 60)
            .map_err(|_| (OFFSET, "expected minutes between -1559 and 1559"))?,
        (true, None) => return Err((OFFSET, "is missing: it says in which zone times are written")),
        (false, Some(_)) => return Err((OFFSET, "means nothing where times count from 1970")),
        (false, None) => UtcOffset::UTC,
    };
    if raw.time.has_zone() && raw.time_as.is_some() {
        return Err(("forms.time_as", "stands with times that count from 1970 only; the others are text"));
    }
    let times = Times { form: raw.time, offset, written_as: raw.time_as.unwrap_or_default() };
    Ok(Forms { times, nonce: raw.nonce, digest: raw.digest })
}

fn limits(raw: &RawLimits) -> Result<Limits, Fault> {
    if raw.answer_bytes.get() > MAX_ANSWER {
        return Err(("limits.answer_bytes", "at most 524288"));
    }
    if raw.time_window_seconds.get() > 86_400 {
        return Err(("limits.time_window_seconds", "at most 86400"));
    }
    let millis = |n: NonZeroU64| Duration::from_millis(n.get());
    Ok(Limits {
        answer_bytes: usize::try_from(raw.answer_bytes.get()).unwrap_or(usize::MAX),
        connect: millis(raw.connect_ms),
        head: millis(raw.head_ms),
        body: millis(raw.body_ms),
        time_window_millis: i64::from(raw.time_window_seconds.get()) * 1000,
        idle_connections: raw.idle_connections.into(),
        idle: millis(raw.idle_ms),
    })
}

pub(super) fn parse(text: &str, file: &Path) -> Result<Profile, ProfileError> {
    let raw: RawProfile = toml::from_str(text)
        .map_err(|source| ProfileError::Syntax { file: file.to_owned(), source: Box::new(source) })?;
    let hash = ProfileHash::new(yanqian_sm::sm3(&[text.as_bytes()]));
    build(raw, hash).map_err(|(key, problem)| ProfileError::Value {
        file: file.to_owned(),
        line: KeyLine::find(text, key),
        key,
        problem,
    })
}

fn build(raw: RawProfile, hash: ProfileHash) -> Result<Profile, Fault> {
    if raw.format_version != FORMAT_VERSION {
        return Err(("format_version", "this version of yanqian reads format_version = 1"));
    }
    let request = request_form(raw.request, raw.payload, raw.apply.is_some())?;
    let answer = answer_form(raw.answer, &request.modes)?;
    Ok(Profile {
        apply: raw.apply.map(|apply| apply_form(apply, &answer)).transpose()?,
        request,
        transport: raw.transport.map(RawTransport::build).transpose()?.unwrap_or_default(),
        forms: forms(&raw.forms)?,
        answer,
        limits: limits(&raw.limits)?,
        name: raw.name,
        hash,
    })
}
