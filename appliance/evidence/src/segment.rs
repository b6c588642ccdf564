//! The head of a segment file.
//!
//! All integers outside CBOR are big-endian.
//!
//! | offset | octets | value |
//! |---|---|---|
//! | 0 | 8 | magic `YQLEDGER` |
//! | 8 | 4 | version: 1 |
//! | 12 | 4 | B: octets of the body, 1 to 4096 |
//! | 16 | 4 | CRC-32C over octets 0 to 15 and the body |
//! | 20 | B | body: deterministic CBOR, a map of the keys of [`SegmentHeader`] |
//!
//! Frames follow at once. The chain's value at the first frame is SM3(0x03 ‖ all 20 + B octets): the body names the
//! chain and the file before, so the segments hold together, and no bit of a header can change unnoticed.

use minicbor::{Decode, Encode};
use yanqian_vocabulary::{NodeId, Timestamp};

use crate::hash::{ChainValue, SegmentHash};
use crate::word::Origin;

const MAGIC: [u8; 8] = *b"YQLEDGER";
const VERSION: u32 = 1;
const FIXED: usize = 20;
const MAX_BODY: usize = 4096;

/// What a segment is, whose, and what came before it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SegmentHeader {
    #[cbor(n(0), with = "crate::cbor")]
    pub node: NodeId,
    /// The ledger's name in checkpoints and receipts.
    #[cbor(n(1), with = "crate::cbor")]
    pub origin: Origin,
    /// 1 for a ledger's first segment, then one more for each; also the file's name.
    #[n(2)]
    pub segment: u64,
    /// Sequence of the first record that this segment takes.
    #[n(3)]
    pub first_sequence: u64,
    /// Sequence of the oldest intent that had no outcome when the segment was made; `first_sequence` when none was
    /// open. A restart finds every open intent by reading from here.
    #[n(4)]
    pub oldest_open: u64,
    /// The chain's value after the record before; [`ChainValue::ORIGIN`] in the first segment.
    #[cbor(n(5), with = "crate::cbor")]
    pub previous_chain: ChainValue,
    /// Hash of the whole file before; [`SegmentHash::ORIGIN`] in the first segment.
    #[cbor(n(6), with = "crate::cbor")]
    pub previous_segment: SegmentHash,
    #[cbor(n(7), with = "crate::cbor")]
    pub created: Timestamp,
}

/// Why octets are not the head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("the file ends within the segment header")]
    Short,
    #[error("not a ledger segment")]
    Magic,
    #[error("segment version {0} is newer than this reader")]
    Version(u32),
    #[error("the segment header's length is out of range")]
    Length,
    #[error("the segment header's CRC does not match")]
    Crc,
    #[error("the segment header is not the deterministic CBOR of one")]
    Body,
}

impl SegmentHeader {
    pub fn encode(&self) -> Vec<u8> {
        let body = minicbor::to_vec(self).unwrap_or_default(); // writing into memory does not fail
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let mut octets = Vec::with_capacity(FIXED + body.len());
        octets.extend_from_slice(&MAGIC);
        octets.extend_from_slice(&VERSION.to_be_bytes());
        octets.extend_from_slice(&length.to_be_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&octets), &body);
        octets.extend_from_slice(&crc.to_be_bytes());
        octets.extend_from_slice(&body);
        octets
    }

    /// Reads the head of `file`; gives it and its length in octets.
    pub fn decode(file: &[u8]) -> Result<(Self, usize), HeaderError> {
        let (fixed, rest) = file.split_first_chunk::<FIXED>().ok_or(HeaderError::Short)?;
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
        if crc32c::crc32c_append(crc32c::crc32c(&fixed[..16]), body) != word(16) {
            return Err(HeaderError::Crc);
        }
        let header: Self = minicbor::decode(body).map_err(|_| HeaderError::Body)?;
        let octets = header.encode();
        if octets == file[..FIXED + length] { Ok((header, octets.len())) } else { Err(HeaderError::Body) }
    }
}

/// The file name of a segment: eight digits or more, and `.seg`.
pub fn file_name(segment: u64) -> String {
    format!("{segment:08}.seg")
}

/// The number in a segment's file name; `None` for any other name.
pub fn number_of(name: &str) -> Option<u64> {
    let segment = name.strip_suffix(".seg")?.parse().ok()?;
    (segment > 0 && file_name(segment) == name).then_some(segment)
}
