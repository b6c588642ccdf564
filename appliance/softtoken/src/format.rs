//! The files of a token directory, as CBOR. Field numbers are fixed for ever; a reader refuses a format it does not know.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::attribute::Value;

/// Number written into every file; readers know this one only.
pub(crate) const FORMAT: u32 = 1;

/// Identity of one initialisation of the token; every file carries it.
pub(crate) type TokenId = [u8; 16];

/// Name of an object's file and part of what its seal authenticates.
pub(crate) type ObjectId = [u8; 16];

/// Cost of one PIN guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct KdfCost {
    /// Memory in KiB.
    #[n(0)]
    pub(crate) memory: u32,
    /// Passes.
    #[n(1)]
    pub(crate) passes: u32,
    /// Lanes.
    #[n(2)]
    pub(crate) lanes: u32,
}

/// The master key, sealed under one PIN.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Wrap {
    /// argon2id cost this wrap was made with.
    #[n(0)]
    pub(crate) cost: KdfCost,
    /// argon2id salt.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) salt: [u8; 16],
    /// XChaCha20-Poly1305 nonce.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) nonce: [u8; 24],
    /// The sealed master key: 32 bytes and the tag.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(crate) sealed: Vec<u8>,
}

/// `token.cbor`: the token itself. Renaming it into place is what commits `C_InitToken`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct TokenFile {
    #[n(0)]
    pub(crate) format: u32,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) token: TokenId,
    /// As given to `C_InitToken`, blank-padded.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) label: [u8; 32],
    /// The master key under the SO PIN.
    #[n(3)]
    pub(crate) so: Wrap,
    /// The master key under the user PIN, once the SO has set one.
    #[n(4)]
    pub(crate) user: Option<Wrap>,
}

/// `retry-<token>.cbor`: failed PIN tries since the last success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RetryFile {
    #[n(0)]
    pub(crate) format: u32,
    #[n(1)]
    pub(crate) so: u8,
    #[n(2)]
    pub(crate) user: u8,
}

/// `objects/<id>.cbor`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ObjectFile {
    #[n(0)]
    pub(crate) format: u32,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) token: TokenId,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) object: ObjectId,
    #[n(3)]
    pub(crate) body: Body,
}

/// An object's content.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Body {
    /// Readable without a login, guarded against accidents by its SM3 digest (not against a forger).
    #[n(0)]
    Public {
        #[cbor(n(0), with = "minicbor::bytes")]
        content: Vec<u8>,
        #[cbor(n(1), with = "minicbor::bytes")]
        digest: [u8; 32],
    },
    /// Sealed under the master key: attributes and secret alike.
    #[n(1)]
    Private {
        #[cbor(n(0), with = "minicbor::bytes")]
        nonce: [u8; 24],
        #[cbor(n(1), with = "minicbor::bytes")]
        sealed: Vec<u8>,
    },
}

/// What a body holds once opened.
#[derive(Encode, Decode)]
pub(crate) struct Content {
    #[n(0)]
    pub(crate) attributes: BTreeMap<u64, Value>,
    #[n(1)]
    pub(crate) secret: Option<Secret>,
}

/// Secret octets on their way into or out of a body.
#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret(#[cbor(n(0), with = "minicbor::bytes")] pub(crate) Vec<u8>);
