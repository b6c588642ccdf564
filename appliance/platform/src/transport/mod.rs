//! Carrying a request to the platform and its answer back, with one question always answered: can the platform have it?
//!
//! A request is sent at most once unless it is proven that the platform has nothing of it, or the profile says that the
//! platform takes the same request again without harm (I4). What is sent again are the same octets with the same nonce, at
//! another endpoint or on another connection, inside the check's deadline and a budget. Nothing is ever asked twice at once.

mod breaker;
mod budget;
mod connect;
mod endpoint;
mod exchange;
mod link;
mod look;
mod meter;
mod pool;
mod proxy;
mod stats;
mod tls;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::HeaderMap;
use yanqian_messages::Certificate;
use yanqian_trust::{TrustStore, Verifier, VerifierSettings};
use yanqian_vocabulary::Reason;

pub use breaker::{BreakerSettings, EndpointState};
pub use budget::RetrySettings;
pub use endpoint::{Endpoint, EndpointError};
pub use look::{LookFailure, Looked, LookedAddress, TlsFacts};
pub use proxy::{Proxy, ProxyError};
pub use stats::{AttemptResult, ConnectStage, EndpointStats, LinkStats, PROTOCOLS};
pub use tls::{ClientKey, ClientKeyError, Security};

use budget::RetryBudget;
use connect::Connector;
use link::Link;
use pool::PoolLimits;
use tls::TlsSettings;

use crate::profile::Profile;
use crate::request::SignedRequest;

/// An answer as received: nothing of it is believed.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// Proven that the platform has nothing of the request: no octet of it was written, or the server said by HTTP/2's own
    /// means that it did not process it.
    NotSent,
    /// As [`Self::NotSent`], and at an endpoint was somebody who did not prove to be the platform.
    Unidentified,
    /// The request, or a part of it, was written, and no complete answer came.
    Unanswered,
    /// An answer began and broke a limit.
    Refused(Reason),
}

/// How the platform is reached.
#[derive(Debug)]
pub struct LinkSettings {
    /// In the order of preference: one is asked while those before it rest.
    pub endpoints: Vec<Endpoint>,
    pub security: Security,
    pub proxy: Option<Proxy>,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
    /// Requests under way at one endpoint at once.
    pub in_use: usize,
    /// How old a connection may be for a request to begin on it.
    pub age: Duration,
    pub breaker: BreakerSettings,
    pub retries: RetrySettings,
    /// Verifies what revocation data say of TLS certificates.
    pub verifier: Arc<Verifier>,
}

impl LinkSettings {
    /// Defaults for everything but the endpoints, over TLS without a client certificate.
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            security: Security::Tls { client: None },
            proxy: None,
            http2: true,
            in_use: 256,
            age: Duration::from_mins(10),
            breaker: BreakerSettings::default(),
            retries: RetrySettings::default(),
            verifier: Arc::new(Verifier::new(VerifierSettings { table_octets: 0, shadow_every: NonZeroU32::MIN })),
        }
    }
}

/// For how long a request may be under way where nobody says.
const LONGEST: Duration = Duration::from_mins(1);

/// The way to the platform: its endpoints, their health, and a few connections to each.
pub struct PlatformClient {
    profile: Arc<Profile>,
    connector: Connector,
    links: Vec<Link>,
    budget: RetryBudget,
    retries: AtomicU64,
    denied: AtomicU64,
}

impl std::fmt::Debug for PlatformClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let endpoints: Vec<_> = self.links.iter().map(|link| link.endpoint().to_string()).collect();
        write!(f, "PlatformClient({})", endpoints.join(", "))
    }
}

impl PlatformClient {
    /// One endpoint, `https://HOST:PORT` (port 443 when absent), and defaults for the rest.
    pub fn new(profile: Arc<Profile>, endpoint: &str) -> Result<Self, EndpointError> {
        Self::with_settings(profile, LinkSettings::new(vec![Endpoint::https(endpoint, Vec::new())?]))
    }

    pub fn with_settings(profile: Arc<Profile>, settings: LinkSettings) -> Result<Self, EndpointError> {
        if settings.endpoints.is_empty() {
            return Err(EndpointError::None);
        }
        let limits = PoolLimits {
            in_use: settings.in_use,
            idle: profile.limits.idle_connections,
            idle_time: profile.limits.idle,
            age: settings.age,
        };
        let link = |endpoint| Link::new(endpoint, settings.breaker, limits);
        Ok(Self {
            profile,
            connector: Connector {
                security: settings.security,
                proxy: settings.proxy,
                http2: settings.http2,
                settings: TlsSettings::default(),
                verifier: settings.verifier,
            },
            links: settings.endpoints.into_iter().map(link).collect(),
            budget: RetryBudget::new(settings.retries),
            retries: AtomicU64::new(0),
            denied: AtomicU64::new(0),
        })
    }

    /// As [`Self::send_by`], within a minute.
    pub async fn send(&self, request: &SignedRequest, trust: &TrustStore) -> Result<RawAnswer, SendError> {
        self.send_by(request, trust, Instant::now() + LONGEST).await
    }

    /// Sends a request until it is answered, can have reached the platform, or `deadline` has come.
    pub async fn send_by(
        &self,
        request: &SignedRequest,
        trust: &TrustStore,
        deadline: Instant,
    ) -> Result<RawAnswer, SendError> {
        self.budget.deposit();
        let again = self.profile.request.idempotent;
        // Where the platform takes a request twice, one that has a single endpoint may try it a second time.
        let way = self.links.iter().chain(self.links.first().filter(|_| again));
        let (mut attempts, mut written, mut unidentified) = (0, false, false);
        for link in way {
            if Instant::now() >= deadline {
                break;
            }
            let Some(leave) = link.admit() else {
                unidentified |= link.is_unidentified();
                continue;
            };
            if attempts > 0 && !self.may_retry() {
                break;
            }
            attempts += 1;
            match link.attempt(leave, &self.connector, request, &self.profile, trust, deadline).await {
                Err(SendError::NotSent) => {}
                Err(SendError::Unidentified) => unidentified = true,
                Err(SendError::Unanswered) if again => written = true,
                ended => return ended,
            }
        }
        if attempts == 0 {
            tracing::warn!("every endpoint of the platform rests after failures");
        }
        // Once written, a later attempt that was not proves nothing about the first.
        Err(match (written, unidentified) {
            (true, _) => SendError::Unanswered,
            (false, true) => SendError::Unidentified,
            (false, false) => SendError::NotSent,
        })
    }

    fn may_retry(&self) -> bool {
        let may = self.budget.withdraw();
        let count = if may { &self.retries } else { &self.denied };
        count.fetch_add(1, Ordering::Relaxed);
        may
    }

    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The word for what protects the way.
    pub const fn transport(&self) -> &'static str {
        self.connector.security.as_str()
    }

    /// The certificate that this appliance shows the platform in TLS.
    pub fn shown(&self) -> Option<&Certificate> {
        self.connector.security.client().map(ClientKey::certificate)
    }

    pub fn stats(&self) -> LinkStats {
        LinkStats {
            endpoints: self.links.iter().map(Link::stats).collect(),
            retries: self.retries.load(Ordering::Relaxed),
            retries_denied: self.denied.load(Ordering::Relaxed),
            retry_budget: self.budget.left(),
        }
    }
}
