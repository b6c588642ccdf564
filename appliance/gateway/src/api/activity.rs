//! What happens on one connection, and until when something has to.
//!
//! HTTP/1.1 and HTTP/2 have the same deadlines, so they are kept here and not in the protocols' libraries: the first head
//! of a connection, every head that has begun, the pause between requests, a reply that is not taken, and the way out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The waits of one connection.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// From the handshake to the end of the first head, and from a head's first octet to its last.
    pub header: Duration,
    /// Between requests.
    pub idle: Duration,
    /// From a reply's head to the moment at which all of it has been handed over.
    pub reply: Duration,
    /// For requests under way when the connection may take no more of them.
    pub drain: Duration,
}

/// For the farewell of a connection on which nothing happens.
const LINGER: Duration = Duration::from_secs(1);

/// Why a connection is ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing was asked for too long.
    Idle,
    /// A head did not come, or not to its end.
    Head,
    /// A reply was not taken.
    Reply,
    /// The requests that were let end have ended, or have had their time.
    Drained,
    /// More frames than anything useful needs.
    Flood,
}

/// The shared account of one connection.
#[derive(Debug)]
pub(crate) struct Activity {
    waits: Waits,
    inner: Mutex<Inner>,
    /// Told when the deadline has become earlier, or something else is to be looked at.
    pub(crate) changed: Notify,
}

#[derive(Debug)]
struct Inner {
    quiet_since: Instant,
    started: u64,
    ended: u64,
    answered: u64,
    head: Option<(u64, Instant)>,
    /// Replies on their way, by request.
    replies: BTreeMap<u64, Instant>,
    drain_since: Option<Instant>,
    end: Option<End>,
    /// What the connection's timer is set to.
    armed: Option<Instant>,
}

impl Inner {
    fn deadline(&self, waits: &Waits) -> Option<(Instant, End)> {
        let in_flight = self.started > self.ended;
        let head = self.head.map(|(_, since)| (since + waits.header, End::Head));
        let quiet = (!in_flight && self.drain_since.is_none()).then(|| match self.started {
            0 => (self.quiet_since + waits.header, End::Head),
            _ => (self.quiet_since + waits.idle, End::Idle),
        });
        let reply = self.replies.values().min().map(|since| (*since + waits.reply, End::Reply));
        let drain = self.drain_since.map(|since| {
            let latest = since + waits.drain;
            let farewell = self.quiet_since.max(since) + LINGER;
            (if in_flight { latest } else { farewell.min(latest) }, End::Drained)
        });
        [head, quiet, reply, drain].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

impl Activity {
    pub(crate) fn new(waits: Waits) -> Arc<Self> {
        let inner = Inner {
            quiet_since: Instant::now(),
            started: 0,
            ended: 0,
            answered: 0,
            head: None,
            replies: BTreeMap::new(),
            drain_since: None,
            end: None,
            armed: None,
        };
        Arc::new(Self { waits, inner: Mutex::new(inner), changed: Notify::new() })
    }

    /// No code panics while it holds the lock, and an account left by one that did would still be whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.lock();
        change(&mut inner);
        let deadline = inner.deadline(&self.waits).map(|(at, _)| at);
        let earlier = match (deadline, inner.armed) {
            (Some(at), Some(armed)) => at < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if earlier {
            self.changed.notify_one();
        }
    }

    /// Sets down that a request's head has come.
    pub(crate) fn begin(self: &Arc<Self>) -> Exchange {
        let mut number = 0;
        self.change(|inner| {
            inner.started += 1;
            number = inner.started;
        });
        Exchange { activity: Arc::clone(self), number }
    }

    /// `open` is the number of the head that has begun and not ended.
    pub(crate) fn head(&self, open: Option<u64>, now: Instant) {
        if self.lock().head.map(|(number, _)| number) != open {
            self.change(|inner| inner.head = open.map(|number| (number, now)));
        }
    }

    /// Requests whose whole reply was handed over; those that the peer gave up are not among them.
    pub(crate) fn answered(&self) -> u64 {
        self.lock().answered
    }

    /// The connection is to end for this reason.
    pub(crate) fn end(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.changed.notify_one();
    }

    /// Why the connection has to end, if it has to.
    pub(crate) fn ended(&self) -> Option<End> {
        self.lock().end
    }

    /// No new requests from now on. False when that was so already.
    pub(crate) fn drain(&self) -> bool {
        let mut first = false;
        self.change(|inner| {
            first = inner.drain_since.is_none();
            inner.drain_since.get_or_insert_with(Instant::now);
        });
        first
    }

    /// Whether no new requests are wanted.
    pub(crate) fn is_draining(&self) -> bool {
        self.lock().drain_since.is_some()
    }

    /// When to look again; the timer is taken to be set to it.
    pub(crate) fn arm(&self) -> Option<Instant> {
        let mut inner = self.lock();
        inner.armed = inner.deadline(&self.waits).map(|(at, _)| at);
        inner.armed
    }

    /// What has not happened in time.
    pub(crate) fn overdue(&self, now: Instant) -> Option<End> {
        self.lock().deadline(&self.waits).filter(|(at, _)| *at <= now).map(|(_, end)| end)
    }
}

/// A request from its head to the last octet of its reply; ends when dropped.
#[derive(Debug)]
pub(crate) struct Exchange {
    activity: Arc<Activity>,
    number: u64,
}

impl Exchange {
    /// Which request of its connection it is, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The reply is ready: from now on the peer has to take it.
    pub(crate) fn replying(&self) {
        self.activity.change(|inner| {
            inner.replies.insert(self.number, Instant::now());
        });
    }

    /// The whole reply has been handed over.
    pub(crate) fn answered(&self) {
        self.activity.lock().answered += 1;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.activity.change(|inner| {
            inner.ended += 1;
            inner.replies.remove(&self.number);
            if inner.ended == inner.started {
                inner.quiet_since = Instant::now();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const WAITS: Waits = Waits {
        header: Duration::from_secs(10),
        idle: Duration::from_mins(1),
        reply: Duration::from_secs(5),
        drain: Duration::from_secs(20),
    };

    fn after(activity: &Activity, seconds: u64) -> Option<End> {
        activity.overdue(Instant::now() + Duration::from_secs(seconds))
    }

    #[test]
    fn a_connection_that_asks_nothing_ends_by_the_first_heads_deadline() {
        let activity = Activity::new(WAITS);
        assert_eq!(after(&activity, 9), None);
        assert_eq!(after(&activity, 11), Some(End::Head));
    }

    #[test]
    fn a_request_under_way_has_no_deadline_and_a_pause_after_it_has() {
        let activity = Activity::new(WAITS);
        let exchange = activity.begin();
        assert_eq!((exchange.number(), activity.arm()), (1, None));
        exchange.replying();
        assert_eq!(after(&activity, 6), Some(End::Reply));
        drop(exchange);
        assert_eq!((after(&activity, 59), after(&activity, 61)), (None, Some(End::Idle)));
        assert_eq!(activity.answered(), 0, "it was given up");
    }

    #[test]
    fn a_head_has_its_deadline_even_beside_other_requests_and_the_next_head_has_its_own() {
        let activity = Activity::new(WAITS);
        let _exchange = activity.begin();
        let now = Instant::now();
        activity.head(Some(1), now);
        activity.head(Some(1), now + Duration::from_secs(8));
        assert_eq!(after(&activity, 11), Some(End::Head));
        activity.head(Some(2), now + Duration::from_secs(8));
        assert_eq!((after(&activity, 17), after(&activity, 19)), (None, Some(End::Head)));
        activity.head(None, now);
        assert_eq!(after(&activity, 1000), None);
    }

    #[test]
    fn draining_gives_requests_time_and_silence_little() {
        let activity = Activity::new(WAITS);
        let exchange = activity.begin();
        assert!(activity.drain() && !activity.drain());
        assert_eq!((after(&activity, 19), after(&activity, 21)), (None, Some(End::Drained)));
        drop(exchange);
        assert_eq!((after(&activity, 0), after(&activity, 2)), (None, Some(End::Drained)));
    }

    #[tokio::test]
    async fn only_an_earlier_deadline_is_told() {
        let activity = Activity::new(WAITS);
        let told = async |activity: &Activity| {
            tokio::time::timeout(Duration::from_millis(20), activity.changed.notified()).await.is_ok()
        };
        activity.arm();
        let exchange = activity.begin();
        drop(exchange);
        assert!(!told(&activity).await, "the pause ends later than the first head's deadline");
        activity.arm();
        activity.head(Some(1), Instant::now());
        assert!(told(&activity).await, "a head has less time than a pause");
    }
}
