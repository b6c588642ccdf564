//! Which signing threads take jobs. A token that has no room for a thread's session may have room for another's: a thread that gets
//! none leaves the jobs to those that have one, and comes back when there is room again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::lane::Lane;

/// Between attempts to open one more session, of all resting threads together.
const PAUSE: Duration = Duration::from_secs(1);
/// Between a resting thread's looks.
const LOOK: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug)]
pub(super) struct Duty(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Threads that take jobs.
    on: usize,
    /// When one that rests may try again.
    next: Instant,
}

impl Duty {
    /// All threads on duty.
    pub(super) fn new(threads: usize) -> Self {
        Self(Mutex::new(State { on: threads, next: Instant::now() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A count and a time, whole whatever happened to a thread that held the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one thread off duty, never the last: somebody has to answer.
    pub(super) fn rest(&self) -> bool {
        let mut state = self.state();
        let others = state.on > 1;
        if others {
            state.on -= 1;
            state.next = Instant::now() + PAUSE;
        }
        others
    }

    /// Whether a resting thread may try to open its session now; the others then wait.
    fn may_try(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        let may = now >= state.next;
        if may {
            state.next = now + PAUSE;
        }
        may
    }

    /// One is back. Where there was room for it there may be more.
    fn back(&self) {
        let mut state = self.state();
        state.on += 1;
        state.next = Instant::now();
    }
}

impl Lane {
    /// Off duty until the token has room for this thread's session, or the worker ends.
    pub(super) fn wait_for_room(&mut self) {
        while !self.engine.is_ending() {
            std::thread::sleep(LOOK);
            if self.engine.duty.may_try() && self.run(|lane| lane.session().map(drop)).is_ok() {
                tracing::info!("the token has room for one more session");
                break;
            }
        }
        self.engine.duty.back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_on_duty_stays_and_who_comes_back_makes_way_for_the_next() {
        let duty = Duty::new(3);
        assert_eq!([duty.rest(), duty.rest(), duty.rest()], [true, true, false]);
        assert!(!duty.may_try(), "not at once");
        duty.back();
        assert!(duty.may_try() && !duty.may_try(), "one at a time");
        assert!(duty.rest());
    }
}
