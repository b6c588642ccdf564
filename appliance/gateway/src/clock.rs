//! The seam to time: every decision that needs the clock takes it from here, so that a simulation can own it.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use yanqian_vocabulary::Timestamp;

/// Where the appliance reads the time of day.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// Time since the program's start, which goes on evenly whatever is done to the time of day.
    fn uptime(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}

/// Whether the time of day can be believed. An answer's freshness, certificates and lists are judged by it.
pub trait ClockHealth: Send + Sync {
    /// Asked before anything is signed, so it answers at once from what is known.
    fn is_trusted(&self) -> bool;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}
