//! A token family as data: numbers, forms, limits. `hsm-profiles/README.md` explains each field.
//!
//! PKCS#11 has no standard SM2 mechanism; the same number means different things to different vendors, and a wrong one
//! "signs successfully". So no number is compiled in, and a key serves only after its self-proof.

mod algorithms;
mod matching;
mod raw;
mod sealed;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use yanqian_sm::sm3;
use yanqian_vocabulary::KeyLine;

pub use self::algorithms::{AlgorithmForm, DigestInput, EcdsaEncoding};
pub use self::sealed::{PublicObject, SealedForm, Wrapping};
pub use version::{Version, VersionRange};

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

/// What `CKA_EC_PARAMS` holds when a key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EcParams {
    /// The DER object identifier 1.2.156.10197.1.301.
    Oid,
    /// The attribute is not sent.
    Absent,
}

/// How `CKA_EC_POINT` gives the public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EcPoint {
    /// A DER OCTET STRING: `04 41 04 ‖ x ‖ y`, 67 octets, as PKCS#11 has it.
    OctetString,
    /// `04 ‖ x ‖ y`, 65 octets.
    Uncompressed,
    /// `x ‖ y`, 64 octets.
    Raw,
    /// Whichever of these the length says; 66 octets are the uncompressed form with one stray octet behind it.
    Any,
    /// Two attributes of the vendor's give x and y, 32 octets each.
    Coordinates,
}

/// What finds a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Locator {
    /// `CKA_LABEL`.
    #[default]
    Label,
    /// `CKA_ID`, which the worker's configuration gives for each label: for tokens that keep no labels.
    Id,
    /// Both: for tokens on which several keys have one label.
    LabelAndId,
}

impl Locator {
    /// The word in the profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Id => "id",
            Self::LabelAndId => "label-and-id",
        }
    }
}

/// How the module is initialised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleForm {
    /// What `CK_C_INITIALIZE_ARGS.pReserved` points to.
    pub init_args: Option<CString>,
    /// Whether `CKF_OS_LOCKING_OK` is given.
    pub os_locking: bool,
}

impl Default for ModuleForm {
    fn default() -> Self {
        Self { init_args: None, os_locking: true }
    }
}

/// What the signing mechanism takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignInput {
    /// The digest e = SM3(Z ‖ M), 32 octets.
    E,
    /// The message; the module computes Z with the default distinguishing id.
    MessageWithZ,
    /// The module hashes what it is given and knows no Z; it is given Z ‖ M.
    MessageWithoutZ,
}

impl SignInput {
    /// The word in the profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::E => "e",
            Self::MessageWithZ => "message-with-z",
            Self::MessageWithoutZ => "message-without-z",
        }
    }
}

/// How the signing mechanism gives the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignEncoding {
    /// `r ‖ s`, 64 octets.
    Raw,
    /// Canonical DER.
    Der,
    /// DER whose integers may lack the leading zero octet or have too many.
    DerLax,
}

impl SignEncoding {
    /// The word in the profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Der => "der",
            Self::DerLax => "der-lax",
        }
    }
}

/// What goes with the signing mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignParameter {
    #[default]
    None,
    /// The default distinguishing id as plain octets.
    UserId,
}

/// Whether the module may be asked for a signature's length before it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LengthQuery {
    Never,
    Allowed,
}

/// How many threads may be inside the module at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threads {
    Parallel,
    Serialise,
}

/// How the worker brings back a token that a new session does not bring back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recovery {
    /// `C_Finalize` and `C_Initialize`, as often as it takes.
    #[default]
    Reinitialise,
    /// A new process at once, for modules that do not survive `C_Finalize`.
    Respawn,
}

/// Key types and forms.
#[derive(Debug, Clone)]
pub struct KeyForm {
    /// `CKA_KEY_TYPE`.
    pub key_type: u64,
    /// `C_GenerateKeyPair`; none when keys are made elsewhere.
    pub keygen_mechanism: Option<u64>,
    pub ec_params: EcParams,
    pub ec_point: EcPoint,
    /// With [`EcPoint::Coordinates`]: the attributes that hold x and y.
    pub coordinates: Option<(u64, u64)>,
    pub locator: Locator,
    /// Attributes that make the module refuse a whole template.
    pub never_send: BTreeSet<String>,
    /// Where the token knows no SM2 and only keeps the scalar.
    pub sealed: Option<SealedForm>,
}

/// The signing mechanism.
#[derive(Debug, Clone)]
pub struct SignForm {
    pub mechanism: u64,
    pub input: SignInput,
    pub encoding: SignEncoding,
    pub parameter: SignParameter,
    pub length_query: LengthQuery,
    /// Octets that the mechanism takes in one call; none when it sets no limit.
    pub max_input: Option<usize>,
}

impl SignForm {
    /// Of sealed keys: no module signs.
    pub(crate) const fn in_memory() -> Self {
        Self {
            mechanism: 0,
            input: SignInput::E,
            encoding: SignEncoding::Raw,
            parameter: SignParameter::None,
            length_query: LengthQuery::Never,
            max_input: None,
        }
    }
}

/// How an SM2 ciphertext is handed to the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CipherForm {
    /// DER `SM2Cipher` (GB/T 35276-2017 §7.2).
    Der,
    /// `04 ‖ x ‖ y ‖ C3 ‖ C2` (GB/T 32918.4-2016).
    C1c3c2,
    /// `04 ‖ x ‖ y ‖ C2 ‖ C3`, as before 2012.
    C1c2c3,
}

impl CipherForm {
    /// The word in the profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Der => "der",
            Self::C1c3c2 => "c1c3c2",
            Self::C1c2c3 => "c1c2c3",
        }
    }
}

/// How an imported private key is handed to the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportForm {
    /// DER `SM2EnvelopedKey` (GB/T 35276-2017 §7.4) to `C_UnwrapKey`.
    Sm2EnvelopedKey,
}

/// The decryption mechanism, of families that open SM2 ciphertexts.
#[derive(Debug, Clone, Copy)]
pub struct UnsealForm {
    pub mechanism: u64,
    pub ciphertext: CipherForm,
}

/// The unwrapping mechanism, of families that take encryption keys from an authority.
#[derive(Debug, Clone, Copy)]
pub struct ImportKeyForm {
    pub mechanism: u64,
    pub form: ImportForm,
}

/// Limits of sessions and calls.
#[derive(Debug, Clone)]
pub struct SessionForm {
    /// Sessions that the token gives one application, at least 1; none when it sets no limit.
    pub max: Option<u32>,
    /// A call that takes longer hangs.
    pub call_timeout: Duration,
    pub threads: Threads,
    pub recovery: Recovery,
    /// A session that was not used for this long should be; zero when idle sessions stay.
    pub keep_alive: Duration,
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
