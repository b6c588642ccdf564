//! Counts of checks for those who have to answer for them: what each caller asked, for which purpose, when, and how it ended
//! (Measures art. 9, 12 to 14), and what an issuer is told of the use of its certificates (Henan measures on electronic
//! licences, art. 27). Read from the ledger itself, which is proven meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use yanqian_evidence::{Aggregate, Body};
use yanqian_vocabulary::{DocumentType, PurposeCode, Reason, RuleId, Timestamp, Verdict};

use super::checks::{Check, End, walk};
use crate::error::OpenError;
use crate::read::read_records;

/// By what checks are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    Caller,
    Purpose,
    Mode,
    /// The day in Asia/Shanghai on which the request came.
    Day,
    DocumentType,
    Rule,
    Verdict,
    Reason,
}

/// A word that is no column's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected caller, purpose, mode, day, document-type, rule, verdict or reason")]
pub struct UnknownColumn;

impl Column {
    pub const ALL: [Self; 8] = [
        Self::Caller,
        Self::Purpose,
        Self::Mode,
        Self::Day,
        Self::DocumentType,
        Self::Rule,
        Self::Verdict,
        Self::Reason,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Purpose => "purpose",
            Self::Mode => "mode",
            Self::Day => "day",
            Self::DocumentType => "document-type",
            Self::Rule => "rule",
            Self::Verdict => "verdict",
            Self::Reason => "reason",
        }
    }

    /// Empty where the check has none.
    fn of(self, check: &Check) -> String {
        let head = &check.head;
        match self {
            Self::Caller => head.caller.to_string(),
            Self::Purpose => head.purpose.as_ref().map_or("", PurposeCode::as_str).to_owned(),
            Self::Mode => head.mode.to_string(),
            Self::Day => day(head.received),
            Self::DocumentType => head.document_type.map_or("", DocumentType::as_str).to_owned(),
            Self::Rule => head.rule.as_ref().map_or("", RuleId::as_str).to_owned(),
            Self::Verdict => check.end.verdict().to_owned(),
            Self::Reason => check.end.reason().unwrap_or_default().to_owned(),
        }
    }
}

impl FromStr for Column {
    type Err = UnknownColumn;

    fn from_str(text: &str) -> Result<Self, UnknownColumn> {
        Self::ALL.into_iter().find(|column| column.as_str() == text).ok_or(UnknownColumn)
    }
}

/// Milliseconds by which clocks in Asia/Shanghai are ahead; they are not changed since 1991.
const SHANGHAI: i64 = 8 * 3_600_000;

/// `yyyy-MM-dd` in Asia/Shanghai.
fn day(time: Timestamp) -> String {
    time.plus_millis(SHANGHAI).to_utc().date().to_string()
}

/// How many checks, and how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub checks: u64,
    /// Of these, with an intent: the agreement allowed them, and the platform may have been asked.
    pub allowed: u64,
    pub matches: u64,
    pub mismatches: u64,
    pub not_found: u64,
    pub undecided: u64,
    /// Before or after an intent, except for unknown ends.
    pub refused: u64,
    /// Sent, and nobody here knows what the platform decided.
    pub unknown: u64,
    /// Without an end.
    pub open: u64,
}

impl Counts {
    fn add(&mut self, check: &Check) {
        self.checks += 1;
        self.allowed += u64::from(check.head.refused.is_none());
        let count = match check.end {
            End::Verdict(Verdict::Match) => &mut self.matches,
            End::Verdict(Verdict::Mismatch) => &mut self.mismatches,
            End::Verdict(Verdict::NotFound) => &mut self.not_found,
            End::Verdict(Verdict::Undecided) => &mut self.undecided,
            End::Open => &mut self.open,
            End::CutOff | End::Refused(Reason::OutcomeUnknown) => &mut self.unknown,
            End::Refused(_) => &mut self.refused,
        };
        *count += 1;
    }

    /// Each count with its name, in the order in which reports show them.
    pub const fn named(&self) -> [(&'static str, u64); 9] {
        [
            ("checks", self.checks),
            ("allowed", self.allowed),
            ("match", self.matches),
            ("mismatch", self.mismatches),
            ("not-found", self.not_found),
            ("undecided", self.undecided),
            ("refused", self.refused),
            ("unknown", self.unknown),
            ("open", self.open),
        ]
    }
}

/// A row: its words in the order of the columns, and its counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub words: Vec<String>,
    pub counts: Counts,
}

/// What was turned away before any decision, of which only aggregates tell: no caller and no purpose is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnedAway {
    /// Of the end of the aggregate's minute.
    pub day: String,
    /// `rejected` before authentication, or `shed`.
    pub kind: &'static str,
    pub cause: String,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub columns: Vec<Column>,
    /// By their words, ascending.
    pub rows: Vec<Row>,
    pub total: Counts,
    pub turned_away: Vec<TurnedAway>,
}

impl Report {
    /// Counts the checks that were received from `from` on and before `until`.
    pub fn make(
        directory: &Path,
        columns: &[Column],
        from: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Self, OpenError> {
        let within = |time: Timestamp| from.is_none_or(|from| time >= from) && until.is_none_or(|until| time < until);
        let mut rows: BTreeMap<Vec<String>, Counts> = BTreeMap::new();
        let mut total = Counts::default();
        let mut away = BTreeMap::new();
        let count = |check: Check| {
            if within(check.head.received) {
                rows.entry(columns.iter().map(|column| column.of(&check)).collect()).or_default().add(&check);
                total.add(&check);
            }
        };
        walk(read_records(directory)?, count, |entry| {
            if let Body::Aggregate(aggregate) = &entry.record.body
                && within(aggregate.until)
            {
                turned_away(aggregate, &mut away);
            }
        })?;
        let turned_away =
            away.into_iter().map(|((day, kind, cause), count)| TurnedAway { day, kind, cause, count }).collect();
        let rows = rows.into_iter().map(|(words, counts)| Row { words, counts }).collect();
        Ok(Self { columns: columns.to_vec(), rows, total, turned_away })
    }
}

fn turned_away(aggregate: &Aggregate, away: &mut BTreeMap<(String, &'static str, String), u64>) {
    let rejected = aggregate.rejected.iter().map(|entry| ("rejected", entry.cause.as_str(), entry.count));
    let shed = aggregate.shed.iter().map(|entry| ("shed", entry.reason.code(), entry.count));
    for (kind, cause, count) in rejected.chain(shed) {
        *away.entry((day(aggregate.until), kind, cause.to_owned())).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_shanghai() {
        let time = |text: &str| Timestamp::from_rfc3339(text).expect("a time");
        assert_eq!(day(time("2026-11-26T15:59:59.999Z")), "2026-11-26");
        assert_eq!(day(time("2026-11-26T16:00:00.000Z")), "2026-11-27");
        assert_eq!(day(time("2024-02-28T16:00:00Z")), "2024-02-29");
    }

    #[test]
    fn columns_are_read_by_their_names() {
        for column in Column::ALL {
            assert_eq!(column.as_str().parse(), Ok(column));
        }
        assert_eq!("colour".parse::<Column>(), Err(UnknownColumn));
    }
}
