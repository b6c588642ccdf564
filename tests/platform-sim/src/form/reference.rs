//! The reference form: `{"bizPackage":{…},"sign":"…"}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::times::{Times, read_compact_date};
use super::{
    Answer, ChipInquiry, Field, FieldResult, Inquiry, Outcome, PackageFault, Part, Parts, Printed, Reading, Request,
    Service, Step, object, quoted, told,
};
use crate::Refusal;
use crate::chip::Files;
use crate::json::Members;
use crate::numbers::DocumentKind;

const MEMBERS: [&str; 8] =
    ["version", "custNum", "appName", "timeStamp", "nonce", "authMode", "purposeCode", "idAuthData"];

/// Where an application goes.
pub(super) const APPLY: &str = "/auth/apply";

/// The service that is asked for at a path.
pub(super) fn service_at(path: &str) -> Option<Service> {
    match path {
        "/auth/real-name" => Some(Service::RealName),
        "/auth/real-person" => Some(Service::RealPerson),
        "/auth/chip-reading" => Some(Service::ChipReading),
        _ => None,
    }
}

fn service_of(word: &str) -> Option<Service> {
    match word {
        "R01" => Some(Service::RealName),
        "R02" => Some(Service::RealPerson),
        "R03" => Some(Service::ChipReading),
        _ => None,
    }
}

/// `more`: members of the envelope that stand in the package.
pub(super) fn read_request(
    path: &str,
    parts: Parts<'_>,
    times: Times,
    more: &[&'static str],
) -> Result<Request, Refusal> {
    let request = read(parts, times, &[&MEMBERS, more].concat())?;
    at_its_path(path, request)
}

pub(super) fn read_authentication(path: &str, parts: Parts<'_>, times: Times) -> Result<Request, Refusal> {
    let mut members = MEMBERS.to_vec();
    members.extend(["businessSerialNumber", "applyDigest"]);
    at_its_path(path, read(parts, times, &members)?)
}

pub(super) fn read_application(parts: Parts<'_>, times: Times) -> Result<Request, Refusal> {
    read(parts, times, &MEMBERS[..7])
}

fn at_its_path(path: &str, request: Request) -> Result<Request, Refusal> {
    if service_at(path) == Some(request.service) {
        Ok(request)
    } else {
        Err(Refusal::Shape("authMode of another path"))
    }
}

fn read(parts: Parts<'_>, times: Times, members: &[&'static str]) -> Result<Request, Refusal> {
    let shape = Refusal::Shape;
    let package = Members::parse(&parts.object, members, &[], shape("members of the package"))?;
    let text = |name: &'static str| package.text(name).ok_or(shape(name));
    let decode =
        |name: &'static str, text: Option<String>| text.and_then(|text| STANDARD.decode(text).ok()).ok_or(shape(name));
    if text("version")? != "1.0" {
        return Err(shape("version"));
    }
    let nonce = text("nonce")?;
    if nonce.len() != 32 || !nonce.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(shape("nonce"));
    }
    let has = |name: &str| members.contains(&name);
    let step = if has("businessSerialNumber") {
        Step::Authenticate { serial: text("businessSerialNumber")?, digest: text("applyDigest")? }
    } else if has("idAuthData") {
        Step::Only
    } else {
        Step::Apply
    };
    Ok(Request {
        signed: parts.signed,
        proof: parts.proof,
        customer: text("custNum")?,
        application: text("appName")?,
        time: package.raw("timeStamp").and_then(|json| times.read(json)).ok_or(shape("timeStamp"))?,
        nonce,
        purpose: text("purposeCode")?,
        service: service_of(&text("authMode")?).ok_or(shape("authMode"))?,
        envelope: if step == Step::Apply { Vec::new() } else { decode("idAuthData", package.text("idAuthData"))? },
        step,
    })
}

fn kind_of(word: &str) -> Option<DocumentKind> {
    match word {
        "414" => Some(DocumentKind::Passport),
        "516" => Some(DocumentKind::HongKongMacaoPermit),
        "511" => Some(DocumentKind::TaiwanPermit),
        "553" => Some(DocumentKind::ForeignResidentCard),
        _ => None,
    }
}

pub(super) fn read_inquiry(service: Service, plain: &[u8]) -> Result<Inquiry, Refusal> {
    let wrong = Refusal::Envelope;
    let mut required = match service {
        Service::ChipReading => vec!["docType", "efCom", "dg1", "dg2", "efSod"],
        Service::RealName | Service::RealPerson => vec!["docType", "docNumber", "name", "birthDate"],
    };
    required.extend((service == Service::RealPerson).then_some("portrait"));
    let optional: &[&str] = if service == Service::ChipReading { &[] } else { &["nationality", "expiryDate"] };
    let members = Members::parse(plain, &required, optional, wrong("members of the inquiry"))?;
    let text = |name: &'static str| members.text(name).ok_or(wrong(name));
    let octets = |name: &'static str| STANDARD.decode(text(name)?).map_err(|_| wrong(name));
    let kind = kind_of(&text("docType")?).ok_or(wrong("docType"))?;
    if service == Service::ChipReading {
        let files = Files { com: octets("efCom")?, dg1: octets("dg1")?, dg2: octets("dg2")?, sod: octets("efSod")? };
        return Ok(Inquiry::Chip(ChipInquiry { kind, files }));
    }
    let nationality = members.raw("nationality").map(|_| text("nationality")).transpose()?;
    let expiry_date = members
        .raw("expiryDate")
        .map(|_| read_compact_date(&text("expiryDate")?).ok_or(wrong("expiryDate")))
        .transpose()?;
    let printed = Printed {
        kind,
        number: text("docNumber")?,
        name: text("name")?,
        birth_date: read_compact_date(&text("birthDate")?).ok_or(wrong("birthDate"))?,
        nationality,
        expiry_date,
    };
    let portrait = if service == Service::RealPerson { Some(octets("portrait")?) } else { None };
    Ok(Inquiry::Printed(printed, portrait))
}

pub(super) fn write_reading(reading: &Reading) -> String {
    let kind = match reading.kind {
        DocumentKind::Passport => "414",
        DocumentKind::HongKongMacaoPermit => "516",
        DocumentKind::TaiwanPermit => "511",
        DocumentKind::ForeignResidentCard => "553",
    };
    object(&[
        ("docType", quoted(kind)),
        ("docNumber", quoted(&reading.number)),
        ("name", quoted(&reading.name)),
        ("sex", quoted(&reading.sex.to_string())),
        ("birthDate", quoted(&reading.birth_date.to_string().replace('-', ""))),
        ("nationality", quoted(&reading.nationality)),
        ("expiryDate", quoted(&reading.expiry_date.to_string().replace('-', ""))),
    ])
}

/// resultCode and resultMsg.
pub(super) fn code(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Accepted => ("0000", "受理"),
        Outcome::Match => ("0000", "一致"),
        Outcome::Mismatch => ("1001", "不一致"),
        Outcome::NotFound => ("1002", "库中无此证件"),
        Outcome::Undecided => ("1003", "无法判定"),
        Outcome::Suspended => ("2001", "服务已暂停"),
        Outcome::Refused(Refusal::Purpose) => ("2002", "用途未约定"),
        Outcome::Refused(Refusal::Certificate(_)) => ("2003", "证书未登记"),
        Outcome::Refused(Refusal::Duplicate) => ("2004", "随机数重复"),
        Outcome::Refused(Refusal::Time) => ("2005", "时间超出窗口"),
        Outcome::Refused(Refusal::Signature(_)) => ("2006", "签名无效"),
        Outcome::Refused(Refusal::Envelope(_)) => ("2007", "数字信封无效"),
        Outcome::Refused(Refusal::Application) => ("2008", "业务流水号无效"),
        Outcome::Busy => ("2999", "系统繁忙"),
        Outcome::Refused(Refusal::Shape(_)) | Outcome::Unheard => ("7777", "未知"),
    }
}

/// What a part of an answer is called; `application`: in an answer to one.
pub(super) fn part(part: Part, application: bool) -> &'static str {
    match part {
        Part::Version => "version",
        Part::Serial if application => "businessSerialNumber",
        Part::Serial => "bizSerialNum",
        Part::Time => "timeStamp",
        Part::Nonce => "nonce",
        Part::Digest => "requestDigest",
        Part::Code => "resultCode",
        Part::Fields => "fieldResults",
    }
}

pub(super) fn members(answer: &Answer, times: Times, fault: Option<PackageFault>) -> Vec<(&'static str, String)> {
    let (code, message) = code(answer.outcome);
    let mut members = vec![
        ("version", quoted("1.0")),
        (part(Part::Serial, answer.application), quoted(&answer.serial)),
        ("timeStamp", times.write(answer.time)),
        ("nonce", quoted(&answer.nonce)),
        ("requestDigest", quoted(&hex::encode(answer.digest))),
    ];
    if fault == Some(PackageFault::DuplicateResult) {
        members.push(("resultCode", quoted("1001")));
    }
    if fault != Some(PackageFault::MissingResult) {
        members.push(("resultCode", quoted(code)));
    }
    members.push(("resultMsg", quoted(message)));
    if !answer.fields.is_empty() && fault != Some(PackageFault::MissingFields) {
        let fields: Vec<_> =
            told(answer, fault).map(|(field, result)| (name(*field), word(*result).to_owned())).collect();
        members.push(("fieldResults", object(&fields)));
    }
    if let Some(digest) = answer.reading_digest {
        members.push(("readingDigest", quoted(&hex::encode(digest))));
    }
    members
}

pub(super) fn name(field: Field) -> &'static str {
    match field {
        Field::Number => "docNumber",
        Field::Name => "name",
        Field::BirthDate => "birthDate",
        Field::Nationality => "nationality",
        Field::ExpiryDate => "expiryDate",
        Field::Portrait => "portrait",
        Field::Chip => "chip",
    }
}

/// JSON.
pub(super) fn word(result: FieldResult) -> &'static str {
    match result {
        FieldResult::Match => "\"1\"",
        FieldResult::Mismatch => "\"0\"",
        FieldResult::Undecided => "\"2\"",
    }
}
