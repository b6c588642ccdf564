//! The reference form: `{"bizPackage":{…},"sign":"…"}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::times::{read_compact, read_compact_date, write_compact};
use super::{Answer, Field, FieldResult, Inquiry, Outcome, PackageFault, Request, object, quoted};
use crate::Refusal;
use crate::json::Members;
use crate::numbers::DocumentKind;

const MEMBERS: [&str; 8] =
    ["version", "custNum", "appName", "timeStamp", "nonce", "authMode", "purposeCode", "idAuthData"];

pub(super) fn read_request(body: &[u8]) -> Result<Request, Refusal> {
    let shape = Refusal::Shape;
    let outer = Members::parse(body, &["bizPackage", "sign"], &[], shape("not {bizPackage, sign}"))?;
    let signed = outer.raw("bizPackage").ok_or(shape("bizPackage"))?.as_bytes();
    let package = Members::parse(signed, &MEMBERS, &[], shape("members of bizPackage"))?;
    let text = |name: &'static str| package.text(name).ok_or(shape(name));
    let decode =
        |name: &'static str, text: Option<String>| text.and_then(|text| STANDARD.decode(text).ok()).ok_or(shape(name));
    if text("version")? != "1.0" {
        return Err(shape("version"));
    }
    if text("authMode")? != "R01" {
        return Err(shape("authMode"));
    }
    let nonce = text("nonce")?;
    if nonce.len() != 32 || !nonce.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(shape("nonce"));
    }
    Ok(Request {
        signed: signed.to_vec(),
        signature: decode("sign", outer.text("sign"))?,
        customer: text("custNum")?,
        application: text("appName")?,
        time: read_compact(&text("timeStamp")?).ok_or(shape("timeStamp"))?,
        nonce,
        purpose: text("purposeCode")?,
        envelope: decode("idAuthData", package.text("idAuthData"))?,
    })
}

pub(super) fn read_inquiry(plain: &[u8]) -> Result<Inquiry, Refusal> {
    let wrong = Refusal::Envelope;
    let required = ["docType", "docNumber", "name", "birthDate"];
    let members = Members::parse(plain, &required, &["nationality", "expiryDate"], wrong("members of the inquiry"))?;
    let text = |name: &'static str| members.text(name).ok_or(wrong(name));
    let kind = match text("docType")?.as_str() {
        "414" => DocumentKind::Passport,
        "516" => DocumentKind::HongKongMacaoPermit,
        "511" => DocumentKind::TaiwanPermit,
        "553" => DocumentKind::ForeignResidentCard,
        _ => return Err(wrong("docType")),
    };
    let nationality = members.raw("nationality").map(|_| text("nationality")).transpose()?;
    let expiry_date = members
        .raw("expiryDate")
        .map(|_| read_compact_date(&text("expiryDate")?).ok_or(wrong("expiryDate")))
        .transpose()?;
    Ok(Inquiry {
        kind,
        number: text("docNumber")?,
        name: text("name")?,
        birth_date: read_compact_date(&text("birthDate")?).ok_or(wrong("birthDate"))?,
        nationality,
        expiry_date,
    })
}

/// resultCode and resultMsg.
pub(super) fn code(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
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
        Outcome::Busy => ("2999", "系统繁忙"),
        Outcome::Refused(Refusal::Shape(_)) | Outcome::Unheard => ("7777", "未知"),
    }
}

pub(super) fn write_answer(answer: &Answer, fault: Option<PackageFault>) -> String {
    let (code, message) = code(answer.outcome);
    let mut members = vec![
        ("version", quoted("1.0")),
        ("bizSerialNum", quoted(&answer.serial)),
        ("timeStamp", quoted(&write_compact(answer.time))),
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
            answer.fields.iter().map(|(field, result)| (name(*field), quoted(digit(*result)))).collect();
        members.push(("fieldResults", object(&fields)));
    }
    object(&members)
}

fn name(field: Field) -> &'static str {
    match field {
        Field::Number => "docNumber",
        Field::Name => "name",
        Field::BirthDate => "birthDate",
        Field::Nationality => "nationality",
        Field::ExpiryDate => "expiryDate",
    }
}

fn digit(result: FieldResult) -> &'static str {
    match result {
        FieldResult::Match => "1",
        FieldResult::Mismatch => "0",
        FieldResult::Undecided => "2",
    }
}
