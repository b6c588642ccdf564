//! `ledger verify`: everything that is stored, in two depths, telling how far it has come.
//!
//! Stricter than a start: a start may find one slot of the mark torn by a power failure and writes it anew, while here nothing
//! that is stored may differ in one bit from what was written.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use yanqian_evidence::mark::{self, Mark};
use yanqian_evidence::segment::SegmentHeader;
use yanqian_evidence::verify::{Place, Tail, Verifier};
use yanqian_evidence::{Defect, SegmentHash, Summary, VerifyError};

use crate::error::{Doing, OpenError};
use crate::named::NamedFiles;
use crate::read::{Absent, absent_before, contiguous_segments, open_segment, read_header, read_mark, read_segment};
use crate::storage::{Directory, Storage, read_all, wide};

/// How much is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// That no octet has changed since it was written: the mark, all headers, each sealed file against the hash in the header after
    /// it, and the records of the last segments.
    Fast,
    /// Also every record of every segment, and the tree.
    Full,
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub octets: u64,
    /// Octets in all, as found at the beginning.
    pub of: u64,
    /// Records that were proven one by one.
    pub records: u64,
}

/// A ledger that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    /// Records and segments in all.
    pub records: u64,
    pub segments: u64,
    /// Octets of the segments.
    pub octets: u64,
    /// Records whose content was read and proven.
    pub proven: u64,
    /// What the proven records say; of all of them after [`Depth::Full`].
    pub summary: Summary,
    /// Files of the archive that the proven records name.
    pub named: NamedFiles,
    /// What is in the archive only: it counts among records and segments and was not read.
    pub absent: Option<Absent>,
    pub incomplete_tail: Option<Tail>,
    pub durable: Option<u64>,
}

impl Sound {
    /// The sequence up to which a tree with checkpoints of these sizes is to be held against these records: the mark's, or that of
    /// the last checkpoint where a power failure left the mark behind it and the records are there all the same.
    pub fn provable(&self, sizes: &[u64]) -> u64 {
        let covered = sizes.last().copied().filter(|size| *size <= self.records).unwrap_or(0);
        self.durable.unwrap_or(self.records).max(covered)
    }
}

/// Proves the ledger in `directory`; works beside a running daemon.
pub fn sound_dir(directory: &Path, depth: Depth, tell: &mut dyn FnMut(Progress)) -> Result<Sound, OpenError> {
    let open = || Directory::read_only(directory).doing("opening the ledger's directory");
    sound_storage(&open()?, &|| Ok(Box::new(open()?)), depth, tell)
}

/// As [`sound_dir`] on any storage; `again` opens it once more, for the threads that read.
pub fn sound_storage(
    storage: &dyn Storage,
    again: &(dyn Fn() -> Result<Box<dyn Storage>, OpenError> + Sync),
    depth: Depth,
    tell: &mut dyn FnMut(Progress),
) -> Result<Sound, OpenError> {
    check_slots(storage)?;
    // The mark first: what is written later can only lie beyond it.
    let mark = read_mark(storage)?;
    let segments = contiguous_segments(storage)?;
    let newest = segments.last().copied().unwrap_or(0);
    if let Some(mark) = mark
        && mark.segment > newest
    {
        return Err(OpenError::SegmentMissing(mark.segment));
    }
    let mut progress = Progress::default();
    for segment in &segments {
        let state = open_segment(storage, *segment)?.state().doing("reading a segment's length")?;
        progress.of += state.map_or(0, |state| state.length);
    }
    let oldest = segments.first().copied().unwrap_or(1);
    let first = match (depth, mark) {
        (Depth::Fast, Some(mark)) if mark.segment > 0 => mark.segment.clamp(oldest, newest.max(oldest)),
        (Depth::Fast, _) if mark.is_some() => newest,
        _ => oldest,
    };
    let absent = absent_before(storage, &segments)?;
    let mut verifier = Verifier::new(mark);
    let mut before = 0;
    if first > 1 {
        hash_sealed(again, &segments, first, &mut progress, tell)?;
        let header = read_header(storage, first)?;
        before = header.first_sequence.saturating_sub(1);
        verifier = Verifier::starting_at(&header, mark);
    }
    let (mut incomplete_tail, mut named) = (None, NamedFiles::default());
    for segment in segments.iter().copied().filter(|segment| *segment >= first) {
        let durable = mark.map_or(0, |mark| mark.sequence);
        let place = if segment == newest { Place::Last { durable } } else { Place::Sealed };
        let octets = read_segment(storage, segment)?;
        let proven = verifier.segment(&octets, place, |found| {
            progress.records += 1;
            named.add(found.record);
        });
        incomplete_tail = proven?.tail;
        progress.octets += wide(octets.len());
        tell(progress);
    }
    Ok(Sound {
        records: before + progress.records,
        segments: newest,
        octets: progress.octets,
        proven: progress.records,
        summary: verifier.summary(),
        named,
        absent,
        incomplete_tail,
        durable: mark.map(|mark| mark.sequence),
    })
}

/// Headers of all segments before `first`, and each file against the hash that the next header has of it: on as many threads as
/// there are cores, because hashing is what takes the time.
fn hash_sealed(
    again: &(dyn Fn() -> Result<Box<dyn Storage>, OpenError> + Sync),
    segments: &[u64],
    first: u64,
    progress: &mut Progress,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), OpenError> {
    let sealed: Vec<u64> = segments.iter().copied().filter(|segment| *segment < first).collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(None::<(u64, OpenError)>));
    let (done, hashed) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            let (done, next, found, sealed) = (done.clone(), &next, &found, &sealed);
            scope.spawn(move || {
                let work = || -> Result<(), (u64, OpenError)> {
                    let storage = again().map_err(|error| (0, error))?;
                    while let Some(segment) = sealed.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let octets = check_sealed(&*storage, *segment).map_err(|error| (*segment, error))?;
                        let _ = done.send(octets); // the receiver outlives the scope
                    }
                    Ok(())
                };
                if let Err((segment, error)) = work() {
                    // The first in the ledger's order, so that one ledger always has one answer.
                    let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if found.as_ref().is_none_or(|(earlier, _)| segment < *earlier) {
                        *found = Some((segment, error));
                    }
                }
            });
        }
        drop(done);
        for octets in hashed {
            progress.octets += octets;
            tell(*progress);
        }
    });
    match found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// One sealed segment's header in its place, and its file's hash; gives its octets.
fn check_sealed(storage: &dyn Storage, segment: u64) -> Result<u64, OpenError> {
    let octets = read_segment(storage, segment)?;
    let at = |segment, defect| VerifyError { segment, offset: 0, sequence: None, defect };
    let (header, _) = SegmentHeader::decode(&octets).map_err(|error| at(segment, error.into()))?;
    let next = read_header(storage, segment + 1)?;
    if header.segment != segment {
        return Err(at(segment, Defect::SegmentNumber { expected: segment, found: header.segment }).into());
    }
    if (&header.node, &header.origin) != (&next.node, &next.origin) {
        return Err(at(segment + 1, Defect::OtherLedger).into());
    }
    if next.first_sequence < header.first_sequence {
        let defect = Defect::FirstSequence { expected: header.first_sequence, found: next.first_sequence };
        return Err(at(segment + 1, defect).into());
    }
    if SegmentHash::of_file(&octets) != next.previous_segment {
        return Err(at(segment, Defect::FileHash).into());
    }
    Ok(wide(octets.len()))
}

/// Each slot of the mark is whole or was never written, and nothing stands beside them. A writer may be about to write one.
fn check_slots(storage: &dyn Storage) -> Result<(), OpenError> {
    for _ in 0..3 {
        if read_slots(storage)?.is_none() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    match read_slots(storage)? {
        None => Ok(()),
        Some(slot) => Err(OpenError::MarkDamaged(slot)),
    }
}

/// The first slot that is damaged; 2 for what stands after both.
fn read_slots(storage: &dyn Storage) -> Result<Option<usize>, OpenError> {
    const SLOT: usize = 512;
    let octets = match storage.open(mark::FILE_NAME, false) {
        Ok(file) => read_all(&*file).doing("reading durable.mark")?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).doing("opening durable.mark"),
    };
    for slot in 0..2 {
        let Some(written) = octets.get(slot * SLOT..(slot + 1) * SLOT) else { return Ok(Some(slot)) };
        if written.iter().all(|octet| *octet == 0) {
            continue;
        }
        let mut alone = vec![0; 2 * SLOT];
        alone[slot * SLOT..(slot + 1) * SLOT].copy_from_slice(written);
        let whole = Mark::decode(&alone).is_some_and(|mark| {
            let (octets, at) = mark.encode();
            at == wide(slot * SLOT) && written.starts_with(&octets) && written[octets.len()..].iter().all(|o| *o == 0)
        });
        if !whole {
            return Ok(Some(slot));
        }
    }
    Ok((octets.len() != 2 * SLOT).then_some(2))
}
