use std::fmt;

use yanqian_vocabulary::Timestamp;

use crate::frame::FrameError;
use crate::record::RecordError;
use crate::segment::HeaderError;

/// What does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    #[error("{0}")]
    Header(#[from] HeaderError),
    #[error("segment {expected} belongs here, the header says {found}")]
    SegmentNumber { expected: u64, found: u64 },
    #[error("the segment belongs to another node or ledger")]
    OtherLedger,
    #[error("the segment should begin with sequence {expected}, its header says {found}")]
    FirstSequence { expected: u64, found: u64 },
    #[error("the header does not name the chain value at the end of the segment before")]
    PreviousChain,
    #[error("the header does not name the hash of the segment before")]
    PreviousSegment,
    #[error("the file does not have the hash that the next segment's header names")]
    FileHash,
    #[error("the header's oldest open intent is {found}, it should be {expected}")]
    OldestOpen { expected: u64, found: u64 },
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// Not a torn tail: what is broken here was acknowledged.
    #[error("{0}, and this record was already durable")]
    AcknowledgedFrame(FrameError),
    #[error("sequence {expected} belongs here, the frame says {found}")]
    Sequence { expected: u64, found: u64 },
    #[error("the frame's durable sequence {found} is not between {least} and its own")]
    Durable { least: u64, found: u64 },
    #[error("the leaf hash is not that of the record")]
    LeafHash,
    #[error("the chain value does not follow from the record before")]
    Chain,
    #[error("{0}")]
    Record(#[from] RecordError),
    #[error("the record's own sequence is {found}")]
    RecordSequence { found: u64 },
    #[error("the record's time {found} is before {before} of the record before it")]
    Time { before: Timestamp, found: Timestamp },
    #[error("the record names another node than the segment")]
    RecordNode,
    #[error("the record continues or ends the check of intent {intent}, which is not open")]
    IntentNotOpen { intent: u64 },
    #[error("the record and its intent {intent} name different verifications")]
    OtherVerification { intent: u64 },
    #[error("the record does not name {expected:?} as the exchange of intent {intent} that it follows")]
    OtherExchange { intent: u64, expected: Option<u64> },
    #[error("records up to sequence {durable} were durable, and the ledger ends before")]
    Lost { durable: u64 },
    #[error("the durable mark names another place or chain value for this record")]
    Mark,
}

impl Defect {
    /// Stable code for labels and reports.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Header(_) => "segment-header",
            Self::SegmentNumber { .. } => "segment-number",
            Self::OtherLedger => "other-ledger",
            Self::FirstSequence { .. } => "first-sequence",
            Self::PreviousChain => "previous-chain",
            Self::PreviousSegment => "previous-segment",
            Self::FileHash => "file-hash",
            Self::OldestOpen { .. } => "oldest-open",
            Self::Frame(_) => "frame",
            Self::AcknowledgedFrame(_) => "acknowledged-frame",
            Self::Sequence { .. } => "sequence",
            Self::Durable { .. } => "durable",
            Self::LeafHash => "leaf-hash",
            Self::Chain => "chain",
            Self::Record(_) => "record",
            Self::RecordSequence { .. } => "record-sequence",
            Self::Time { .. } => "time",
            Self::RecordNode => "record-node",
            Self::IntentNotOpen { .. } => "intent-not-open",
            Self::OtherVerification { .. } => "other-verification",
            Self::OtherExchange { .. } => "other-exchange",
            Self::Lost { .. } => "lost",
            Self::Mark => "mark",
        }
    }
}

/// A defect and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyError {
    /// The segment's number in its place, whatever its header says.
    pub segment: u64,
    /// Octets from the start of the file.
    pub offset: u64,
    /// The sequence that belongs at that place; `None` in a header.
    pub sequence: Option<u64>,
    pub defect: Defect,
}

impl VerifyError {
    pub const fn code(&self) -> &'static str {
        self.defect.code()
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {}, offset {}", self.segment, self.offset)?;
        if let Some(sequence) = self.sequence {
            write!(f, ", sequence {sequence}")?;
        }
        write!(f, ": {}", self.defect)
    }
}

impl std::error::Error for VerifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.defect)
    }
}
