//! What the ledger keeps and how it stands in octets. No I/O, no clock, no randomness: a second reader could be written
//! from this crate's module documents and `docs/ledger-format.md` alone.
//!
//! - [`Record`]: one entry, deterministic CBOR. No field can take text from a request, so no personal data can get in
//!   (I8); what was asked stands there only as a search tag and a commitment.
//! - [`hash`]: RFC 6962 leaves and nodes with SM3, and the chain.
//! - [`segment`] and [`frame`]: how records lie in a file. [`mark`]: what a node knows to be durable.
//! - [`proof`] and [`tile`]: that a record is in the tree and that one tree grew into another, and where the tree's hashes lie.
//!   [`checkpoint`]: what a node signs of its tree.
//! - [`commitment`]: what a record commits to. [`receipt`]: the evidence of one check in one file.
//! - [`Verifier`]: reads segments in order and proves all of the above, or says exactly where it does not hold (I5).
#![forbid(unsafe_code)]

mod cbor;
pub mod checkpoint;
pub mod commitment;
mod context;
mod exchange;
pub mod frame;
pub mod hash;
mod intent;
pub mod mark;
mod operation;
mod outcome;
pub mod proof;
pub mod receipt;
mod record;
mod search;
pub mod segment;
pub mod tile;
pub mod verify;
mod word;

pub use checkpoint::{Checkpoint, CheckpointError, CheckpointKey, SignatureLine, SignedCheckpoint};
pub use commitment::commitment;
pub use context::Context;
pub use exchange::{Exchange, NextRequest};
pub use frame::{Frame, FrameError};
pub use hash::{ChainValue, IdempotencyTag, LeafHash, RootHash, SegmentHash, SignedDigest, Tree};
pub use intent::{Intent, Search, ToBeSigned};
pub use mark::Mark;
pub use operation::{Aggregate, Management, Rejected, Shed};
pub use outcome::{
    Answer, Decision, Outcome, OutcomeUnknown, Refusal, RequestSignature, Revocation, RevocationKind, Signer, Step,
    Times,
};
pub use proof::{Consistency, Inclusion, Nodes, ProofError};
pub use receipt::{Anchor, Receipt, ReceiptError};
pub use record::{Body, Kind, MAX_RECORD, Record, RecordError, Schema, encode};
pub use search::search_tag;
pub use segment::{HeaderError, SegmentHeader};
pub use tile::Tile;
pub use verify::{Defect, Summary, Verifier, VerifyError};
pub use word::{Der, Label, Octets, Origin, PlatformSerial, SoftwareVersion, WordError};
