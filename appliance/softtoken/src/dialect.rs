//! What the module calls things and how it gives them: a vendor's numbers, forms and habits, as data.
//!
//! PKCS#11 has no standard SM2 mechanism, so every vendor has a dialect. A file of `dialects/` is one; the module speaks the one
//! that `YANQIAN_SOFTTOKEN_DIALECT` names, else its own. The token's directory is the same in all of them: what is stored is in
//! the module's own dialect, and is shown in the one that is spoken. Nothing else in the crate knows a vendor number.

use std::collections::BTreeSet;
use std::path::Path;

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_FLAGS, CK_KEY_TYPE, CK_MECHANISM_TYPE, CKA_DECRYPT, CKA_DERIVE, CKA_EXTRACTABLE, CKA_ISSUER,
    CKA_PRIVATE, CKA_SENSITIVE, CKA_SERIAL_NUMBER, CKA_SIGN, CKA_SUBJECT, CKA_UNWRAP, CKA_VERIFY, CKF_DECRYPT,
    CKF_DIGEST, CKF_EC_F_P, CKF_EC_NAMEDCURVE, CKF_EC_UNCOMPRESS, CKF_GENERATE_KEY_PAIR, CKF_SIGN, CKF_UNWRAP,
    CKF_VERIFY, CKK_VENDOR_DEFINED, CKM_VENDOR_DEFINED, CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID,
};
use serde::Deserialize;

use crate::rv::{Outcome, Rv};

/// `CKA_KEY_TYPE` of SM2 keys as they are stored.
pub(crate) const STORED_KEY_TYPE: CK_KEY_TYPE = CKK_VENDOR_DEFINED + 4;
/// `CKA_KEY_GEN_MECHANISM` of SM2 keys as they are stored.
pub(crate) const STORED_KEYGEN: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED + 0x8001;
/// `CKA_EC_PARAMS` of every SM2 key: the DER object identifier 1.2.156.10197.1.301.
pub(crate) const SM2_CURVE_OID: [u8; 10] = [0x06, 0x08, 0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x82, 0x2D];

const OWN: &str = include_str!("../dialects/softtoken.toml");
const FORMAT_VERSION: u32 = 1;
const CURVE: CK_FLAGS = CKF_EC_F_P | CKF_EC_NAMEDCURVE | CKF_EC_UNCOMPRESS;
/// Longest distinguishing id in a mechanism parameter.
const MAX_USER_ID: usize = 256;

/// A dialect.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dialect {
    format_version: u32,
    pub(crate) key: Keys,
    sign: Vec<Sign>,
    pub(crate) cipher: Option<Cipher>,
    unwrap: Option<Plain>,
    digest: Option<Plain>,
    #[serde(default)]
    pub(crate) behaviour: Behaviour,
}

/// How keys are named and shown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    #[serde(rename = "type")]
    pub(crate) key_type: u64,
    pub(crate) keygen: u64,
    pub(crate) ec_params: EcParams,
    pub(crate) ec_point: EcPoint,
    pub(crate) x_attribute: Option<u64>,
    pub(crate) y_attribute: Option<u64>,
    /// Names of attributes that make it refuse a template.
    #[serde(default)]
    refuses: BTreeSet<String>,
}

/// `CKA_EC_PARAMS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EcParams {
    Optional,
    /// A key pair is not made without it.
    Required,
    /// A template with it is refused, and no key shows it.
    Absent,
}

/// `CKA_EC_POINT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EcPoint {
    /// `04 41 04 ‖ x ‖ y`.
    OctetString,
    /// `04 ‖ x ‖ y`.
    Uncompressed,
    /// `04 ‖ x ‖ y ‖ 04`.
    StrayOctet,
    /// `x ‖ y`.
    Raw,
    /// Not there: two vendor attributes give x and y.
    Coordinates,
}

/// A signing mechanism.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sign {
    mechanism: u64,
    pub(crate) input: Input,
    pub(crate) encoding: Encoding,
    #[serde(default)]
    parameter: Parameter,
    pub(crate) defect: Option<Defect>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Input {
    /// The 32-octet digest as given.
    E,
    /// A message; the module hashes Z ‖ M.
    MessageWithZ,
    /// A message; the module hashes it alone.
    MessageWithoutZ,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Encoding {
    /// `r ‖ s`.
    Raw,
    Der,
    /// DER whose INTEGERs never have a leading zero octet, not even where DER needs one.
    DerLax,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Parameter {
    #[default]
    None,
    /// The distinguishing id, as plain octets.
    UserId,
}

/// What a mechanism does instead of an SM2 signature in the form that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Defect {
    /// ECDSA over the SM2 curve.
    Ecdsa,
    /// `s ‖ r`.
    Swapped,
    /// r and s with their octets in the reverse order.
    LittleEndian,
    /// Z with an empty distinguishing id.
    EmptyId,
}

/// The mechanism of `C_Decrypt`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cipher {
    mechanism: u64,
    pub(crate) form: CipherForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CipherForm {
    /// DER `SM2Cipher`.
    Der,
    C1c3c2,
    C1c2c3,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    mechanism: u64,
}

/// Habits that callers have to live with.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Behaviour {
    /// False: `C_Sign` with a NULL buffer is a bad argument and ends the operation.
    pub(crate) length_query: bool,
    /// Octets that one call takes at most.
    pub(crate) max_input: Option<usize>,
    /// Sessions at once.
    pub(crate) max_sessions: Option<usize>,
    /// `C_GetSessionInfo` never shows a login.
    pub(crate) hides_login: bool,
    /// Fails calls that overlap another one, whatever it says about threads.
    pub(crate) serial_only: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { length_query: true, max_input: None, max_sessions: None, hides_login: false, serial_only: false }
    }
}

/// A mechanism as a caller gave it.
pub(crate) struct Asked {
    pub(crate) number: CK_MECHANISM_TYPE,
    pub(crate) parameter: Vec<u8>,
}

/// What `C_GetMechanismInfo` says.
pub(crate) struct MechanismInfo {
    pub(crate) bits: u64,
    /// Never `CKF_HW`: this is software.
    pub(crate) flags: CK_FLAGS,
}

impl Dialect {
    /// The dialect in this file, or the module's own. The error names the file.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, String> {
        let text = file.map(std::fs::read_to_string).transpose();
        let name = file.map_or_else(|| "the module's own dialect".to_owned(), |file| file.display().to_string());
        let parsed =
            text.map_err(|error| error.to_string()).and_then(|text| Self::parse(text.as_deref().unwrap_or(OWN)));
        parsed.map_err(|problem| format!("{name}: {problem}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let dialect: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if dialect.format_version != FORMAT_VERSION {
            return Err("format_version: this version of the module reads 1".to_owned());
        }
        if let Some(name) = dialect.key.refuses.iter().find(|name| attribute(name).is_none()) {
            return Err(format!("key.refuses: {name:?} is not known"));
        }
        let coordinates = dialect.key.x_attribute.is_some() && dialect.key.y_attribute.is_some();
        if (dialect.key.ec_point == EcPoint::Coordinates) != coordinates {
            return Err(
                "key.ec_point = \"coordinates\" needs x_attribute and y_attribute, and no other does".to_owned()
            );
        }
        Ok(dialect)
    }

    /// Numbers in the order in which `C_GetMechanismList` names them.
    pub(crate) fn numbers(&self) -> Vec<CK_MECHANISM_TYPE> {
        let mut numbers = vec![self.key.keygen];
        numbers.extend(self.sign.iter().map(|sign| sign.mechanism));
        numbers.extend(self.cipher.map(|cipher| cipher.mechanism));
        numbers.extend(self.unwrap.map(|unwrap| unwrap.mechanism));
        numbers.extend(self.digest.map(|digest| digest.mechanism));
        let mut seen = BTreeSet::new();
        numbers.retain(|number| seen.insert(*number));
        numbers
    }

    /// What there is under a number.
    pub(crate) fn info(&self, number: CK_MECHANISM_TYPE) -> Outcome<MechanismInfo> {
        let mut flags = 0;
        if self.key.keygen == number {
            flags |= CKF_GENERATE_KEY_PAIR | CURVE;
        }
        if self.sign.iter().any(|sign| sign.mechanism == number) {
            flags |= CKF_SIGN | CKF_VERIFY | CURVE;
        }
        if self.cipher.is_some_and(|cipher| cipher.mechanism == number) {
            flags |= CKF_DECRYPT | CURVE;
        }
        if self.unwrap.is_some_and(|unwrap| unwrap.mechanism == number) {
            flags |= CKF_UNWRAP | CURVE;
        }
        if self.digest.is_some_and(|digest| digest.mechanism == number) {
            flags |= CKF_DIGEST;
        }
        match flags {
            0 => Err(Rv(CKR_MECHANISM_INVALID)),
            CKF_DIGEST => Ok(MechanismInfo { bits: 0, flags }),
            _ => Ok(MechanismInfo { bits: 256, flags }),
        }
    }

    /// A signing mechanism, and the distinguishing id that came with it.
    pub(crate) fn signing(&self, asked: &Asked) -> Outcome<(Sign, Option<Vec<u8>>)> {
        let sign = self.sign.iter().find(|sign| sign.mechanism == asked.number).ok_or(Rv(CKR_MECHANISM_INVALID))?;
        match (sign.parameter, asked.parameter.len()) {
            (Parameter::None, 0) => Ok((*sign, None)),
            (Parameter::UserId, 1..=MAX_USER_ID) => Ok((*sign, Some(asked.parameter.clone()))),
            _ => Err(Rv(CKR_MECHANISM_PARAM_INVALID)),
        }
    }

    pub(crate) fn must_be_keygen(&self, asked: &Asked) -> Outcome<()> {
        plain(asked, Some(self.key.keygen))
    }

    pub(crate) fn must_be_cipher(&self, asked: &Asked) -> Outcome<()> {
        plain(asked, self.cipher.map(|cipher| cipher.mechanism))
    }

    pub(crate) fn must_be_unwrap(&self, asked: &Asked) -> Outcome<()> {
        plain(asked, self.unwrap.map(|unwrap| unwrap.mechanism))
    }

    pub(crate) fn must_be_digest(&self, asked: &Asked) -> Outcome<()> {
        plain(asked, self.digest.map(|digest| digest.mechanism))
    }

    /// Whether a template with this attribute is refused.
    pub(crate) fn refuses(&self, kind: CK_ATTRIBUTE_TYPE) -> bool {
        self.key.refuses.iter().any(|name| attribute(name) == Some(kind))
    }
}

/// A mechanism that takes no parameter.
fn plain(asked: &Asked, number: Option<CK_MECHANISM_TYPE>) -> Outcome<()> {
    if number != Some(asked.number) {
        return Err(Rv(CKR_MECHANISM_INVALID));
    }
    if asked.parameter.is_empty() { Ok(()) } else { Err(Rv(CKR_MECHANISM_PARAM_INVALID)) }
}

/// Attributes that a dialect may refuse.
fn attribute(name: &str) -> Option<CK_ATTRIBUTE_TYPE> {
    Some(match name {
        "CKA_PRIVATE" => CKA_PRIVATE,
        "CKA_SENSITIVE" => CKA_SENSITIVE,
        "CKA_EXTRACTABLE" => CKA_EXTRACTABLE,
        "CKA_SIGN" => CKA_SIGN,
        "CKA_VERIFY" => CKA_VERIFY,
        "CKA_DECRYPT" => CKA_DECRYPT,
        "CKA_UNWRAP" => CKA_UNWRAP,
        "CKA_DERIVE" => CKA_DERIVE,
        "CKA_SUBJECT" => CKA_SUBJECT,
        "CKA_ISSUER" => CKA_ISSUER,
        "CKA_SERIAL_NUMBER" => CKA_SERIAL_NUMBER,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_dialect_in_the_directory_is_valid() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialects");
        let mut count = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            let dialect = Dialect::load(Some(&entry.unwrap().path())).unwrap();
            assert!(dialect.numbers().iter().all(|number| dialect.info(*number).is_ok()));
            count += 1;
        }
        assert!(count >= 10);
        Dialect::load(None).unwrap();
    }

    #[test]
    fn what_a_dialect_cannot_mean_is_refused_by_its_key() {
        let refused = |from: &str, to: &str| {
            assert!(OWN.contains(from), "{from}");
            Dialect::parse(&OWN.replacen(from, to, 1)).unwrap_err()
        };
        assert!(refused("format_version = 1", "format_version = 2").contains("format_version"));
        assert!(refused("ec_point = \"octet-string\"", "ec_point = \"coordinates\"").contains("x_attribute"));
        assert!(refused("[[sign]]", "[behaviour]\nfast = true\n[[sign]]").contains("fast"));
        let unknown = "ec_point = \"octet-string\"\nrefuses = [\"CKA_COLOUR\"]";
        assert!(refused("ec_point = \"octet-string\"", unknown).contains("CKA_COLOUR"));
    }
}
