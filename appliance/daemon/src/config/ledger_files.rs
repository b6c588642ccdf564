//! `[ledger]` of the configuration file.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::limits::n32;

/// How the ledger lies on its disk; all optional.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLedger {
    /// Octets after which a segment is sealed and the next begun, 65536 to 1073741824.
    segment_bytes: NonZeroU32,
    /// Minutes after which a segment that has records is sealed, however small, 1 to 44640.
    segment_minutes: NonZeroU32,
    /// Octets set aside for refusals and the ends of checks when the disk is full, 65536 to 1073741824.
    reserve_bytes: NonZeroU32,
    /// Milliseconds that a record may wait for the disk, then 503; at most `limits.check_ms`.
    patience_ms: NonZeroU32,
}

impl Default for RawLedger {
    fn default() -> Self {
        Self {
            segment_bytes: n32(64 << 20),
            segment_minutes: n32(24 * 60),
            reserve_bytes: n32(16 << 20),
            patience_ms: n32(5000),
        }
    }
}

/// How the ledger's files are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LedgerFiles {
    pub(crate) segment_octets: u64,
    pub(crate) segment_age: Duration,
    pub(crate) reserve_octets: u64,
    pub(crate) patience: Duration,
}

impl RawLedger {
    /// The key and what may stand there, when something else does. `check` is the longest that a check may take.
    pub(super) fn validate(self, check: Duration) -> Result<LedgerFiles, (&'static str, &'static str)> {
        const OCTETS: std::ops::RangeInclusive<u32> = 65_536..=1 << 30;
        let patience = Duration::from_millis(self.patience_ms.get().into());
        for (key, fits, problem) in [
            ("ledger.segment_bytes", OCTETS.contains(&self.segment_bytes.get()), "65536 to 1073741824"),
            ("ledger.segment_minutes", self.segment_minutes.get() <= 44_640, "1 to 44640"),
            ("ledger.reserve_bytes", OCTETS.contains(&self.reserve_bytes.get()), "65536 to 1073741824"),
            ("ledger.patience_ms", patience <= check, "1 to limits.check_ms"),
        ] {
            if !fits {
                return Err((key, problem));
            }
        }
        Ok(LedgerFiles {
            segment_octets: self.segment_bytes.get().into(),
            segment_age: Duration::from_mins(self.segment_minutes.get().into()),
            reserve_octets: self.reserve_bytes.get().into(),
            patience,
        })
    }
}
