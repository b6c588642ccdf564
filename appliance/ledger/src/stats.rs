use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the ledger can take at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerState {
    /// Every record.
    Writing,
    /// The disk is full: everything but new intents, as long as the reserve lasts.
    RefusalsOnly,
    /// Nothing, until it is opened again.
    Failed(Failure),
}

/// What made the ledger fail closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A write failed.
    Write,
    /// A sync failed: what the disk holds is not known.
    Sync,
    /// A segment could not be made or sealed.
    Rotate,
    /// A file of the ledger was deleted, replaced or changed by someone else.
    FileChanged,
    /// The ledger was being opened again and could not be.
    Reopen,
}

impl LedgerState {
    /// All of them, for metrics.
    pub const ALL: [Self; 7] = [
        Self::Writing,
        Self::RefusalsOnly,
        Self::Failed(Failure::Write),
        Self::Failed(Failure::Sync),
        Self::Failed(Failure::Rotate),
        Self::Failed(Failure::FileChanged),
        Self::Failed(Failure::Reopen),
    ];

    /// Whether it may heal by itself. Who changes files behind the ledger's back may do worse than what was noticed, so an
    /// operator has to look first.
    pub fn needs_operator(self) -> bool {
        self == Self::Failed(Failure::FileChanged)
    }

    /// Stable word for metrics, health and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Writing => "writing",
            Self::RefusalsOnly => "refusals-only",
            Self::Failed(Failure::Write) => "failed-write",
            Self::Failed(Failure::Sync) => "failed-sync",
            Self::Failed(Failure::Rotate) => "failed-rotate",
            Self::Failed(Failure::FileChanged) => "failed-file-changed",
            Self::Failed(Failure::Reopen) => "failed-reopen",
        }
    }
}

/// Plain numbers for metrics and health. Counters count from open; the rest are the values of the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Records made durable since open.
    pub appends: u64,
    /// Syncs of records since open; each made one or more records durable.
    pub syncs: u64,
    /// Octets of frames made durable since open.
    pub octets: u64,
    /// Appends refused since open, for whatever reason.
    pub refused: u64,
    /// Appends that wait.
    pub queue: usize,
    /// Intents without an outcome.
    pub open_intents: usize,
    /// Sequence of the last durable record: the number of records in the ledger.
    pub last_sequence: u64,
    /// Number of the segment being written.
    pub segment: u64,
    /// Milliseconds for which the write under way has kept its records waiting; 0 when none is.
    pub stalled_milliseconds: u64,
    pub state: LedgerState,
}

/// The numbers, shared between the writer and everyone who asks.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) appends: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) octets: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) queue: AtomicUsize,
    pub(crate) open_intents: AtomicUsize,
    pub(crate) last_sequence: AtomicU64,
    pub(crate) segment: AtomicU64,
    busy_since: Mutex<Option<Instant>>,
    state: Mutex<LedgerState>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            appends: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            octets: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            queue: AtomicUsize::new(0),
            open_intents: AtomicUsize::new(0),
            last_sequence: AtomicU64::new(0),
            segment: AtomicU64::new(0),
            busy_since: Mutex::new(None),
            state: Mutex::new(LedgerState::Writing),
        }
    }

    pub(crate) fn state(&self) -> LedgerState {
        *self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn set_state(&self, state: LedgerState) {
        *self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = state;
    }

    pub(crate) fn set_busy(&self, busy: bool) {
        let since = busy.then(Instant::now);
        *self.busy_since.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = since;
    }

    /// How long the write under way has been taking; zero when none is.
    pub(crate) fn stalled(&self) -> Duration {
        let busy_since = *self.busy_since.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        busy_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            appends: self.appends.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            octets: self.octets.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            queue: self.queue.load(Ordering::Relaxed),
            open_intents: self.open_intents.load(Ordering::Relaxed),
            last_sequence: self.last_sequence.load(Ordering::Relaxed),
            segment: self.segment.load(Ordering::Relaxed),
            stalled_milliseconds: u64::try_from(self.stalled().as_millis()).unwrap_or(u64::MAX),
            state: self.state(),
        }
    }
}
