//! Orders of operators to the running daemon: one line of JSON over a Unix socket in the state directory, one line back.
//! The daemon alone writes the state store, the search keys and the ledger, so what an order does and its record are of
//! one hand; and the record names the uid that the kernel says is at the other end.

mod client;
mod server;

use serde::{Deserialize, Serialize};
use yanqian_retention::Range;

pub(crate) use client::{OrderError, order, wake};
pub(crate) use server::start;

/// Octets of one line at most.
const MAX_LINE: u64 = 4096;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Order {
    /// Begin another epoch of search keys.
    BeginEpoch {},
    /// Destroy the key of an epoch that is not in use.
    DestroyEpoch { epoch: u32 },
    /// Destroy the salt of a check's commitment.
    Forget { verification: String },
    /// Look for sealed segments to export now.
    Export {},
    /// Keep records of the archive whatever the policy says.
    Hold { range: Range, reason: String },
    /// End a hold.
    Release { hold: u64, reason: String },
    /// Delete a segment from the archive, if the policy and the holds let it.
    Expire { segment: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Answer {
    /// Done and recorded.
    Done {
        /// Of the record.
        sequence: u64,
        /// That was begun.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<u32>,
        /// That was placed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold: Option<u64>,
    },
    /// Heard; it is done in its own time.
    Heard,
    /// What is wrong.
    Refused(String),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn orders_are_read_strictly() {
        let read = |text: &str| serde_json::from_str::<Order>(text);
        assert_eq!(read(r#"{"order":"destroy-epoch","epoch":3}"#).unwrap(), Order::DestroyEpoch { epoch: 3 });
        assert_eq!(read(r#"{"order":"begin-epoch"}"#).unwrap(), Order::BeginEpoch {});
        for wrong in [
            r#"{"order":"destroy-epoch"}"#,
            r#"{"order":"destroy-epoch","epoch":-1}"#,
            r#"{"order":"begin-epoch","epoch":3}"#,
            r#"{"order":"shut-down"}"#,
            "[]",
            "",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn answers_come_back_as_they_were_given() {
        for answer in [
            Answer::Done { sequence: 7, epoch: None, hold: None },
            Answer::Done { sequence: 7, epoch: Some(2), hold: None },
            Answer::Done { sequence: 7, epoch: None, hold: Some(3) },
            Answer::Heard,
            Answer::Refused("no".to_owned()),
        ] {
            let text = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
        }
    }
}
