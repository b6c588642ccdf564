//! The ledger on disk: no verdict and no refusal leaves the appliance, and nothing is signed, before its record is
//! durable here (I1, I2).
//!
//! One thread owns the files. Records that wait together are written and synced together, so the disk's sync rate
//! bounds batches, not checks. The queue is bounded: a slow disk sheds load at once instead of hanging. After a failed
//! write or sync nothing is appended until the ledger has been opened again, because what the disk then holds is not
//! known. On a full disk a reserve still carries the ends of checks under way and the refusals of new ones.
//!
//! A restart cuts a torn tail and nothing else: see [`yanqian_evidence::frame`] and [`yanqian_evidence::mark`] for how
//! it tells a tail that nobody was promised from damage. `docs/ledger-format.md` describes every octet.
#![forbid(unsafe_code)]

pub mod archive;
mod config;
mod departure;
mod error;
mod exported;
mod files;
mod growth;
mod ledger;
mod named;
mod place;
mod read;
mod recovery;
pub mod search;
mod sound;
mod stats;
pub mod storage;
pub mod tree;
mod writer;

pub use archive::{Archive, ArchiveError, Archived};
pub use config::{Clock, LedgerConfig};
pub use error::{LedgerError, OpenError};
pub use exported::{Exported, ExportedList, exported};
pub use growth::{Growth, growth};
pub use ledger::{Append, Appended, Ledger};
pub use named::{NamedFiles, each_named};
pub use place::{PlaceError, read_record_at};
pub use read::{
    Absent, Entry, Records, VerifySummary, absent, exported_list, made, read_records, sealed_segment, verify_dir,
    verify_storage,
};
pub use recovery::Recovery;
pub use sound::{Depth, Progress, Sound, sound_dir, sound_storage};
pub use stats::{Failure, LedgerState, Stats};
