//! A platform's message forms as validated data. No value of any profile is compiled in.

mod build;
mod envelope;
mod raw;
mod transport;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use yanqian_messages::CipherEncoding;
use yanqian_vocabulary::{DocumentType, Field, FieldVerdict, KeyLine, Mode, ProfileHash, Sex, Verdict};

pub(crate) use self::envelope::{Envelope, Layout, MessageText, SignatureForm, SignatureText};
pub use self::transport::Speaks;
pub(crate) use self::transport::TransportForm;
use crate::forms::{DayForm, DigestForm, NonceForm};
use crate::times::Times;

/// A profile cannot be used. The text names the file and, where it can, line and key.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("{file}: {source}")]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{file}: {source}")]
    Syntax { file: PathBuf, source: Box<toml::de::Error> },
    #[error("{file}{line}: key `{key}`: {problem}")]
    Value { file: PathBuf, line: KeyLine, key: &'static str, problem: &'static str },
}

/// A platform profile.
#[derive(Debug, Clone)]
pub struct Profile {
    transport: TransportForm,
    pub(crate) request: RequestForm,
    /// The first step of a two-step exchange; none when a check is one exchange.
    pub(crate) apply: Option<ApplyForm>,
    pub(crate) forms: Forms,
    pub(crate) answer: AnswerForm,
    pub(crate) limits: Limits,
    name: String,
    hash: ProfileHash,
}

#[derive(Debug, Clone)]
pub(crate) struct RequestForm {
    pub(crate) envelope: Envelope,
    pub(crate) members: Vec<(String, Source)>,
    pub(crate) payload: PayloadForm,
    pub(crate) modes: BTreeMap<Mode, ModeForm>,
    /// Whether the platform takes the same request, octet for octet, twice and performs it once.
    pub(crate) idempotent: bool,
}

/// What a service is called, and where it is asked.
#[derive(Debug, Clone)]
pub(crate) struct ModeForm {
    pub(crate) word: String,
    pub(crate) path: String,
}

/// Where a member's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Constant(String),
    Customer,
    Application,
    Time,
    Nonce,
    Mode,
    Purpose,
    Payload,
    /// Serial number of the signer's certificate, hexadecimal.
    CertificateSerial,
    /// The serial that the platform gave in answer to the application.
    BusinessSerial,
    /// SM3 of the signed object of that answer.
    ApplyDigest,
}

#[derive(Debug, Clone)]
pub(crate) struct PayloadForm {
    pub(crate) document_type: String,
    pub(crate) fields: BTreeMap<Field, String>,
    pub(crate) document_types: BTreeMap<DocumentType, String>,
    pub(crate) days: DayForm,
    /// There when the profile knows real-person.
    pub(crate) portrait: Option<String>,
    /// There when the profile knows chip-reading.
    pub(crate) chip: Option<ChipNames>,
}

#[derive(Debug, Clone)]
pub(crate) struct ChipNames {
    pub(crate) com: String,
    pub(crate) dg1: String,
    pub(crate) dg2: String,
    pub(crate) sod: String,
}

/// The first step: what is sent, and what its answer must hold. Names that it does not have are those of [`AnswerForm`].
#[derive(Debug, Clone)]
pub(crate) struct ApplyForm {
    pub(crate) path: String,
    pub(crate) members: Vec<(String, Source)>,
    pub(crate) serial: String,
    pub(crate) constants: BTreeMap<String, String>,
    pub(crate) ignored: Vec<String>,
    pub(crate) accepted: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Forms {
    pub(crate) times: Times,
    pub(crate) nonce: NonceForm,
    pub(crate) digest: DigestForm,
}

#[derive(Debug, Clone)]
pub(crate) struct AnswerForm {
    pub(crate) envelope: Envelope,
    pub(crate) constants: BTreeMap<String, String>,
    pub(crate) ignored: Vec<String>,
    pub(crate) serial: String,
    pub(crate) time: String,
    pub(crate) nonce: String,
    pub(crate) digest: String,
    pub(crate) code: String,
    pub(crate) fields: String,
    pub(crate) field_names: BTreeMap<Field, String>,
    pub(crate) field_results: Vec<(Value, FieldVerdict)>,
    pub(crate) verdicts: BTreeMap<String, Verdict>,
    /// Codes by which the platform says that it did not perform the check.
    pub(crate) refused: Vec<String>,
    /// There when the profile knows chip-reading.
    pub(crate) reading: Option<ReadingForm>,
}

/// The sealed reading that comes with a match in chip-reading.
#[derive(Debug, Clone)]
pub(crate) struct ReadingForm {
    /// Member of the signed object: digest of the envelope's octets.
    pub(crate) digest: String,
    /// Member beside the signed object: base64 of the envelope.
    pub(crate) envelope: String,
    /// How the session key in it is encoded.
    pub(crate) encrypted_key: CipherEncoding,
    pub(crate) document_type: String,
    pub(crate) number: String,
    pub(crate) name: String,
    pub(crate) sex: String,
    pub(crate) birth_date: String,
    pub(crate) nationality: String,
    pub(crate) expiry: String,
    pub(crate) sexes: BTreeMap<Sex, String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) answer_bytes: usize,
    pub(crate) connect: Duration,
    pub(crate) head: Duration,
    pub(crate) body: Duration,
    pub(crate) time_window_millis: i64,
    pub(crate) idle_connections: usize,
    pub(crate) idle: Duration,
}

impl Profile {
    /// Reads and validates a profile.
    pub fn load(file: &Path) -> Result<Self, ProfileError> {
        let text =
            std::fs::read_to_string(file).map_err(|source| ProfileError::Read { file: file.to_owned(), source })?;
        Self::parse(&text, file)
    }

    /// As [`Self::load`], from text; `file` is named in errors.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ProfileError> {
        build::parse(text, file)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// SM3 of the profile's file octets.
    pub const fn hash(&self) -> ProfileHash {
        self.hash
    }

    /// Whether requests are signed over authenticated attributes.
    pub const fn signs_attributes(&self) -> bool {
        self.request.envelope.attributes()
    }

    /// Whether a check begins with an application for a business serial number.
    pub const fn applies_first(&self) -> bool {
        self.apply.is_some()
    }

    /// The services that the platform offers in this form.
    pub fn modes(&self) -> impl Iterator<Item = Mode> {
        self.request.modes.keys().copied()
    }

    /// The documents that the platform knows, each by a word of its own.
    pub fn document_types(&self) -> impl Iterator<Item = DocumentType> {
        self.request.payload.document_types.keys().copied()
    }

    /// Milliseconds after an answer's time for which the profile's form of times leaves open when it was written.
    pub const fn time_span_millis(&self) -> i64 {
        self.forms.times.form.span_millis()
    }

    /// How long an accepted answer's nonce and serial must be remembered: longer than any answer's time can stay inside the
    /// window, on both sides of now.
    pub const fn replay_memory_millis(&self) -> i64 {
        self.limits.time_window_millis * 2 + 60_000
    }
}
