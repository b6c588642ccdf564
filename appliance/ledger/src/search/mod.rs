//! Finding records again: keys by epoch, checks put together from their records, an index, and counts.
//!
//! Nothing here is evidence. The index is made from the ledger, holds nothing that the ledger does not, and is believed
//! only as far as the records that it leads to; whatever it does not lead to, a reading of the ledger itself finds.

mod checks;
mod epochs;
mod index;
mod keys;
mod query;
mod report;
mod tail;

pub use checks::{Check, End, walk};
pub use epochs::{epoch_of, newest_epoch};
pub use index::{Index, IndexError, Indexed};
pub use keys::{Destroyed, Epoch, EpochKey, KeyError, KeyRing};
pub use query::{Query, Wanted, scan};
pub use report::{Column, Counts, Report, Row, TurnedAway};
