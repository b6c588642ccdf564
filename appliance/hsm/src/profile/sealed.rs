//! Families without SM2: the token keeps the scalar, and the worker uses it in its own memory.

use serde::Deserialize;

use super::Grade;
use super::raw::RawProfile;

/// Whether the scalar lies in the token as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrapping {
    /// A generic secret of 32 octets, readable to whoever is logged in.
    None,
    /// Wrapped (RFC 3394) by an AES key that is made in the token, sensitive and not extractable: what lies beside it is of no use
    /// without that key.
    AesKeyWrap,
}

impl Wrapping {
    /// The word in the profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::AesKeyWrap => "aes-key-wrap",
        }
    }
}

/// What holds the public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublicObject {
    /// A public key object: the token takes the SM2 curve's object identifier.
    Key,
    /// A data object with the same label, for tokens that do not.
    Data,
}

/// How a scalar is kept.
#[derive(Debug, Clone, Copy)]
pub struct SealedForm {
    pub wrapping: Wrapping,
    pub public_key: PublicObject,
}

impl SealedForm {
    /// What wraps, by the standard's number.
    pub(crate) fn mechanism(self) -> Option<u64> {
        (self.wrapping == Wrapping::AesKeyWrap).then_some(cryptoki_sys::CKM_AES_KEY_WRAP)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSealed {
    wrapping: Wrapping,
    public_key: PublicObject,
}

impl From<RawSealed> for SealedForm {
    fn from(raw: RawSealed) -> Self {
        Self { wrapping: raw.wrapping, public_key: raw.public_key }
    }
}

/// A sealed key is of grade `sealed` and of no other, and the token does nothing with it: the key that is wrong, and why.
pub(super) fn check(raw: &RawProfile) -> Result<(), (&'static str, String)> {
    if raw.sealed.is_none() {
        return match raw.grade {
            Grade::Sealed => Err(("grade", "\"sealed\" is for profiles with [sealed]".into())),
            Grade::Hsm | Grade::Development => Ok(()),
        };
    }
    if raw.grade != Grade::Sealed {
        let why = format!("with [sealed] the worker's memory uses the keys: \"sealed\", not {:?}", raw.grade.as_str());
        return Err(("grade", why));
    }
    let others = [
        ("sign", raw.sign.is_some()),
        ("unseal", raw.unseal.is_some()),
        ("import", raw.import.is_some()),
        ("key.keygen_mechanism", raw.key.keygen_mechanism.is_some()),
    ];
    match others.into_iter().find(|(_, there)| *there) {
        Some((key, _)) => Err((key, "[sealed] stands in its place: the token makes and uses no SM2 key".into())),
        None => Ok(()),
    }
}
