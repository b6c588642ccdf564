//! Judges a document as a caller states it, before anything is signed or sent: form of the number, its check digit where
//! it has one, name, dates, nationality, and the agreement of what the number carries with what is stated beside it; and
//! portraits and chip files: that they are whole, of the right kind, and within their limits.
//!
//! A pass is input hygiene: a check of form, never a verification and never proof of identity. What does not hold is refused; nothing
//! is folded, completed or repaired. Pure; the only time it knows is the one it is given.
#![forbid(unsafe_code)]

mod check;
mod chip;
mod claim;
mod countries;
mod credit_code;
mod lds;
mod mrz;
mod name;
mod number;
mod portrait;
mod tlv;

use yanqian_vocabulary::Reason;

pub use chip::{MAX_CHIP, RawChip, Stated, read_chip};
pub use claim::{DocumentError, RawDocument, lifetime_number, read_number, validate};
pub use credit_code::{CreditCodeError, check_credit_code};
pub use lds::listed_data_groups;
pub use portrait::{MAX_PORTRAIT, read_portrait};

/// A portrait, a file of a chip, or what is stated beside one was refused. Says which and why, never what it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct PartError {
    /// Path of the field, such as `chip.dg1`.
    pub field: &'static str,
    pub reason: Reason,
    /// The rule that does not hold, in a sentence, where there is more to say than the reason does.
    pub rule: Option<&'static str>,
}

impl PartError {
    const fn new(field: &'static str, reason: Reason) -> Self {
        Self { field, reason, rule: None }
    }
}
