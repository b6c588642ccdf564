//! The parts of a profile: keys, mechanisms, sessions, each as the family has it.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::sealed::SealedForm;

/// Seconds after which an idle session may be used, here and in the worker's configuration.
pub(crate) const KEEP_ALIVE_RANGE: RangeInclusive<u64> = 10..=86_400;

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
