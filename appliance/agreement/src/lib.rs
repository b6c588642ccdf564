//! The agreement as data (Measures arts. 7(4), 9): who may ask, for which purpose, about which documents and fields, and
//! from when until when. Decisions are pure functions of the agreement, the request and a time; what no rule allows is
//! refused.
#![forbid(unsafe_code)]

mod decide;
mod file;
mod model;

pub use decide::{Decision, Request, decide};
pub use file::AgreementError;
pub use model::{Agreement, Caller, CallerError, Parties, Purpose};
