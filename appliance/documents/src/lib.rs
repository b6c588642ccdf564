//! Judges a document as a caller states it, before anything is signed or sent: form of the number, its check digit where
//! it has one, name, dates, nationality, and the agreement of what the number carries with what is stated beside it; and
//! portraits and chip files: that they are whole, of the right kind, and within their limits.
//!
//! A pass is input hygiene and never proof of identity. Pure; the only time it knows is the one it is given.
#![forbid(unsafe_code)]

mod chip;
mod claim;
mod countries;
mod mrz;
mod name;
mod number;
mod portrait;
mod tlv;

use yanqian_vocabulary::Reason;

pub use chip::{MAX_CHIP, read_chip};
pub use claim::{DocumentError, RawDocument, lifetime_number, read_number, validate};
pub use portrait::{MAX_PORTRAIT, read_portrait};

/// A portrait or a file of a chip was refused. Says which and why, never what it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct PartError {
    /// Path of the field, such as `chip.dg1`.
    pub field: &'static str,
    pub reason: Reason,
}
