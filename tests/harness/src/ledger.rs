//! The ledger as `yanqian ledger show --json` prints it: one JSON object for each record.

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

    /// The verification it is about; empty for aggregates and management records.
    pub fn verification(&self) -> String {
        self.text("/body/verification")
    }
}
