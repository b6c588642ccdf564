//! How fast a ledger has been growing, from its segments' headers and lengths alone.

use std::path::Path;

use yanqian_vocabulary::Timestamp;

use crate::error::{Doing, OpenError};
use crate::read::{contiguous_segments, open_segment, read_header};
use crate::storage::Directory;

/// Segments that are looked at: the newest.
const SEGMENTS: usize = 32;

/// What was written since a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    pub octets: u64,
    pub since: Timestamp,
}

/// Growth over the newest segments; `None` where there are none. Takes no lock.
pub fn growth(directory: &Path) -> Result<Option<Growth>, OpenError> {
    let storage = Directory::read_only(directory).doing("opening the ledger's directory")?;
    let segments = contiguous_segments(&storage)?;
    let newest = &segments[segments.len().saturating_sub(SEGMENTS)..];
    let Some(first) = newest.first() else { return Ok(None) };
    let since = read_header(&storage, *first)?.created;
    let mut octets = 0;
    for segment in newest {
        let state = open_segment(&storage, *segment)?.state().doing("reading a segment's length")?;
        octets += state.map_or(0, |state| state.length);
    }
    Ok(Some(Growth { octets, since }))
}
