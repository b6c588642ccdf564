//! One record by its place, without reading anything else: what a receipt is made from.

use std::path::Path;

use yanqian_evidence::frame::FRAME_HEAD;
use yanqian_evidence::{
    ChainValue, Defect, Frame, FrameError, LeafHash, MAX_RECORD, Record, SegmentHeader, VerifyError,
};

use crate::error::{Doing, OpenError};
use crate::read::{Entry, open_segment, read_mark, read_start};
use crate::recovery::header_error;
use crate::storage::{Directory, StoredFile, wide};

/// Octets of a segment header at most, with room: see [`yanqian_evidence::segment`].
const HEADER_ROOM: usize = 8192;

/// Why a record was not read from its place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// No whole record stands there, and none was ever durable there: the place is beyond what a crash left.
    #[error("no record stands there, and none was acknowledged there")]
    Absent,
    /// A whole record stands there, and it is not the one that was asked for.
    #[error("another record stands there")]
    OtherRecord,
    /// The ledger cannot be read there, or a record that was durable is damaged or missing.
    #[error(transparent)]
    Ledger(#[from] OpenError),
}

/// The octets of the record at `offset` of `segment`, once its frame and hashes have been proven; `leaf` is the hash that
/// the record had when it was appended. Takes no lock. Blocks on the disk.
pub fn read_record_at(directory: &Path, segment: u64, offset: u64, leaf: LeafHash) -> Result<Vec<u8>, PlaceError> {
    let frame = proven_frame(directory, segment, offset)?;
    if frame.leaf == leaf { Ok(frame.record) } else { Err(PlaceError::OtherRecord) }
}

/// As [`read_record_at`], whatever record stands there.
pub(crate) fn read_entry_at(directory: &Path, segment: u64, offset: u64) -> Result<Entry, PlaceError> {
    let OwnedFrame { leaf, record } = proven_frame(directory, segment, offset)?;
    let record = Record::decode(&record).map_err(|error| damaged(segment, offset, error.into()))?;
    Ok(Entry { segment, offset, leaf, record })
}

fn proven_frame(directory: &Path, segment: u64, offset: u64) -> Result<OwnedFrame, PlaceError> {
    let storage = Directory::read_only(directory).doing("opening the ledger's directory")?;
    // The mark first: what is written later can only lie beyond it.
    let mark = read_mark(&storage)?;
    let durable = mark.is_none_or(|mark| mark.segment > segment || (mark.segment == segment && mark.length > offset));
    let missing = |error: OpenError| if durable { PlaceError::Ledger(error) } else { PlaceError::Absent };
    let file = match open_segment(&storage, segment) {
        Err(error @ OpenError::SegmentMissing(_)) => return Err(missing(error)),
        result => result?,
    };
    let frame = read_frame(&*file, segment, offset)?
        .map_err(|error| missing(damaged(segment, offset, Defect::AcknowledgedFrame(error))))?;
    if frame.leaf != LeafHash::of_record(&frame.record) {
        return Err(PlaceError::Ledger(damaged(segment, offset, Defect::LeafHash)));
    }
    Ok(frame)
}

struct OwnedFrame {
    leaf: LeafHash,
    record: Vec<u8>,
}

/// The frame at `offset`, or why there is none.
fn read_frame(file: &dyn StoredFile, segment: u64, offset: u64) -> Result<Result<OwnedFrame, FrameError>, OpenError> {
    const DOING: &str = "reading a record";
    let head = read_start(file, 0, HEADER_ROOM).doing(DOING)?;
    let header = SegmentHeader::decode(&head).map_err(|error| header_error(segment, error))?;
    let start = ChainValue::of_header(&head[..header.1]);
    if offset < wide(header.1) {
        return Ok(Err(FrameError::Length));
    }
    // No file is so long, and the system call would take the offset for a negative one.
    if i64::try_from(offset.saturating_add(wide(FRAME_HEAD))).is_err() {
        return Ok(Err(FrameError::Short));
    }
    let mut octets = read_start(file, offset, FRAME_HEAD).doing(DOING)?;
    if let Some(length) = octets.first_chunk().map(|length| u32::from_be_bytes(*length)) {
        // An impossible length stays for the frame's own reader to name.
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_RECORD);
        octets.extend(read_start(file, offset.saturating_add(wide(FRAME_HEAD)), length).doing(DOING)?);
    }
    Ok(Frame::read(start, &octets).map(|frame| OwnedFrame { leaf: frame.leaf, record: frame.record.to_vec() }))
}

fn damaged(segment: u64, offset: u64, defect: Defect) -> OpenError {
    VerifyError { segment, offset, sequence: None, defect }.into()
}
