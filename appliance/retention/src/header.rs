//! The head of an archived object: what it is, whose, and under which key. Not secret; bound to the content by its seal.

use minicbor::{Decode, Encode};

const MAGIC: [u8; 8] = *b"YQARCHIV";
const VERSION: u32 = 1;
const FIXED: usize = 16;
const MAX_BODY: usize = 4096;

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A sealed segment's file.
    Segment = 1,
    /// The leaf hashes of a segment's records and the checkpoint that covers them.
    Proof = 2,
    /// A DER certificate that records name.
    Certificate = 3,
    /// A DER revocation list that records name.
    Crl = 4,
    /// A DER OCSP response that records name.
    Ocsp = 5,
    /// What is left of a segment that was expired.
    Expired = 6,
    /// An order to keep records.
    Hold = 7,
    /// The end of a hold.
    Release = 8,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Segment,
        Self::Proof,
        Self::Certificate,
        Self::Crl,
        Self::Ocsp,
        Self::Expired,
        Self::Hold,
        Self::Release,
    ];

    /// Folder of its objects.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Segment => "segments",
            Self::Proof => "proofs",
            Self::Certificate => "certificates",
            Self::Crl => "crls",
            Self::Ocsp => "ocsp",
            Self::Expired => "expired",
            Self::Hold => "holds",
            Self::Release => "releases",
        }
    }

    pub(crate) fn of(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u64 == number)
    }
}

/// See docs/archive-format.md, "Object".
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Header {
    #[n(0)]
    pub(crate) kind: u64,
    #[n(1)]
    pub origin: String,
    #[n(2)]
    pub node: String,
    /// Of the segment or hold; 0 for what is named by its hash.
    #[n(3)]
    pub number: u64,
    /// Sequences of the first and last record of the segment; 0 elsewhere.
    #[n(4)]
    pub first: u64,
    #[n(5)]
    pub last: u64,
    /// SM3 of the content; for a segment its segment hash.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub hash: [u8; 32],
    /// Of the content, before compression.
    #[n(7)]
    pub octets: u64,
    #[cbor(n(8), with = "minicbor::bytes")]
    pub key: [u8; 16],
    /// Random; the nonces of the chunks begin with it.
    #[cbor(n(9), with = "minicbor::bytes")]
    pub prefix: [u8; 19],
}

/// Why octets do not begin with the head of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("it ends within its header")]
    Short,
    #[error("it is no object of an archive")]
    Magic,
    #[error("its version {0} is newer than this reader")]
    Version(u32),
    #[error("its header's length is out of range")]
    Length,
    #[error("its header is not the deterministic CBOR of one")]
    Body,
}

impl Header {
    /// What the object holds.
    pub fn kind(&self) -> Option<Kind> {
        Kind::of(self.kind)
    }

    pub fn encode(&self) -> Vec<u8> {
        let body = minicbor::to_vec(self).unwrap_or_default(); // writing into memory does not fail
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        [&MAGIC[..], &VERSION.to_be_bytes(), &length.to_be_bytes(), &body].concat()
    }

    /// Reads the head of an object; gives it and its length in octets.
    pub fn decode(object: &[u8]) -> Result<(Self, usize), HeaderError> {
        let (fixed, rest) = object.split_first_chunk::<FIXED>().ok_or(HeaderError::Short)?;
        if !fixed.starts_with(&MAGIC) {
            return Err(HeaderError::Magic);
        }
        let word = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        if word(8) != VERSION {
            return Err(HeaderError::Version(word(8)));
        }
        let length = usize::try_from(word(12)).map_err(|_| HeaderError::Length)?;
        if !(1..=MAX_BODY).contains(&length) {
            return Err(HeaderError::Length);
        }
        let body = rest.get(..length).ok_or(HeaderError::Short)?;
        let header: Self = minicbor::decode(body).map_err(|_| HeaderError::Body)?;
        let whole = header.kind().is_some() && header.encode() == object[..FIXED + length];
        if whole { Ok((header, FIXED + length)) } else { Err(HeaderError::Body) }
    }
}
