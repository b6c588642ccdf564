use std::io;

use yanqian_evidence::VerifyError;
use yanqian_evidence::verify::Tail;

/// Why a record was not appended. Nothing may be signed or answered on any of these (I1, I2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The queue is full: shed, and try again later.
    #[error("too many records wait for the disk")]
    Busy,
    /// The disk did not take the record in time. It may still become durable; an intent then gets an outcome that says
    /// that nothing was signed.
    #[error("the disk was too slow")]
    Slow,
    /// The disk is full: no new intent is taken; the reserve still carries outcomes and refusals.
    #[error("the disk is full; no new check is taken")]
    Full,
    /// A write, a sync or a file of the ledger failed. Nothing is appended until it has been opened again.
    #[error("the ledger failed and must be opened again")]
    Failed,
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
    /// The record's encoding has more than [`yanqian_evidence::MAX_RECORD`] octets.
    #[error("the record is too large")]
    TooLarge,
    /// An exchange or outcome for an intent that is not open: it never existed, or its check has already ended.
    #[error("the record's intent is not open")]
    IntentNotOpen,
    /// An outcome that does not name the last exchange of its intent.
    #[error("the outcome does not name the exchange that it follows")]
    OtherExchange,
    /// The record names another node than this ledger's.
    #[error("the record names another node")]
    OtherNode,
}

impl LedgerError {
    /// Stable code for metric labels.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Slow => "slow",
            Self::Full => "full",
            Self::Failed => "failed",
            Self::Closed => "closed",
            Self::TooLarge => "too-large",
            Self::IntentNotOpen => "intent-not-open",
            Self::OtherExchange => "other-exchange",
            Self::OtherNode => "other-node",
        }
    }
}

/// Why a ledger's directory was not opened, or not verified.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
    #[error("another process has this ledger open")]
    Locked,
    /// A segment file between the first and the last, or one that the durable mark names, is not there.
    #[error("segment {0} is missing")]
    SegmentMissing(u64),
    #[error("the directory holds the ledger of another node or origin")]
    OtherLedger,
    #[error(transparent)]
    Damaged(#[from] VerifyError),
    /// Octets stand after the last whole record, and the durable mark, which would tell whether they were
    /// acknowledged, is not there. They are not cut.
    #[error("segment {}, offset {}: {} octets are no record, and durable.mark is missing", .0.segment, .0.offset, .0.octets)]
    TailWithoutMark(Tail),
    /// A slot of the mark is neither empty nor whole. A power failure may leave one so until the next start writes it anew.
    #[error("durable.mark, slot {0}: not as it was written")]
    MarkDamaged(usize),
    /// A line of the list of exported segments, counted from 1, is not as it was written.
    #[error("exported, line {0}: not as it was written")]
    ExportedDamaged(usize),
    /// A segment cannot be removed here, or noted as exported; the text says why.
    #[error("segment {segment}: {why}")]
    NotRemovable { segment: u64, why: &'static str },
    #[error("segment {segment} of {octets} octets is larger than any that this program writes")]
    SegmentTooLarge { segment: u64, octets: u64 },
}

impl OpenError {
    /// Stable code for labels and reports.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Locked => "locked",
            Self::SegmentMissing(_) => "segment-missing",
            Self::OtherLedger => "other-ledger",
            Self::Damaged(error) => error.code(),
            Self::TailWithoutMark(_) => "tail-without-mark",
            Self::MarkDamaged(_) => "mark-damaged",
            Self::ExportedDamaged(_) => "exported-damaged",
            Self::NotRemovable { .. } => "not-removable",
            Self::SegmentTooLarge { .. } => "segment-too-large",
        }
    }
}

/// Names what was being done, for the operator who reads the error.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, OpenError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T, OpenError> {
        self.map_err(|source| OpenError::Io { doing, source })
    }
}
