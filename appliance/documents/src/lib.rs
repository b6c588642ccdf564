//! Judges a document as a caller states it, before anything is signed or sent: form of the number, its check digit where
//! it has one, name, dates, nationality, and the agreement of what the number carries with what is stated beside it.
//!
//! A pass is input hygiene and never proof of identity. Pure; the only time it knows is the one it is given.
#![forbid(unsafe_code)]

mod claim;
mod countries;
mod name;
mod number;

pub use claim::{DocumentError, RawDocument, lifetime_number, validate};
