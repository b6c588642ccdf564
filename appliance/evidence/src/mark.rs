//! The durable mark: a node's own note of how far its ledger is durable.
//!
//! A file `durable.mark` of two slots, 512 octets apart, each of 100 octets; the newer valid one counts. The mark is
//! written after each sync of a segment and is itself not synced, so it costs nothing: after a killed process it is
//! exact, after a power failure it may be some seconds old, and it is never ahead of what is durable. A segment that
//! ends before its mark has lost acknowledged records and is never repaired by cutting.
//!
//! | offset in slot | octets | value |
//! |---|---|---|
//! | 0 | 8 | magic `YQMARK01` |
//! | 8 | 8 | update: counts writes of the mark; its lowest bit chooses the slot |
//! | 16 | 8 | sequence of the last durable record, 0 for none |
//! | 24 | 8 | segment that holds it, 0 for none |
//! | 32 | 8 | octets of that segment up to the end of that record |
//! | 40 | 32 | chain value after that record |
//! | 72 | 24 | zero |
//! | 96 | 4 | CRC-32C over octets 0 to 95 |

use crate::hash::ChainValue;

const MAGIC: [u8; 8] = *b"YQMARK01";
const SLOT: usize = 100;

/// Distance between the slots: each lies in a disk sector of its own.
pub const SLOT_DISTANCE: u64 = 512;

/// Name of the mark's file.
pub const FILE_NAME: &str = "durable.mark";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub update: u64,
    pub sequence: u64,
    pub segment: u64,
    pub length: u64,
    pub chain: ChainValue,
}

impl Mark {
    /// The mark of a ledger without records.
    pub const NOTHING: Self = Self { update: 0, sequence: 0, segment: 0, length: 0, chain: ChainValue::ORIGIN };

    /// The slot's octets and its offset in the file.
    pub fn encode(&self) -> ([u8; SLOT], u64) {
        let mut octets = [0; SLOT];
        octets[..8].copy_from_slice(&MAGIC);
        for (at, value) in [(8, self.update), (16, self.sequence), (24, self.segment), (32, self.length)] {
            octets[at..at + 8].copy_from_slice(&value.to_be_bytes());
        }
        octets[40..72].copy_from_slice(self.chain.as_bytes());
        let crc = crc32c::crc32c(&octets[..96]);
        octets[96..].copy_from_slice(&crc.to_be_bytes());
        (octets, self.update % 2 * SLOT_DISTANCE)
    }

    /// The newer valid slot of the file; `None` when neither is valid.
    pub fn decode(file: &[u8]) -> Option<Self> {
        let second = usize::try_from(SLOT_DISTANCE).ok()?;
        let slots = [file, file.get(second..).unwrap_or_default()];
        slots.into_iter().filter_map(Self::decode_slot).max_by_key(|mark| mark.update)
    }

    fn decode_slot(octets: &[u8]) -> Option<Self> {
        let slot = octets.first_chunk::<SLOT>()?;
        if !slot.starts_with(&MAGIC) || crc32c::crc32c(&slot[..96]).to_be_bytes() != slot[96..] {
            return None;
        }
        let integer = |at: usize| slot[at..at + 8].iter().fold(0, |n, octet| n << 8 | u64::from(*octet));
        let mut chain = [0; 32];
        chain.copy_from_slice(&slot[40..72]);
        Some(Self {
            update: integer(8),
            sequence: integer(16),
            segment: integer(24),
            length: integer(32),
            chain: ChainValue::new(chain),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(marks: &[Mark]) -> Vec<u8> {
        let mut file = vec![0; 1024];
        for mark in marks {
            let (octets, at) = mark.encode();
            let at = usize::try_from(at).unwrap();
            file[at..at + SLOT].copy_from_slice(&octets);
        }
        file
    }

    #[test]
    fn the_newer_slot_counts_and_a_torn_one_leaves_the_older() {
        let older = Mark { update: 6, sequence: 40, segment: 2, length: 999, chain: ChainValue::new([3; 32]) };
        let newer = Mark { update: 7, sequence: 41, ..older };
        let mut file = file(&[older, newer]);
        assert_eq!(Mark::decode(&file), Some(newer));
        file[512 + 20] ^= 1;
        assert_eq!(Mark::decode(&file), Some(older));
        file[20] ^= 1;
        assert_eq!(Mark::decode(&file), None);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..700)) {
            let _ = Mark::decode(&octets);
        }
    }
}
