//! Writing answers: each form's names and words for what is stated.

use time::OffsetDateTime;

use super::times::Times;
use super::{Answer, Field, FieldResult, Form, Outcome, PackageFault, Part, Reading, reference, second};

impl Form {
    /// Writes the package to be signed.
    pub fn write_answer(self, answer: &Answer, fault: Option<PackageFault>) -> String {
        object(&self.members_of(answer, fault))
    }

    /// The members of the package to be signed, each with its JSON, in order.
    pub(crate) fn members_of(self, answer: &Answer, fault: Option<PackageFault>) -> Vec<(&'static str, String)> {
        match self {
            Self::Second => second::members(answer, fault),
            _ => reference::members(answer, self.times(), fault),
        }
    }

    /// What a part of an answer is called; `application`: in an answer to one.
    pub(crate) fn part(self, part: Part, application: bool) -> &'static str {
        match self {
            Self::Second => second::part(part),
            _ => reference::part(part, application),
        }
    }

    /// What a field is called in an answer.
    pub(crate) fn field(self, field: Field) -> &'static str {
        match self {
            Self::Second => second::name(field),
            _ => reference::name(field),
        }
    }

    /// A field's result as JSON.
    pub(crate) fn result(self, result: FieldResult) -> &'static str {
        match self {
            Self::Second => second::word(result),
            _ => reference::word(result),
        }
    }

    pub(super) fn times(self) -> Times {
        match self {
            Self::Reference => Times::CompactMillis,
            Self::Second => second::TIMES,
            Self::TwoStep => Times::EpochSeconds,
            Self::Attached => Times::Dashed,
            Self::SortedPairs => Times::Compact,
            Self::CanonicalJson => Times::EpochMillis,
            Self::SignedBody => Times::Rfc3339,
        }
    }

    /// A time as JSON.
    pub(crate) fn write_time(self, at: OffsetDateTime) -> String {
        self.times().write(at)
    }

    /// Writes what is sealed to the entity.
    pub fn write_reading(self, reading: &Reading) -> String {
        match self {
            Self::Second => second::write_reading(reading),
            _ => reference::write_reading(reading),
        }
    }

    /// A fresh nonce in this form's encoding.
    pub fn nonce(self, octets: [u8; 16]) -> String {
        match self {
            Self::Second => second::encode_nonce(octets),
            _ => hex::encode(octets),
        }
    }

    /// The form's word for an outcome.
    pub fn code(self, outcome: Outcome) -> &'static str {
        match self {
            Self::Second => second::code(outcome),
            _ => reference::code(outcome).0,
        }
    }

    /// Names of the two members of a body with a package: that and the signature.
    pub fn members(self) -> (&'static str, &'static str) {
        match self {
            Self::Second => ("data", "signature"),
            _ => ("bizPackage", "sign"),
        }
    }

    /// Puts package and signature together.
    pub fn body(self, package: &str, signature: &str) -> String {
        let (outer, sign) = self.members();
        format!("{{\"{outer}\":{package},\"{sign}\":\"{signature}\"}}")
    }

    /// Puts a sealed reading (base64) beside them.
    pub fn with_reading(self, body: &str, reading: &str) -> String {
        let name = match self {
            Self::Second => "result",
            _ => "reading",
        };
        format!("{},\"{name}\":\"{reading}\"}}", body.strip_suffix('}').unwrap_or(body))
    }
}

/// The results by field that are told.
pub(super) fn told(answer: &Answer, fault: Option<PackageFault>) -> impl Iterator<Item = &(Field, FieldResult)> {
    let left_out = (fault == Some(PackageFault::MissingPortrait)).then_some(Field::Portrait);
    answer.fields.iter().filter(move |(field, _)| Some(*field) != left_out)
}

/// Writes an object from names and values that are JSON already, in order.
pub(crate) fn object(members: &[(&str, String)]) -> String {
    let mut out = String::from("{");
    for (name, value) in members {
        if out.len() > 1 {
            out.push(',');
        }
        out.push('"');
        out.push_str(name);
        out.push_str("\":");
        out.push_str(value);
    }
    out.push('}');
    out
}

/// A JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
