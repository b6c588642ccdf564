//! The records of a segment after one that is known, proven by the chain without reading what is before.

use yanqian_evidence::{ChainValue, Defect, Frame, LeafHash, Mark, Record, SegmentHeader, VerifyError};

use super::index::Reached;
use crate::error::OpenError;
use crate::read::{read_header, read_segment_from};
use crate::storage::{Storage, wide};

/// What follows a known record in its segment.
pub(super) struct Tail {
    known: Reached,
    start: ChainValue,
    /// From the known record's end on.
    octets: Vec<u8>,
    /// Where they begin in the segment.
    offset: u64,
}

impl Tail {
    /// None when the known record does not stand there: the ledger is another.
    pub(super) fn after(storage: &dyn Storage, known: &Reached) -> Result<Option<Self>, OpenError> {
        let start = ChainValue::of_header(&SegmentHeader::encode(&read_header(storage, known.segment)?));
        let octets = read_segment_from(storage, known.segment, known.place)?;
        let Ok(frame) = Frame::read(start, &octets) else { return Ok(None) };
        if frame.sequence != known.sequence || frame.chain != known.chain {
            return Ok(None);
        }
        let length = frame.octets();
        Ok(Some(Self { known: *known, start, offset: known.place + wide(length), octets: octets[length..].to_vec() }))
    }

    /// The records in their order. Ends where the file does, or before a frame that nobody was promised.
    pub(super) fn records(
        &self,
        mark: Option<Mark>,
    ) -> impl Iterator<Item = Result<(Reached, Record), OpenError>> + '_ {
        let durable = mark.map_or(0, |mark| mark.sequence);
        let (mut at, mut last, mut ended) = (0, self.known, false);
        std::iter::from_fn(move || {
            if ended || at == self.octets.len() {
                return None;
            }
            let place = self.offset + wide(at);
            let sequence = last.sequence + 1;
            let defect = match self.next(at, &last) {
                Ok((frame, record)) => {
                    at += frame.octets();
                    last = Reached { sequence, place, chain: frame.chain, ..last };
                    return Some(Ok((last, record)));
                }
                Err(Defect::Frame(_)) if sequence > durable => {
                    ended = true;
                    return None;
                }
                Err(defect) => defect,
            };
            ended = true;
            Some(Err(VerifyError { segment: last.segment, offset: place, sequence: Some(sequence), defect }.into()))
        })
    }

    fn next(&self, at: usize, last: &Reached) -> Result<(Frame<'_>, Record), Defect> {
        let frame = Frame::read(self.start, &self.octets[at..])?;
        let expected = last.sequence + 1;
        if frame.sequence != expected {
            return Err(Defect::Sequence { expected, found: frame.sequence });
        }
        if frame.leaf != LeafHash::of_record(frame.record) {
            return Err(Defect::LeafHash);
        }
        if frame.chain != last.chain.link(frame.leaf) {
            return Err(Defect::Chain);
        }
        let record = Record::decode(frame.record)?;
        if record.sequence != expected {
            return Err(Defect::RecordSequence { found: record.sequence });
        }
        Ok((frame, record))
    }
}
