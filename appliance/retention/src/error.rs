use yanqian_evidence::{CheckpointError, ProofError, VerifyError};
use yanqian_ledger::OpenError;
use yanqian_ledger::tree::TreeError;

use crate::name::Name;
use crate::seal::ObjectError;

/// Why something was not done with the archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Settings that cannot be used: the key of `[retention]` and what is wrong.
    #[error("key `retention.{key}`: {problem}")]
    Setting { key: &'static str, problem: String },
    #[error("{doing} {name}: {problem}")]
    Store { doing: &'static str, name: String, problem: String },
    #[error("{doing} {name}: no answer in time")]
    Slow { doing: &'static str, name: String },
    #[error("{name}: {error}")]
    Object { name: Name, error: ObjectError },
    /// Objects are never overwritten.
    #[error("{0}: an object with other content is there already")]
    Differs(Name),
    #[error("{0}: is not in the archive")]
    Absent(Name),
    /// A certificate, list or response that the segment's records name is not whole beside the ledger.
    #[error("segment {segment} names {name}, and the node does not have it: {problem}")]
    Evidence { segment: u64, name: Name, problem: String },
    #[error("no checkpoint covers segment {0} yet")]
    NotCovered(u64),
    #[error("segment {segment}: {error}")]
    Segment { segment: u64, error: VerifyError },
    #[error("segment {0} does not go on from the one before it")]
    Chain(u64),
    #[error("proofs/{segment:08}.yqa: {problem}")]
    Proof { segment: u64, problem: String },
    #[error("no hold {0} is in force")]
    NoHold(u64),
    #[error("holds {0}")]
    Hold(String),
    #[error(transparent)]
    Ledger(#[from] OpenError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("{file}: {source}")]
    Io { file: String, source: std::io::Error },
}

impl ArchiveError {
    /// Stable code for metric labels.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "setting",
            Self::Store { .. } => "store",
            Self::Slow { .. } => "slow",
            Self::Object { error, .. } => error.code(),
            Self::Differs(_) => "differs",
            Self::Absent(_) => "absent",
            Self::Evidence { .. } => "evidence",
            Self::NotCovered(_) => "not-covered",
            Self::Segment { error, .. } => error.code(),
            Self::Chain(_) => "chain",
            Self::Proof { .. } => "proof",
            Self::NoHold(_) | Self::Hold(_) => "hold",
            Self::Ledger(error) => error.code(),
            Self::Tree(error) => error.code(),
            Self::Io { .. } => "io",
        }
    }

    pub(crate) fn proof(segment: u64, problem: impl std::fmt::Display) -> Self {
        Self::Proof { segment, problem: problem.to_string() }
    }
}

impl From<(u64, ProofError)> for ArchiveError {
    fn from((segment, error): (u64, ProofError)) -> Self {
        Self::proof(segment, error)
    }
}

impl From<(u64, CheckpointError)> for ArchiveError {
    fn from((segment, error): (u64, CheckpointError)) -> Self {
        Self::proof(segment, error)
    }
}
