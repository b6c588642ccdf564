use std::fmt;

use minicbor::{Decode, Encode};
use schemars::JsonSchema;
use serde::Deserialize;

/// What kind of key a pair is: the SM2 curve (GB/T 32918), the curve P-256 (SP 800-186), RSA with a modulus of exactly so many bits
/// (FIPS 186-5 §5). Weaker ones do not exist here: no curve below 256 bits, no RSA below 2048.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema, Encode, Decode)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[cbor(index_only)]
pub enum KeyAlgorithm {
    #[n(0)]
    Sm2,
    #[n(1)]
    EcdsaP256,
    #[n(2)]
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    #[n(3)]
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    #[n(4)]
    #[serde(rename = "rsa-4096")]
    Rsa4096,
}

impl KeyAlgorithm {
    pub const ALL: [Self; 5] = [Self::Sm2, Self::EcdsaP256, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// The word in configurations, on command lines and in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sm2 => "sm2",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
        }
    }

    /// The algorithm with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == word)
    }

    /// Bits of an RSA modulus.
    pub const fn modulus_bits(self) -> Option<u32> {
        match self {
            Self::Sm2 | Self::EcdsaP256 => None,
            Self::Rsa2048 => Some(2048),
            Self::Rsa3072 => Some(3072),
            Self::Rsa4096 => Some(4096),
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a key of another algorithm than SM2 signs a SHA-256 digest. There is no scheme with SHA-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Encode, Decode)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum Scheme {
    /// ECDSA (FIPS 186-5 §6.4) on P-256; a signature is DER `Ecdsa-Sig-Value` (RFC 5480).
    #[n(0)]
    EcdsaP256,
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2); a signature has as many octets as the modulus.
    #[n(1)]
    RsaPkcs1,
    /// RSASSA-PSS with MGF1 over SHA-256 and a salt of 32 octets (RFC 8017 §8.1).
    #[n(2)]
    RsaPss,
}

impl Scheme {
    pub const ALL: [Self; 3] = [Self::EcdsaP256, Self::RsaPkcs1, Self::RsaPss];

    /// The word in profiles and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::RsaPkcs1 => "rsa-pkcs1",
            Self::RsaPss => "rsa-pss",
        }
    }

    /// Whether a key of this kind signs so.
    pub const fn fits(self, key: KeyAlgorithm) -> bool {
        match self {
            Self::EcdsaP256 => matches!(key, KeyAlgorithm::EcdsaP256),
            Self::RsaPkcs1 | Self::RsaPss => key.modulus_bits().is_some(),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
