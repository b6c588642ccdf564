//! The agreement as data (Measures arts. 7(4), 9): who may ask, for which purpose, about which documents and fields, how
//! much, from where, and from when until when. Decisions are pure functions of the agreement, the caller, the request, the
//! counters and a time; what no rule allows is refused.
#![forbid(unsafe_code)]

mod book;
mod decide;
mod explain;
mod file;
mod hours;
mod limits;
mod model;
mod network;
mod rate;
mod rules;

pub use book::{Asked, Book, Lease, Scope, Spent, block};
pub use decide::{Decision, decide};
pub use explain::{Explained, Told, explain};
pub use file::AgreementError;
pub use hours::{Hours, HoursError, QuotaDay};
pub use model::{Agreement, Caller, CallerError, Parties, Purpose, Quota};
pub use network::{Network, NetworkError};
pub use rate::{Gate, Rate};
pub use rules::{Counters, Limited, Moment, Request, Source, Standing, rule_names};
