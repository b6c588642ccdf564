//! The tree over the ledger's records on disk: tiles, checkpoints, and the proofs that receipts carry.
//!
//! It follows the ledger and is never in its way: it reads the leaf hashes of durable records from the segments, as any other
//! reader could, and writes files of its own. What it has is in the tiles, so a restart reads the last tiles and not the
//! ledger; the root that they give must be that of the last checkpoint. Tiles that are damaged are made again from the
//! segments, and must then give that root too. `docs/ledger-format.md` describes every file.
//!
//! A checkpoint is made in three steps, each durable before the next: the tiles ([`TreeKeeper::advance`], which also proves
//! that the tree grew out of the last checkpoint's), the signature (the caller's, in the token), and the checkpoint itself,
//! kept and then published ([`TreeKeeper::publish`]). Nothing that is published can go back.

mod anchors;
mod checkpoints;
mod files;
mod follow;
mod keeper;
mod keys;
mod prove;
mod tiles;
mod witnessed;

use std::io;
use std::path::PathBuf;

use yanqian_evidence::{CheckpointError, FrameError, ProofError};

use crate::error::OpenError;

pub use anchors::Anchors;
pub use checkpoints::Checkpoints;
pub use keeper::TreeKeeper;
pub use prove::{ProvenTree, prove_tree};
pub use tiles::TileReader;
pub use witnessed::{Cosigned, Witness, WitnessError};

/// Where a tree's files are.
#[derive(Debug, Clone)]
pub struct TreePlaces {
    /// The ledger's segments.
    pub ledger: PathBuf,
    /// `tile/` and `checkpoint`: what a file server may serve.
    pub tree: PathBuf,
    /// Every checkpoint of this node.
    pub checkpoints: PathBuf,
}

impl TreePlaces {
    /// `ledger/`, `tree/` and `checkpoints/` in the state directory.
    pub fn in_state(state: &std::path::Path) -> Self {
        let [ledger, tree, checkpoints] = ["ledger", "tree", "checkpoints"].map(|name| state.join(name));
        Self { ledger, tree, checkpoints }
    }
}

/// Why the tree cannot go on. The ledger itself goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("{}: {source}", file.display())]
    Io { file: PathBuf, source: io::Error },
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// A record that the ledger said is durable is not where it belongs.
    #[error("segment {segment}, offset {offset}: {error}")]
    Frame { segment: u64, offset: u64, error: FrameError },
    #[error("segment {segment}, offset {offset}: sequence {found} where {expected} belongs")]
    Sequence { segment: u64, offset: u64, expected: u64, found: u64 },
    #[error("segment {segment}, offset {offset}: not a record of this ledger")]
    Record { segment: u64, offset: u64 },
    /// A file of the tree is missing, or not as long as its name says.
    #[error("{}: not a tile of this tree", .0.display())]
    Tile(PathBuf),
    #[error("{}: {error}", file.display())]
    Checkpoint { file: PathBuf, error: CheckpointError },
    #[error("{}: a checkpoint of another ledger or size", .0.display())]
    OtherCheckpoint(PathBuf),
    /// The file of public keys beside the checkpoints is not as it was written.
    #[error("{}: not a list of checkpoint keys", .0.display())]
    Keys(PathBuf),
    /// The ledger is older than what was signed of it.
    #[error(
        "the ledger ends with record {ledger}, and a checkpoint of {checkpoint} records was signed: it was rolled back"
    )]
    RolledBack { ledger: u64, checkpoint: u64 },
    /// The ledger is not the one that was signed.
    #[error("the ledger's first {0} records are not those that a checkpoint was signed over: it was forked or changed")]
    Forked(u64),
    #[error("the tree of {new} records did not grow out of that of {old}: {error}")]
    Inconsistent { old: u64, new: u64, error: ProofError },
}

impl TreeError {
    /// Stable code for metric labels.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Ledger(error) => error.code(),
            Self::Frame { .. } | Self::Sequence { .. } | Self::Record { .. } => "ledger",
            Self::Tile(_) => "tile",
            Self::Checkpoint { .. } | Self::OtherCheckpoint(_) | Self::Keys(_) => "checkpoint",
            Self::RolledBack { .. } => "rolled-back",
            Self::Forked(_) => "forked",
            Self::Inconsistent { .. } => "inconsistent",
        }
    }

    /// Whether another ledger stands here than the one that was signed: nothing that can pass by itself.
    pub const fn is_of_another_history(&self) -> bool {
        matches!(self, Self::RolledBack { .. } | Self::Forked(_) | Self::Inconsistent { .. })
    }
}
