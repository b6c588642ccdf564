//! Whether the token can be used now: who is inside the module, and who waits outside until it is back.
//!
//! Bringing a token back takes `C_Finalize` and `C_Initialize`, which no other call may overlap. So every thread enters before
//! its calls and leaves after them; while the token is away nobody enters but the thread that brings it back.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a request waits for a token that is away, counted from when it went away. What is short enough costs no check.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);
/// A token that goes away again within this long after it came back is brought back less eagerly.
const CALM: Duration = Duration::from_secs(10);

/// The token is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Away {
    pub(super) since: Instant,
    pub(super) why: String,
    /// How often in a row it went away again soon after it came back.
    pub(super) relapses: u32,
}

impl Away {
    /// Whether requests should not wait for it any more.
    pub(super) fn is_long(&self) -> bool {
        self.since.elapsed() >= PATIENCE
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Health {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Counts initialisations of the module: sessions and handles of an earlier one are dead.
    epoch: u64,
    inside: usize,
    away: Option<Away>,
    came_back: Option<(Instant, u32)>,
}

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        // Counts and stamps, whole whatever happened to a thread that held the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters; gives the epoch. Waits for a token that is away, no longer than it deserves.
    pub(super) fn enter(&self) -> Result<u64, Away> {
        let mut state = self.state();
        while let Some(away) = &state.away {
            let left = PATIENCE.saturating_sub(away.since.elapsed());
            if left.is_zero() {
                return Err(away.clone());
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.inside += 1;
        Ok(state.epoch)
    }

    pub(super) fn leave(&self) {
        self.state().inside -= 1;
        self.changed.notify_all();
    }

    /// Reports that the token of this epoch is away; an epoch that has passed reports nothing. True for the first report.
    pub(super) fn report(&self, epoch: u64, why: String) -> bool {
        let mut state = self.state();
        if state.epoch != epoch || state.away.is_some() {
            return false;
        }
        let relapses = match state.came_back {
            Some((when, relapses)) if when.elapsed() < CALM => relapses + 1,
            _ => 0,
        };
        state.away = Some(Away { since: Instant::now(), why, relapses });
        true
    }

    pub(super) fn away(&self) -> Option<Away> {
        self.state().away.clone()
    }

    /// Waits until nobody is inside. A call that hangs ends the process, so this ends.
    pub(super) fn wait_until_empty(&self) {
        let mut state = self.state();
        while state.inside > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The token is back under a new epoch, which this gives.
    pub(super) fn came_back(&self) -> u64 {
        let mut state = self.state();
        state.epoch += 1;
        state.came_back = state.away.take().map(|away| (Instant::now(), away.relapses));
        let epoch = state.epoch;
        drop(state);
        self.changed.notify_all();
        epoch
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn nobody_enters_while_the_token_is_away_and_everybody_when_it_is_back() {
        let health = Arc::new(Health::default());
        let epoch = health.enter().expect("it is there");
        assert!(health.report(epoch, "gone".into()));
        assert!(!health.report(epoch, "gone".into()), "the first report counts");
        let waiting = Arc::clone(&health);
        let thread = std::thread::spawn(move || waiting.enter());
        let emptied = Arc::clone(&health);
        let emptying = std::thread::spawn(move || emptied.wait_until_empty());
        health.leave();
        emptying.join().expect("it ends");
        let next = health.came_back();
        assert_eq!(thread.join().expect("it ends"), Ok(next));
        assert!(!health.report(epoch, "gone".into()), "what an earlier epoch says is old");
        assert_eq!(health.away(), None);
    }

    #[test]
    fn patience_is_counted_from_when_the_token_went_away() {
        let health = Health::default();
        health.report(0, "gone".into());
        assert_eq!(health.enter().expect_err("it stays away").why, "gone");
        assert!(health.enter().is_err_and(|away| away.is_long()), "who comes later does not wait anew");
    }

    #[test]
    fn a_token_that_comes_and_goes_is_counted() {
        let health = Health::default();
        let mut epoch = 0;
        for relapses in 0..3 {
            health.report(epoch, "gone".into());
            assert_eq!(health.away().map(|away| away.relapses), Some(relapses));
            epoch = health.came_back();
        }
    }
}
