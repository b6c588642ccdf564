//! Counters of another process or component, followed by their increases: its own restarts do not take anything back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::IntCounter;

/// The last value that was told.
#[derive(Debug, Clone, Default)]
pub(super) struct Last(Arc<AtomicU64>);

impl Last {
    /// How much was counted since, where a count below the last is one that began anew.
    pub(super) fn increase(&self, now: u64) -> u64 {
        let last = self.0.swap(now, Ordering::Relaxed);
        now.checked_sub(last).unwrap_or(now)
    }

    /// What is counted begins at zero again.
    pub(super) fn begin_anew(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone)]
pub(super) struct Mirror {
    pub(super) counter: IntCounter,
    last: Last,
}

impl Mirror {
    pub(super) fn of(counter: IntCounter) -> Self {
        Self { counter, last: Last::default() }
    }

    pub(super) fn follow(&self, now: u64) {
        self.counter.inc_by(self.last.increase(now));
    }

    pub(super) fn begin_anew(&self) {
        self.last.begin_anew();
    }
}
