//! The wire forms: how a request reads and how an answer is written. What a request means is decided elsewhere, once.

mod reference;
mod second;
mod times;
mod wire;

use std::fmt;
use std::str::FromStr;

use http::HeaderMap;
use time::{Date, OffsetDateTime};

pub use self::wire::{Parts, Proof, Wire};
use crate::numbers::DocumentKind;
use crate::{Refusal, SimError};

/// A wire form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `{"bizPackage":…,"sign":…}`, authenticated attributes.
    Reference,
    /// `{"data":…,"signature":…}`, other names, times and codes, no attributes.
    Second,
    /// The reference form behind an application for a business serial number.
    TwoStep,
    /// The reference package inside a `SignedData`, which is the whole body.
    Attached,
    /// The reference package with its signature as a member: `r ‖ s` in hexadecimal over `k=v&…` of the others.
    SortedPairs,
    /// The same with DER in base64 over RFC 8785 of the others.
    CanonicalJson,
    /// The reference package as body, its signature and Content-Digest in the header.
    SignedBody,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Reference,
        Self::Second,
        Self::TwoStep,
        Self::Attached,
        Self::SortedPairs,
        Self::CanonicalJson,
        Self::SignedBody,
    ];

    /// Name on the command line, and of the profile that goes with it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Second => "second",
            Self::TwoStep => "two-step",
            Self::Attached => "attached",
            Self::SortedPairs => "sorted-pairs",
            Self::CanonicalJson => "canonical-json",
            Self::SignedBody => "signed-body",
        }
    }
}

impl FromStr for Form {
    type Err = SimError;

    fn from_str(name: &str) -> Result<Self, SimError> {
        Self::ALL.into_iter().find(|form| form.name() == name).ok_or_else(|| SimError::UnknownName {
            what: "wire form",
            name: name.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A service (Measures art. 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Printed fields.
    RealName,
    /// Printed fields and a portrait.
    RealPerson,
    /// The chip's files.
    ChipReading,
}

/// What a request is, in an exchange of one step or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The check, all at once.
    Only,
    /// An application for a business serial number.
    Apply,
    /// The check under a business serial number, with the digest of the answer that gave it.
    Authenticate {
        /// `businessSerialNumber`.
        serial: String,
        /// `applyDigest`: SM3 of that answer's package, hexadecimal.
        digest: String,
    },
}

/// A request as read; nothing is checked yet but its shape.
#[derive(Debug)]
pub struct Request {
    /// The octets that were signed: the package's value exactly as sent, or its canonical form.
    pub signed: Vec<u8>,
    /// The signature.
    pub proof: Proof,
    /// Customer number.
    pub customer: String,
    /// Name of the customer's system.
    pub application: String,
    /// The customer's time.
    pub time: OffsetDateTime,
    /// The nonce as text.
    pub nonce: String,
    /// Purpose code.
    pub purpose: String,
    /// What is asked.
    pub service: Service,
    /// In which step.
    pub step: Step,
    /// DER of the envelope; empty in an application.
    pub envelope: Vec<u8>,
}

/// What the envelope asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inquiry {
    /// Printed fields, and a JPEG picture in real-person checks.
    Printed(Printed, Option<Vec<u8>>),
    /// A chip.
    Chip(ChipInquiry),
}

/// The files of a chip as submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChipInquiry {
    /// Type of document.
    pub kind: DocumentKind,
    /// EF.COM, DG1, DG2, EF.SOD.
    pub files: crate::chip::Files,
}

/// The printed fields of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// Type of document.
    pub kind: DocumentKind,
    /// Number as given.
    pub number: String,
    /// Name as given.
    pub name: String,
    /// Birth date.
    pub birth_date: Date,
    /// ISO 3166 alpha-3, when asked about.
    pub nationality: Option<String>,
    /// Last day of validity, when asked about.
    pub expiry_date: Option<Date>,
}

/// What the platform says about one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldResult {
    /// Agrees.
    Match,
    /// Does not agree.
    Mismatch,
    /// The platform cannot tell.
    Undecided,
}

/// A field that was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Document number.
    Number,
    /// Name.
    Name,
    /// Birth date.
    BirthDate,
    /// Nationality.
    Nationality,
    /// Last day of validity.
    ExpiryDate,
    /// The portrait.
    Portrait,
    /// The chip as a whole.
    Chip,
}

/// The answer as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The application is accepted; nothing has been checked.
    Accepted,
    /// All fields agree.
    Match,
    /// At least one does not.
    Mismatch,
    /// No such document.
    NotFound,
    /// None disagrees, but the platform cannot tell about all.
    Undecided,
    /// The platform is out of service.
    Suspended,
    /// The platform has too much to do.
    Busy,
    /// Refused.
    Refused(Refusal),
    /// A code that no specification knows.
    Unheard,
}

/// A document's fields as read from its chip.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Type of document.
    pub kind: DocumentKind,
    /// As in the machine-readable zone.
    pub number: String,
    /// As printed.
    pub name: String,
    /// F or M.
    pub sex: char,
    /// Birth date.
    pub birth_date: Date,
    /// ISO 3166 alpha-3.
    pub nationality: String,
    /// Last day of validity.
    pub expiry_date: Date,
}

/// All that an answer states.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The platform's serial number of this transaction.
    pub serial: String,
    /// The platform's time.
    pub time: OffsetDateTime,
    /// Echo of the request's nonce.
    pub nonce: String,
    /// SM3 of the request's signed octets.
    pub digest: [u8; 32],
    /// Result.
    pub outcome: Outcome,
    /// Results by field; empty for all but match, mismatch and undecided.
    pub fields: Vec<(Field, FieldResult)>,
    /// SM3 of the sealed reading that goes with it.
    pub reading_digest: Option<[u8; 32]>,
    /// Whether it answers an application, so that the serial is a business serial number.
    pub application: bool,
}

/// Faults of the written package itself, which is then signed as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageFault {
    /// The result member is missing.
    MissingResult,
    /// The result member stands there twice: first "mismatch", then the result.
    DuplicateResult,
    /// A match without results by field.
    MissingFields,
    /// The portrait's result is missing.
    MissingPortrait,
}

impl Form {
    /// Whether signatures are over authenticated attributes.
    pub fn attributes(self) -> bool {
        self != Self::Second && self.has_messages()
    }

    /// Whether the platform reads chips in this form: a sealed reading has a place beside a package only.
    pub fn reads_chips(self) -> bool {
        self.has_package()
    }

    /// Whether the platform has a resource of this path.
    pub fn has_path(self, path: &str) -> bool {
        match self {
            Self::TwoStep => reference::service_at(path).is_some() || path == reference::APPLY,
            Self::Second => true,
            _ => reference::service_at(path).is_some(),
        }
    }

    /// Reads a request.
    pub fn read_request(self, path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Request, Refusal> {
        let parts = self.open(body, headers)?;
        match self {
            Self::Second => second::read_request(parts),
            Self::TwoStep if path == reference::APPLY => reference::read_application(parts),
            Self::TwoStep => reference::read_authentication(path, parts),
            Self::SortedPairs => reference::read_request(path, parts, &["certSerial", "sign"]),
            Self::CanonicalJson => reference::read_request(path, parts, &["sign"]),
            _ => reference::read_request(path, parts, &[]),
        }
    }

    /// Reads what was in the envelope.
    pub fn read_inquiry(self, service: Service, plain: &[u8]) -> Result<Inquiry, Refusal> {
        match self {
            Self::Second => second::read_inquiry(service, plain),
            _ => reference::read_inquiry(service, plain),
        }
    }

    /// Writes the package to be signed.
    pub fn write_answer(self, answer: &Answer, fault: Option<PackageFault>) -> String {
        match self {
            Self::Second => second::write_answer(answer, fault),
            _ => reference::write_answer(answer, fault),
        }
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
fn told(answer: &Answer, fault: Option<PackageFault>) -> impl Iterator<Item = &(Field, FieldResult)> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_body_makes_a_form_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            for form in Form::ALL {
                for path in ["/auth/real-name", "/auth/apply"] {
                    let _ = form.read_request(path, &HeaderMap::new(), &body);
                }
                for service in [Service::RealName, Service::RealPerson, Service::ChipReading] {
                    let _ = form.read_inquiry(service, &body);
                }
            }
        }

        #[test]
        fn no_member_value_makes_a_form_panic(value in "\\PC{0,40}", at in 0usize..8) {
            let names = ["version", "custNum", "appName", "timeStamp", "nonce", "authMode", "purposeCode", "idAuthData"];
            let good = ["1.0", "C", "A", "20261123120000000", "00112233445566778899aabbccddeeff", "R01", "P01", "MAA="];
            let members: Vec<_> = names.iter().zip(good).enumerate()
                .map(|(i, (name, good))| (*name, quoted(if i == at { &value } else { good }))).collect();
            let package = object(&members);
            let body = Form::Reference.body(&package, "MAA=");
            let _ = Form::Reference.read_request("/auth/real-name", &HeaderMap::new(), body.as_bytes());
        }
    }
}
