//! What the module's calls take, as counts in buckets: exact to add up, and cheap enough for every call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::engine::count;
use crate::protocol::{LATENCY_BOUNDS, Latency};

/// Of one operation, since the worker started.
#[derive(Debug, Default)]
pub(super) struct LatencyCounts {
    /// One more than bounds: the last takes what is beyond all of them.
    counts: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    sum_us: AtomicU64,
}

impl LatencyCounts {
    pub(super) fn took(&self, time: Duration) {
        count(&self.counts[LATENCY_BOUNDS.partition_point(|bound| *bound < time)]);
        self.sum_us.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn told(&self, operation: &str) -> Latency {
        Latency {
            operation: operation.to_owned(),
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_in_the_first_bucket_that_is_not_too_short() {
        let counts = LatencyCounts::default();
        for time in
            [Duration::ZERO, LATENCY_BOUNDS[0], LATENCY_BOUNDS[0] + Duration::from_micros(1), Duration::from_secs(11)]
        {
            counts.took(time);
        }
        let told = counts.told("sign");
        assert_eq!((told.counts[0], told.counts[1], told.counts[LATENCY_BOUNDS.len()]), (2, 1, 1));
        assert_eq!((told.counts.iter().sum::<u64>(), told.sum_us), (4, 11_000_201));
    }
}
