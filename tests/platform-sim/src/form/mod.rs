//! The wire forms: how a request reads and how an answer is written. What a request means is decided elsewhere, once.

mod reference;
mod second;
mod times;
mod wire;
mod writing;

use std::fmt;
use std::str::FromStr;

use http::HeaderMap;
use time::{Date, OffsetDateTime};

pub use self::wire::{Parts, Proof, Wire};
use self::writing::told;
pub(crate) use self::writing::{object, quoted};
use crate::numbers::DocumentKind;
use crate::orders::To;
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

/// A part of an answer that every form has, under a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Version,
    Serial,
    Time,
    Nonce,
    Digest,
    Code,
    Fields,
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

    /// Which step is asked for at a path.
    pub(crate) fn asked_at(self, path: &str) -> To {
        if self == Self::TwoStep && path == reference::APPLY { To::Application } else { To::Check }
    }

    /// Reads a request.
    pub fn read_request(self, path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Request, Refusal> {
        let parts = self.open(body, headers)?;
        let times = self.times();
        match self {
            Self::Second => second::read_request(parts),
            Self::TwoStep if path == reference::APPLY => reference::read_application(parts, times),
            Self::TwoStep => reference::read_authentication(path, parts, times),
            Self::SortedPairs => reference::read_request(path, parts, times, &["certSerial", "sign"]),
            Self::CanonicalJson => reference::read_request(path, parts, times, &["sign"]),
            _ => reference::read_request(path, parts, times, &[]),
        }
    }

    /// Reads what was in the envelope.
    pub fn read_inquiry(self, service: Service, plain: &[u8]) -> Result<Inquiry, Refusal> {
        match self {
            Self::Second => second::read_inquiry(service, plain),
            _ => reference::read_inquiry(service, plain),
        }
    }
}

#[cfg(test)]
mod tests;
