//! What a start finds, and what it may repair.

use std::collections::BTreeMap;
use std::io;

use yanqian_evidence::mark::{self, Mark};
use yanqian_evidence::segment::{SegmentHeader, file_name};
use yanqian_evidence::verify::{Located, OpenIntent, Place, Segment, Tail, Verifier};
use yanqian_evidence::{ChainValue, Defect, Management, SegmentHash, VerifyError};
use yanqian_sm::Sm3;
use yanqian_vocabulary::Timestamp;

use crate::config::{Clock, LedgerConfig};
use crate::error::{Doing, OpenError};
use crate::files::{Current, Files, Last, OpenCheck, UNFINISHED, create_mark, create_segment, step};
use crate::read::{contiguous_segments, read_header, read_mark, read_segment};
use crate::search::epoch_of;
use crate::storage::{Storage, StoredFile, wide, write_all};

/// What a start found.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// Segments in the directory.
    pub segments: u64,
    /// Sequence of the last record, 0 for none: the number of records.
    pub last_sequence: u64,
    pub last_time: Option<Timestamp>,
    /// Octets that were cut from the end. They were never acknowledged. The ledger records this by itself.
    pub torn_tail: Option<Tail>,
    /// Intents without an outcome, oldest first: see [`crate::Ledger::close_dangling`].
    pub dangling: Vec<OpenIntent>,
    /// The highest epoch of search keys that the records name which were proven; `None` when they name none.
    pub search_epoch: Option<u32>,
}

/// Reads what must be read, repairs a torn tail, and makes everything that is kept durable. `acknowledged` is the sequence up to
/// which this process has promised records; 0 for none.
pub(crate) fn open(
    storage: &dyn Storage,
    config: &LedgerConfig,
    clock: &Clock,
    acknowledged: u64,
) -> Result<(Files, Recovery), OpenError> {
    remove_unfinished(storage).doing("removing an unfinished segment")?;
    let segments = contiguous_segments(storage)?;
    let mark = read_mark(storage)?;
    let Some((&newest, sealed)) = segments.split_last() else {
        if acknowledged > 0 {
            return Err(OpenError::SegmentMissing(1));
        }
        return begin(storage, config, clock, mark);
    };
    if let Some(mark) = mark
        && mark.segment > newest
    {
        return Err(OpenError::SegmentMissing(mark.segment));
    }
    let first = first_to_prove(storage, config, &segments)?;
    let header = read_header(storage, first)?;
    if header.node != config.node || header.origin != config.origin {
        return Err(OpenError::OtherLedger);
    }
    if header.segment != first {
        let defect = Defect::SegmentNumber { expected: first, found: header.segment };
        return Err(VerifyError { segment: first, offset: 0, sequence: None, defect }.into());
    }
    let mut verifier = if first == 1 { Verifier::new(mark) } else { Verifier::starting_at(&header, mark) };
    let mut search_epoch = None;
    let mut visit = |found: Located<'_>| search_epoch = search_epoch.max(epoch_of(found.record));
    for segment in sealed.iter().filter(|segment| **segment >= first) {
        verifier.segment(&read_segment(storage, *segment)?, Place::Sealed, &mut visit)?;
    }
    let octets = read_segment(storage, newest)?;
    let place = Place::Last { durable: mark.map_or(0, |mark| mark.sequence).max(acknowledged) };
    let found = verifier.segment(&octets, place, &mut visit)?;
    if let Some(tail) = found.tail
        && mark.is_none()
    {
        return Err(OpenError::TailWithoutMark(tail));
    }
    let summary = verifier.summary();
    let last = Last { sequence: summary.last_sequence, time: summary.last_time, chain: summary.chain };
    let dangling: Vec<_> = verifier.open_intents().cloned().collect();
    let tail = found.tail;
    let current = take_over(storage, found, &octets, mark).doing("repairing the last segment")?;
    let mark_file = open_mark(storage, mark.is_some()).doing("opening durable.mark")?;
    // The last run may have been killed between making a segment and making its name durable.
    storage.sync_names().doing("syncing the ledger's directory")?;
    let open = dangling.iter().map(|intent| (intent.sequence, OpenCheck::from(intent))).collect();
    let mut files = Files::new(storage, current, last, open, mark_file, mark.unwrap_or(Mark::NOTHING), sealed)
        .doing("writing durable.mark")?;
    files.notes.extend(tail.map(|tail| Management::TailRepaired {
        segment: tail.segment,
        offset: tail.offset,
        octets: tail.octets,
    }));
    let recovery = Recovery {
        segments: wide(segments.len()),
        last_sequence: last.sequence,
        last_time: last.time,
        torn_tail: tail,
        dangling,
        search_epoch,
    };
    Ok((files, recovery))
}

/// A directory without segments: a new ledger, unless the mark says that there was one.
fn begin(
    storage: &dyn Storage,
    config: &LedgerConfig,
    clock: &Clock,
    mark: Option<Mark>,
) -> Result<(Files, Recovery), OpenError> {
    if let Some(mark) = mark
        && mark.sequence > 0
    {
        return Err(OpenError::SegmentMissing(mark.segment));
    }
    let mark_file = open_mark(storage, false).doing("making durable.mark")?;
    let header = SegmentHeader {
        node: config.node.clone(),
        origin: config.origin.clone(),
        segment: 1,
        first_sequence: 1,
        oldest_open: 1,
        previous_chain: ChainValue::ORIGIN,
        previous_segment: SegmentHash::ORIGIN,
        created: clock.now(),
    };
    let current = create_segment(storage, header, step(config)).doing("making the first segment")?;
    let last = Last { sequence: 0, time: None, chain: current.start };
    let files = Files::new(storage, current, last, BTreeMap::new(), mark_file, mark.unwrap_or(Mark::NOTHING), &[])
        .doing("writing durable.mark")?;
    let recovery = Recovery {
        segments: 1,
        last_sequence: 0,
        last_time: None,
        torn_tail: None,
        dangling: Vec::new(),
        search_epoch: None,
    };
    Ok((files, recovery))
}

fn remove_unfinished(storage: &dyn Storage) -> io::Result<()> {
    let names = storage.names()?;
    for name in names.iter().filter(|name| name.ends_with(&format!(".seg{UNFINISHED}"))) {
        storage.remove(name)?;
    }
    Ok(())
}

/// The mark's file, made anew where a crash or its owner left none of use.
fn open_mark(storage: &dyn Storage, usable: bool) -> io::Result<Box<dyn StoredFile>> {
    if usable {
        return storage.open(mark::FILE_NAME, true);
    }
    match storage.remove(mark::FILE_NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create_mark(storage)
}

/// The oldest segment that this start proves: as far back as the oldest open intent, at least one segment with records
/// where there is one, and as much more as the configuration asks for.
fn first_to_prove(storage: &dyn Storage, config: &LedgerConfig, segments: &[u64]) -> Result<u64, OpenError> {
    let newest = segments.last().copied().unwrap_or(1);
    let oldest_open = read_header(storage, newest)?.oldest_open;
    let mut octets = 0;
    let mut first = newest;
    for segment in segments.iter().rev() {
        octets += storage.state(&file_name(*segment)).doing("reading a segment's length")?.length;
        let recent = *segment + 1 >= newest;
        let needed = recent || read_header(storage, *segment + 1)?.first_sequence > oldest_open;
        if !needed && octets > config.open_check_octets {
            break;
        }
        first = *segment;
    }
    Ok(first)
}

/// Cuts the tail and makes durable what stays.
fn take_over(storage: &dyn Storage, found: Segment, octets: &[u8], mark: Option<Mark>) -> io::Result<Current> {
    let file = storage.open(&file_name(found.header.segment), true)?;
    let kept = usize::try_from(found.length).map_or(octets, |length| &octets[..length]);
    file.set_length(found.length)?;
    // After a failed sync the system may show octets that it never wrote and count them as clean. Writing the octets
    // beyond the mark once more makes the next sync mean what it says.
    let durable = mark.filter(|mark| mark.segment == found.header.segment).map_or(0, |mark| mark.length);
    let beyond = usize::try_from(durable).unwrap_or(usize::MAX).min(kept.len());
    write_all(&*file, &kept[beyond..], wide(beyond))?;
    file.sync()?;
    let id = file.state()?.ok_or(io::ErrorKind::NotFound)?.id;
    let mut hasher = Sm3::new();
    hasher.update(kept);
    // Space is reserved with the first write, or with the reserve; a full disk shows there.
    Ok(Current { file, id, header: found.header, start: found.start, length: found.length, reserved: 0, hasher })
}

/// A header that cannot be read, told as verification tells it.
pub(crate) fn header_error(segment: u64, error: yanqian_evidence::HeaderError) -> OpenError {
    VerifyError { segment, offset: 0, sequence: None, defect: Defect::Header(error) }.into()
}
