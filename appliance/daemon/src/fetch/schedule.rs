//! When something is fetched again.

use std::time::Duration;

/// After the first failure; doubled with each further one.
const RETRY: Duration = Duration::from_secs(5);
/// The longest pause between attempts.
const RETRY_MOST: Duration = Duration::from_mins(10);
/// The shortest pause after a success, however soon it ends.
const LEAST: Duration = Duration::from_secs(5);

/// After a success: when half of the time is over that is left to it, or after the longest pause. A tenth of the pause is left to
/// chance, so that nodes do not ask together.
pub(super) fn after_success(next_update: i64, now: i64, refresh: Duration, chance: u32) -> Duration {
    let left = u64::try_from(next_update.saturating_sub(now)).unwrap_or(0);
    let pause = Duration::from_secs(left / 2).min(refresh).max(LEAST);
    pause.mul_f64(1.0 - 0.1 * fraction(chance))
}

/// After so many failures in a row: longer and longer, and half of it left to chance.
pub(super) fn after_failure(failures: u32, chance: u32) -> Duration {
    let pause = RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(RETRY_MOST);
    pause.mul_f64(1.0 - 0.5 * fraction(chance))
}

fn fraction(chance: u32) -> f64 {
    f64::from(chance) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn data_is_fetched_again_before_half_of_its_time_is_over_and_never_in_a_loop() {
        for chance in [0, u32::MAX / 2, u32::MAX] {
            let within = |pause: Duration, most: Duration| pause <= most && pause >= most.mul_f64(0.89);
            assert!(within(after_success(1_000, 0, HOUR, chance), Duration::from_secs(500)));
            assert!(within(after_success(i64::MAX, 0, HOUR, chance), HOUR));
            for ended in [0, -1, i64::MIN] {
                assert!(within(after_success(ended, 0, HOUR, chance), LEAST), "what is late is asked for soon");
            }
        }
    }

    #[test]
    fn failures_are_tried_again_more_and_more_slowly_up_to_a_limit() {
        for chance in [0, u32::MAX] {
            let pauses: Vec<_> = (1..40).map(|failures| after_failure(failures, chance)).collect();
            assert!(pauses.is_sorted());
            assert!(pauses[0] >= RETRY / 2 && pauses[38] <= RETRY_MOST && pauses[38] >= RETRY_MOST / 2);
        }
    }
}
