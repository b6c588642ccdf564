use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use yanqian_evidence::{Body, Context, LeafHash, OutcomeUnknown, SoftwareVersion};
use yanqian_vocabulary::Timestamp;

use crate::config::{Clock, LedgerConfig};
use crate::error::{LedgerError, OpenError};
use crate::exported::Exported;
use crate::recovery::{self, Recovery};
use crate::stats::{LedgerState, Shared, Stats};
use crate::storage::{Directory, Storage};
use crate::writer::{Command, Departure, Draft, Writer};

/// Proof that a record is durable: only the writer makes one, after its sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub sequence: u64,
    pub leaf: LeafHash,
    /// The time in the record.
    pub time: Timestamp,
    /// Number of the segment that holds it.
    pub segment: u64,
    /// Octets from the start of that segment's file to its frame: with `segment` and `leaf`, all that
    /// [`crate::read_record_at`] needs.
    pub offset: u64,
}

/// An append on its way. Dropping it does not take the record back, but an intent that has not been written yet is
/// not written any more.
#[derive(Debug)]
pub struct Append(oneshot::Receiver<Result<Appended, LedgerError>>);

impl Future for Append {
    type Output = Result<Appended, LedgerError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let received = ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready(received.unwrap_or(Err(LedgerError::Closed)))
    }
}

/// An open ledger. Handles are shared by `Arc`; the last one to go closes it, after all waiting records are written.
#[derive(Debug)]
pub struct Ledger {
    config: LedgerConfig,
    queue: SyncSender<Command>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Ledger {
    /// Opens the ledger in `directory`, making it if need be, and locks it. Proves the newest segments, cuts a torn tail,
    /// and refuses to open on anything else that is wrong. Blocks while it reads.
    pub fn open(directory: &Path, config: LedgerConfig, clock: Clock) -> Result<(Self, Recovery), OpenError> {
        let storage = Directory::exclusive(directory).map_err(|source| match source.kind() {
            std::io::ErrorKind::WouldBlock => OpenError::Locked,
            _ => OpenError::Io { doing: "opening the ledger's directory", source },
        })?;
        Self::open_storage(Box::new(storage), config, clock)
    }

    /// As [`Self::open`] on any [`Storage`]. The caller sees to it that nobody else writes there.
    pub fn open_storage(
        storage: Box<dyn Storage>,
        config: LedgerConfig,
        clock: Clock,
    ) -> Result<(Self, Recovery), OpenError> {
        let shared = Arc::new(Shared::new());
        let (files, recovery) = recovery::open(&*storage, &config, &clock, 0)?;
        let writer = Writer::new(storage, files, config.clone(), clock, Arc::clone(&shared));
        let (queue, commands) = sync_channel(config.queue.max(1));
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run(&commands))
            .map_err(|source| OpenError::Io { doing: "starting the ledger's thread", source })?;
        Ok((Self { config, queue, shared, thread: Mutex::new(Some(thread)) }, recovery))
    }

    /// Queues a record. Its sequence and time are given when it is written. All records that wait together share one
    /// write and one sync. Never blocks. No check is begun behind a write that has already taken longer than the configured
    /// patience.
    pub fn submit(&self, context: Arc<Context>, body: impl Into<Body>) -> Result<Append, LedgerError> {
        let body = body.into();
        if matches!(body, Body::Intent(_)) && self.shared.stalled() >= self.config.patience {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            return Err(LedgerError::Slow);
        }
        let (reply, receiver) = oneshot::channel();
        let draft = Draft { context, body: Box::new(body), reply: Some(reply) };
        self.shared.queue.fetch_add(1, Ordering::Relaxed);
        self.queue.try_send(Command::Append(draft)).map_err(|error| {
            self.shared.queue.fetch_sub(1, Ordering::Relaxed);
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => LedgerError::Busy,
                TrySendError::Disconnected(_) => LedgerError::Closed,
            }
        })?;
        Ok(Append(receiver))
    }

    /// Appends a record and waits until it is durable, at most as long as the configured patience. Needs a Tokio
    /// runtime with time.
    pub async fn append(&self, context: Arc<Context>, body: impl Into<Body>) -> Result<Appended, LedgerError> {
        let append = self.submit(context, body)?;
        tokio::time::timeout(self.config.patience, append).await.unwrap_or(Err(LedgerError::Slow))
    }

    /// Ends every check that the last run left open; gives their number. Doing it again does nothing. The records carry
    /// their intent's context with the present `software`.
    pub async fn close_dangling(&self, recovery: &Recovery, software: &SoftwareVersion) -> Result<u64, LedgerError> {
        let mut closed = 0;
        for intent in &recovery.dangling {
            let context = Context { software: software.clone(), ..intent.context.clone() };
            let unknown = OutcomeUnknown { verification: intent.verification, intent: intent.sequence };
            match self.append(Arc::new(context), unknown).await {
                Ok(_) => closed += 1,
                Err(LedgerError::IntentNotOpen) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(closed)
    }

    /// Puts on the list that an archive holds a sealed segment, which was read back from there. Durable when this returns.
    ///
    /// # Errors
    /// [`OpenError::NotRemovable`] for a segment that is not the next on the list, not sealed, or another than the one here.
    pub async fn note_exported(&self, exported: Exported) -> Result<(), OpenError> {
        self.depart(Departure::Exported(Box::new(exported))).await
    }

    /// Whether [`Self::remove_sealed`] would remove this segment: to be asked before the removal goes on record.
    ///
    /// # Errors
    /// As there.
    pub async fn removable(&self, segment: u64) -> Result<(), OpenError> {
        self.depart(Departure::Removable(segment)).await
    }

    /// Removes the oldest segment here, which [`Self::note_exported`] noted. The caller has proven the archive's copy again and put
    /// the removal on record.
    ///
    /// # Errors
    /// [`OpenError::NotRemovable`] for a segment that a start would have to read, is not on the list, or not the oldest.
    pub async fn remove_sealed(&self, segment: u64) -> Result<(), OpenError> {
        self.depart(Departure::Removed(segment)).await
    }

    async fn depart(&self, departure: Departure) -> Result<(), OpenError> {
        let closed = || OpenError::Io { doing: "changing the ledger", source: std::io::ErrorKind::BrokenPipe.into() };
        let (reply, receiver) = oneshot::channel();
        let queue = self.queue.clone();
        let sent = tokio::task::spawn_blocking(move || queue.send(Command::Depart(departure, reply))).await;
        if !matches!(sent, Ok(Ok(()))) {
            return Err(closed());
        }
        receiver.await.unwrap_or_else(|_| Err(closed()))
    }

    /// After a failure: reads everything again as at open, and goes on writing if it is sound. Checks under way keep
    /// their open intents, so the dangling list then holds them too.
    pub async fn reopen(&self) -> Result<Recovery, OpenError> {
        let closed =
            || OpenError::Io { doing: "opening the ledger again", source: std::io::ErrorKind::BrokenPipe.into() };
        let (reply, receiver) = oneshot::channel();
        let queue = self.queue.clone();
        let sent = tokio::task::spawn_blocking(move || queue.send(Command::Reopen(reply))).await;
        if !matches!(sent, Ok(Ok(()))) {
            return Err(closed());
        }
        receiver.await.map_err(|_| closed())?
    }

    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    pub fn state(&self) -> LedgerState {
        self.shared.state()
    }
}

impl Drop for Ledger {
    /// Waits until everything queued is written.
    fn drop(&mut self) {
        // Replaced by a sender without a receiver, so that the writer sees the queue's end.
        self.queue = sync_channel(1).0;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the ledger's thread panicked");
        }
    }
}
