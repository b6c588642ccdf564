use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cryptoki::slot::Slot;
use yanqian_sm::{E, FixedKey, Signature};

use super::algorithm::Public;
use super::config::{KeyRule, WorkerConfig};
use super::duty::Duty;
use super::exit::{ExitSignal, WorkerExit};
use super::health::{Away, Health};
use super::job::Job;
use super::journal::Journal;
use super::latency::LatencyCounts;
use super::login::{LoginError, LoginGuard};
use super::queue::Queue;
use super::sealed::SealedScalar;
use super::token::{Token, tries};
use super::usage::{Account, Usage};
use crate::binding::{BindingError, Caller, TokenSession, code_name};
use crate::client::SOFTWARE;
use crate::profile::Profile;
use crate::protocol::{CodeCount, KeyAlgorithm, KeyUsage, Outcome, Refusal, Status, TIMED_OPERATIONS, codes};

/// A key that failed its proof is given another chance after this long: a token that signed wrongly and does so no more serves
/// again within a second.
pub(super) const PROOF_PAUSE: Duration = Duration::from_millis(500);
/// The same for a key with which the token fails while it serves others: each chance may cost them a recovery.
pub(super) const UNASKED_PAUSE: Duration = Duration::from_secs(5);
/// Self-proofs asked for by clients: this many at once, then one each second.
const PROOF_BURST: u32 = 5;

/// What all threads share.
pub(super) struct Engine {
    pub(super) profile: Profile,
    /// What its keys may be; no key of another algorithm is used.
    pub(super) algorithms: Vec<KeyAlgorithm>,
    pub(super) token: Token,
    pub(super) guard: LoginGuard,
    pub(super) queue: Queue<Job>,
    pub(super) health: Health,
    pub(super) duty: Duty,
    pub(super) exit: ExitSignal,
    pub(super) usage: Usage,
    pub(super) journal: Journal,
    /// By label.
    pub(super) rules: BTreeMap<String, KeyRule>,
    /// A session unused for this long is used.
    pub(super) keep_alive: Option<Duration>,
    pub(super) counters: Counters,
    /// Requests read and not answered yet.
    pub(super) in_flight: AtomicUsize,
    pub(super) started_at_ms: u64,
    pub(super) threads: u32,
    /// Sessions that the worker opens at most.
    sessions_limit: u32,
    /// For counts only.
    caller: Caller,
    slot: Mutex<Slot>,
    keys: Mutex<HashMap<String, Arc<KnownKey>>>,
    proofs: Mutex<Bucket>,
    /// How often a successor did not come up, and why the last did not.
    not_replaced: Mutex<(u64, Option<String>)>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) signatures: AtomicU64,
    pub(super) sign_failures: AtomicU64,
    pub(super) self_proofs: AtomicU64,
    /// Signatures that the token made and that do not verify.
    pub(super) defective: AtomicU64,
    pub(super) unseals: AtomicU64,
    pub(super) unseal_failures: AtomicU64,
    pub(super) sessions_reopened: AtomicU64,
    reinitialisations: AtomicU64,
    /// UTC milliseconds of the last signature or opening; 0 before the first.
    last_success_ms: AtomicU64,
    pub(super) busy: AtomicU64,
    pub(super) sign_latency: LatencyCounts,
    pub(super) unseal_latency: LatencyCounts,
    /// Sessions that are open now.
    pub(super) sessions: AtomicU32,
}

impl Counters {
    /// The token has just done what a key is for.
    pub(super) fn succeeded(&self) {
        self.last_success_ms.fetch_max(now_ms(), Ordering::Relaxed);
    }
}

/// UTC milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A key pair as this process knows it.
pub(super) struct KnownKey {
    pub(super) label: String,
    pub(super) public: Public,
    pub(super) id: Vec<u8>,
    pub(super) usage: KeyUsage,
    /// The private half, of a sealed key that has been used. Gone with this entry, and that with the login.
    pub(super) sealed: OnceLock<SealedScalar>,
    /// Of an SM2 key.
    verifier: Option<FixedKey>,
    /// Counts its signatures.
    pub(super) account: Arc<Account>,
    proof: Mutex<Proof>,
}

#[derive(Debug, Clone)]
pub(super) enum Proof {
    Unproven,
    Proven,
    /// Until when it stays so, and why.
    Failed(Instant, String),
}

impl KnownKey {
    fn new(label: &str, public: Public, id: Vec<u8>, usage: KeyUsage, account: Arc<Account>) -> Self {
        let verifier = public.sm2().map(FixedKey::new);
        let (sealed, proof) = (OnceLock::new(), Mutex::new(Proof::Unproven));
        Self { label: label.to_owned(), public, id, usage, sealed, verifier, account, proof }
    }

    pub(super) fn verifies(&self, e: &E, signature: &Signature) -> bool {
        self.verifier.as_ref().is_some_and(|verifier| verifier.verify(e, signature).is_ok())
    }

    /// Refuses a use that the key is not for: an encryption key signs nothing, a signing key opens nothing.
    pub(super) fn must_be_for(&self, usage: KeyUsage) -> Result<(), Refusal> {
        if self.usage == usage {
            return Ok(());
        }
        let why = format!("key {:?} is there to {}, not to {}", self.label, self.usage.as_str(), usage.as_str());
        Err(Refusal::new(codes::KEY_USAGE, why))
    }

    fn proof(&self) -> MutexGuard<'_, Proof> {
        self.proof.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_proof(&self, proof: Proof) {
        *self.proof() = proof;
    }

    pub(super) fn is_proven(&self) -> bool {
        matches!(*self.proof(), Proof::Proven)
    }

    pub(super) fn problem(&self) -> Option<String> {
        match &*self.proof() {
            Proof::Failed(_, why) => Some(why.clone()),
            Proof::Unproven | Proof::Proven => None,
        }
    }

    /// Whether it may serve, needs a proof first, or is refused for now.
    pub(super) fn standing(&self) -> Result<bool, Refusal> {
        match &*self.proof() {
            Proof::Proven => Ok(true),
            Proof::Unproven => Ok(false),
            Proof::Failed(until, _) if Instant::now() >= *until => Ok(false),
            Proof::Failed(_, why) => Err(Refusal::new(codes::SELF_PROOF, why.clone())),
        }
    }
}

/// A token bucket.
#[derive(Debug)]
struct Bucket {
    left: u32,
    filled: Instant,
}

impl Engine {
    pub(super) fn new(
        (profile, algorithms): (Profile, Vec<KeyAlgorithm>),
        caller: Caller,
        (slot, token): (Slot, Token),
        guard: LoginGuard,
        config: &WorkerConfig,
        (usage, sessions): (Usage, u32),
    ) -> Self {
        let keep_alive = config.keep_alive.unwrap_or(profile.session.keep_alive);
        let threads = sessions.max(1);
        Self {
            profile,
            algorithms,
            caller,
            slot: Mutex::new(slot),
            token,
            guard,
            queue: Queue::new(config.queue),
            health: Health::default(),
            duty: Duty::new(threads as usize),
            exit: ExitSignal::new(),
            usage,
            journal: Journal::new(&config.state_dir),
            rules: config.keys.clone(),
            keep_alive: Some(keep_alive).filter(|after| !after.is_zero()),
            counters: Counters::default(),
            in_flight: AtomicUsize::new(0),
            started_at_ms: now_ms(),
            threads,
            // One more holds the login, unless there is room for one only.
            sessions_limit: if sessions == 0 { 1 } else { sessions.saturating_add(1) },
            keys: Mutex::new(HashMap::new()),
            proofs: Mutex::new(Bucket { left: PROOF_BURST, filled: Instant::now() }),
            not_replaced: Mutex::default(),
        }
    }

    /// A successor did not come up.
    pub(super) fn not_replaced(&self, why: String) {
        let mut failures = self.not_replaced.lock().unwrap_or_else(PoisonError::into_inner);
        *failures = (failures.0 + 1, Some(why));
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, Arc<KnownKey>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn known_key(&self, label: &str) -> Option<Arc<KnownKey>> {
        self.keys().get(label).cloned()
    }

    /// The known key, unless another key has taken its label: that one starts unproven.
    pub(super) fn remember_key(&self, label: &str, public: Public, id: Vec<u8>, usage: KeyUsage) -> Arc<KnownKey> {
        let mut keys = self.keys();
        if let Some(known) = keys.get(label)
            && known.public == public
            && known.id == id
            && known.usage == usage
        {
            return Arc::clone(known);
        }
        let account = self.usage.account(public.key_id(), label);
        let known = Arc::new(KnownKey::new(label, public, id, usage, account));
        keys.insert(label.to_owned(), Arc::clone(&known));
        known
    }

    pub(super) fn forget_key(&self, label: &str) {
        self.keys().remove(label);
    }

    /// Labels of the keys that have proven themselves.
    pub(super) fn proven_labels(&self) -> Vec<String> {
        self.keys().values().filter(|key| key.is_proven()).map(|key| key.label.clone()).collect()
    }

    /// One that may sign when a session is to be used.
    pub(super) fn a_proven_signing_key(&self) -> Option<Arc<KnownKey>> {
        let keys = self.keys();
        keys.values().find(|key| key.usage == KeyUsage::Sign && key.is_proven()).map(Arc::clone)
    }

    /// No key is known, so each is found and proven again before it serves.
    pub(super) fn forget_keys(&self) {
        self.keys().clear();
    }

    /// Where the token is now.
    pub(super) fn slot(&self) -> Slot {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_slot(&self, slot: Slot) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = slot;
    }

    pub(super) fn reinitialised(&self) {
        count(&self.counters.reinitialisations);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.queue.is_closed() || self.exit.reason().is_some()
    }

    /// Answers what waits while the token is away.
    pub(super) fn turn_away(&self, away: &Away) {
        for job in self.queue.drain() {
            job.reply.finish(unavailable(away));
        }
    }

    /// Logs in if needed, through the latch.
    pub(super) fn log_in(&self, caller: &Caller, session: &TokenSession) -> Result<(), LoginError> {
        self.guard.ensure(session, || Ok(tries(&caller.token_info(self.slot())?)))
    }

    /// The token refused the PIN: what that means for the request at hand, and the end of the worker.
    pub(super) fn refused_pin(&self, error: &dyn std::fmt::Display) -> Outcome {
        self.exit.request(WorkerExit::Credentials(error.to_string()));
        Outcome::Refused(Refusal::new(codes::CREDENTIALS, "the token refuses the worker's PIN; see its log"))
    }

    /// The module cannot be used by this process any more.
    pub(super) fn module_lost(&self, error: &BindingError) -> Outcome {
        self.exit.request(WorkerExit::Token(error.to_string()));
        Outcome::Unavailable("the module is lost; the worker starts again".into())
    }

    /// Takes one self-proof out of the bucket, if there is one.
    pub(super) fn may_prove(&self) -> bool {
        let mut bucket = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = u32::try_from(bucket.filled.elapsed().as_secs()).unwrap_or(u32::MAX);
        if seconds > 0 {
            bucket.left = bucket.left.saturating_add(seconds).min(PROOF_BURST);
            bucket.filled = Instant::now();
        }
        let allowed = bucket.left > 0;
        bucket.left = bucket.left.saturating_sub(1);
        allowed
    }

    pub(super) fn status(&self) -> Status {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (replacement_failures_total, replacement_problem) =
            self.not_replaced.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Status {
            pid: std::process::id(),
            software: SOFTWARE.to_owned(),
            started_at_ms: self.started_at_ms,
            profile: self.profile.name.clone(),
            profile_hash: self.profile.hash(),
            grade: self.profile.grade.as_str().to_owned(),
            token_label: self.token.label.clone(),
            token_serial: self.token.serial.clone(),
            token_model: self.token.model.clone(),
            token_manufacturer: self.token.manufacturer.clone(),
            signatures_total: read(&self.counters.signatures),
            sign_failures_total: read(&self.counters.sign_failures),
            logins_total: self.guard.logins(),
            self_proofs_total: read(&self.counters.self_proofs),
            sessions_reopened_total: read(&self.counters.sessions_reopened),
            busy_total: read(&self.counters.busy),
            queue_depth: u32::try_from(self.queue.depth()).unwrap_or(u32::MAX),
            queue_capacity: u32::try_from(self.queue.capacity()).unwrap_or(u32::MAX),
            threads: self.threads,
            needs_message: self.profile.needs_message(),
            unseals_total: read(&self.counters.unseals),
            unseal_failures_total: read(&self.counters.unseal_failures),
            reinitialisations_total: read(&self.counters.reinitialisations),
            last_success_ms: read(&self.counters.last_success_ms),
            defective_signatures_total: read(&self.counters.defective),
            away: self.health.away().map(|away| away.why),
            return_codes: self
                .caller
                .return_codes()
                .into_iter()
                .map(|(code, total)| CodeCount { name: code_name(code), total })
                .collect(),
            replacement_failures_total,
            replacement_problem,
            keys: self.usage.counts(),
            latencies: {
                let [sign, unseal] = TIMED_OPERATIONS;
                vec![self.counters.sign_latency.told(sign), self.counters.unseal_latency.told(unseal)]
            },
            sessions: self.counters.sessions.load(Ordering::Relaxed),
            sessions_limit: self.sessions_limit,
        }
    }
}

/// The answer while the token is away.
pub(super) fn unavailable(away: &Away) -> Outcome {
    Outcome::Unavailable(format!("the token is away and is being brought back: {}", away.why))
}
