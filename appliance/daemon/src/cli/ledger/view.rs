//! Checks as operators see them.

use clap::Args;
use serde_json::{Value, json};
use yanqian_ledger::search::Check;
use yanqian_vocabulary::{CivilDate, DocumentType, PurposeCode, Timestamp};

use crate::record_json::record_json;

/// A stretch of time.
#[derive(Args, Debug)]
pub(super) struct Period {
    /// Received at this time or later: RFC 3339, or a date for its beginning in Asia/Shanghai
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) from: Option<Timestamp>,
    /// Received before this time; a date stands for its beginning, so the day itself is left out
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) until: Option<Timestamp>,
}

fn time(text: &str) -> Result<Timestamp, String> {
    match CivilDate::parse_iso(text) {
        Ok(date) => Ok(date.start_in_shanghai()),
        Err(_) => Timestamp::from_rfc3339(text).map_err(|error| format!("{error}, or a date")),
    }
}

/// One line for people.
pub(super) fn check_line(check: &Check) -> String {
    let head = &check.head;
    let purpose = head.purpose.as_ref().map_or("-", PurposeCode::as_str);
    let document_type = head.document_type.map_or("-", DocumentType::as_str);
    let reason = check.end.reason().filter(|_| check.end.verdict() != "unknown").unwrap_or_default();
    let line = format!(
        "{}  {}  {}  {}  {purpose}  {document_type}  {}  {reason}",
        head.received,
        head.verification,
        head.caller,
        head.mode,
        check.end.verdict(),
    );
    line.trim_end().to_owned()
}

/// The same for programs, with the records.
pub(super) fn check_json(check: &Check) -> Value {
    let head = &check.head;
    json!({
        "verification": head.verification.to_string(),
        "received": head.received.to_string(),
        "caller": head.caller.as_str(),
        "purpose": head.purpose.as_ref().map(PurposeCode::as_str),
        "mode": head.mode.as_str(),
        "document_type": head.document_type.map(DocumentType::as_str),
        "rule": head.rule.as_ref().map(yanqian_vocabulary::RuleId::as_str),
        "epoch": head.search.map(|search| search.epoch),
        "verdict": check.end.verdict(),
        "reason": check.end.reason(),
        "records": check.records().map(record_json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_beginning_in_shanghai() {
        let told = |text: &str| time(text).map(|time| time.to_string());
        assert_eq!(told("2026-11-26").as_deref(), Ok("2026-11-25T16:00:00.000Z"));
        assert_eq!(told("2026-11-26T00:00:00+08:00"), told("2026-11-26"));
        for wrong in ["2026-11-31", "yesterday", "2026-11-26T00:00:00", ""] {
            assert!(told(wrong).is_err(), "{wrong}");
        }
    }
}
