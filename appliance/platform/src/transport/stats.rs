//! What became of attempts, in plain numbers that the daemon turns into metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::breaker::EndpointState;

/// How an attempt at an endpoint ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptResult {
    /// An answer came, whatever it says.
    Answered,
    /// Proven that the platform has nothing of the request.
    NotSent,
    /// The request or a part of it was written, and no answer came.
    Unanswered,
    /// An answer began and broke a limit.
    Refused,
}

impl AttemptResult {
    pub const ALL: [Self; 4] = [Self::Answered, Self::NotSent, Self::Unanswered, Self::Refused];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NotSent => "not-sent",
            Self::Unanswered => "unanswered",
            Self::Refused => "refused",
        }
    }
}

/// Where making a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectStage {
    /// The endpoint's or the proxy's name has no address.
    Resolve,
    /// No TCP connection.
    Tcp,
    /// The proxy did not open a tunnel.
    Proxy,
    /// The TLS handshake failed.
    Tls,
    /// Whoever is there did not prove to be the platform: its certificates, its name, or what vouches for them.
    Identity,
    /// HTTP did not begin.
    Http,
}

impl ConnectStage {
    pub const ALL: [Self; 6] = [Self::Resolve, Self::Tcp, Self::Proxy, Self::Tls, Self::Identity, Self::Http];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Tcp => "tcp",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Identity => "identity",
            Self::Http => "http",
        }
    }
}

/// HTTP versions, as `protocol` labels of connections.
pub const PROTOCOLS: [&str; 2] = ["http1", "http2"];

/// One endpoint, now.
#[derive(Debug, Clone)]
pub struct EndpointStats {
    /// `https://HOST:PORT` as configured.
    pub endpoint: String,
    pub state: EndpointState,
    /// Times that it stopped being asked.
    pub rests: u64,
    /// In the order of [`AttemptResult::ALL`].
    pub attempts: [u64; 4],
    /// In the order of [`ConnectStage::ALL`].
    pub failed_connections: [u64; 6],
    /// Open ones, in the order of [`PROTOCOLS`].
    pub connections: [u64; 2],
}

/// The way to the platform, now.
#[derive(Debug, Clone)]
pub struct LinkStats {
    pub endpoints: Vec<EndpointStats>,
    /// Requests that were tried once more.
    pub retries: u64,
    /// Requests that were not tried once more because too many were already.
    pub retries_denied: u64,
    pub retry_budget: u64,
}

/// Counts of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) attempts: [Arc<AtomicU64>; 4],
    pub(crate) failed_connections: [Arc<AtomicU64>; 6],
    pub(crate) connections: [Arc<AtomicU64>; 2],
}

impl Counts {
    pub(crate) fn attempt(&self, result: AttemptResult) {
        self.attempts[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed_connection(&self, stage: ConnectStage) {
        self.failed_connections[stage as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection as open for as long as what it gives is kept.
    pub(crate) fn open(&self, protocol: usize) -> OpenCount {
        let count = Arc::clone(&self.connections[protocol]);
        count.fetch_add(1, Ordering::Relaxed);
        OpenCount(count)
    }
}

pub(crate) fn all<const N: usize>(counts: &[Arc<AtomicU64>; N]) -> [u64; N] {
    std::array::from_fn(|index| counts[index].load(Ordering::Relaxed))
}

pub(crate) struct OpenCount(Arc<AtomicU64>);

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
