//! One endpoint with its breaker, its connections and its counts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use openssl::rand::rand_bytes;
use tokio::time::timeout;
use yanqian_trust::TrustStore;

use super::breaker::{Breaker, BreakerSettings, Leave};
use super::connect::Connector;
use super::endpoint::Endpoint;
use super::exchange::exchange;
use super::pool::{Connection, Pool, PoolLimits};
use super::stats::{AttemptResult, ConnectStage, Counts, EndpointStats, all};
use super::{RawAnswer, SendError};
use crate::profile::Profile;
use crate::request::SignedRequest;

pub(crate) struct Link {
    endpoint: Endpoint,
    breaker: Mutex<Breaker>,
    pool: Pool,
    counts: Counts,
    started: Instant,
    /// Whether whoever was there last did not prove to be the platform.
    unidentified: AtomicBool,
}

/// What an attempt says of its endpoint.
enum Health {
    Good,
    Bad,
    /// The check's own deadline came, or there was no place: nothing was learnt.
    Untold,
}

/// Leave that says what became of it, also when the attempt is dropped half-way.
pub(crate) struct Admitted<'a> {
    link: &'a Link,
    leave: Option<Leave>,
}

impl Admitted<'_> {
    fn tell(mut self, health: &Health) {
        let Some(leave) = self.leave.take() else { return };
        let now = self.link.started.elapsed();
        let mut breaker = self.link.breaker();
        match health {
            Health::Good => breaker.succeeded(leave, now),
            Health::Bad => breaker.failed(leave, now, chance()),
            Health::Untold => breaker.untold(leave),
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if let Some(leave) = self.leave.take() {
            self.link.breaker().untold(leave);
        }
    }
}

fn chance() -> u16 {
    let mut octets = [0; 2];
    // Without chance the rest is at its shortest.
    let _ = rand_bytes(&mut octets);
    u16::from_ne_bytes(octets)
}

impl Link {
    pub(crate) fn new(endpoint: Endpoint, breaker: BreakerSettings, limits: PoolLimits) -> Self {
        Self {
            endpoint,
            breaker: Mutex::new(Breaker::new(breaker)),
            pool: Pool::new(limits),
            counts: Counts::default(),
            started: Instant::now(),
            unidentified: AtomicBool::new(false),
        }
    }

    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why this endpoint rests, when it does, is that somebody else is there.
    pub(crate) fn is_unidentified(&self) -> bool {
        self.unidentified.load(Ordering::Relaxed)
    }

    /// Leave to ask this endpoint now; none while it rests.
    pub(crate) fn admit(&self) -> Option<Admitted<'_>> {
        let leave = self.breaker().admit(self.started.elapsed())?;
        Some(Admitted { link: self, leave: Some(leave) })
    }

    /// One attempt. A reused connection that proves to have been dead before the first octet is replaced by a fresh one.
    pub(crate) async fn attempt(
        &self,
        admitted: Admitted<'_>,
        connector: &Connector,
        request: &SignedRequest,
        profile: &Profile,
        trust: &TrustStore,
        deadline: Instant,
    ) -> Result<RawAnswer, SendError> {
        let limits = &profile.limits;
        let left = || deadline.saturating_duration_since(Instant::now());
        let Ok(Some(_place)) = timeout(left(), self.pool.place()).await else {
            tracing::warn!(endpoint = %self.endpoint, "no place among the requests under way");
            self.counts.attempt(AttemptResult::NotSent);
            return Err(SendError::NotSent);
        };
        let mut result = Err(SendError::NotSent);
        if let Some(connection) = self.pool.take(trust.tls_hash()) {
            result = self.on(connection, request, profile, deadline).await;
        }
        let mut cut_short = false;
        if result.as_ref().is_err_and(|error| *error == SendError::NotSent) {
            let limit = limits.connect.min(left());
            cut_short = limit < limits.connect;
            result = match connector.connect(&self.endpoint, trust, &self.counts, limit).await {
                Ok(connection) => {
                    self.pool.begun(&connection);
                    self.on(connection, request, profile, deadline).await
                }
                Err((stage, problem)) => {
                    tracing::warn!(endpoint = %self.endpoint, stage = stage.as_str(), problem, "platform not reached");
                    self.counts.failed_connection(stage);
                    Err(if stage == ConnectStage::Identity { SendError::Unidentified } else { SendError::NotSent })
                }
            };
        }
        let (count, health) = match &result {
            // A server that fails, or a gateway before it that finds nobody.
            Ok(answer) if answer.status >= 500 => (AttemptResult::Answered, Health::Bad),
            Ok(_) => (AttemptResult::Answered, Health::Good),
            Err(SendError::NotSent) if cut_short => (AttemptResult::NotSent, Health::Untold),
            Err(SendError::NotSent | SendError::Unidentified) => (AttemptResult::NotSent, Health::Bad),
            Err(SendError::Unanswered) => (AttemptResult::Unanswered, Health::Bad),
            Err(SendError::Refused(_)) => (AttemptResult::Refused, Health::Bad),
        };
        self.unidentified
            .store(result.as_ref().is_err_and(|error| *error == SendError::Unidentified), Ordering::Relaxed);
        self.counts.attempt(count);
        admitted.tell(&health);
        result
    }

    async fn on(
        &self,
        mut connection: Connection,
        request: &SignedRequest,
        profile: &Profile,
        deadline: Instant,
    ) -> Result<RawAnswer, SendError> {
        let result = exchange(&mut connection, &self.endpoint, request, profile, deadline).await;
        if result.is_ok() {
            self.pool.give_back(connection);
        } else {
            connection.give_up();
        }
        result
    }

    pub(crate) fn stats(&self) -> EndpointStats {
        let breaker = self.breaker();
        EndpointStats {
            endpoint: self.endpoint.to_string(),
            state: breaker.state(),
            rests: breaker.trips(),
            attempts: all(&self.counts.attempts),
            failed_connections: all(&self.counts.failed_connections),
            connections: all(&self.counts.connections),
        }
    }
}
