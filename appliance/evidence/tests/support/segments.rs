//! The samples in the files of a ledger.

use super::*;

/// A ledger of two segments with the samples: the files and the mark.
pub struct Ledger {
    pub segments: Vec<Vec<u8>>,
    /// Offsets in the last segment where a record ends.
    pub ends: Vec<usize>,
    pub mark: Mark,
}

pub fn ledger() -> Ledger {
    // Of intents 1, 2 and 3, only the first has ended when the second segment begins.
    ledger_of(&records(), 2)
}

/// What schema 2 adds: two checks that go on from one segment into the next.
pub fn ledger_2() -> Ledger {
    ledger_of(&records_2(), 1)
}

/// Two segments, the second from record 5 on, with the oldest intent that is open there.
fn ledger_of(records: &[(&'static str, Record)], oldest_open: u64) -> Ledger {
    let (first, second) = records.split_at(4);
    let mut chain = ChainValue::ORIGIN;
    let mut previous_segment = SegmentHash::ORIGIN;
    let mut segments = Vec::new();
    let mut ends = Vec::new();
    for (number, part) in [(1, first), (2, second)] {
        let header = SegmentHeader {
            node: NodeId::new("node-1").unwrap(),
            origin: Origin::new("ledger.bank.example/node-1").unwrap(),
            segment: number,
            first_sequence: part[0].1.sequence,
            oldest_open: if number == 1 { 1 } else { oldest_open },
            previous_chain: chain,
            previous_segment,
            created: time(0),
        };
        let mut file = header.encode();
        let start = ChainValue::of_header(&file);
        chain = start;
        ends.clear();
        for (_, record) in part {
            let octets = record.encode();
            let leaf = LeafHash::of_record(&octets);
            chain = chain.link(leaf);
            // In pairs, as if two records had shared each sync.
            let durable = (record.sequence - 1) / 2 * 2;
            Frame { sequence: record.sequence, durable, leaf, chain, record: &octets }.write(start, &mut file);
            ends.push(file.len());
        }
        previous_segment = SegmentHash::of_file(&file);
        segments.push(file);
    }
    let sequence = records.len() as u64;
    let length = segments[1].len() as u64;
    Ledger { segments, ends, mark: Mark { update: 7, sequence, segment: 2, length, chain } }
}
