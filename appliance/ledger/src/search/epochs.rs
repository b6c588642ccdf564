//! Which epochs of search keys the ledger's records name, so that no number is ever given to a second key.

use std::path::Path;

use yanqian_evidence::verify::{Place, Verifier};
use yanqian_evidence::{Body, Management, Record};

use crate::error::{Doing, OpenError};
use crate::read::{contiguous_segments, read_header, read_mark, read_segment};
use crate::storage::Directory;

/// The epoch in which a record's tag was made, or that begins with it.
pub fn epoch_of(record: &Record) -> Option<u32> {
    match &record.body {
        Body::Intent(intent) => intent.search.as_ref().map(|search| search.epoch),
        Body::Management(Management::SearchEpochBegun { epoch, .. }) => Some(*epoch),
        _ => None,
    }
}

/// The highest epoch that the ledger in `directory` names. Epochs follow each other, so the newest segment that names one is
/// read, and the one before it: checks that were under way when an epoch began may stand after it.
pub fn newest_epoch(directory: &Path) -> Result<Option<u32>, OpenError> {
    let storage = Directory::read_only(directory).doing("opening the ledger's directory")?;
    let mark = read_mark(&storage)?;
    let segments = contiguous_segments(&storage)?;
    let (mut newest, mut last) = (None, true);
    for segment in segments.into_iter().rev() {
        let before = newest;
        let place = if last { Place::Last { durable: mark.map_or(0, |mark| mark.sequence) } } else { Place::Sealed };
        last = false;
        let octets = read_segment(&storage, segment)?;
        let mut verifier = match segment {
            1 => Verifier::new(mark),
            _ => Verifier::starting_at(&read_header(&storage, segment)?, mark),
        };
        verifier.segment(&octets, place, |found| newest = newest.max(epoch_of(found.record)))?;
        if before.is_some() {
            break;
        }
    }
    Ok(newest)
}
