//! What is looked for, and whether a check is it.

use std::path::Path;

use yanqian_evidence::Search;
use yanqian_vocabulary::{CallerId, Mode, PurposeCode, Timestamp, VerificationId};

use super::checks::{Check, walk};
use crate::error::OpenError;
use crate::read::read_records;

/// Conditions that must all hold; none of them is met by every check.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The document's tag in each epoch whose key is there. An empty list is met by no check.
    pub tags: Option<Vec<Search>>,
    pub verification: Option<VerificationId>,
    pub caller: Option<CallerId>,
    pub purpose: Option<PurposeCode>,
    pub mode: Option<Mode>,
    pub end: Option<Wanted>,
    /// Received at this time or later.
    pub from: Option<Timestamp>,
    /// Received before this time.
    pub until: Option<Timestamp>,
}

/// How the checks that are looked for ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// `match` and the other verdicts, `refused`, `unknown` or `open`: see [`super::End::verdict`].
    Verdict(String),
    /// A reason's code.
    Reason(String),
}

fn meets<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
    wanted.is_none_or(|wanted| found == Some(wanted))
}

impl Query {
    /// Whether a check meets all conditions.
    pub fn is_met_by(&self, check: &Check) -> bool {
        let head = &check.head;
        let end = match &self.end {
            None => true,
            Some(Wanted::Verdict(verdict)) => check.end.verdict() == verdict,
            Some(Wanted::Reason(reason)) => check.end.reason() == Some(reason),
        };
        end && self.tags.as_ref().is_none_or(|tags| head.search.is_some_and(|search| tags.contains(&search)))
            && meets(self.verification.as_ref(), Some(&head.verification))
            && meets(self.caller.as_ref(), Some(&head.caller))
            && meets(self.purpose.as_ref(), head.purpose.as_ref())
            && meets(self.mode.as_ref(), Some(&head.mode))
            && self.from.is_none_or(|from| head.received >= from)
            && self.until.is_none_or(|until| head.received < until)
    }
}

/// Reads the whole ledger, proving it, and gives the checks that a query is met by, in the order in which they ended.
pub fn scan(directory: &Path, query: &Query, mut visit: impl FnMut(Check)) -> Result<(), OpenError> {
    let met = |check: Check| {
        if query.is_met_by(&check) {
            visit(check);
        }
    };
    walk(read_records(directory)?, met, |_| {})
}
