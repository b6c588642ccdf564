//! Places at the listener: for handshakes, for connections, and for each caller, so that nobody takes them all.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Duration, Instant, timeout_at};
use yanqian_vocabulary::CallerId;

/// Handshakes under way. Whoever connects and says nothing is not known yet, so no share of these places can be given to
/// anybody; instead, when all are taken, a newcomer takes the place of the one who has been silent longest. A handshake is a
/// matter of milliseconds, but many may come at once, so that none loses its place within [`GRACE`]: until then the
/// newcomers wait in the kernel's queue.
#[derive(Debug)]
pub(crate) struct Handshakes {
    max: usize,
    shared: Arc<Shared>,
}

const GRACE: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// Dropping the sender tells the handshake to end.
    places: BTreeMap<u64, (Instant, oneshot::Sender<()>)>,
}

/// A place among the handshakes; given back when dropped.
#[derive(Debug)]
pub(crate) struct Handshake {
    shared: Arc<Shared>,
    number: u64,
    /// Resolves when the place is taken away.
    pub(crate) evicted: oneshot::Receiver<()>,
}

impl Handshakes {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, shared: Arc::default() }
    }

    pub(crate) async fn enter(&self) -> Handshake {
        loop {
            let until = match self.try_enter() {
                Ok(handshake) => return handshake,
                Err(until) => until,
            };
            // Either a place becomes free, or the oldest has had its grace.
            let _ = timeout_at(until, self.shared.freed.notified()).await;
        }
    }

    /// A place, or the moment at which the oldest may be made to go.
    fn try_enter(&self) -> Result<Handshake, Instant> {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if waiting.places.len() >= self.max {
            match waiting.places.first_entry() {
                Some(oldest) if oldest.get().0 + GRACE <= now => drop(oldest.remove()),
                Some(oldest) => return Err(oldest.get().0 + GRACE),
                None => {}
            }
        }
        let (sender, evicted) = oneshot::channel();
        let number = waiting.next;
        waiting.next += 1;
        waiting.places.insert(number, (now, sender));
        Ok(Handshake { shared: Arc::clone(&self.shared), number, evicted })
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).places.remove(&self.number);
        self.shared.freed.notify_one();
    }
}

/// What one caller may hold at once.
#[derive(Debug)]
struct Share {
    connections: Arc<Semaphore>,
    requests: Arc<Semaphore>,
}

/// Connections with a verified certificate, all together and by caller. Certificates that name no caller of the agreement
/// share one share.
#[derive(Debug)]
pub(crate) struct Seats {
    all: Arc<Semaphore>,
    per_caller: usize,
    requests_per_caller: usize,
    shares: Mutex<HashMap<Option<CallerId>, Share>>,
}

/// A connection's seat; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    requests: Arc<Semaphore>,
}

/// There is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Everywhere,
    ForCaller,
}

impl Seats {
    pub(crate) fn new(all: usize, per_caller: usize, requests_per_caller: usize) -> Self {
        let all = Arc::new(Semaphore::new(all));
        Self { all, per_caller, requests_per_caller, shares: Mutex::default() }
    }

    pub(crate) fn take(&self, caller: Option<&CallerId>) -> Result<Seat, Full> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        // Callers are those of the agreement, so the map stays as small as that.
        let share = shares.entry(caller.cloned()).or_insert_with(|| Share {
            connections: Arc::new(Semaphore::new(self.per_caller)),
            requests: Arc::new(Semaphore::new(self.requests_per_caller)),
        });
        let own = Arc::clone(&share.connections).try_acquire_owned().map_err(|_| Full::ForCaller)?;
        let all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Full::Everywhere)?;
        Ok(Seat { _all: all, _own: own, requests: Arc::clone(&share.requests) })
    }
}

impl Seat {
    /// A place for one more request of this caller; none when it has too many under way.
    pub(crate) fn request(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.requests).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn is_evicted(handshake: &mut Handshake) -> bool {
        handshake.evicted.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
    }

    #[tokio::test]
    async fn a_newcomer_waits_and_then_takes_the_place_of_the_longest_silent_handshake() {
        let handshakes = Handshakes::new(2);
        let mut first = handshakes.enter().await;
        let second = handshakes.enter().await;
        let began = Instant::now();
        let mut third = handshakes.enter().await;
        assert!(began.elapsed() > GRACE / 2 && is_evicted(&mut first), "{:?}", began.elapsed());
        drop(second);
        let began = Instant::now();
        let _fourth = handshakes.enter().await;
        assert!(began.elapsed() < GRACE / 2 && !is_evicted(&mut third), "a free place is given at once");
    }

    #[test]
    fn one_caller_cannot_take_the_seats_of_another() {
        let seats = Seats::new(3, 2, 1);
        let [a, b] = ["a", "b"].map(|name| CallerId::new(name).unwrap());
        let first = seats.take(Some(&a)).unwrap();
        let _second = seats.take(Some(&a)).unwrap();
        assert_eq!(seats.take(Some(&a)).unwrap_err(), Full::ForCaller);
        let _other = seats.take(Some(&b)).unwrap();
        assert_eq!(seats.take(None).unwrap_err(), Full::Everywhere);
        let request = first.request().unwrap();
        assert!(first.request().is_none(), "requests of one caller are counted over its connections");
        drop((request, first));
        seats.take(None).unwrap();
        assert!(seats.take(Some(&a)).unwrap().request().is_some());
    }
}
