//! GCRA, the generic cell rate algorithm (ITU-T I.371): one instant of state for each bucket, and no timer.

use std::time::Duration;

/// How many checks a second, and how many at once after a pause. In any period of `t` seconds no more than
/// `burst + t × per_second` are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// 1 to 1,000,000.
    pub per_second: u32,
    /// 1 to 1,000,000.
    pub burst: u32,
}

impl Rate {
    /// Between two checks when there is no pause.
    pub(crate) fn interval(self) -> Duration {
        // Rounded up: a rate is rather a little lower than higher.
        Duration::from_nanos(1_000_000_000_u64.div_ceil(u64::from(self.per_second.max(1))))
    }
}

/// When the next check would be due if every check before had waited for its turn. In time since the program's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Gate {
    due: Duration,
}

impl Gate {
    /// A gate through which nothing has passed.
    pub const UNUSED: Self = Self { due: Duration::ZERO };

    /// A gate whose burst is whole again at `now`, and not before.
    pub(crate) const fn at(now: Duration) -> Self {
        Self { due: now }
    }

    /// A gate whose burst has just been used up: what a start assumes, since nothing is known of the time before.
    pub fn used_up(now: Duration, rate: Rate) -> Self {
        Self { due: now + rate.interval() * rate.burst }
    }

    /// How long until a check may pass: zero when it may now.
    pub fn wait(&self, now: Duration, rate: Rate) -> Duration {
        let tolerance = rate.interval() * (rate.burst.max(1) - 1);
        self.due.saturating_sub(now + tolerance)
    }

    /// A check passes.
    pub fn pass(&mut self, now: Duration, rate: Rate) {
        self.due = self.due.max(now) + rate.interval();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_the_next_waits_for_its_interval() {
        let (rate, now) = (Rate { per_second: 10, burst: 3 }, Duration::from_secs(5));
        let mut gate = Gate::default();
        for _ in 0..3 {
            assert_eq!(gate.wait(now, rate), Duration::ZERO);
            gate.pass(now, rate);
        }
        assert_eq!(gate.wait(now, rate), Duration::from_millis(100));
        assert_eq!(gate.wait(now + Duration::from_millis(100), rate), Duration::ZERO);
        assert_eq!(gate.wait(now + Duration::from_nanos(99_999_999), rate), Duration::from_nanos(1));
    }

    #[test]
    fn a_gate_after_a_start_opens_one_interval_later() {
        let (rate, now) = (Rate { per_second: 4, burst: 4 }, Duration::from_secs(9));
        assert_eq!(Gate::used_up(now, rate).wait(now, rate), Duration::from_millis(250));
    }

    proptest! {
        #[test]
        fn no_period_holds_more_than_its_burst_and_its_rate(
            per_second in 1u32..2000,
            burst in 1u32..50,
            pauses in proptest::collection::vec(0u64..20_000_000, 1..300),
        ) {
            let rate = Rate { per_second, burst };
            let (mut gate, mut now, mut passed) = (Gate::default(), Duration::ZERO, Vec::new());
            for pause in pauses {
                now += Duration::from_nanos(pause);
                if gate.wait(now, rate).is_zero() {
                    gate.pass(now, rate);
                    passed.push(now);
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, until) in passed.iter().enumerate().skip(first) {
                    let allowed = f64::from(burst) + until.saturating_sub(*from).as_secs_f64() * f64::from(per_second);
                    prop_assert!(f64::from(u32::try_from(last - first + 1).unwrap_or(u32::MAX)) <= allowed + 1e-6);
                }
            }
        }
    }
}
