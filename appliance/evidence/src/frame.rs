//! One record as it lies in a segment.
//!
//! | offset | octets | value |
//! |---|---|---|
//! | 0 | 4 | L: octets of the record, 1 to 1 048 576 |
//! | 4 | 4 | CRC-32C over: the chain's value at the segment's start (32 octets), octets 0 to 3, octets 8 to 87 + L |
//! | 8 | 8 | sequence, as in the record |
//! | 16 | 8 | durable: the highest sequence that was durable when this frame was written, less than its own |
//! | 24 | 32 | leaf hash: SM3(0x00 ‖ record) |
//! | 56 | 32 | chain value after this record: SM3(0x02 ‖ value before ‖ leaf hash) |
//! | 88 | L | record |
//!
//! All integers are big-endian. The CRC begins with a value that only this segment has, so octets from another segment,
//! or frames planted inside a platform's answer, are never taken for frames of this one.
//!
//! `durable` is what tells a torn tail from damage. Frames written together share one sync; until it is done none of
//! them is acknowledged, and after a crash any of them may be missing. A broken frame may therefore be cut only if no
//! later frame says that its sequence was durable.

use crate::hash::{ChainValue, LeafHash};
use crate::record::MAX_RECORD;

/// Octets of a frame before its record.
pub const FRAME_HEAD: usize = 88;

/// A frame whose CRC has been checked; hashes have not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub sequence: u64,
    pub durable: u64,
    pub leaf: LeafHash,
    pub chain: ChainValue,
    pub record: &'a [u8],
}

/// Why octets are not a whole frame. Each of these may also be what a crash leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the file ends within a frame")]
    Short,
    #[error("a frame's length is out of range")]
    Length,
    #[error("a frame's CRC does not match")]
    Crc,
}

impl<'a> Frame<'a> {
    /// Reads the frame at the start of `octets`. `start` is the chain's value at the segment's start.
    pub fn read(start: ChainValue, octets: &'a [u8]) -> Result<Self, FrameError> {
        let (head, rest) = octets.split_first_chunk::<FRAME_HEAD>().ok_or(FrameError::Short)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let length = usize::try_from(length).map_err(|_| FrameError::Length)?;
        if !(1..=MAX_RECORD).contains(&length) {
            return Err(FrameError::Length);
        }
        let record = rest.get(..length).ok_or(FrameError::Short)?;
        if crc(start, head, record).to_be_bytes() != head[4..8] {
            return Err(FrameError::Crc);
        }
        let hash = |at: usize| {
            let mut octets = [0; 32];
            octets.copy_from_slice(&head[at..at + 32]);
            octets
        };
        Ok(Self {
            sequence: integer(head, 8),
            durable: integer(head, 16),
            leaf: LeafHash::new(hash(24)),
            chain: ChainValue::new(hash(56)),
            record,
        })
    }

    /// Octets of the whole frame.
    pub fn octets(&self) -> usize {
        FRAME_HEAD + self.record.len()
    }

    /// Appends the frame to `out`.
    ///
    /// # Panics
    /// On a record that is empty or longer than [`MAX_RECORD`].
    pub fn write(&self, start: ChainValue, out: &mut Vec<u8>) {
        assert!((1..=MAX_RECORD).contains(&self.record.len()), "the writer checks the length of a record");
        let length = u32::try_from(self.record.len()).unwrap_or(u32::MAX);
        let mut head = [0; FRAME_HEAD];
        head[..4].copy_from_slice(&length.to_be_bytes());
        head[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        head[16..24].copy_from_slice(&self.durable.to_be_bytes());
        head[24..56].copy_from_slice(self.leaf.as_bytes());
        head[56..].copy_from_slice(self.chain.as_bytes());
        let crc = crc(start, &head, self.record);
        head[4..8].copy_from_slice(&crc.to_be_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(self.record);
    }
}

fn integer(head: &[u8; FRAME_HEAD], at: usize) -> u64 {
    head[at..at + 8].iter().fold(0, |n, octet| n << 8 | u64::from(*octet))
}

fn crc(start: ChainValue, head: &[u8; FRAME_HEAD], record: &[u8]) -> u32 {
    [&head[..4], &head[8..], record]
        .iter()
        .fold(crc32c::crc32c(start.as_bytes()), |crc, part| crc32c::crc32c_append(crc, part))
}

/// Whether any whole frame in `octets`, at any offset, says that `sequence` was durable before it was written.
///
/// Looks at every offset, because a broken frame's length cannot be believed.
pub(crate) fn was_durable(start: ChainValue, octets: &[u8], sequence: u64) -> bool {
    let windows = octets.windows(FRAME_HEAD).enumerate();
    windows.into_iter().any(|(at, head)| {
        let Ok(head) = <&[u8; FRAME_HEAD]>::try_from(head) else { return false };
        // Three integers sort out nearly every offset before a CRC is computed.
        let plausible = head[0] == 0 && integer(head, 16) >= sequence && integer(head, 8) > integer(head, 16);
        plausible && Frame::read(start, &octets[at..]).is_ok()
    })
}
