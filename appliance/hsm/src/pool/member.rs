//! One token of a pool: its worker, what is known of its keys, and how it did.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::breaker::{Breaker, BreakerState, Probed};
use super::pace::Pace;
use super::{CallResult, PoolKey, TokenView};
use crate::client::WorkerClient;
use crate::protocol::Status;

/// What a token is to one key of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The token has not been seen with it yet.
    Unknown,
    /// The token holds it, and it has proven itself to this process.
    Serves,
    /// The token holds another key under its label, or does not hold it or failed its proof and has never served.
    Unfit(String),
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) client: WorkerClient,
    /// Of keys that are called otherwise in this token.
    labels: BTreeMap<String, String>,
    /// Woken when the breaker opens, and when there are other keys.
    pub(super) opened: Notify,
    state: Mutex<State>,
    in_flight: AtomicUsize,
    results: [AtomicU64; CallResult::ALL.len()],
    switch_overs: AtomicU64,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    pace: Pace,
    keys: Vec<Standing>,
    has_new_keys: bool,
    needs_message: bool,
    /// The worker whose keys were last looked at: process id and start.
    examined: Option<(u32, u64)>,
    /// As last told; none while the worker does not answer.
    status: Option<Status>,
    problem: Option<String>,
}

/// A call's place at a token, for as long as it is under way.
#[derive(Debug)]
pub(super) struct Place<'a> {
    member: &'a Member,
    pub(super) epoch: u64,
    pub(super) began: Instant,
    /// When to try another token as well.
    pub(super) limit: Instant,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.member.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Member {
    pub(super) fn new(name: String, client: WorkerClient, labels: BTreeMap<String, String>) -> Self {
        let state = State {
            breaker: Breaker::new(Instant::now()),
            pace: Pace::default(),
            keys: Vec::new(),
            has_new_keys: false,
            needs_message: false,
            examined: None,
            status: None,
            problem: Some("not asked yet".to_owned()),
        };
        Self {
            name,
            client,
            labels,
            opened: Notify::new(),
            state: Mutex::new(state),
            in_flight: AtomicUsize::new(0),
            results: Default::default(),
            switch_overs: AtomicU64::new(0),
        }
    }

    /// What a key is called here.
    pub(super) fn label<'a>(&'a self, key: &'a PoolKey) -> &'a str {
        self.labels.get(&key.label).unwrap_or(&key.label)
    }

    /// There are other keys to be looked at.
    pub(super) fn look_anew(&self) {
        self.state().has_new_keys = true;
        self.opened.notify_one();
    }

    /// Whether there have been since this was last asked.
    pub(super) fn take_new_keys(&self) -> bool {
        std::mem::take(&mut self.state().has_new_keys)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each field stays whole whatever happened to a thread that held the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it may be asked for a key, and with what weight; none when its worker's key is not that key.
    pub(super) fn candidacy(&self, key: usize, now: Instant) -> Option<(bool, Option<f64>)> {
        let state = self.state();
        (state.keys.get(key) == Some(&Standing::Serves)).then(|| {
            let serves = state.breaker.state() == BreakerState::Closed;
            (serves, state.pace.weight(self.in_flight.load(Ordering::Relaxed), now))
        })
    }

    /// Begins a call.
    pub(super) fn begin(&self) -> Place<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let (state, began) = (self.state(), Instant::now());
        Place { member: self, epoch: state.breaker.epoch(), began, limit: began + state.pace.limit() }
    }

    pub(super) fn needs_message(&self) -> bool {
        self.state().needs_message
    }

    pub(super) fn count(&self, result: CallResult) {
        count(&self.results[result as usize]);
    }

    pub(super) fn count_switch_over(&self) {
        count(&self.switch_overs);
    }

    /// A call was answered as it should be.
    pub(super) fn served(&self, place: &Place<'_>) {
        self.count(CallResult::Ok);
        let (mut state, now) = (self.state(), Instant::now());
        state.pace.took(now.saturating_duration_since(place.began), now);
        if state.breaker.succeeded(place.epoch) {
            state.problem = None;
            tracing::info!(token = self.name, "the token serves again");
        }
    }

    /// A call failed, and the token is to blame.
    pub(super) fn failed(&self, epoch: u64, random: u8, why: &dyn std::fmt::Display) {
        let mut state = self.state();
        if state.breaker.failed(epoch, Instant::now(), random) {
            self.tell_opened(&mut state, why.to_string());
        }
    }

    /// The token is known not to serve, without a call.
    pub(super) fn trip(&self, random: u8, why: String) {
        let mut state = self.state();
        if state.breaker.trip(Instant::now(), random) {
            self.tell_opened(&mut state, why);
        } else {
            state.problem = Some(why);
        }
    }

    fn tell_opened(&self, state: &mut State, why: String) {
        tracing::warn!(token = self.name, why, "the token is left out until a probe succeeds");
        state.problem = Some(why);
        self.opened.notify_one();
    }

    pub(super) fn breaker_state(&self) -> BreakerState {
        self.state().breaker.state()
    }

    pub(super) fn probe_at(&self) -> Option<Instant> {
        self.state().breaker.probe_at()
    }

    pub(super) fn begin_probe(&self) -> Option<u64> {
        self.state().breaker.begin_probe(Instant::now())
    }

    /// A probe ended; `why` tells what was wrong.
    pub(super) fn probed(&self, epoch: u64, result: Probed, random: u8, why: Option<String>) {
        let mut state = self.state();
        let closed = state.breaker.probed(epoch, result, Instant::now(), random);
        if closed {
            state.problem = None;
            state.pace.forget();
            tracing::info!(token = self.name, "the token serves");
        } else if let Some(why) = why
            && state.problem.as_ref() != Some(&why)
        {
            tracing::warn!(token = self.name, why, "the token does not serve");
            state.problem = Some(why);
        }
    }

    /// How long a probe may take: a token out for slowness must have become quicker, a new one may be as slow as it likes.
    pub(super) fn probe_limit(&self, call_timeout: Duration) -> Duration {
        let state = self.state();
        if state.keys.contains(&Standing::Serves) {
            (state.pace.limit() * 2).max(Duration::from_secs(1)).min(call_timeout)
        } else {
            call_timeout
        }
    }

    /// The worker has told its state. True when its keys have to be looked at anew.
    pub(super) fn tell_status(&self, status: &Status) -> bool {
        let mut state = self.state();
        state.needs_message = status.needs_message;
        state.status = Some(status.clone());
        state.examined != Some((status.pid, status.started_at_ms))
    }

    pub(super) fn lost(&self) {
        self.state().status = None;
    }

    /// The keys of this worker have been looked at.
    pub(super) fn examined(&self, status: &Status) {
        self.state().examined = Some((status.pid, status.started_at_ms));
    }

    pub(super) fn standing(&self, key: usize) -> Standing {
        self.state().keys.get(key).cloned().unwrap_or(Standing::Unknown)
    }

    pub(super) fn set_standing(&self, key: usize, standing: Standing) {
        let mut state = self.state();
        if state.keys.len() <= key {
            state.keys.resize(key + 1, Standing::Unknown);
        }
        let present = &mut state.keys[key];
        if let Standing::Unfit(why) = &standing
            && *present != standing
        {
            tracing::error!(token = self.name, why, "the token does not serve for a key");
        }
        *present = standing;
    }

    pub(super) fn view(&self) -> TokenView {
        let state = self.state();
        TokenView {
            name: self.name.clone(),
            breaker: state.breaker.state(),
            keys: state.keys.clone(),
            problem: state.problem.clone(),
            status: state.status.clone(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            results: CallResult::ALL.map(|result| self.results[result as usize].load(Ordering::Relaxed)),
            switch_overs: self.switch_overs.load(Ordering::Relaxed),
        }
    }
}
