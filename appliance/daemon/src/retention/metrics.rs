use prometheus::{IntCounterVec, IntGauge, Registry};
use yanqian_retention::ArchiveError;

use crate::series::{failures, gauge};

/// What operators watch of the archive. All series exist from the start, with or without one.
#[derive(Debug, Clone)]
pub(crate) struct RetentionMetrics {
    pub(super) exported: IntGauge,
    pub(super) removed: IntGauge,
    pub(super) waiting: IntGauge,
    pub(super) oldest_waiting: IntGauge,
    failures: IntCounterVec,
}

/// What stood in the way.
const REASONS: [&str; 6] = ["archive", "slow", "object", "evidence", "ledger", "other"];

fn reason(error: &ArchiveError) -> &'static str {
    match error {
        ArchiveError::Store { .. } => "archive",
        ArchiveError::Slow { .. } => "slow",
        ArchiveError::Object { .. } | ArchiveError::Differs(_) | ArchiveError::Absent(_) => "object",
        ArchiveError::Evidence { .. } => "evidence",
        ArchiveError::Ledger(_) | ArchiveError::Tree(_) => "ledger",
        _ => "other",
    }
}

impl RetentionMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| gauge(registry, name, help);
        let failures = failures(
            registry,
            "yanqian_archive_failures_total",
            "Attempts at an export or removal that failed, by what failed.",
            &REASONS,
        )?;
        Ok(Self {
            exported: gauge("yanqian_archive_segments", "Segments that were read back whole from the archive.")?,
            removed: gauge("yanqian_archive_segments_removed", "Of these, segments that are in the archive only.")?,
            waiting: gauge("yanqian_archive_segments_waiting", "Sealed segments that are not in the archive yet.")?,
            oldest_waiting: gauge(
                "yanqian_archive_oldest_waiting_timestamp_seconds",
                "When the oldest segment that is not in the archive yet was sealed; 0 without any.",
            )?,
            failures,
        })
    }

    pub(super) fn failed(&self, error: &ArchiveError) {
        self.failures.with_label_values(&[reason(error)]).inc();
    }
}
