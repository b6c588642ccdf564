//! Connections to one endpoint that may be used again. Each is bound to the trust store that verified its certificate, and to the
//! revocation data where they have a say in it: when others come into force, none of the old ones is used any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::meter::Meter;

/// Requests at once on one HTTP/2 connection; fewer than any server of note allows, so that none waits unseen for its turn.
const MOST_STREAMS: usize = 64;

/// The side of a connection to which requests are given.
pub(crate) enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A connection in the hands of one request.
pub(crate) struct Connection {
    pub(crate) sender: Sender,
    pub(crate) meter: Meter,
    trust: [u8; 32],
    born: Instant,
    /// When its certificate has to be judged anew.
    end: Option<Instant>,
    /// Of a connection that others use too.
    shared: Option<Arc<Shared>>,
}

/// What the requests on one HTTP/2 connection know together. Their number is that of its holders, the pool excepted.
struct Shared {
    failed: AtomicBool,
}

impl Connection {
    pub(crate) fn new(sender: Sender, meter: Meter, trust: [u8; 32], end: Option<Instant>) -> Self {
        let shared = matches!(sender, Sender::Http2(_)).then(|| Arc::new(Shared { failed: AtomicBool::new(false) }));
        Self { sender, meter, trust, born: Instant::now(), end, shared }
    }

    /// A second hand on an HTTP/2 connection.
    fn share(&self) -> Option<Self> {
        let Sender::Http2(sender) = &self.sender else { return None };
        Some(Self {
            sender: Sender::Http2(sender.clone()),
            meter: self.meter.clone(),
            trust: self.trust,
            born: self.born,
            end: self.end,
            shared: self.shared.clone(),
        })
    }

    fn holders(&self) -> usize {
        self.shared.as_ref().map_or(0, Arc::strong_count)
    }

    /// Something failed on it: nobody begins another request there.
    pub(crate) fn give_up(self) {
        if let Some(shared) = &self.shared {
            shared.failed.store(true, Ordering::Release);
        }
    }

    fn serves(&self, trust: &[u8; 32], age: Duration) -> bool {
        let open = match &self.sender {
            Sender::Http1(sender) => sender.is_ready(),
            Sender::Http2(sender) => sender.is_ready(),
        };
        let failed = self.shared.as_ref().is_some_and(|shared| shared.failed.load(Ordering::Acquire));
        let judged = self.end.is_none_or(|end| Instant::now() <= end);
        open && !failed && judged && self.trust == *trust && self.born.elapsed() < age
    }
}

struct Kept {
    connection: Connection,
    since: Instant,
}

/// How many connections there are, and for how long they are used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolLimits {
    /// Requests under way at once; over HTTP/1.1 each has a connection.
    pub(crate) in_use: usize,
    pub(crate) idle: usize,
    /// How long a connection may have been idle.
    pub(crate) idle_time: Duration,
    /// How old a connection may be for a request to begin on it.
    pub(crate) age: Duration,
}

pub(crate) struct Pool {
    limits: PoolLimits,
    places: Arc<Semaphore>,
    /// HTTP/1.1 connections that nobody uses, and HTTP/2 connections, used or not.
    kept: Mutex<Vec<Kept>>,
}

impl Pool {
    pub(crate) fn new(limits: PoolLimits) -> Self {
        Self { limits, places: Arc::new(Semaphore::new(limits.in_use)), kept: Mutex::default() }
    }

    /// A place for one request, kept while it is under way.
    pub(crate) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        // Whoever panicked left a list of connections, each of which is looked at before it is used.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is there already.
    pub(crate) fn take(&self, trust: &[u8; 32]) -> Option<Connection> {
        let mut kept = self.kept();
        let limits = self.limits;
        kept.retain(|one| {
            // An HTTP/2 connection with requests on it is not idle.
            let busy = one.connection.holders() > 1;
            one.connection.serves(trust, limits.age) && (busy || one.since.elapsed() < limits.idle_time)
        });
        // A shared connection with room first, the least used one.
        let shared = kept.iter_mut().filter(|one| (1..=MOST_STREAMS).contains(&one.connection.holders()));
        if let Some(one) = shared.min_by_key(|one| one.connection.holders()) {
            one.since = Instant::now();
            return one.connection.share();
        }
        let last = kept.iter().rposition(|one| one.connection.shared.is_none())?;
        Some(kept.remove(last).connection)
    }

    /// A new HTTP/2 connection is shared from its beginning.
    pub(crate) fn begun(&self, connection: &Connection) {
        if let Some(connection) = connection.share() {
            self.kept().push(Kept { connection, since: Instant::now() });
        }
    }

    /// A request ended well: an HTTP/1.1 connection can serve another.
    pub(crate) fn give_back(&self, connection: Connection) {
        if connection.shared.is_some() {
            return;
        }
        let mut kept = self.kept();
        if kept.iter().filter(|one| one.connection.shared.is_none()).count() < self.limits.idle {
            kept.push(Kept { connection, since: Instant::now() });
        }
    }
}
