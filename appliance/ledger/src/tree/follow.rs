//! The leaf hashes of durable records, read from the segments while another thread appends to them.

use std::path::{Path, PathBuf};

use yanqian_evidence::{ChainValue, Frame, LeafHash, Record};
use yanqian_vocabulary::Timestamp;

use super::TreeError;
use crate::error::{Doing as _, OpenError};
use crate::read::{open_segment, read_header, read_start, readable_segments};
use crate::storage::{Directory, StoredFile, wide};

/// Octets read at once: more than the longest frame.
const CHUNK: usize = 4 << 20;

/// An open segment and how far it was read.
struct Position {
    segment: u64,
    file: Box<dyn StoredFile>,
    start: ChainValue,
    offset: u64,
}

/// Reads leaf hashes in order.
pub(super) struct Follower {
    directory: PathBuf,
    position: Option<Position>,
    /// Sequence of the next record.
    next: u64,
    /// Time of the last record read.
    pub(super) last_time: Option<Timestamp>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Follower(next {})", self.next)
    }
}

impl Follower {
    /// From the record with that sequence on.
    pub(super) fn from(directory: &Path, next: u64) -> Self {
        Self { directory: directory.to_owned(), position: None, next, last_time: None }
    }

    /// Gives the leaves of all records up to the sequence `until`, which the ledger must have said to be durable.
    pub(super) fn read(
        &mut self,
        until: u64,
        mut found: impl FnMut(LeafHash) -> Result<(), TreeError>,
    ) -> Result<(), TreeError> {
        while self.next <= until {
            let position = match &mut self.position {
                Some(position) => position,
                none => none.insert(find(&self.directory, self.next)?),
            };
            let octets = read_start(&*position.file, position.offset, CHUNK).doing("reading a segment")?;
            let mut rest = octets.as_slice();
            let (segment, mut offset) = (position.segment, position.offset);
            let mut read = 0u32;
            let mut broken = None;
            while self.next <= until && !rest.is_empty() {
                let frame = match Frame::read(position.start, rest) {
                    Ok(frame) => frame,
                    Err(error) => {
                        broken = Some(error);
                        break;
                    }
                };
                if frame.sequence > self.next {
                    let (expected, found) = (self.next, frame.sequence);
                    return Err(TreeError::Sequence { segment, offset, expected, found });
                }
                if frame.sequence == self.next {
                    let broken = TreeError::Record { segment, offset };
                    if frame.leaf != LeafHash::of_record(frame.record) {
                        return Err(broken);
                    }
                    found(frame.leaf)?;
                    if self.next == until {
                        self.last_time = Some(Record::decode(frame.record).map_err(|_| broken)?.time);
                    }
                    self.next += 1;
                }
                let length = frame.octets();
                (rest, offset, read) = (&rest[length..], offset + wide(length), read + 1);
            }
            position.offset = offset;
            // A chunk may end within a frame; the frame is whole in the next.
            if read > 0 || self.next > until {
                continue;
            }
            if let Some(error) = broken {
                return Err(TreeError::Frame { segment, offset, error });
            }
            *position = open(&Directory::read_only(&self.directory).doing("opening the ledger")?, segment + 1)?;
        }
        Ok(())
    }
}

fn open(storage: &Directory, segment: u64) -> Result<Position, TreeError> {
    let file = open_segment(storage, segment)?;
    let head = read_start(&*file, 0, 8192).doing("reading a segment's header")?;
    let (_, length) = yanqian_evidence::SegmentHeader::decode(&head)
        .map_err(|error| crate::recovery::header_error(segment, error))?;
    Ok(Position { segment, file, start: ChainValue::of_header(&head[..length]), offset: wide(length) })
}

/// The segment that holds the record: the last that does not begin after it.
fn find(directory: &Path, sequence: u64) -> Result<Position, TreeError> {
    let storage = Directory::read_only(directory).doing("opening the ledger")?;
    let segments = readable_segments(&storage)?;
    let mut error = None;
    let place = segments.partition_point(|segment| {
        let first = read_header(&storage, *segment).map(|header| header.first_sequence);
        first.map_err(|found| error = Some(found)).is_ok_and(|first| first <= sequence)
    });
    if let Some(error) = error {
        return Err(error.into());
    }
    let before = place.checked_sub(1).and_then(|before| segments.get(before));
    let missing = segments.first().map_or(1, |first| first.saturating_sub(1));
    let segment = before.ok_or(TreeError::Ledger(OpenError::SegmentMissing(missing)))?;
    open(&storage, *segment)
}
