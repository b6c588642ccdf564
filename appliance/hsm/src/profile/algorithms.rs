//! What a family does beside SM2: RSA and ECDSA, whose mechanisms have standard numbers and whose inputs differ all the same.

use serde::Deserialize;

use super::raw::Number;
use crate::protocol::{KeyAlgorithm, Scheme};

/// What the mechanism is handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DigestInput {
    /// The SHA-256 digest, 32 octets.
    Digest,
    /// DER `DigestInfo` with it (RFC 8017 §9.2), for a mechanism that pads what it gets.
    DigestInfo,
    /// The message; the module hashes it. Callers must send messages, at most 8 KiB.
    Message,
}

/// How an ECDSA mechanism gives a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EcdsaEncoding {
    /// `r ‖ s`, 32 octets each, as PKCS#11 has it.
    #[default]
    Raw,
    /// DER `Ecdsa-Sig-Value`.
    Der,
}

/// One scheme.
#[derive(Debug, Clone, Copy)]
pub struct AlgorithmForm {
    pub scheme: Scheme,
    pub mechanism: u64,
    pub input: DigestInput,
    pub encoding: EcdsaEncoding,
    /// `C_GenerateKeyPair`; none when such keys are made elsewhere.
    pub keygen_mechanism: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlgorithm {
    name: Scheme,
    mechanism: Number,
    input: DigestInput,
    encoding: Option<EcdsaEncoding>,
    keygen_mechanism: Option<Number>,
}

/// The schemes, each once; else the key that is wrong, and why.
pub(super) fn read(raw: Vec<RawAlgorithm>) -> Result<Vec<AlgorithmForm>, (&'static str, String)> {
    let mut forms: Vec<AlgorithmForm> = Vec::with_capacity(raw.len());
    for RawAlgorithm { name: scheme, mechanism, input, encoding, keygen_mechanism } in raw {
        if forms.iter().any(|form| form.scheme == scheme) {
            return Err(("algorithms", format!("{:?} is there already", scheme.as_str())));
        }
        if input == DigestInput::DigestInfo && scheme != Scheme::RsaPkcs1 {
            return Err(("algorithms", format!("{:?}: \"digest-info\" is for \"rsa-pkcs1\" only", scheme.as_str())));
        }
        if input == DigestInput::Digest && scheme == Scheme::RsaPkcs1 {
            let why = "\"rsa-pkcs1\": a mechanism that pads a bare digest makes no PKCS #1 signature; \"digest-info\" or \"message\"";
            return Err(("algorithms", why.into()));
        }
        if encoding.is_some() && scheme != Scheme::EcdsaP256 {
            return Err(("algorithms", format!("{:?}: encoding is for \"ecdsa-p256\" only", scheme.as_str())));
        }
        forms.push(AlgorithmForm {
            scheme,
            mechanism: mechanism.0,
            input,
            encoding: encoding.unwrap_or_default(),
            keygen_mechanism: keygen_mechanism.map(|number| number.0),
        });
    }
    Ok(forms)
}

impl super::Profile {
    /// The form of a scheme, where the family has it.
    pub(crate) fn scheme(&self, scheme: Scheme) -> Option<&AlgorithmForm> {
        self.algorithms.iter().find(|form| form.scheme == scheme)
    }

    /// The first scheme of the profile with which such a key signs.
    pub(crate) fn scheme_for(&self, key: KeyAlgorithm) -> Option<&AlgorithmForm> {
        self.algorithms.iter().find(|form| form.scheme.fits(key))
    }
}
