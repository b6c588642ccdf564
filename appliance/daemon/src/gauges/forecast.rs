//! When the disk will be full, judged by what the ledger wrote lately.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{Gauge, IntGauge, Registry};
use yanqian_ledger::Stats;

/// What was written longer ago says nothing any more.
const WINDOW: Duration = Duration::from_hours(1);
/// Between two remembered looks.
const STEP: Duration = Duration::from_secs(10);
/// What is told at most, also while nothing is written.
const TEN_YEARS: f64 = 3_650.0 * 86_400.0;
/// Octets of a record, until some have been written.
const USUAL_RECORD: u64 = 2200;

/// Octets written, by when.
#[derive(Debug, Default)]
pub(super) struct Growth(VecDeque<(Instant, u64)>);

impl Growth {
    /// Seconds until `free` octets are used at the pace of the last hour, where `written` is the count so far.
    pub(super) fn seconds_left(&mut self, now: Instant, written: u64, free: u64) -> f64 {
        if self.0.back().is_none_or(|(last, _)| now.duration_since(*last) >= STEP) {
            self.0.push_back((now, written));
        }
        while self.0.len() > 1 && self.0.front().is_some_and(|(first, _)| now.duration_since(*first) > WINDOW) {
            self.0.pop_front();
        }
        let Some((first, before)) = self.0.front() else { return TEN_YEARS };
        let (span, octets) = (now.duration_since(*first), written.saturating_sub(*before));
        if octets == 0 || span < STEP {
            return TEN_YEARS;
        }
        // Octets of a disk are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let left = free as f64 * span.as_secs_f64() / octets as f64;
        left.min(TEN_YEARS)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Forecast {
    growth: Arc<Mutex<Growth>>,
    seconds: Gauge,
    records: IntGauge,
}

impl Forecast {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let seconds = Gauge::new(
            "yanqian_ledger_full_in_seconds",
            "Until the disk is full at the pace of the last hour; ten years at most.",
        )?;
        let records = IntGauge::new("yanqian_ledger_full_in_records", "Records of the usual size that still fit.")?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(records.clone()))?;
        seconds.set(TEN_YEARS);
        Ok(Self { growth: Arc::default(), seconds, records })
    }

    pub(super) fn tell(&self, stats: &Stats, free: u64) {
        let mut growth = self.growth.lock().unwrap_or_else(PoisonError::into_inner);
        self.seconds.set(growth.seconds_left(Instant::now(), stats.octets, free));
        let usual = stats.octets.checked_div(stats.appends).unwrap_or(USUAL_RECORD).max(1);
        self.records.set(i64::try_from(free / usual).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_when_its_free_octets_are_written_at_the_pace_of_the_last_hour() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut growth = Growth::default();
        let close = |told: f64, expected: f64| assert!((told - expected).abs() < 1.0, "{told} in place of {expected}");
        close(growth.seconds_left(at(0), 0, 1_000_000), TEN_YEARS);
        close(growth.seconds_left(at(5), 5_000, 1_000_000), TEN_YEARS); // too early to tell
        close(growth.seconds_left(at(100), 100_000, 1_000_000), 1000.0);
        // The pace doubles; what is older than an hour counts no more.
        for minute in 2..=180 {
            growth.seconds_left(at(minute * 60), 100_000 + (minute * 60 - 100) * 2000, 1);
        }
        close(growth.seconds_left(at(10_801), 100_000 + 10_701 * 2000, 2_000_000), 1000.0);
        close(growth.seconds_left(at(20_000), 100_000 + 10_701 * 2000, 1), TEN_YEARS);
    }
}
