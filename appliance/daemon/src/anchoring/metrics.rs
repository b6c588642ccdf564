use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};
use yanqian_vocabulary::Timestamp;

use crate::series::{failures, gauge};

/// What operators watch of checkpoints. All series exist from the start, with or without a ledger key.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointMetrics {
    made: IntCounter,
    failures: IntCounterVec,
    records: IntGauge,
    time: IntGauge,
    uncovered: IntGauge,
    late: IntGauge,
}

/// Why a checkpoint was not made.
const REASONS: [&str; 2] = ["tree", "token"];

impl CheckpointMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| gauge(registry, name, help);
        let made =
            IntCounter::new("yanqian_ledger_checkpoints_total", "Checkpoints of the ledger that were published.")?;
        registry.register(Box::new(made.clone()))?;
        let failures = failures(
            registry,
            "yanqian_ledger_checkpoint_failures_total",
            "Attempts at a checkpoint that failed, by what failed.",
            &REASONS,
        )?;
        Ok(Self {
            made,
            failures,
            records: gauge(
                "yanqian_ledger_checkpoint_records",
                "Records that the last checkpoint of this run covers.",
            )?,
            time: gauge("yanqian_ledger_checkpoint_timestamp_seconds", "Time of the last checkpoint of this run.")?,
            uncovered: gauge("yanqian_ledger_uncovered_records", "Records that no checkpoint covers yet.")?,
            late: gauge("yanqian_ledger_checkpoint_late", "1 while records wait for a checkpoint that is overdue.")?,
        })
    }

    pub(super) fn failed(&self, reason: &'static str) {
        self.failures.with_label_values(&[reason]).inc();
    }

    pub(super) fn made(&self, records: u64, time: Timestamp) {
        self.made.inc();
        self.records.set(whole(records));
        self.time.set(time.unix_seconds());
    }

    pub(super) fn tell(&self, uncovered: u64, late: bool) {
        self.uncovered.set(whole(uncovered));
        self.late.set(late.into());
    }
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
