//! The second form: other names, RFC 3339 times, base64url nonces, words for codes, no attributes. It exists to show that
//! a platform is data to the appliance.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::times::{read_dashed_date, read_rfc3339, write_rfc3339};
use super::{Answer, Field, FieldResult, Inquiry, Outcome, PackageFault, Request, object, quoted};
use crate::Refusal;
use crate::json::Members;
use crate::numbers::DocumentKind;

const MEMBERS: [&str; 8] = ["v", "client", "system", "time", "serialNonce", "service", "usage", "payload"];

pub(super) fn encode_nonce(octets: [u8; 16]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

pub(super) fn read_request(body: &[u8]) -> Result<Request, Refusal> {
    let shape = Refusal::Shape;
    let outer = Members::parse(body, &["data", "signature"], &[], shape("not {data, signature}"))?;
    let signed = outer.raw("data").ok_or(shape("data"))?.as_bytes();
    let package = Members::parse(signed, &MEMBERS, &[], shape("members of data"))?;
    let text = |name: &'static str| package.text(name).ok_or(shape(name));
    let decode =
        |name: &'static str, text: Option<String>| text.and_then(|text| STANDARD.decode(text).ok()).ok_or(shape(name));
    if text("v")? != "2" {
        return Err(shape("v"));
    }
    if text("service")? != "NAME_CHECK" {
        return Err(shape("service"));
    }
    let nonce = text("serialNonce")?;
    if URL_SAFE_NO_PAD.decode(&nonce).map_or(0, |octets| octets.len()) != 16 {
        return Err(shape("serialNonce"));
    }
    Ok(Request {
        signed: signed.to_vec(),
        signature: decode("signature", outer.text("signature"))?,
        customer: text("client")?,
        application: text("system")?,
        time: read_rfc3339(&text("time")?).ok_or(shape("time"))?,
        nonce,
        purpose: text("usage")?,
        envelope: decode("payload", package.text("payload"))?,
    })
}

pub(super) fn read_inquiry(plain: &[u8]) -> Result<Inquiry, Refusal> {
    let wrong = Refusal::Envelope;
    let required = ["type", "no", "fullName", "dob"];
    let members = Members::parse(plain, &required, &["country", "validUntil"], wrong("members of the inquiry"))?;
    let text = |name: &'static str| members.text(name).ok_or(wrong(name));
    let kind = match text("type")?.as_str() {
        "PASSPORT" => DocumentKind::Passport,
        "HKMO" => DocumentKind::HongKongMacaoPermit,
        "TWN" => DocumentKind::TaiwanPermit,
        "FPR" => DocumentKind::ForeignResidentCard,
        _ => return Err(wrong("type")),
    };
    let nationality = members.raw("country").map(|_| text("country")).transpose()?;
    let expiry_date = members
        .raw("validUntil")
        .map(|_| read_dashed_date(&text("validUntil")?).ok_or(wrong("validUntil")))
        .transpose()?;
    Ok(Inquiry {
        kind,
        number: text("no")?,
        name: text("fullName")?,
        birth_date: read_dashed_date(&text("dob")?).ok_or(wrong("dob"))?,
        nationality,
        expiry_date,
    })
}

pub(super) fn code(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Match => "MATCH",
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
        Outcome::Refused(Refusal::Shape(_)) | Outcome::Unheard => "E_FLYING_PIG",
    }
}

pub(super) fn write_answer(answer: &Answer, fault: Option<PackageFault>) -> String {
    let mut members = vec![
        ("v", quoted("2")),
        ("receipt", quoted(&answer.serial)),
        ("time", quoted(&write_rfc3339(answer.time))),
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
            answer.fields.iter().map(|(field, result)| (name(*field), word(*result).to_owned())).collect();
        members.push(("items", object(&items)));
    }
    object(&members)
}

fn name(field: Field) -> &'static str {
    match field {
        Field::Number => "no",
        Field::Name => "fullName",
        Field::BirthDate => "dob",
        Field::Nationality => "country",
        Field::ExpiryDate => "validUntil",
    }
}

fn word(result: FieldResult) -> &'static str {
    match result {
        FieldResult::Match => "true",
        FieldResult::Mismatch => "false",
        FieldResult::Undecided => "null",
    }
}
