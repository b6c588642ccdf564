//! The ledger as `yanqian ledger show --json` prints it: one JSON object for each record.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::HarnessError;

/// One record, read by its JSON names.
#[derive(Debug, Clone)]
pub struct Record(pub Value);

impl Record {
    pub(crate) fn parse_all(lines: &str) -> Result<Vec<Self>, HarnessError> {
        let read = |line: &str| {
            serde_json::from_str(line)
                .map(Self)
                .map_err(|error| HarnessError::Unexpected(format!("ledger show printed {line:?}: {error}")))
        };
        lines.lines().filter(|line| !line.trim().is_empty()).map(read).collect()
    }

    /// A text by its JSON pointer; numbers are written out; empty when absent.
    pub fn text(&self, pointer: &str) -> String {
        match self.0.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        }
    }

    /// `intent`, `outcome`, `refusal`, `outcome-unknown`, `aggregate` or `management`.
    pub fn kind(&self) -> String {
        self.text("/kind")
    }

    pub fn sequence(&self) -> String {
        self.text("/sequence")
    }

    /// The verification it is about; empty for aggregates and management records.
    pub fn verification(&self) -> String {
        self.text("/body/verification")
    }

    /// Why the check was refused; empty when it was not. An outcome that a crash took away has its own reason.
    pub fn reason(&self) -> String {
        if self.kind() == "outcome-unknown" { self.kind() } else { self.text("/body/decision/refused") }
    }

    /// The overall verdict; empty when there is none.
    pub fn verdict(&self) -> String {
        self.text("/body/decision/verdict")
    }

    /// The event of a management record.
    pub fn event(&self) -> String {
        self.text("/body/event")
    }

    /// SM3 of the signing key's `SubjectPublicKeyInfo`, lowercase hex.
    pub fn key_id(&self) -> String {
        self.text("/context/key")
    }

    /// The answer checks in their order, each with the reason for which it refused; empty when it passed.
    pub fn steps(&self) -> Vec<(String, String)> {
        let steps = self.0.pointer("/body/steps").and_then(Value::as_array);
        let text = |step: &Value, name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        steps.into_iter().flatten().map(|step| (text(step, "name"), text(step, "refused"))).collect()
    }

    /// How many records end with each verdict, and how many with each reason.
    pub fn count_ends(records: &[Self]) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
        let mut ends = (BTreeMap::new(), BTreeMap::new());
        for record in records {
            for (word, counts) in [(record.verdict(), &mut ends.0), (record.reason(), &mut ends.1)] {
                if !word.is_empty() {
                    *counts.entry(word).or_default() += 1;
                }
            }
        }
        ends
    }
}
