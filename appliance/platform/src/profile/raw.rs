//! The file's own shape: what may stand there, before anything is judged.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};

use serde::Deserialize;
use yanqian_messages::CipherEncoding;
use yanqian_vocabulary::{DocumentType, Field, Mode, Sex};

use super::envelope::{RawCanonical, RawDigest, RawEncoding, RawEnvelope, RawForm, RawText};
use super::transport::RawTransport;
use crate::forms::{DayForm, DigestForm, NonceForm};
use crate::times::{TimeAs, TimeForm};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProfile {
    pub(super) format_version: u32,
    pub(super) name: String,
    pub(super) transport: Option<RawTransport>,
    pub(super) request: RawRequest,
    pub(super) apply: Option<RawApply>,
    pub(super) payload: RawPayload,
    pub(super) forms: RawForms,
    pub(super) answer: RawAnswer,
    pub(super) limits: RawLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRequest {
    #[serde(default)]
    pub(super) form: RawForm,
    pub(super) package: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) attributes: Option<bool>,
    #[serde(default)]
    pub(super) encoding: RawEncoding,
    pub(super) text: Option<RawText>,
    pub(super) canonical: Option<RawCanonical>,
    pub(super) empty: Option<bool>,
    pub(super) content_digest: Option<RawDigest>,
    pub(super) certificate: Option<String>,
    pub(super) content_type: Option<String>,
    #[serde(default)]
    pub(super) idempotent: bool,
    pub(super) modes: BTreeMap<Mode, RawMode>,
    pub(super) members: Vec<RawMember>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMode {
    pub(super) word: String,
    pub(super) path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApply {
    pub(super) path: String,
    pub(super) members: Vec<RawMember>,
    pub(super) answer: RawApplyAnswer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApplyAnswer {
    pub(super) serial: String,
    #[serde(default)]
    pub(super) constants: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) ignored: Vec<String>,
    pub(super) accepted: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMember {
    pub(super) name: String,
    pub(super) constant: Option<String>,
    pub(super) source: Option<RawSource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawSource {
    Customer,
    Application,
    Time,
    Nonce,
    Mode,
    Purpose,
    Payload,
    CertificateSerial,
    BusinessSerial,
    ApplyDigest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPayload {
    pub(super) document_type: String,
    pub(super) days: DayForm,
    pub(super) portrait: Option<String>,
    pub(super) chip: Option<RawChip>,
    pub(super) fields: BTreeMap<Field, String>,
    pub(super) document_types: BTreeMap<DocumentType, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChip {
    pub(super) com: String,
    pub(super) dg1: String,
    pub(super) dg2: String,
    pub(super) sod: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawForms {
    pub(super) time: TimeForm,
    pub(super) time_as: Option<TimeAs>,
    pub(super) utc_offset_minutes: Option<i16>,
    pub(super) nonce: NonceForm,
    pub(super) digest: DigestForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAnswer {
    #[serde(default)]
    pub(super) form: RawForm,
    pub(super) package: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) attributes: Option<bool>,
    #[serde(default)]
    pub(super) encoding: RawEncoding,
    pub(super) text: Option<RawText>,
    pub(super) canonical: Option<RawCanonical>,
    pub(super) empty: Option<bool>,
    pub(super) content_digest: Option<RawDigest>,
    pub(super) certificate: Option<String>,
    pub(super) content_type: Option<String>,
    #[serde(default)]
    pub(super) lax: bool,
    #[serde(default)]
    pub(super) constants: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) ignored: Vec<String>,
    pub(super) serial: String,
    pub(super) time: String,
    pub(super) nonce: String,
    pub(super) digest: String,
    pub(super) code: String,
    pub(super) fields: String,
    pub(super) field_names: BTreeMap<Field, String>,
    pub(super) field_results: RawFieldResults,
    pub(super) reading: Option<RawReading>,
    pub(super) codes: RawCodes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReading {
    pub(super) digest: String,
    pub(super) envelope: String,
    #[serde(default)]
    pub(super) encrypted_key: RawEncryptedKey,
    pub(super) document_type: String,
    pub(super) number: String,
    pub(super) name: String,
    pub(super) sex: String,
    pub(super) birth_date: String,
    pub(super) nationality: String,
    pub(super) expiry: String,
    pub(super) sexes: BTreeMap<Sex, String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawEncryptedKey {
    #[default]
    Der,
    C1c3c2,
    C1c2c3,
}

impl From<RawEncryptedKey> for CipherEncoding {
    fn from(raw: RawEncryptedKey) -> Self {
        match raw {
            RawEncryptedKey::Der => Self::Der,
            RawEncryptedKey::C1c3c2 => Self::C1C3C2,
            RawEncryptedKey::C1c2c3 => Self::C1C2C3,
        }
    }
}

/// JSON texts, so that strings, booleans and null can be told apart.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFieldResults {
    pub(super) r#match: String,
    pub(super) mismatch: String,
    pub(super) undecided: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCodes {
    pub(super) r#match: String,
    pub(super) mismatch: String,
    pub(super) not_found: String,
    pub(super) undecided: String,
    pub(super) refused: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) answer_bytes: NonZeroU32,
    pub(super) connect_ms: NonZeroU64,
    pub(super) head_ms: NonZeroU64,
    pub(super) body_ms: NonZeroU64,
    pub(super) time_window_seconds: NonZeroU32,
    pub(super) idle_connections: u16,
    pub(super) idle_ms: NonZeroU64,
}

impl RawRequest {
    /// What says how object and signature go together.
    pub(super) fn envelope(&mut self) -> RawEnvelope {
        RawEnvelope {
            form: self.form,
            package: self.package.take(),
            signature: self.signature.take(),
            attributes: self.attributes,
            encoding: self.encoding,
            text: self.text,
            canonical: self.canonical,
            empty: self.empty,
            content_digest: self.content_digest,
            certificate: self.certificate.take(),
            content_type: self.content_type.take(),
            lax: false,
        }
    }
}

impl RawAnswer {
    /// What says how object and signature go together.
    pub(super) fn envelope(&mut self) -> RawEnvelope {
        RawEnvelope {
            form: self.form,
            package: self.package.take(),
            signature: self.signature.take(),
            attributes: self.attributes,
            encoding: self.encoding,
            text: self.text,
            canonical: self.canonical,
            empty: self.empty,
            content_digest: self.content_digest,
            certificate: self.certificate.take(),
            content_type: self.content_type.take(),
            lax: self.lax,
        }
    }
}
