//! How long a token usually takes, from what it took: the limit of one attempt and the weight in balancing come from it.

use std::time::{Duration, Instant};

/// No attempt is given up before this: a busy machine is late, too.
const LEAST_LIMIT: Duration = Duration::from_millis(200);
/// Nor waited for alone longer than this, however slow the token usually is.
const MOST_LIMIT: Duration = Duration::from_millis(2500);
/// Before anything is known.
const UNKNOWN_LIMIT: Duration = Duration::from_millis(500);
/// A token that has not been asked for this long counts as half as slow: it gets its chance to show that it is quick again.
const HALF_LIFE: Duration = Duration::from_millis(500);
/// Whoever is quicker than this is quick: among such tokens only the requests under way make a difference.
const QUICK: Duration = Duration::from_millis(5);

/// Smoothed mean and deviation, as TCP keeps them of its round trips (RFC 6298 §2).
#[derive(Debug, Default)]
pub(super) struct Pace {
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    mean: f64,
    deviation: f64,
    at: Instant,
}

impl Pace {
    /// An answer that came in time, or that came before anybody else's.
    pub(super) fn took(&mut self, time: Duration, now: Instant) {
        let seconds = time.as_secs_f64();
        match &mut self.known {
            None => self.known = Some(Known { mean: seconds, deviation: seconds / 2.0, at: now }),
            Some(known) => {
                known.deviation += ((known.mean - seconds).abs() - known.deviation) / 4.0;
                known.mean += (seconds - known.mean) / 8.0;
                known.at = now;
            }
        }
    }

    /// What was usual is so no more: the token was out, and is back.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    /// When to try another token as well.
    pub(super) fn limit(&self) -> Duration {
        let Some(known) = &self.known else { return UNKNOWN_LIMIT };
        let limit = (known.mean * 4.0).max(known.mean + known.deviation * 4.0);
        Duration::from_secs_f64(limit.min(MOST_LIMIT.as_secs_f64())).max(LEAST_LIMIT)
    }

    /// Seconds that one more request is expected to take beside `in_flight` others; none before anything is known.
    pub(super) fn weight(&self, in_flight: usize, now: Instant) -> Option<f64> {
        let known = self.known.as_ref()?;
        let age = now.saturating_duration_since(known.at).as_secs_f64();
        let usual = (known.mean * (-age / HALF_LIFE.as_secs_f64()).exp2()).max(QUICK.as_secs_f64());
        #[allow(clippy::cast_precision_loss)] // a count of requests, far below 2^53
        let others = in_flight as f64;
        Some(usual * (others + 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn the_limit_follows_what_is_usual_between_floor_and_ceiling() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert_eq!((pace.limit(), pace.weight(0, now)), (UNKNOWN_LIMIT, None));
        for _ in 0..50 {
            pace.took(2 * MILLI, now);
        }
        assert_eq!(pace.limit(), LEAST_LIMIT);
        for _ in 0..50 {
            pace.took(300 * MILLI, now);
        }
        assert!(pace.limit() > 1000 * MILLI && pace.limit() < 1400 * MILLI, "{:?}", pace.limit());
        for _ in 0..50 {
            pace.took(5000 * MILLI, now);
        }
        assert_eq!(pace.limit(), MOST_LIMIT);
    }

    #[test]
    fn the_slow_and_the_busy_weigh_more_and_slowness_is_forgotten() {
        let now = Instant::now();
        let (mut quick, mut slow) = (Pace::default(), Pace::default());
        assert!(quick.weight(0, now).is_none());
        quick.took(MILLI, now);
        slow.took(50 * MILLI, now);
        assert!(quick.weight(0, now) < slow.weight(0, now));
        assert!(quick.weight(12, now) > slow.weight(0, now));
        let later = now + 8 * HALF_LIFE;
        quick.took(MILLI, later);
        assert!(slow.weight(0, later) == quick.weight(0, later));
    }
}
