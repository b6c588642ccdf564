//! Reading a ledger without opening it: verification, and the records for listing. Works while a daemon writes.

use std::io;
use std::path::Path;

use yanqian_evidence::mark::{self, Mark};
use yanqian_evidence::segment::{SegmentHeader, file_name, number_of};
use yanqian_evidence::verify::{Place, Tail, Verifier};
use yanqian_evidence::{Defect, Record, SegmentHash, Summary, VerifyError};
use yanqian_vocabulary::Timestamp;

use crate::error::{Doing, OpenError};
use crate::exported::ExportedList;
use crate::recovery::header_error;
use crate::storage::{Directory, Storage, StoredFile, read_all, wide};

/// Segments larger than this are not read into memory; none that this program writes comes near.
const MAX_SEGMENT: u64 = 2 << 30;

/// Segments that are in the archive only, and not restored here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent {
    /// From the first up to this one.
    pub segments: u64,
    /// From the first up to this one.
    pub records: u64,
}

/// A ledger that holds, from its first record here to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifySummary {
    pub summary: Summary,
    /// What is in the archive only and was not read: the summary is of what follows.
    pub absent: Option<Absent>,
    /// Octets after the last whole record: being written at this moment, or left by a crash and cut at the next start.
    pub incomplete_tail: Option<Tail>,
    /// Sequence up to which the node's own mark says that records are durable; `None` without a mark.
    pub durable: Option<u64>,
}

/// Proves every record of the ledger in `directory`. Takes no lock and writes nothing.
pub fn verify_dir(directory: &Path) -> Result<VerifySummary, OpenError> {
    verify_storage(&Directory::read_only(directory).doing("opening the ledger's directory")?)
}

/// As [`verify_dir`] on any storage.
pub fn verify_storage(storage: &dyn Storage) -> Result<VerifySummary, OpenError> {
    // The mark first: what is written later can only lie beyond it.
    let mark = read_mark(storage)?;
    let segments = contiguous_segments(storage)?;
    let newest = segments.last().copied().unwrap_or(0);
    if let Some(mark) = mark
        && mark.segment > newest
    {
        return Err(OpenError::SegmentMissing(mark.segment));
    }
    let mut verifier = begin(storage, &segments, mark)?;
    let absent = absent_before(storage, &segments)?;
    let mut incomplete_tail = None;
    for segment in segments {
        let durable = mark.map_or(0, |mark| mark.sequence);
        let place = if segment == newest { Place::Last { durable } } else { Place::Sealed };
        incomplete_tail = verifier.segment(&read_segment(storage, segment)?, place, |_| {})?.tail;
    }
    Ok(VerifySummary { summary: verifier.summary(), absent, incomplete_tail, durable: mark.map(|mark| mark.sequence) })
}

/// Proof from the first segment that can be read here; what it says of those before, the list of exported segments has confirmed.
pub(crate) fn begin(storage: &dyn Storage, segments: &[u64], mark: Option<Mark>) -> Result<Verifier, OpenError> {
    match segments.first() {
        Some(&first) if first > 1 => Ok(Verifier::starting_at(&read_header(storage, first)?, mark)),
        _ => Ok(Verifier::new(mark)),
    }
}

pub(crate) fn absent_before(storage: &dyn Storage, segments: &[u64]) -> Result<Option<Absent>, OpenError> {
    let Some(&first) = segments.first().filter(|first| **first > 1) else { return Ok(None) };
    let records = read_header(storage, first)?.first_sequence.saturating_sub(1);
    Ok(Some(Absent { segments: first - 1, records }))
}

/// What of the ledger in `directory` is in the archive only and not restored there.
pub fn absent(directory: &Path) -> Result<Option<Absent>, OpenError> {
    let storage = Directory::read_only(directory).doing("opening the ledger's directory")?;
    absent_before(&storage, &contiguous_segments(&storage)?)
}

/// The list of segments that an archive holds, of the ledger in `directory`.
pub fn exported_list(directory: &Path) -> Result<ExportedList, OpenError> {
    ExportedList::read(&Directory::read_only(directory).doing("opening the ledger's directory")?)
}

/// When a segment was made, which is when the one before it was sealed.
pub fn made(directory: &Path, segment: u64) -> Result<Timestamp, OpenError> {
    let storage = Directory::read_only(directory).doing("opening the ledger's directory")?;
    read_header(&storage, segment).map(|header| header.created)
}

/// The octets of a segment of the ledger in `directory`, once they are those that the header of the next one names.
pub fn sealed_segment(directory: &Path, segment: u64) -> Result<Vec<u8>, OpenError> {
    let storage = Directory::read_only(directory).doing("opening the ledger's directory")?;
    let octets = read_segment(&storage, segment)?;
    if SegmentHash::of_file(&octets) != read_header(&storage, segment.saturating_add(1))?.previous_segment {
        let defect = Defect::FileHash;
        return Err(VerifyError { segment, offset: 0, sequence: None, defect }.into());
    }
    Ok(octets)
}

/// One record and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub segment: u64,
    /// Octets from the start of the segment file.
    pub offset: u64,
    pub leaf: yanqian_evidence::LeafHash,
    pub record: Record,
}

/// All records of the ledger in `directory` that can be read there, in order, proven segment by segment. Ends after the first error.
/// [`absent`] tells what comes before.
pub fn read_records(directory: &Path) -> Result<Records, OpenError> {
    let storage = Directory::read_only(directory).doing("opening the ledger's directory")?;
    let mark = read_mark(&storage)?;
    let segments = contiguous_segments(&storage)?;
    let verifier = begin(&storage, &segments, mark)?;
    Ok(Records {
        storage: Box::new(storage),
        verifier,
        durable: mark.map_or(0, |mark| mark.sequence),
        segments: segments.into_iter(),
        entries: Vec::new().into_iter(),
    })
}

/// See [`read_records`].
pub struct Records {
    storage: Box<dyn Storage>,
    verifier: Verifier,
    durable: u64,
    segments: std::vec::IntoIter<u64>,
    entries: std::vec::IntoIter<Entry>,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Records(..)")
    }
}

impl Records {
    fn load(&mut self, segment: u64) -> Result<(), OpenError> {
        let octets = read_segment(&*self.storage, segment)?;
        let last = self.segments.len() == 0;
        let place = if last { Place::Last { durable: self.durable } } else { Place::Sealed };
        let mut entries = Vec::new();
        self.verifier.segment(&octets, place, |found| {
            let record = found.record.clone();
            entries.push(Entry { segment, offset: found.offset, leaf: found.frame.leaf, record });
        })?;
        self.entries = entries.into_iter();
        Ok(())
    }
}

impl Iterator for Records {
    type Item = Result<Entry, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Some(Ok(entry));
            }
            let segment = self.segments.next()?;
            if let Err(error) = self.load(segment) {
                self.segments = Vec::new().into_iter();
                return Some(Err(error));
            }
        }
    }
}

/// Numbers of the segment files, which must run without a gap from 1, or from the first that the archive does not hold alone.
pub(crate) fn contiguous_segments(storage: &dyn Storage) -> Result<Vec<u64>, OpenError> {
    let segments = readable_segments(storage)?;
    let Some(&first) = segments.first() else { return Ok(segments) };
    if let Some((expected, _)) = (first..).zip(&segments).find(|(expected, found)| expected != *found) {
        return Err(OpenError::SegmentMissing(expected));
    }
    if first > 1 {
        ExportedList::read(storage)?.goes_on_with(&read_header(storage, first)?)?;
    }
    Ok(segments)
}

/// Numbers of the segment files, ascending, and those of copies that the archive gave back right before them: these are read as if
/// they had never been away.
pub(crate) fn readable_segments(storage: &dyn Storage) -> Result<Vec<u64>, OpenError> {
    let names = storage.names().doing("listing the ledger's directory")?;
    let mut segments: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
    segments.sort_unstable();
    let is_here = |segment: &u64| storage.open(&file_name(*segment), false).is_ok();
    let first = segments.first().copied().unwrap_or(1);
    let mut readable: Vec<u64> = (1..first).rev().take_while(is_here).collect();
    readable.reverse();
    readable.extend(segments);
    Ok(readable)
}

/// `None` when there is no mark, or neither of its slots was ever written whole.
pub(crate) fn read_mark(storage: &dyn Storage) -> Result<Option<Mark>, OpenError> {
    match storage.open(mark::FILE_NAME, false) {
        Ok(file) => Ok(Mark::decode(&read_all(&*file).doing("reading durable.mark")?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing("opening durable.mark"),
    }
}

pub(crate) fn read_segment(storage: &dyn Storage, segment: u64) -> Result<Vec<u8>, OpenError> {
    let file = open_segment(storage, segment)?;
    let octets = file.state().doing("reading a segment's length")?.map_or(0, |state| state.length);
    if octets > MAX_SEGMENT {
        return Err(OpenError::SegmentTooLarge { segment, octets });
    }
    read_all(&*file).doing("reading a segment")
}

/// A segment's octets from `offset` on; none when it ends before.
pub(crate) fn read_segment_from(storage: &dyn Storage, segment: u64, offset: u64) -> Result<Vec<u8>, OpenError> {
    let file = open_segment(storage, segment)?;
    let length = file.state().doing("reading a segment's length")?.map_or(0, |state| state.length);
    let octets = length.saturating_sub(offset);
    if octets > MAX_SEGMENT {
        return Err(OpenError::SegmentTooLarge { segment, octets: length });
    }
    read_start(&*file, offset, usize::try_from(octets).unwrap_or_default()).doing("reading a segment")
}

pub(crate) fn read_header(storage: &dyn Storage, segment: u64) -> Result<SegmentHeader, OpenError> {
    let file = open_segment(storage, segment)?;
    let octets = read_start(&*file, 0, 8192).doing("reading a segment's header")?;
    let (header, _) = SegmentHeader::decode(&octets).map_err(|error| header_error(segment, error))?;
    Ok(header)
}

/// Up to `length` octets from `offset`; fewer only at the end of the file.
pub(crate) fn read_start(file: &dyn StoredFile, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; length];
    let mut have = 0;
    while have < octets.len() {
        match file.read_at(&mut octets[have..], offset.saturating_add(wide(have))) {
            Ok(0) => break,
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    octets.truncate(have);
    Ok(octets)
}

pub(crate) fn open_segment(storage: &dyn Storage, segment: u64) -> Result<Box<dyn StoredFile>, OpenError> {
    match storage.open(&file_name(segment), false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OpenError::SegmentMissing(segment)),
        result => result.doing("opening a segment"),
    }
}
