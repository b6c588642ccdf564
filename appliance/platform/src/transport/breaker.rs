//! Whether an endpoint is asked. Two signals, because each is blind where the other sees: failures in a row tell an endpoint
//! that is away within a few checks however rare checks are, and the rate over a window tells one that fails every other time.
//! Pure: time and chance come in as parameters.

use std::num::NonZeroU32;
use std::time::Duration;

/// When an endpoint stops being asked, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open the breaker.
    pub consecutive: NonZeroU32,
    /// The window over which the rate is taken.
    pub window: Duration,
    /// Percent of failures within the window that open it, 1 to 100.
    pub percent: u8,
    /// Attempts within the window below which the rate says nothing.
    pub samples: NonZeroU32,
    /// For how long it stays open the first time; doubled each time that the trial fails.
    pub open: Duration,
    /// The longest that it stays open at once.
    pub longest: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        const FIVE: NonZeroU32 = NonZeroU32::new(5).expect("above zero");
        const TWENTY: NonZeroU32 = NonZeroU32::new(20).expect("above zero");
        Self {
            consecutive: FIVE,
            window: Duration::from_secs(10),
            percent: 50,
            samples: TWENTY,
            open: Duration::from_millis(250),
            longest: Duration::from_secs(5),
        }
    }
}

/// What an endpoint's breaker says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// It is asked.
    Serving,
    /// It is not asked.
    Resting,
    /// One check tries whether it serves again; the others go elsewhere.
    Trying,
}

impl EndpointState {
    pub const ALL: [Self; 3] = [Self::Serving, Self::Resting, Self::Trying];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Resting => "resting",
            Self::Trying => "trying",
        }
    }
}

/// Leave to make one attempt. What comes of it counts only while the breaker is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leave {
    epoch: u64,
}

const SLOTS: usize = 10;

/// Attempts in a tenth of the window.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    number: u64,
    attempts: u32,
    failures: u32,
}

/// Times are since the same arbitrary start.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: EndpointState,
    epoch: u64,
    until: Duration,
    /// Times that it opened since it last served.
    opened: u32,
    in_a_row: u32,
    slots: [Slot; SLOTS],
    trips: u64,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            state: EndpointState::Serving,
            epoch: 0,
            until: Duration::ZERO,
            opened: 0,
            in_a_row: 0,
            slots: [Slot::default(); SLOTS],
            trips: 0,
        }
    }

    pub(crate) const fn state(&self) -> EndpointState {
        self.state
    }

    /// Times that it opened.
    pub(crate) const fn trips(&self) -> u64 {
        self.trips
    }

    /// Leave for one attempt, if the endpoint may be asked now.
    pub(crate) fn admit(&mut self, now: Duration) -> Option<Leave> {
        match self.state {
            EndpointState::Serving => {}
            EndpointState::Resting if now >= self.until => self.turn(EndpointState::Trying),
            EndpointState::Resting | EndpointState::Trying => return None,
        }
        Some(Leave { epoch: self.epoch })
    }

    pub(crate) fn succeeded(&mut self, leave: Leave, now: Duration) {
        if leave.epoch != self.epoch {
            return;
        }
        self.in_a_row = 0;
        if self.state == EndpointState::Trying {
            self.opened = 0;
            self.slots = [Slot::default(); SLOTS];
            self.turn(EndpointState::Serving);
        } else {
            self.slot(now).attempts += 1;
        }
    }

    /// `chance` is uniform over all its values; it spreads the trials of many appliances.
    pub(crate) fn failed(&mut self, leave: Leave, now: Duration, chance: u16) {
        if leave.epoch != self.epoch {
            return;
        }
        self.in_a_row += 1;
        let slot = self.slot(now);
        (slot.attempts, slot.failures) = (slot.attempts + 1, slot.failures + 1);
        let rows = self.in_a_row >= self.settings.consecutive.get();
        if self.state == EndpointState::Trying || rows || self.rate_is_bad(now) {
            let rest = self.settings.open.saturating_mul(1 << self.opened.min(16)).min(self.settings.longest);
            // Between half of it and all of it.
            self.until = now + rest / 2 + rest.mul_f64(f64::from(chance) / f64::from(u16::MAX) / 2.0);
            self.opened = self.opened.saturating_add(1);
            self.trips += 1;
            self.turn(EndpointState::Resting);
        }
    }

    /// The attempt told nothing of the endpoint; if it was the trial, the next check is.
    pub(crate) fn untold(&mut self, leave: Leave) {
        if leave.epoch == self.epoch && self.state == EndpointState::Trying {
            self.turn(EndpointState::Resting);
        }
    }

    fn turn(&mut self, state: EndpointState) {
        self.state = state;
        self.epoch += 1;
    }

    fn number(&self, now: Duration) -> u64 {
        let slot = (self.settings.window / 10).as_millis().max(1);
        u64::try_from(now.as_millis() / slot).unwrap_or(u64::MAX)
    }

    fn slot(&mut self, now: Duration) -> &mut Slot {
        let number = self.number(now);
        let slot = &mut self.slots[usize::try_from(number % 10).unwrap_or(0)];
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        slot
    }

    fn rate_is_bad(&self, now: Duration) -> bool {
        let number = self.number(now);
        let recent = self.slots.iter().filter(|slot| slot.number + 10 > number);
        let (attempts, failures) = recent.fold((0, 0), |(a, f), slot| (a + slot.attempts, f + slot.failures));
        let percent = u64::from(self.settings.percent);
        attempts >= self.settings.samples.get() && u64::from(failures) * 100 >= u64::from(attempts) * percent
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn fail(breaker: &mut Breaker, at: u64, chance: u16) {
        let leave = breaker.admit(ms(at)).unwrap();
        breaker.failed(leave, ms(at), chance);
    }

    fn succeed(breaker: &mut Breaker, at: u64) {
        let leave = breaker.admit(ms(at)).unwrap();
        breaker.succeeded(leave, ms(at));
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        for at in 0..4 {
            fail(&mut breaker, at, 0);
        }
        succeed(&mut breaker, 4);
        for at in 5..9 {
            fail(&mut breaker, at, 0);
        }
        assert_eq!(breaker.state(), EndpointState::Serving);
        fail(&mut breaker, 9, 0);
        assert_eq!((breaker.state(), breaker.trips()), (EndpointState::Resting, 1));
        assert_eq!(breaker.admit(ms(100)), None);
    }

    #[test]
    fn every_other_failure_opens_it_once_there_are_samples_enough() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        for at in 0..9 {
            succeed(&mut breaker, at * 10);
            fail(&mut breaker, at * 10 + 5, 0);
        }
        assert_eq!(breaker.state(), EndpointState::Serving, "18 attempts say nothing yet");
        succeed(&mut breaker, 95);
        fail(&mut breaker, 99, 0);
        assert_eq!(breaker.state(), EndpointState::Resting);
    }

    #[test]
    fn failures_older_than_the_window_are_forgotten() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        for at in 0..9 {
            succeed(&mut breaker, at * 10);
            fail(&mut breaker, at * 10 + 5, 0);
        }
        for at in 0..9 {
            succeed(&mut breaker, 11_000 + at * 10);
            fail(&mut breaker, 11_000 + at * 10 + 5, 0);
        }
        assert_eq!(breaker.state(), EndpointState::Serving);
    }

    #[test]
    fn one_check_tries_and_the_rest_doubles_up_to_the_longest_while_trials_fail() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        (0..5).for_each(|at| fail(&mut breaker, at, u16::MAX));
        let (mut now, mut rests) = (4, Vec::new());
        for _ in 0..7 {
            let until = (now..now + 10_000).find(|at| breaker.admit(ms(*at)).is_some()).unwrap();
            assert_eq!(breaker.state(), EndpointState::Trying);
            assert_eq!(breaker.admit(ms(until)), None, "one trial at a time");
            rests.push(until - now);
            now = until;
            let trial = Leave { epoch: breaker.epoch };
            breaker.failed(trial, ms(now), u16::MAX);
        }
        assert_eq!(rests, [250, 500, 1000, 2000, 4000, 5000, 5000]);
    }

    #[test]
    fn chance_shortens_the_rest_by_half_at_most() {
        for (chance, first) in [(0, 129), (u16::MAX, 254)] {
            let mut breaker = Breaker::new(BreakerSettings::default());
            (0..5).for_each(|at| fail(&mut breaker, at, chance));
            assert_eq!((4..10_000).find(|at| breaker.admit(ms(*at)).is_some()), Some(first));
        }
    }

    #[test]
    fn a_trial_that_told_nothing_leaves_the_next_check_to_try() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        (0..5).for_each(|at| fail(&mut breaker, at, 0));
        let trial = breaker.admit(ms(1000)).unwrap();
        breaker.untold(trial);
        succeed(&mut breaker, 1000);
        assert_eq!(breaker.state(), EndpointState::Serving);
    }

    #[test]
    fn what_began_before_it_opened_counts_no_more() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        let old = breaker.admit(ms(0)).unwrap();
        (0..5).for_each(|at| fail(&mut breaker, at, 0));
        breaker.succeeded(old, ms(10));
        assert_eq!(breaker.state(), EndpointState::Resting);
        let trial = breaker.admit(ms(1000)).unwrap();
        breaker.failed(old, ms(1001), 0);
        assert_eq!(breaker.state(), EndpointState::Trying);
        breaker.succeeded(trial, ms(1002));
        assert_eq!(breaker.state(), EndpointState::Serving);
    }

    proptest! {
        /// Whatever happened, an endpoint is asked again within the longest rest, and one success makes it serve.
        #[test]
        fn no_history_keeps_an_endpoint_away_for_longer_than_the_longest_rest(
            steps in prop::collection::vec((0u64..3000, 0u8..4, any::<u16>()), 0..200)
        ) {
            let mut breaker = Breaker::new(BreakerSettings::default());
            let (mut now, mut out) = (0, Vec::new());
            for (pause, what, chance) in steps {
                now += pause;
                match what {
                    0 => out.extend(breaker.admit(ms(now))),
                    1 => if let Some(leave) = out.pop() { breaker.succeeded(leave, ms(now)) },
                    2 => if let Some(leave) = out.pop() { breaker.failed(leave, ms(now), chance) },
                    _ => if let Some(leave) = out.pop() { breaker.untold(leave) },
                }
            }
            for leave in out {
                breaker.untold(leave);
            }
            let leave = breaker.admit(ms(now + 5000));
            prop_assert!(leave.is_some());
            breaker.succeeded(leave.unwrap(), ms(now + 5000));
            prop_assert_eq!(breaker.state(), EndpointState::Serving);
        }
    }
}
