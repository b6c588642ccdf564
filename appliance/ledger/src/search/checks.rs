//! A check as its records tell it, from the first to the last.

use std::collections::BTreeMap;

use yanqian_evidence::{Body, Decision, Search};
use yanqian_vocabulary::{
    CallerId, DocumentType, Mode, PurposeCode, Reason, RuleId, Timestamp, Verdict, VerificationId,
};

use crate::error::OpenError;
use crate::read::Entry;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Verdict(Verdict),
    Refused(Reason),
    /// A crash cut it off, and a later start said so.
    CutOff,
    /// Under way, or cut off by a crash that no start has followed.
    Open,
}

impl End {
    /// Whether nobody here knows what the platform decided.
    pub const fn is_unknown(self) -> bool {
        matches!(self, Self::CutOff | Self::Open | Self::Refused(Reason::OutcomeUnknown))
    }

    /// `match` and the other verdicts, `refused`, `unknown` or `open`.
    pub const fn verdict(self) -> &'static str {
        match self {
            Self::Verdict(verdict) => verdict.as_str(),
            Self::CutOff | Self::Refused(Reason::OutcomeUnknown) => "unknown",
            Self::Refused(_) => "refused",
            Self::Open => "open",
        }
    }

    /// The reason of an end that is no verdict.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Refused(reason) => Some(reason.code()),
            Self::CutOff => Some(Reason::OutcomeUnknown.code()),
            Self::Verdict(_) | Self::Open => None,
        }
    }
}

/// What a check's first record says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub verification: VerificationId,
    pub caller: CallerId,
    pub mode: Mode,
    /// None in a refusal of a purpose that the agreement does not list.
    pub purpose: Option<PurposeCode>,
    pub document_type: Option<DocumentType>,
    pub rule: Option<RuleId>,
    /// When the request's head had been read.
    pub received: Timestamp,
    /// Only in intents.
    pub search: Option<Search>,
    /// Why it ended at once.
    pub refused: Option<Reason>,
}

impl Head {
    /// Of an intent or a refusal; nothing else begins a check.
    pub fn of(body: &Body) -> Option<Self> {
        match body {
            Body::Intent(intent) => Some(Self {
                verification: intent.verification,
                caller: intent.caller.clone(),
                mode: intent.mode,
                purpose: Some(intent.purpose.clone()),
                document_type: Some(intent.document_type),
                rule: Some(intent.rule.clone()),
                received: intent.received,
                search: intent.search,
                refused: None,
            }),
            Body::Refusal(refusal) => Some(Self {
                verification: refusal.verification,
                caller: refusal.caller.clone(),
                mode: refusal.mode,
                purpose: refusal.purpose.clone(),
                document_type: refusal.document_type,
                rule: refusal.rule.clone(),
                received: refusal.received,
                search: None,
                refused: Some(refusal.reason),
            }),
            _ => None,
        }
    }
}

/// The sequence of the intent that a record ends, and how.
pub(super) fn end_of(body: &Body) -> Option<(u64, End)> {
    match body {
        Body::Outcome(outcome) => Some((
            outcome.intent,
            match &outcome.decision {
                Decision::Verdict { overall, .. } => End::Verdict(*overall),
                Decision::Refused { reason } => End::Refused(*reason),
            },
        )),
        Body::OutcomeUnknown(unknown) => Some((unknown.intent, End::CutOff)),
        _ => None,
    }
}

/// A check with its records.
#[derive(Debug, Clone)]
pub struct Check {
    pub head: Head,
    pub end: End,
    /// Its intent, or its refusal when it had none.
    pub first: Entry,
    /// Where it took more than one request.
    pub exchanges: Vec<Entry>,
    /// What ended it after an intent.
    pub last: Option<Entry>,
}

impl Check {
    /// Of a check's first record; none of any other.
    pub(super) fn begin(first: Entry) -> Option<Self> {
        let head = Head::of(&first.record.body)?;
        let end = head.refused.map_or(End::Open, End::Refused);
        Some(Self { head, end, first, exchanges: Vec::new(), last: None })
    }

    /// Takes a later record of the same check.
    pub(super) fn follow(&mut self, entry: Entry) {
        match end_of(&entry.record.body) {
            Some((_, end)) => (self.end, self.last) = (end, Some(entry)),
            None => self.exchanges.push(entry),
        }
    }

    /// Its records in their order.
    pub fn records(&self) -> impl Iterator<Item = &Entry> {
        std::iter::once(&self.first).chain(&self.exchanges).chain(&self.last)
    }
}

/// Puts a ledger's records together and gives each check when it ends; those still open come last, oldest first. Records
/// that belong to no check go to `other`.
pub fn walk(
    records: impl IntoIterator<Item = Result<Entry, OpenError>>,
    mut visit: impl FnMut(Check),
    mut other: impl FnMut(&Entry),
) -> Result<(), OpenError> {
    let mut open: BTreeMap<u64, Check> = BTreeMap::new();
    for entry in records {
        let entry = entry?;
        let sequence = entry.record.sequence;
        let intent = match &entry.record.body {
            Body::Exchange(exchange) => exchange.intent,
            body => end_of(body).map_or(sequence, |(intent, _)| intent),
        };
        if let Some(mut check) = open.remove(&intent) {
            check.follow(entry);
            if check.last.is_some() { visit(check) } else { drop(open.insert(intent, check)) }
        } else if Head::of(&entry.record.body).is_none() {
            other(&entry);
        } else if let Some(check) = Check::begin(entry) {
            if check.end == End::Open { drop(open.insert(sequence, check)) } else { visit(check) }
        }
    }
    open.into_values().for_each(visit);
    Ok(())
}
