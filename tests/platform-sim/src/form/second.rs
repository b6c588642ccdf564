//! The second form: other names, RFC 3339 times, base64url nonces, words for codes, no attributes. It exists to show that
//! a platform is data to the appliance.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::times::{Times, read_dashed_date};
use super::{
    Answer, ChipInquiry, Field, FieldResult, Inquiry, Outcome, PackageFault, Part, Parts, Printed, Reading, Request,
    Service, Step, object, quoted, told,
};
use crate::Refusal;
use crate::chip::Files;
use crate::json::Members;
use crate::numbers::DocumentKind;

const MEMBERS: [&str; 8] = ["v", "client", "system", "time", "serialNonce", "service", "usage", "payload"];

pub(super) const TIMES: Times = Times::Rfc3339Millis;

pub(super) fn encode_nonce(octets: [u8; 16]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

pub(super) fn read_request(parts: Parts<'_>) -> Result<Request, Refusal> {
    let shape = Refusal::Shape;
    let package = Members::parse(&parts.object, &MEMBERS, &[], shape("members of data"))?;
    let text = |name: &'static str| package.text(name).ok_or(shape(name));
    let decode =
        |name: &'static str, text: Option<String>| text.and_then(|text| STANDARD.decode(text).ok()).ok_or(shape(name));
    if text("v")? != "2" {
        return Err(shape("v"));
    }
    let service = match text("service")?.as_str() {
        "NAME_CHECK" => Service::RealName,
        "PERSON_CHECK" => Service::RealPerson,
        "CHIP_READ" => Service::ChipReading,
        _ => return Err(shape("service")),
    };
    let nonce = text("serialNonce")?;
    if URL_SAFE_NO_PAD.decode(&nonce).map_or(0, |octets| octets.len()) != 16 {
        return Err(shape("serialNonce"));
    }
    Ok(Request {
        signed: parts.signed,
        proof: parts.proof,
        customer: text("client")?,
        application: text("system")?,
        time: package.raw("time").and_then(|json| TIMES.read(json)).ok_or(shape("time"))?,
        nonce,
        purpose: text("usage")?,
        service,
        step: Step::Only,
        envelope: decode("payload", package.text("payload"))?,
    })
}

pub(super) fn read_inquiry(service: Service, plain: &[u8]) -> Result<Inquiry, Refusal> {
    let wrong = Refusal::Envelope;
    let mut required = match service {
        Service::ChipReading => vec!["type", "com", "group1", "group2", "sod"],
        Service::RealName | Service::RealPerson => vec!["type", "no", "fullName", "dob"],
    };
    required.extend((service == Service::RealPerson).then_some("face"));
    let optional: &[&str] = if service == Service::ChipReading { &[] } else { &["country", "validUntil"] };
    let members = Members::parse(plain, &required, optional, wrong("members of the inquiry"))?;
    let text = |name: &'static str| members.text(name).ok_or(wrong(name));
    let octets = |name: &'static str| STANDARD.decode(text(name)?).map_err(|_| wrong(name));
    let kind = match text("type")?.as_str() {
        "PASSPORT" => DocumentKind::Passport,
        "HKMO" => DocumentKind::HongKongMacaoPermit,
        "TWN" => DocumentKind::TaiwanPermit,
        "FPR" => DocumentKind::ForeignResidentCard,
        _ => return Err(wrong("type")),
    };
    if service == Service::ChipReading {
        let files = Files { com: octets("com")?, dg1: octets("group1")?, dg2: octets("group2")?, sod: octets("sod")? };
        return Ok(Inquiry::Chip(ChipInquiry { kind, files }));
    }
    let nationality = members.raw("country").map(|_| text("country")).transpose()?;
    let expiry_date = members
        .raw("validUntil")
        .map(|_| read_dashed_date(&text("validUntil")?).ok_or(wrong("validUntil")))
        .transpose()?;
    let printed = Printed {
        kind,
        number: text("no")?,
        name: text("fullName")?,
        birth_date: read_dashed_date(&text("dob")?).ok_or(wrong("dob"))?,
        nationality,
        expiry_date,
    };
    let portrait = if service == Service::RealPerson { Some(octets("face")?) } else { None };
    Ok(Inquiry::Printed(printed, portrait))
}

pub(super) fn write_reading(reading: &Reading) -> String {
    let kind = match reading.kind {
        DocumentKind::Passport => "PASSPORT",
        DocumentKind::HongKongMacaoPermit => "HKMO",
        DocumentKind::TaiwanPermit => "TWN",
        DocumentKind::ForeignResidentCard => "FPR",
    };
    object(&[
        ("type", quoted(kind)),
        ("no", quoted(&reading.number)),
        ("fullName", quoted(&reading.name)),
        ("gender", quoted(if reading.sex == 'F' { "female" } else { "male" })),
        ("dob", quoted(&reading.birth_date.to_string())),
        ("country", quoted(&reading.nationality)),
        ("validUntil", quoted(&reading.expiry_date.to_string())),
    ])
}

pub(super) fn code(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted | Outcome::Match => "MATCH",
        Outcome::Mismatch => "MISMATCH",
        Outcome::NotFound => "ABSENT",
        Outcome::Undecided => "UNSURE",
        Outcome::Suspended => "E_SUSPENDED",
        Outcome::Busy => "E_BUSY",
        Outcome::Refused(Refusal::Purpose) => "E_PURPOSE",
        Outcome::Refused(Refusal::Certificate(_)) => "E_CERT",
        Outcome::Refused(Refusal::Duplicate) => "E_REPLAY",
        Outcome::Refused(Refusal::Time) => "E_TIME",
        Outcome::Refused(Refusal::Signature(_)) => "E_SIGN",
        Outcome::Refused(Refusal::Envelope(_)) => "E_ENVELOPE",
        Outcome::Refused(Refusal::Shape(_) | Refusal::Application) | Outcome::Unheard => "E_FLYING_PIG",
    }
}

pub(super) fn part(part: Part) -> &'static str {
    match part {
        Part::Version => "v",
        Part::Serial => "receipt",
        Part::Time => "time",
        Part::Nonce => "serialNonce",
        Part::Digest => "digest",
        Part::Code => "outcome",
        Part::Fields => "items",
    }
}

pub(super) fn members(answer: &Answer, fault: Option<PackageFault>) -> Vec<(&'static str, String)> {
    let mut members = vec![
        ("v", quoted("2")),
        ("receipt", quoted(&answer.serial)),
        ("time", TIMES.write(answer.time)),
        ("serialNonce", quoted(&answer.nonce)),
        ("digest", quoted(&STANDARD.encode(answer.digest))),
    ];
    if fault == Some(PackageFault::DuplicateResult) {
        members.push(("outcome", quoted("MISMATCH")));
    }
    if fault != Some(PackageFault::MissingResult) {
        members.push(("outcome", quoted(code(answer.outcome))));
    }
    if !answer.fields.is_empty() && fault != Some(PackageFault::MissingFields) {
        let items: Vec<_> =
            told(answer, fault).map(|(field, result)| (name(*field), word(*result).to_owned())).collect();
        members.push(("items", object(&items)));
    }
    if let Some(digest) = answer.reading_digest {
        members.push(("resultDigest", quoted(&STANDARD.encode(digest))));
    }
    members
}

pub(super) fn name(field: Field) -> &'static str {
    match field {
        Field::Number => "no",
        Field::Name => "fullName",
        Field::BirthDate => "dob",
        Field::Nationality => "country",
        Field::ExpiryDate => "validUntil",
        Field::Portrait => "face",
        Field::Chip => "chip",
    }
}

/// JSON.
pub(super) fn word(result: FieldResult) -> &'static str {
    match result {
        FieldResult::Match => "true",
        FieldResult::Mismatch => "false",
        FieldResult::Undecided => "null",
    }
}
