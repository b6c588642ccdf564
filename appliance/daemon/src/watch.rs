//! What may change beneath a running daemon: trust store, ledger, worker. Each is looked at again and again, so that what
//! comes back is used again without a restart (I9), and what is away is told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use yanqian_evidence::{Label, Management};
use yanqian_gateway::{COMPONENTS, Clock, ClockHealth as _, Core, Metrics, SystemClock};
use yanqian_hsm::TokenPool;
use yanqian_ledger::{Ledger, LedgerState};
use yanqian_platform::Route;
use yanqian_trust::{Change, KeyOwner, SharedTrust, TrustStore, Verifier};
use yanqian_vocabulary::{Reason, TrustHash};

use crate::admin::Readiness;
use crate::clock::ClockTrust;
use crate::fetch::FetchMetrics;
use crate::gauges::Gauges;
use crate::grade::GradeGauge;
use crate::key_usage::KeyUsage;
use crate::tokens;

/// Between looks at the trust store's directory and the ledger.
const LOOK: Duration = Duration::from_millis(500);
/// Between signs of life, and between attempts to open a failed ledger again.
const SELDOM: Duration = Duration::from_secs(2);
/// How long the state store may take to answer before the daemon counts as stuck.
const STATE_LIMIT: Duration = Duration::from_secs(10);
/// How often rejected and shed requests become an aggregate record, and expired state is forgotten.
const AGGREGATE: Duration = Duration::from_mins(1);

/// Roles that a store may have, or have no more once it has changed.
const STORE_ROLES: [&str; 6] =
    ["anchor", "intermediate", "tls-anchor", "platform-signing", "platform-encryption", "ocsp"];

/// A store came into force: its keys are the ones that every check meets, and its certificates the ones that may expire.
pub(crate) fn follow_store(metrics: &Metrics, fetches: &FetchMetrics, verifier: &Verifier, store: &TrustStore) {
    verifier.keep(KeyOwner::Platform, &store.known_keys());
    tell_expiries(metrics, store);
    fetches.tell(store);
}

/// Tells metrics when the store's certificates and lists end, the soonest of each role.
fn tell_expiries(metrics: &Metrics, store: &TrustStore) {
    let mut soonest = BTreeMap::from([("crl", store.revocation_deadline().unwrap_or(0))]);
    soonest.extend(store.ocsp_deadline().map(|end| ("ocsp", end)));
    for certificate in store.certificates() {
        let end = soonest.entry(certificate.role).or_insert(i64::MAX);
        *end = certificate.not_after.min(*end);
    }
    for role in STORE_ROLES.iter().filter(|role| !soonest.contains_key(*role)) {
        // Fails when the role was not there before either.
        let _ = metrics.certificate_expiry.remove_label_values(&[*role]);
    }
    for (role, end) in soonest {
        metrics.certificate_expiry.with_label_values(&[role]).set(end);
    }
}

pub(crate) struct Watch {
    pub(crate) core: Arc<Core>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) trust: Arc<SharedTrust>,
    pub(crate) route: Arc<Route>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) tokens: TokenPool,
    pub(crate) clock: Arc<ClockTrust>,
    pub(crate) metrics: Metrics,
    pub(crate) fetches: FetchMetrics,
    pub(crate) gauges: Gauges,
    pub(crate) key_usage: KeyUsage,
    pub(crate) grade: GradeGauge,
    /// Where the ledger lies.
    pub(crate) state_dir: PathBuf,
    pub(crate) readiness: Readiness,
}

impl Watch {
    /// Runs until its task is aborted.
    pub(crate) async fn run(self) {
        let mut aggregate = tokio::time::interval(AGGREGATE);
        aggregate.tick().await;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut seldom = Instant::now();
        // As the ledger has it: a route that a former run left stopped is recorded as such once more.
        let mut open = true;
        // The record of the configuration names the store that the daemon started with.
        let mut recorded = self.trust.current().ok().map(|store| TrustHash::new(*store.hash()));
        let tending = self.tokens.tend();
        tokio::pin!(tending);
        loop {
            tokio::select! {
                () = &mut tending => {}
                _ = aggregate.tick() => self.settle_accounts().await,
                _ = look.tick() => {
                    self.follow_trust(&mut recorded).await;
                    self.follow_route(&mut open).await;
                    if Instant::now() >= seldom {
                        seldom = Instant::now() + SELDOM;
                        self.reopen_ledger().await;
                        self.tick().await;
                    }
                    self.follow_tokens().await;
                    self.tell();
                }
            }
        }
    }

    async fn settle_accounts(&self) {
        if let Err(error) = self.core.record_aggregate().await {
            tracing::error!(%error, "aggregate cannot be recorded; its counts are kept for the next");
        }
        if let Err(error) = self.core.purge().await {
            tracing::error!(%error, "expired state cannot be forgotten");
        }
    }

    /// Follows the trust store, and records it when it is another than the ledger has, or can be used again.
    async fn follow_trust(&self, recorded: &mut Option<TrustHash>) {
        let followed = Arc::clone(&self.trust);
        let change = tokio::task::spawn_blocking(move || followed.refresh()).await.unwrap_or(Change::Nothing);
        let Ok(store) = self.trust.current() else {
            *recorded = None;
            return;
        };
        if change != Change::Nothing {
            follow_store(&self.metrics, &self.fetches, &self.verifier, &store);
        }
        // Fetched revocation data is left out of it: what a check rests on is in its own record.
        let trust = TrustHash::new(*store.hash());
        if *recorded == Some(trust) {
            return;
        }
        match self.core.append(Management::TrustLoaded { trust }.into()).await {
            Ok(_) => *recorded = Some(trust),
            Err(error) => tracing::error!(%error, "trust store's change cannot be recorded; it is tried again"),
        }
    }

    /// Sees whether an operator opened or stopped the platform's route, and records what became of it since the last look.
    async fn follow_route(&self, recorded_open: &mut bool) {
        let followed = Arc::clone(&self.route);
        let _ = tokio::task::spawn_blocking(move || followed.refresh()).await;
        let stopped = self.route.stopped();
        if stopped.is_none() == *recorded_open {
            return;
        }
        let (state, reason) = if let Some(why) = &stopped {
            tracing::error!(why, "nothing is asked of the platform until an operator opens its route");
            ("suspended", Some(Reason::PlatformStopped))
        } else {
            tracing::warn!("an operator opened the platform's route");
            ("serving", None)
        };
        match self.core.append(Management::ServiceState { state: Label::new(state), reason }.into()).await {
            Ok(_) => *recorded_open = stopped.is_none(),
            Err(error) => tracing::error!(%error, "the state of the platform's route cannot be recorded"),
        }
    }

    async fn reopen_ledger(&self) {
        let state = self.ledger.state();
        if let LedgerState::Failed(_) = state
            && !state.needs_operator()
        {
            match self.ledger.reopen().await {
                Ok(_) => tracing::warn!("ledger opened again after a failure"),
                Err(error) => tracing::error!(%error, "ledger cannot be opened again; no check is served"),
            }
        }
    }

    /// Tells metrics how the tokens are, and the ledger what their signing keys were used for meanwhile.
    async fn follow_tokens(&self) {
        for view in self.tokens.view() {
            self.gauges.tell_token(&view);
            self.key_usage.tell(&view);
            self.grade.tell(&view);
        }
        // A ledger that does not write now gets them later: this task has others to look after.
        if self.ledger.state() == LedgerState::Writing
            && let Err(error) = tokens::record_proofs(&self.core, None, &self.tokens).await
        {
            tracing::error!(error, "self-proofs cannot be recorded");
        }
    }

    /// Tells the service manager's watchdog that the daemon is alive: that this task came round and the state store answered. A
    /// platform or worker that is away is no reason to be started again.
    async fn tick(&self) {
        if matches!(timeout(STATE_LIMIT, self.core.orphans()).await, Ok(Ok(_))) {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        }
    }

    fn tell(&self) {
        let in_use = tokens::in_use(&self.core.pairs(), SystemClock.now());
        let signs = self.tokens.serves(&in_use);
        let state = self.ledger.state();
        let trust = self.trust.current();
        let mut reasons = Vec::new();
        if let Err(error) = &trust {
            reasons.push(format!("trust store: {error}"));
        }
        if state != LedgerState::Writing {
            reasons.push(format!("ledger: {}", state.as_str()));
        }
        if !signs {
            reasons.push(format!("signer: {}", self.tokens.reasons(&in_use)));
        }
        let stopped = self.route.stopped();
        self.gauges.route_stopped.set(stopped.is_some().into());
        if let Some(why) = stopped {
            reasons.push(format!("platform route: {why}"));
        }
        let clock = self.clock.is_trusted();
        if let (false, Err(why)) = (clock, self.clock.finding()) {
            reasons.push(format!("clock: {why}"));
        }
        let up = [trust.is_ok(), state == LedgerState::Writing, signs && self.readiness.keys_serve(), clock];
        for (component, up) in COMPONENTS.into_iter().zip(up) {
            self.metrics.component_up.with_label_values(&[component]).set(i64::from(up));
        }
        self.gauges.tell_ledger(&self.ledger.stats(), &self.state_dir);
        self.readiness.set(reasons);
    }
}
