use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use time::UtcOffset;
use yanqian_vocabulary::{DocumentType, Field, FieldVerdict, KeyLine, Mode, ProfileHash, Verdict};

use super::{AnswerForm, Forms, Limits, PayloadForm, Profile, ProfileError, RequestForm, Source};
use crate::forms::{DayForm, DigestForm, NonceForm, TimeForm};

const FORMAT_VERSION: u32 = 1;
/// The whole answer goes into its outcome record, which has at most 1 MiB with everything else in it.
const MAX_ANSWER: u32 = 512 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    format_version: u32,
    name: String,
    request: RawRequest,
    payload: RawPayload,
    forms: RawForms,
    answer: RawAnswer,
    limits: RawLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRequest {
    path: String,
    package: String,
    signature: String,
    attributes: bool,
    modes: BTreeMap<Mode, String>,
    members: Vec<RawMember>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMember {
    name: String,
    constant: Option<String>,
    source: Option<RawSource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawSource {
    Customer,
    Application,
    Time,
    Nonce,
    Mode,
    Purpose,
    Payload,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPayload {
    document_type: String,
    days: DayForm,
    fields: BTreeMap<Field, String>,
    document_types: BTreeMap<DocumentType, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawForms {
    time: TimeForm,
    utc_offset_minutes: i16,
    nonce: NonceForm,
    digest: DigestForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnswer {
    package: String,
    signature: String,
    attributes: bool,
    #[serde(default)]
    constants: BTreeMap<String, String>,
    #[serde(default)]
    ignored: Vec<String>,
    serial: String,
    time: String,
    nonce: String,
    digest: String,
    code: String,
    fields: String,
    field_names: BTreeMap<Field, String>,
    field_results: RawFieldResults,
    codes: RawCodes,
}

/// JSON texts, so that strings, booleans and null can be told apart.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFieldResults {
    r#match: String,
    mismatch: String,
    undecided: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCodes {
    r#match: String,
    mismatch: String,
    not_found: String,
    undecided: String,
    refused: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    answer_bytes: NonZeroU32,
    connect_ms: NonZeroU64,
    head_ms: NonZeroU64,
    body_ms: NonZeroU64,
    time_window_seconds: NonZeroU32,
    idle_connections: u16,
    idle_ms: NonZeroU64,
}

/// Names a fault by its key.
type Fault = (&'static str, &'static str);

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

fn request_form(raw: RawRequest, payload: RawPayload) -> Result<RequestForm, Fault> {
    let mut members = Vec::new();
    for member in raw.members {
        let source = match (member.constant, member.source) {
            (Some(text), None) => Source::Constant(text),
            (None, Some(RawSource::Customer)) => Source::Customer,
            (None, Some(RawSource::Application)) => Source::Application,
            (None, Some(RawSource::Time)) => Source::Time,
            (None, Some(RawSource::Nonce)) => Source::Nonce,
            (None, Some(RawSource::Mode)) => Source::Mode,
            (None, Some(RawSource::Purpose)) => Source::Purpose,
            (None, Some(RawSource::Payload)) => Source::Payload,
            _ => return Err(("request.members", "each member has either `constant` or `source`")),
        };
        members.push((member.name, source));
    }
    distinct("request.members", members.iter().map(|(name, _)| name.as_str()))?;
    for needed in [Source::Time, Source::Nonce, Source::Purpose, Source::Payload] {
        if members.iter().filter(|(_, source)| *source == needed).count() != 1 {
            return Err(("request.members", "time, nonce, purpose and payload must each stand once"));
        }
    }
    distinct("request", [raw.package.as_str(), &raw.signature])?;
    complete("payload.fields", &payload.fields, Field::ALL)?;
    complete("payload.document_types", &payload.document_types, DocumentType::ALL)?;
    let names = payload.fields.values().chain(std::iter::once(&payload.document_type));
    distinct("payload.fields", names.map(String::as_str))?;
    distinct("payload.document_types", payload.document_types.values().map(String::as_str))?;
    Ok(RequestForm {
        package: raw.package,
        signature: raw.signature,
        attributes: raw.attributes,
        members,
        payload: PayloadForm {
            document_type: payload.document_type,
            fields: payload.fields,
            document_types: payload.document_types,
            days: payload.days,
        },
        modes: raw.modes,
    })
}

fn answer_form(raw: RawAnswer) -> Result<AnswerForm, Fault> {
    distinct("answer", [raw.package.as_str(), &raw.signature])?;
    let members = [&raw.serial, &raw.time, &raw.nonce, &raw.digest, &raw.code, &raw.fields];
    let all = members.into_iter().chain(raw.constants.keys()).chain(&raw.ignored);
    distinct("answer", all.map(String::as_str))?;
    complete("answer.field_names", &raw.field_names, Field::ALL)?;
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
        package: raw.package,
        signature: raw.signature,
        attributes: raw.attributes,
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
    })
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
    let path = raw.request.path.clone();
    if !path.starts_with('/') || path.parse::<http::Uri>().is_err() {
        return Err(("request.path", "expected an absolute path"));
    }
    let offset = UtcOffset::from_whole_seconds(i32::from(raw.forms.utc_offset_minutes) * 60)
        .map_err(|_| ("forms.utc_offset_minutes", "expected minutes between -1559 and 1559"))?;
    Ok(Profile {
        path,
        request: request_form(raw.request, raw.payload)?,
        forms: Forms { time: raw.forms.time, offset, nonce: raw.forms.nonce, digest: raw.forms.digest },
        answer: answer_form(raw.answer)?,
        limits: limits(&raw.limits)?,
        name: raw.name,
        hash,
    })
}
