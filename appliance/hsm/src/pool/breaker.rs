//! Whether a token is asked: closed while it serves, open once it fails again and again, half-open while a probe is under way.
//!
//! A pure state machine: time and randomness are parameters. What was begun before the last change of state says nothing about
//! the present one, so every report carries the [`Breaker::epoch`] under which its work began.

use std::time::{Duration, Instant};

/// Failures in a row that open it.
const IN_A_ROW: u32 = 3;
/// The last so many results, of which half may fail before it opens.
const WINDOW: u32 = 20;
/// Before the first probe, and between probes at most; each failed probe doubles the pause.
const FIRST_PAUSE: Duration = Duration::from_millis(150);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// After a probe that could not be made, because the worker allows so many only.
const LIMITED_PAUSE: Duration = Duration::from_millis(500);

/// A breaker's state as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// The token serves.
    Closed,
    /// A probe is under way.
    HalfOpen,
    /// The token is left alone until the next probe.
    Open,
}

impl BreakerState {
    pub const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// A stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probed {
    Good,
    Bad,
    /// Nothing was learnt.
    Limited,
}

#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// Counts openings and closings.
    epoch: u64,
}

#[derive(Debug)]
enum State {
    Closed { in_a_row: u32, window: Window },
    Open { probe_at: Instant, failed_probes: u32 },
    HalfOpen { failed_probes: u32 },
}

/// The last results, the newest in the lowest bit; a set bit is a failure.
#[derive(Debug, Default)]
struct Window {
    bits: u32,
    length: u32,
}

impl Window {
    fn push(&mut self, failed: bool) {
        self.bits = ((self.bits << 1) | u32::from(failed)) & ((1 << WINDOW) - 1);
        self.length = (self.length + 1).min(WINDOW);
    }

    const fn is_bad(&self) -> bool {
        self.length == WINDOW && self.bits.count_ones() * 2 >= WINDOW
    }
}

/// The pause after so many failed probes, a quarter less or more by `random`: many daemons before one device do not come all at
/// once.
fn pause(failed_probes: u32, random: u8) -> Duration {
    jittered(FIRST_PAUSE.saturating_mul(1 << failed_probes.min(8)).min(LONGEST_PAUSE), random)
}

fn jittered(pause: Duration, random: u8) -> Duration {
    pause * 3 / 4 + pause * u32::from(random) / 510
}

impl Breaker {
    /// Open, with its first probe due at once: nobody is asked who has not proven to be there.
    pub(super) const fn new(now: Instant) -> Self {
        Self { state: State::Open { probe_at: now, failed_probes: 0 }, epoch: 0 }
    }

    pub(super) const fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
            State::Open { .. } => BreakerState::Open,
        }
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    fn open(&mut self, now: Instant, random: u8) {
        self.epoch += 1;
        self.state = State::Open { probe_at: now + pause(0, random), failed_probes: 0 };
    }

    fn close(&mut self) {
        self.epoch += 1;
        self.state = State::Closed { in_a_row: 0, window: Window::default() };
    }

    /// A call did what it should. One that was made although the breaker is open is as good as a probe. True when this closed it.
    pub(super) fn succeeded(&mut self, epoch: u64) -> bool {
        if epoch != self.epoch {
            return false;
        }
        if let State::Closed { in_a_row, window } = &mut self.state {
            *in_a_row = 0;
            window.push(false);
            return false;
        }
        self.close();
        true
    }

    /// A call failed. True when this opened it.
    pub(super) fn failed(&mut self, epoch: u64, now: Instant, random: u8) -> bool {
        let State::Closed { in_a_row, window } = &mut self.state else { return false };
        if epoch != self.epoch {
            return false;
        }
        *in_a_row += 1;
        window.push(true);
        let opens = *in_a_row >= IN_A_ROW || window.is_bad();
        if opens {
            self.open(now, random);
        }
        opens
    }

    /// The token is known to be away. True when this opened it.
    pub(super) fn trip(&mut self, now: Instant, random: u8) -> bool {
        let closed = matches!(self.state, State::Closed { .. });
        if closed {
            self.open(now, random);
        }
        closed
    }

    /// When the next probe is due; none while it is closed or a probe is under way.
    pub(super) const fn probe_at(&self) -> Option<Instant> {
        match self.state {
            State::Open { probe_at, .. } => Some(probe_at),
            State::Closed { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Begins a probe that is due; its result is reported under the epoch that this gives.
    pub(super) fn begin_probe(&mut self, now: Instant) -> Option<u64> {
        let State::Open { probe_at, failed_probes } = self.state else { return None };
        if now < probe_at {
            return None;
        }
        self.state = State::HalfOpen { failed_probes };
        Some(self.epoch)
    }

    /// A probe ended. True when this closed it.
    pub(super) fn probed(&mut self, epoch: u64, result: Probed, now: Instant, random: u8) -> bool {
        let State::HalfOpen { failed_probes } = self.state else { return false };
        if epoch != self.epoch {
            return false;
        }
        let (pause, failed_probes) = match result {
            Probed::Good => {
                self.close();
                return true;
            }
            Probed::Bad => (pause(failed_probes + 1, random), failed_probes + 1),
            Probed::Limited => (jittered(LIMITED_PAUSE, random), failed_probes),
        };
        self.state = State::Open { probe_at: now + pause, failed_probes };
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn closed(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(now);
        let epoch = breaker.begin_probe(now).expect("the first probe is due at once");
        assert!(breaker.probed(epoch, Probed::Good, now, 0));
        breaker
    }

    #[test]
    fn three_failures_in_a_row_open_it_and_a_success_between_them_does_not_let_them() {
        let now = Instant::now();
        let mut breaker = closed(now);
        let epoch = breaker.epoch();
        for _ in 0..2 {
            assert!(!breaker.failed(epoch, now, 0));
        }
        breaker.succeeded(epoch);
        for opens in [false, false, true] {
            assert_eq!(breaker.failed(epoch, now, 0), opens);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn half_of_the_last_twenty_open_it_even_when_they_come_one_by_one() {
        let now = Instant::now();
        let mut breaker = closed(now);
        let epoch = breaker.epoch();
        let mut opened = false;
        for _ in 0..WINDOW / 2 {
            assert!(!opened);
            breaker.succeeded(epoch);
            opened = breaker.failed(epoch, now, 0);
        }
        assert!(opened);
    }

    #[test]
    fn the_first_probe_comes_within_a_quarter_of_a_second_and_later_ones_within_three() {
        let now = Instant::now();
        for random in [0, 128, 255] {
            let mut breaker = closed(now);
            breaker.trip(now, random);
            let mut at = now;
            for probe in 0..12 {
                let due = breaker.probe_at().expect("one is due");
                let most = if probe == 0 { Duration::from_millis(250) } else { Duration::from_secs(3) };
                assert!(due - at <= most && due - at >= FIRST_PAUSE / 2, "{:?}", due - at);
                assert_eq!(breaker.begin_probe(at), None, "not before it is due");
                let epoch = breaker.begin_probe(due).expect("it is due");
                assert_eq!(breaker.begin_probe(due), None, "one at a time");
                breaker.probed(epoch, Probed::Bad, due, random);
                at = due;
            }
            assert!(breaker.probe_at().expect("one is due") - at >= LONGEST_PAUSE * 3 / 4);
        }
    }

    #[test]
    fn what_was_begun_before_it_opened_neither_closes_nor_reopens_it() {
        let now = Instant::now();
        let mut breaker = closed(now);
        let old = breaker.epoch();
        breaker.trip(now, 0);
        assert!(!breaker.succeeded(old));
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(breaker.succeeded(breaker.epoch()), "a call that was made all the same is as good as a probe");
        for _ in 0..10 {
            assert!(!breaker.failed(old, now, 0));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_probe_that_could_not_be_made_is_made_again_soon() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        let epoch = breaker.begin_probe(now).expect("due");
        breaker.probed(epoch, Probed::Limited, now, 255);
        assert!(breaker.probe_at().expect("due again") - now <= Duration::from_millis(650));
        // A probe's result after a call has closed it changes nothing.
        let epoch = breaker.begin_probe(now + Duration::from_secs(1)).expect("due");
        assert!(breaker.succeeded(epoch));
        assert!(!breaker.probed(epoch, Probed::Bad, now, 0));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Succeeded(u64),
        Failed(u64),
        Trip,
        BeginProbe,
        Probed(u64, u8),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3_u64).prop_map(Step::Succeeded),
            (0..3_u64).prop_map(Step::Failed),
            Just(Step::Trip),
            Just(Step::BeginProbe),
            (0..3_u64, 0..3_u8).prop_map(|(back, result)| Step::Probed(back, result)),
            (0..3000_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: it can always be probed again within the longest pause, and a good probe closes it.
        #[test]
        fn it_never_stays_out_for_good(steps in proptest::collection::vec((step(), any::<u8>()), 0..60)) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(now);
            for (step, random) in steps {
                let epoch = breaker.epoch();
                match step {
                    Step::Succeeded(back) => { breaker.succeeded(epoch.saturating_sub(back)); }
                    Step::Failed(back) => { breaker.failed(epoch.saturating_sub(back), now, random); }
                    Step::Trip => { breaker.trip(now, random); }
                    Step::BeginProbe => { breaker.begin_probe(now); }
                    Step::Probed(back, result) => {
                        let result = [Probed::Good, Probed::Bad, Probed::Limited][usize::from(result)];
                        breaker.probed(epoch.saturating_sub(back), result, now, random);
                    }
                    Step::Wait(millis) => now += Duration::from_millis(millis),
                }
                match breaker.state() {
                    BreakerState::Open => {
                        let due = breaker.probe_at().expect("an open breaker has a next probe");
                        prop_assert!(due <= now + LONGEST_PAUSE * 5 / 4 + Duration::from_millis(5));
                    }
                    BreakerState::HalfOpen | BreakerState::Closed => prop_assert_eq!(breaker.probe_at(), None),
                }
            }
            if breaker.state() == BreakerState::HalfOpen {
                breaker.probed(breaker.epoch(), Probed::Bad, now, 0);
            }
            if let Some(due) = breaker.probe_at() {
                let epoch = breaker.begin_probe(due).expect("it is due");
                prop_assert!(breaker.probed(epoch, Probed::Good, due, 0));
            }
            prop_assert_eq!(breaker.state(), BreakerState::Closed);
        }
    }
}
