//! Reads segments in order and proves them.

mod defect;
mod summary;

use std::collections::BTreeMap;

use yanqian_vocabulary::{Timestamp, VerificationId};

pub use defect::{Defect, VerifyError};
pub use summary::{Counts, Summary};

use crate::context::Context;
use crate::exchange::Exchange;
use crate::frame::{self, Frame, FrameError};
use crate::hash::{ChainValue, SegmentHash, Tree};
use crate::mark::Mark;
use crate::outcome::{Decision, Outcome};
use crate::record::{Body, Record};
use crate::segment::SegmentHeader;

/// Where in the ledger a segment stands.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// Another segment follows: every octet must be right.
    Sealed,
    /// The last one: octets that were never acknowledged may stand at its end. `durable` is the highest sequence that
    /// is known to be durable, from the mark, 0 when there is none.
    Last { durable: u64 },
}

/// An intent that no record has ended yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIntent {
    pub sequence: u64,
    pub verification: VerificationId,
    pub time: Timestamp,
    pub context: Context,
    /// Sequence of its last exchange record.
    pub exchange: Option<u64>,
}

/// Whether an outcome names the exchange that it must. It may leave one out only when it refuses: a writer that no longer
/// waited for an exchange record ends its check without knowing that the record became durable after all.
pub fn follows(outcome: &Outcome, last: Option<u64>) -> bool {
    let gave_up = outcome.exchange.is_none() && matches!(outcome.decision, Decision::Refused { .. });
    outcome.exchange == last || gave_up
}

/// Octets at the end of the last segment that are no whole frame and that nobody was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    pub segment: u64,
    pub offset: u64,
    pub octets: u64,
    pub error: FrameError,
}

/// A segment that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub header: SegmentHeader,
    /// The chain's value at the first frame.
    pub start: ChainValue,
    /// Octets from the start of the file to the end of the last whole frame.
    pub length: u64,
    pub tail: Option<Tail>,
}

/// A record in its place.
#[derive(Debug, Clone, Copy)]
pub struct Located<'a> {
    pub segment: &'a SegmentHeader,
    pub offset: u64,
    pub frame: &'a Frame<'a>,
    pub record: &'a Record,
}

/// Reads segments one after the other. After an error it is of no further use.
#[derive(Debug, Clone)]
pub struct Verifier {
    mark: Option<Mark>,
    /// Sequence of the first record that was read; outcomes of earlier intents cannot be matched.
    from: u64,
    previous: Option<Previous>,
    last: Progress,
    first_time: Option<Timestamp>,
    open: BTreeMap<u64, OpenIntent>,
    tree: Tree,
    segments: u64,
    records: u64,
    counts: Counts,
}

/// What a following segment must continue.
#[derive(Debug, Clone)]
struct Previous {
    header: SegmentHeader,
    hash: SegmentHash,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    sequence: u64,
    durable: u64,
    chain: ChainValue,
    time: Option<Timestamp>,
}

impl Verifier {
    /// Begins with a ledger's first segment. The mark, when there is one, must have been read before the segments.
    pub fn new(mark: Option<Mark>) -> Self {
        let last = Progress { sequence: 0, durable: 0, chain: ChainValue::ORIGIN, time: None };
        Self {
            mark,
            from: 1,
            previous: None,
            last,
            first_time: None,
            open: BTreeMap::new(),
            tree: Tree::default(),
            segments: 0,
            records: 0,
            counts: Counts::default(),
        }
    }

    /// Begins with the segment that has this header, taking what it says of the segments before as given.
    pub fn starting_at(header: &SegmentHeader, mark: Option<Mark>) -> Self {
        let mut verifier = Self::new(mark);
        verifier.from = header.first_sequence;
        verifier.last.sequence = header.first_sequence.saturating_sub(1);
        verifier.last.chain = header.previous_chain;
        let before = SegmentHeader { segment: header.segment.saturating_sub(1), ..header.clone() };
        if header.segment > 1 {
            verifier.previous = Some(Previous { header: before, hash: header.previous_segment });
        }
        verifier
    }

    /// Proves one segment file and shows each of its records to `visit`.
    pub fn segment(
        &mut self,
        octets: &[u8],
        place: Place,
        mut visit: impl FnMut(Located<'_>),
    ) -> Result<Segment, VerifyError> {
        let number = self.previous.as_ref().map_or(1, |previous| previous.header.segment.saturating_add(1));
        let in_header = |defect| VerifyError { segment: number, offset: 0, sequence: None, defect };
        let (header, head) = SegmentHeader::decode(octets).map_err(|error| in_header(error.into()))?;
        self.check_header(number, &header).map_err(in_header)?;
        let start = ChainValue::of_header(&octets[..head]);
        self.last.chain = start;
        let mut offset = head;
        let mut tail = None;
        while offset < octets.len() {
            let expected = self.last.sequence + 1;
            let at = |defect| VerifyError { segment: number, offset: wide(offset), sequence: Some(expected), defect };
            let frame = match Frame::read(start, &octets[offset..]) {
                Ok(frame) => frame,
                Err(error) => {
                    self.may_be_torn(start, &octets[offset..], place, error).map_err(at)?;
                    let rest = wide(octets.len() - offset);
                    tail = Some(Tail { segment: number, offset: wide(offset), octets: rest, error });
                    break;
                }
            };
            let record = self.check_frame(&frame, &header).map_err(at)?;
            let end = offset + frame.octets();
            self.check_mark(number, wide(end), &frame).map_err(at)?;
            self.account(&frame, &record).map_err(at)?;
            visit(Located { segment: &header, offset: wide(offset), frame: &frame, record: &record });
            offset = end;
        }
        if let Place::Last { durable } = place
            && self.last.sequence < durable
        {
            let sequence = Some(self.last.sequence + 1);
            return Err(VerifyError {
                segment: number,
                offset: wide(offset),
                sequence,
                defect: Defect::Lost { durable },
            });
        }
        let hash = SegmentHash::of_file(octets);
        self.previous = Some(Previous { header: header.clone(), hash });
        self.segments += 1;
        Ok(Segment { header, start, length: wide(offset), tail })
    }

    fn check_header(&self, number: u64, header: &SegmentHeader) -> Result<(), Defect> {
        if header.segment != number {
            return Err(Defect::SegmentNumber { expected: number, found: header.segment });
        }
        let expected = self.last.sequence + 1;
        if header.first_sequence != expected {
            return Err(Defect::FirstSequence { expected, found: header.first_sequence });
        }
        if header.previous_chain != self.last.chain {
            return Err(Defect::PreviousChain);
        }
        let previous_hash = self.previous.as_ref().map_or(SegmentHash::ORIGIN, |previous| previous.hash);
        if header.previous_segment != previous_hash {
            return Err(Defect::PreviousSegment);
        }
        if let Some(previous) = &self.previous
            && (previous.header.node != header.node || previous.header.origin != header.origin)
        {
            return Err(Defect::OtherLedger);
        }
        // Read from the middle, an intent may be open that was never seen; the first header read is taken as given.
        let oldest = self.open.keys().next().copied().unwrap_or(expected);
        let seen = self.from == 1 || self.segments > 0 && header.oldest_open >= self.from;
        if seen && header.oldest_open != oldest {
            return Err(Defect::OldestOpen { expected: oldest, found: header.oldest_open });
        }
        Ok(())
    }

    /// A broken frame is a torn tail only at the end of the last segment, and only if nobody was promised its record.
    fn may_be_torn(&self, start: ChainValue, rest: &[u8], place: Place, error: FrameError) -> Result<(), Defect> {
        let Place::Last { durable } = place else { return Err(error.into()) };
        let sequence = self.last.sequence + 1;
        if sequence <= durable || frame::was_durable(start, rest, sequence) {
            return Err(Defect::AcknowledgedFrame(error));
        }
        Ok(())
    }

    fn check_frame(&self, frame: &Frame<'_>, header: &SegmentHeader) -> Result<Record, Defect> {
        let expected = self.last.sequence + 1;
        if frame.sequence != expected {
            return Err(Defect::Sequence { expected, found: frame.sequence });
        }
        if frame.durable < self.last.durable || frame.durable >= frame.sequence {
            return Err(Defect::Durable { least: self.last.durable, found: frame.durable });
        }
        if frame.leaf != crate::LeafHash::of_record(frame.record) {
            return Err(Defect::LeafHash);
        }
        if frame.chain != self.last.chain.link(frame.leaf) {
            return Err(Defect::Chain);
        }
        let record = Record::decode(frame.record)?;
        if record.sequence != expected {
            return Err(Defect::RecordSequence { found: record.sequence });
        }
        if let Some(before) = self.last.time.filter(|before| *before > record.time) {
            return Err(Defect::Time { before, found: record.time });
        }
        if record.context.node != header.node {
            return Err(Defect::RecordNode);
        }
        Ok(record)
    }

    fn check_mark(&self, segment: u64, end: u64, frame: &Frame<'_>) -> Result<(), Defect> {
        let Some(mark) = self.mark.filter(|mark| mark.sequence == frame.sequence) else { return Ok(()) };
        let same = mark.segment == segment && mark.length == end && mark.chain == frame.chain;
        if same { Ok(()) } else { Err(Defect::Mark) }
    }

    /// Takes a proven record into account; every check ends once, and only after it began.
    fn account(&mut self, frame: &Frame<'_>, record: &Record) -> Result<(), Defect> {
        let end = match &record.body {
            Body::Intent(intent) => {
                let open = OpenIntent {
                    sequence: record.sequence,
                    verification: intent.verification,
                    time: record.time,
                    context: record.context.clone(),
                    exchange: None,
                };
                self.open.insert(record.sequence, open);
                None
            }
            Body::Exchange(exchange) => {
                self.continue_check(record.sequence, exchange)?;
                None
            }
            Body::Outcome(outcome) => {
                let last = self.open.get(&outcome.intent).map(|open| open.exchange);
                if let Some(last) = last.filter(|last| !follows(outcome, *last)) {
                    return Err(Defect::OtherExchange { intent: outcome.intent, expected: last });
                }
                Some((outcome.intent, outcome.verification))
            }
            Body::OutcomeUnknown(unknown) => Some((unknown.intent, unknown.verification)),
            Body::Refusal(_) | Body::Aggregate(_) | Body::Management(_) => None,
        };
        if let Some((intent, verification)) = end {
            match self.open.remove(&intent) {
                Some(open) if open.verification == verification => {}
                Some(_) => return Err(Defect::OtherVerification { intent }),
                None if (1..self.from).contains(&intent) => {}
                None => return Err(Defect::IntentNotOpen { intent }),
            }
        }
        self.last =
            Progress { sequence: frame.sequence, durable: frame.durable, chain: frame.chain, time: Some(record.time) };
        self.first_time.get_or_insert(record.time);
        self.tree.push(frame.leaf);
        self.records += 1;
        self.counts.add(record);
        Ok(())
    }

    /// An exchange leaves its check open.
    fn continue_check(&mut self, sequence: u64, exchange: &Exchange) -> Result<(), Defect> {
        let intent = exchange.intent;
        match self.open.get_mut(&intent) {
            Some(open) if open.verification == exchange.verification => open.exchange = Some(sequence),
            Some(_) => return Err(Defect::OtherVerification { intent }),
            None if (1..self.from).contains(&intent) => {}
            None => return Err(Defect::IntentNotOpen { intent }),
        }
        Ok(())
    }

    /// Intents without an outcome so far, oldest first.
    pub fn open_intents(&self) -> impl Iterator<Item = &OpenIntent> {
        self.open.values()
    }

    pub fn summary(&self) -> Summary {
        Summary {
            segments: self.segments,
            records: self.records,
            last_sequence: self.last.sequence,
            first_time: self.first_time,
            last_time: self.last.time,
            root: self.tree.root(),
            chain: self.last.chain,
            counts: self.counts.clone(),
            open_intents: u64::try_from(self.open.len()).unwrap_or(u64::MAX),
        }
    }
}

fn wide(octets: usize) -> u64 {
    u64::try_from(octets).unwrap_or(u64::MAX)
}
