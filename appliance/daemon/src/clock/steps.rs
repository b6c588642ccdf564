//! Steps of the clock: where the time of day moved otherwise than time passes. A slewed clock stays far below the threshold; a
//! machine that slept does not.

use std::time::{Duration, Instant, SystemTime};

/// What differs by less between two looks is no step.
const THRESHOLD: Duration = Duration::from_millis(200);

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    passed: Instant,
    wall: SystemTime,
}

impl Look {
    pub(super) fn now() -> Self {
        Self { passed: Instant::now(), wall: SystemTime::now() }
    }

    /// Milliseconds by which the time of day was moved between two looks; none when it was not.
    pub(super) fn step_since(&self, before: &Self) -> Option<i64> {
        let passed = millis(self.passed.saturating_duration_since(before.passed));
        let shown = match self.wall.duration_since(before.wall) {
            Ok(forward) => millis(forward),
            Err(backward) => -millis(backward.duration()),
        };
        let step = shown.saturating_sub(passed);
        (step.unsigned_abs() >= u64::try_from(millis(THRESHOLD)).unwrap_or(u64::MAX)).then_some(step)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_with_its_direction_and_a_slewed_clock_is_not_one() {
        let before = Look::now();
        let second = Duration::from_secs(1);
        let after = |wall: SystemTime| Look { passed: before.passed + second, wall };
        assert_eq!(after(before.wall + second).step_since(&before), None);
        assert_eq!(after(before.wall + Duration::from_micros(1_000_500)).step_since(&before), None);
        assert_eq!(after(before.wall + Duration::from_hours(1)).step_since(&before), Some(3_599_000));
        assert_eq!(after(before.wall - Duration::from_mins(1)).step_since(&before), Some(-61_000));
        assert_eq!(after(before.wall + Duration::from_millis(800)).step_since(&before), Some(-200));
    }
}
