use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use yanqian_evidence::Origin;
use yanqian_vocabulary::{NodeId, Timestamp};

/// How a ledger is kept.
#[derive(Debug, Clone)]
pub struct LedgerConfig {
    /// Must be the node that the directory's records name.
    pub node: NodeId,
    /// The ledger's name in checkpoints and receipts; each node has its own.
    pub origin: Origin,
    /// A segment is sealed once it has this many octets.
    pub segment_octets: u64,
    /// A segment with records is sealed once it is this old.
    pub segment_age: Duration,
    /// Appends that may wait; one more is refused with [`crate::LedgerError::Busy`].
    pub queue: usize,
    /// How long [`crate::Ledger::append`] waits for a slow disk.
    pub patience: Duration,
    /// Space kept aside so that outcomes and refusals can still be written on a full disk.
    pub reserve_octets: u64,
    /// At open, the newest segments are proven up to this many octets, and always as far back as the oldest open
    /// intent. Older ones are for `ledger verify`.
    pub open_check_octets: u64,
    /// How often the files are checked to be still there.
    pub watch: Duration,
}

impl LedgerConfig {
    /// Defaults: segments of 64 MiB or a day, 1024 waiting, 5 s of patience, 16 MiB in reserve, 256 MiB proven at open,
    /// files watched twice a second.
    pub fn new(node: NodeId, origin: Origin) -> Self {
        Self {
            node,
            origin,
            segment_octets: 64 << 20,
            segment_age: Duration::from_hours(24),
            queue: 1024,
            patience: Duration::from_secs(5),
            reserve_octets: 16 << 20,
            open_check_octets: 256 << 20,
            watch: Duration::from_millis(500),
        }
    }
}

/// Where the ledger reads the time of day. Its own times never go back, whatever this says.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(..)")
    }
}
