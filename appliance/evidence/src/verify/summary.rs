use std::collections::BTreeMap;

use yanqian_vocabulary::{Reason, Timestamp, Verdict};

use crate::hash::{ChainValue, RootHash};
use crate::outcome::Decision;
use crate::record::{Body, Kind, Record};

/// Counts of what was read. Metrics and these agree (I10).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub kinds: BTreeMap<Kind, u64>,
    /// Outcomes with a verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Outcomes and refusals with a reason; unknown outcomes of a crash are under `outcome-unknown`.
    pub reasons: BTreeMap<Reason, u64>,
}

impl Counts {
    pub(super) fn add(&mut self, record: &Record) {
        *self.kinds.entry(record.body.kind()).or_default() += 1;
        let reason = match &record.body {
            Body::Outcome(outcome) => match &outcome.decision {
                Decision::Verdict { overall, .. } => {
                    *self.verdicts.entry(*overall).or_default() += 1;
                    return;
                }
                Decision::Refused { reason } => *reason,
            },
            Body::Refusal(refusal) => refusal.reason,
            Body::OutcomeUnknown(_) => Reason::OutcomeUnknown,
            Body::Intent(_) | Body::Exchange(_) | Body::Aggregate(_) | Body::Management(_) => return,
        };
        *self.reasons.entry(reason).or_default() += 1;
    }
}

/// What was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub segments: u64,
    pub records: u64,
    /// Sequence of the last record, 0 for none.
    pub last_sequence: u64,
    pub first_time: Option<Timestamp>,
    pub last_time: Option<Timestamp>,
    /// RFC 6962 tree hash with SM3 over all leaves read.
    pub root: RootHash,
    /// The chain's value after the last record.
    pub chain: ChainValue,
    pub counts: Counts,
    /// Intents without an outcome: checks under way, or left open by a crash.
    pub open_intents: u64,
}
