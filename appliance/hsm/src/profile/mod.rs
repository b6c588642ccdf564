//! A token family as data: numbers, forms, limits. `hsm-profiles/README.md` explains each field.
//!
//! PKCS#11 has no standard SM2 mechanism; the same number means different things to different vendors, and a wrong one
//! "signs successfully". So no number is compiled in, and a key serves only after its self-proof.

mod algorithms;
mod forms;
mod matching;
mod raw;
mod sealed;
mod version;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use yanqian_sm::sm3;
use yanqian_vocabulary::KeyLine;

pub use self::algorithms::{AlgorithmForm, DigestInput, EcdsaEncoding};
pub(crate) use self::forms::KEEP_ALIVE_RANGE;
pub use self::forms::{
    CipherForm, EcParams, EcPoint, ImportForm, ImportKeyForm, KeyForm, LengthQuery, Locator, ModuleForm, Recovery,
    SessionForm, SignEncoding, SignForm, SignInput, SignParameter, Threads, UnsealForm,
};
pub use self::sealed::{PublicObject, SealedForm, Wrapping};
pub use self::version::{Version, VersionRange};

use crate::binding::Remedy;

/// A profile could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("{file}: {source}", file = file.display())]
    Read { file: PathBuf, source: std::io::Error },
    /// Not TOML, a key missing, unknown, or of the wrong type; the source names line and key.
    #[error("{file}: {source}", file = file.display())]
    Syntax { file: PathBuf, source: Box<toml::de::Error> },
    #[error("{file}{line}: {key}: {problem}", file = file.display())]
    Value { file: PathBuf, line: KeyLine, key: String, problem: String },
}

impl ProfileError {
    /// A stable label.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "profile-read",
            Self::Syntax { .. } => "profile-syntax",
            Self::Value { .. } => "profile-value",
        }
    }
}

/// What protects the keys of such a token. Stands in every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Software only.
    Development,
    /// A key that a token seals and the worker's memory uses.
    Sealed,
    /// A key that never leaves a hardware module.
    Hsm,
}

impl Grade {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Sealed => "sealed",
            Self::Hsm => "hsm",
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the token is reached. What the worker's unit must open for it stands in the drop-in beside the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// Files of the worker's own.
    Software,
    Network,
    Usb,
    Pci,
}

/// How well a profile is known to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// Signatures of such a token have been verified.
    Proven,
    /// Numbers from the vendor's header; behaviour not seen.
    Header,
    /// From the vendor's documents.
    VendorDoc,
}

/// A token family.
#[derive(Debug, Clone)]
pub struct Profile {
    pub name: String,
    pub grade: Grade,
    pub evidence: Evidence,
    pub device: Device,
    /// Where the numbers come from.
    pub source: String,
    /// What `CK_TOKEN_INFO` must say; empty fields match everything.
    pub manufacturer: String,
    pub model: String,
    /// `CK_INFO.libraryVersion` and `CK_TOKEN_INFO.firmwareVersion`.
    pub library: VersionRange,
    pub firmware: VersionRange,
    pub module: ModuleForm,
    pub key: KeyForm,
    /// None for families that make no SM2 signatures.
    pub sign: Option<SignForm>,
    pub unseal: Option<UnsealForm>,
    pub import: Option<ImportKeyForm>,
    /// What the family does beside SM2.
    pub algorithms: Vec<AlgorithmForm>,
    pub session: SessionForm,
    /// `CKU_…` of the login, `CKU_USER` unless the vendor has another.
    pub login_user: u64,
    /// Return codes for which something else is done than the table says.
    pub errors: BTreeMap<u64, Remedy>,
    file: PathBuf,
    hash: [u8; 32],
}

impl Profile {
    /// Reads a profile file. Unknown keys and values out of range are errors that name file and key.
    pub fn load(file: &Path) -> Result<Self, ProfileError> {
        let octets =
            std::fs::read_to_string(file).map_err(|source| ProfileError::Read { file: file.to_owned(), source })?;
        Self::parse(&octets, file)
    }

    /// As [`Self::load`], from text; `file` is named in errors.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ProfileError> {
        raw::parse(text, file, sm3(&[text.as_bytes()]))
    }

    /// SM3 of the file's octets.
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The file it was read from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether a signature needs the message as well as its digest.
    pub fn needs_message(&self) -> bool {
        self.sign.as_ref().is_some_and(|sign| sign.input != SignInput::E)
    }
}

#[cfg(test)]
mod tests;
