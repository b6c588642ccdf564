//! Turns at work that takes a core for a while. There are as many at once as cores, and no caller stands in the row for them
//! more often than that: whoever else comes waits for the work under way and not for a row of one caller's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use yanqian_vocabulary::CallerId;

#[derive(Debug)]
pub(crate) struct Turns {
    at_once: usize,
    all: Semaphore,
    /// Callers are those of agreements, so the map stays small.
    own: Mutex<HashMap<CallerId, Arc<Semaphore>>>,
}

/// A turn; given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _own: Option<OwnedSemaphorePermit>,
    _all: Option<SemaphorePermit<'a>>,
}

impl Turns {
    pub(crate) fn new(at_once: usize) -> Self {
        Self { at_once, all: Semaphore::new(at_once), own: Mutex::default() }
    }

    fn row(&self, caller: &CallerId) -> Arc<Semaphore> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(own.entry(caller.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.at_once))))
    }

    /// Waits for a turn, first in the caller's own row, then with everybody; each row keeps its order.
    pub(crate) async fn take(&self, caller: &CallerId) -> Turn<'_> {
        // `acquire` fails only when a semaphore is closed, which nothing does.
        let own = self.row(caller).acquire_owned().await.ok();
        Turn { _own: own, _all: self.all.acquire().await.ok() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_caller_with_a_hundred_waiting_delays_another_by_one_turn() {
        let [greedy, other] = ["greedy", "other"].map(|name| CallerId::new(name).unwrap());
        let turns = Arc::new(Turns::new(2));
        let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
        let work = |caller: &CallerId, name: &'static str| {
            let (turns, caller, done) = (Arc::clone(&turns), caller.clone(), done.clone());
            tokio::spawn(async move {
                let turn = turns.take(&caller).await;
                tokio::task::yield_now().await;
                done.send(name).unwrap();
                drop(turn);
            })
        };
        let under_way = [turns.take(&greedy).await, turns.take(&greedy).await];
        for _ in 0..100 {
            work(&greedy, "greedy");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        work(&other, "other");
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(order.try_recv().is_err(), "two at once and no more");
        drop(under_way);
        assert_eq!(order.recv().await, Some("other"));
        for _ in 0..100 {
            assert_eq!(order.recv().await, Some("greedy"));
        }
    }
}
