//! A call into a vendor's library cannot be cancelled. What can be done is to notice, and to end the process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The clock and the list of calls under way.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    slots: Mutex<Vec<Arc<WatchSlot>>>,
}

/// The call that one thread is in.
#[derive(Debug, Default)]
pub(crate) struct WatchSlot {
    current: Mutex<Call>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Call {
    /// Counts calls, so that two looks can tell whether they see the same one.
    number: u64,
    running: Option<(&'static str, Instant)>,
}

/// A call beyond its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overdue {
    pub(crate) function: &'static str,
    slot: usize,
    number: u64,
}

impl Watchdog {
    /// A slot for one more thread.
    pub(crate) fn slot(&self) -> Arc<WatchSlot> {
        let slot = Arc::new(WatchSlot::default());
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&slot));
        slot
    }

    /// The first call whose limit has passed at `now`.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Overdue> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().enumerate().find_map(|(slot, watched)| {
            let call = *watched.current.lock().unwrap_or_else(PoisonError::into_inner);
            let (function, deadline) = call.running?;
            (now >= deadline).then_some(Overdue { function, slot, number: call.number })
        })
    }

    /// Watches for ever. Two looks must see the same call overdue: after the whole process was stopped and continued, every
    /// call looks late for a moment.
    pub(crate) fn watch(&self, period: Duration, on_hang: impl Fn(&'static str)) {
        let mut seen = None;
        loop {
            std::thread::sleep(period);
            let overdue = self.overdue(Instant::now());
            if let Some(call) = overdue
                && seen == overdue
            {
                on_hang(call.function);
            }
            seen = overdue;
        }
    }
}

impl WatchSlot {
    /// Runs `call` under `limit`.
    pub(crate) fn during<T>(&self, function: &'static str, limit: Duration, call: impl FnOnce() -> T) -> T {
        self.set(Some((function, Instant::now() + limit)));
        let result = call();
        self.set(None);
        result
    }

    fn set(&self, running: Option<(&'static str, Instant)>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.number += 1;
        current.running = running;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_call_beyond_its_limit_is_reported_by_name_and_one_within_is_not() {
        let watchdog = Arc::new(Watchdog::default());
        let (hung, reports) = mpsc::channel();
        let (release, wait) = mpsc::channel::<()>();
        let quick = watchdog.slot();
        let slow = watchdog.slot();
        let dog = Arc::clone(&watchdog);
        std::thread::spawn(move || {
            dog.watch(Duration::from_millis(5), move |function| hung.send(function).unwrap_or(()));
        });
        for _ in 0..20 {
            quick.during("C_Quick", Duration::from_mins(1), || std::thread::sleep(Duration::from_millis(1)));
        }
        assert!(reports.try_recv().is_err());
        let hanging = std::thread::spawn(move || slow.during("C_Sign", Duration::from_millis(20), || wait.recv()));
        assert_eq!(reports.recv_timeout(Duration::from_secs(10)), Ok("C_Sign"));
        release.send(()).expect("the thread waits");
        hanging.join().expect("the thread ends").expect("it was released");
        assert_eq!(watchdog.overdue(Instant::now() + Duration::from_hours(1)), None);
    }
}
