//! Several tokens as one: the daemon asks the pool, and the pool asks one of the workers.
//!
//! Each token has a worker process and a socket of its own, so that a module that hangs or crashes touches no other. A token
//! counts for a key only while its worker's key under the label *is* that key, by its public half, and has proven itself to this
//! process; labels may differ from token to token, and so may what a module wants to be handed.
//!
//! **Balancing.** Of two tokens taken by chance the first, unless the second is expected to be done in less than half the time: what is
//! usual there (5 ms at least), times the requests under way and one. **Going on.** A call that a token refuses for its own reasons, answers with "busy" or with a
//! signature that does not verify, or loses, goes to another token at once; one that takes longer than four times what is usual there (200 ms at
//! least, 2.5 s at most) is asked of another as well, and the first good answer counts. All within the call's one limit. **Breaker.** Three
//! failures in a row, or half of the last twenty, and a token is left out; it is probed with a self-proof after about 150 ms,
//! then ever less often, and serves again by itself. It is withheld only while another token serves: a call that the last token might
//! serve is always made.

mod attempts;
mod breaker;
mod choose;
mod member;
mod pace;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use yanqian_messages::SignatureVerifier;
use yanqian_sm::{E, PublicKey, Signature, Sm2Ciphertext};

pub use self::breaker::BreakerState;
pub use self::member::Standing;

use self::attempts::Miss;
use self::member::Member;
use crate::client::{ClientConfig, WorkerClient, WorkerError};
use crate::protocol::{KeyUsage, Secret, Status};

/// A token of the pool and how to reach its worker.
#[derive(Debug, Clone)]
pub struct PoolMember {
    /// As operators know it; the label `token` of metrics.
    pub name: String,
    pub client: ClientConfig,
    /// Labels of keys that are called otherwise in this token.
    pub labels: BTreeMap<String, String>,
}

/// A key that the pool is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolKey {
    /// Its certificate's.
    pub public: PublicKey,
    pub usage: KeyUsage,
    /// Its label, in tokens that do not call it otherwise.
    pub label: String,
}

impl PoolKey {
    fn is(&self, public: &PublicKey, usage: KeyUsage) -> bool {
        self.public == *public && self.usage == usage
    }
}

/// The keys that the pool was ever asked for; a key keeps its place. Under two labels it has two.
#[derive(Debug, Default)]
struct Keys {
    all: Vec<PoolKey>,
    /// Places of those that it looks after now.
    kept: Vec<usize>,
}

impl Keys {
    /// Where calls for a key go: under the label that it was first kept under, of those that it is kept under.
    fn place(&self, public: &PublicKey, usage: KeyUsage) -> Option<usize> {
        let kept = self.kept().find(|(_, known)| known.is(public, usage)).map(|(place, _)| place);
        kept.or_else(|| self.all.iter().rposition(|known| known.is(public, usage)))
    }

    /// Those that are looked after, with their places.
    fn kept(&self) -> impl Iterator<Item = (usize, &PoolKey)> {
        self.kept.iter().filter_map(|place| Some((*place, self.all.get(*place)?)))
    }
}

/// How an attempt at one token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallResult {
    Ok,
    /// No room there now.
    Busy,
    /// Not answered yet when another token had answered.
    Slow,
    Unavailable,
    Timeout,
    /// A signature that does not verify.
    Defective,
    Refused,
    Protocol,
}

impl CallResult {
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Busy,
        Self::Slow,
        Self::Unavailable,
        Self::Timeout,
        Self::Defective,
        Self::Refused,
        Self::Protocol,
    ];

    /// A stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Busy => "busy",
            Self::Slow => "slow",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Defective => "defective",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
        }
    }

    const fn of(error: &WorkerError) -> Self {
        match error {
            WorkerError::Unavailable(_) => Self::Unavailable,
            WorkerError::Busy => Self::Busy,
            WorkerError::Timeout(_) => Self::Timeout,
            WorkerError::Defective => Self::Defective,
            WorkerError::Refused { .. } => Self::Refused,
            WorkerError::Protocol(_) => Self::Protocol,
        }
    }
}

/// A token as operators see it.
#[derive(Debug, Clone)]
pub struct TokenView {
    pub name: String,
    pub breaker: BreakerState,
    /// In the order in which the pool learnt of its keys.
    pub keys: Vec<Standing>,
    /// What was wrong when it last did not serve.
    pub problem: Option<String>,
    /// As the worker last told it; none while it does not answer.
    pub status: Option<Status>,
    /// Calls under way.
    pub in_flight: usize,
    /// In the order of [`CallResult::ALL`].
    pub results: [u64; CallResult::ALL.len()],
    /// Calls that went on to another token.
    pub switch_overs: u64,
}

impl TokenView {
    /// Whether calls for the key at this place go there first.
    pub fn serves(&self, key: usize) -> bool {
        self.breaker == BreakerState::Closed && self.keys.get(key) == Some(&Standing::Serves)
    }
}

/// Why a pool cannot serve yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// This may change by itself.
    #[error("{0}")]
    Waiting(String),
    /// Somebody has to change something first.
    #[error("{0}")]
    Unfit(String),
    /// The keys of a token are protected worse than demanded ([`ClientConfig::least_grade`]).
    #[error("{0}")]
    Grade(String),
}

/// Why no token can use a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyTrouble {
    /// Every token was asked, and says or shows that it cannot.
    #[error("{0}")]
    Unfit(String),
    /// Some did not answer. That says nothing about a key that served before.
    #[error("{0}")]
    Away(String),
}

/// Self-proofs that a signing key was asked for since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proofs {
    pub good: u64,
    /// Signed, and the signature did not verify.
    pub refused: u64,
}

/// A handle to the pool; clones share it.
#[derive(Clone)]
pub struct TokenPool {
    inner: Arc<Inner>,
}

struct Inner {
    members: Vec<Member>,
    keys: RwLock<Arc<Keys>>,
    verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    /// Which token was found first, and its grade: the one that records tell.
    grade: OnceLock<(String, String)>,
    /// For the whole of a call.
    call_timeout: Duration,
    random: AtomicU64,
    /// By the places of the keys; without those that were taken.
    proofs: Mutex<BTreeMap<usize, Proofs>>,
}

impl fmt::Debug for TokenPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.inner.members.iter().map(|member| &member.name)).finish()
    }
}

impl Inner {
    /// Good enough to spread load and pauses: `SplitMix64` over a counter.
    fn random(&self) -> u64 {
        let mut x = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn random_octet(&self) -> u8 {
        self.random().to_le_bytes()[0]
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn proofs(&self) -> MutexGuard<'_, BTreeMap<usize, Proofs>> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_proof(&self, key: usize, good: bool) {
        let mut proofs = self.proofs();
        let counts = proofs.entry(key).or_default();
        *(if good { &mut counts.good } else { &mut counts.refused }) += 1;
    }

    /// Whether a token serves for a key.
    fn serves(&self, key: usize) -> bool {
        self.members.iter().any(|member| member.view().serves(key))
    }

    /// Why tokens do not serve for a key.
    fn reasons(&self, key: usize) -> String {
        let why = |member: &Member| {
            let view = member.view();
            let why = match view.keys.get(key) {
                Some(Standing::Unfit(why)) => Some(why.clone()),
                _ => view.problem,
            };
            why.map(|why| if self.members.len() == 1 { why } else { format!("token `{}`: {why}", view.name) })
        };
        self.members.iter().filter_map(why).collect::<Vec<_>>().join("; ")
    }
}

impl TokenPool {
    /// Nothing is connected yet, and no token serves before [`Self::admit`] or [`Self::tend`] found it to.
    pub fn new(
        members: Vec<PoolMember>,
        keys: Vec<PoolKey>,
        verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    ) -> Self {
        let call_timeout = members.iter().map(|member| member.client.call_timeout).max().unwrap_or_default();
        let member = |PoolMember { name, client, labels }| Member::new(name, WorkerClient::new(client), labels);
        let mut seed = [0; 8];
        // Without it all daemons would choose and pause alike, which only costs evenness.
        let _ = getrandom::fill(&mut seed);
        let inner = Inner {
            members: members.into_iter().map(member).collect(),
            keys: RwLock::default(),
            verifier,
            grade: OnceLock::new(),
            call_timeout,
            random: AtomicU64::new(u64::from_le_bytes(seed)),
            proofs: Mutex::default(),
        };
        let pool = Self { inner: Arc::new(inner) };
        pool.keep(keys);
        pool
    }

    /// Looks after these keys from now on, and no others. A key under another label than before proves itself anew; while both
    /// labels are listed, the one that is listed first goes on serving.
    pub fn keep(&self, keys: Vec<PoolKey>) {
        let mut present = self.inner.keys.write().unwrap_or_else(PoisonError::into_inner);
        let (mut all, mut kept) = (present.all.clone(), Vec::new());
        for key in keys {
            let place = all.iter().position(|known| *known == key).unwrap_or_else(|| {
                all.push(key);
                all.len() - 1
            });
            if !kept.contains(&place) {
                kept.push(place);
            }
        }
        let next = Keys { all, kept };
        // What a label showed before the key got another one says nothing of later.
        for (place, key) in present.kept().filter(|(place, _)| !next.kept.contains(place)) {
            if next.kept().any(|(_, other)| other.is(&key.public, key.usage)) {
                self.inner.members.iter().for_each(|member| member.set_standing(place, Standing::Unknown));
            }
        }
        *present = Arc::new(next);
        drop(present);
        self.inner.members.iter().for_each(Member::look_anew);
    }

    fn key(&self, public: &PublicKey, usage: KeyUsage) -> Result<(usize, PoolKey), WorkerError> {
        let keys = self.inner.keys();
        let place = keys.place(public, usage);
        place.map(|place| (place, keys.all[place].clone())).ok_or_else(|| {
            WorkerError::Unavailable(format!("no token was named for key {}", hex::encode(public.key_id())))
        })
    }

    /// Signs a digest with the token's half of `key`. The signature has been verified against `key`.
    ///
    /// `message` is what the digest was made of; it goes only to tokens that need it ([`Status::needs_message`]).
    pub async fn sign(&self, key: &PublicKey, e: &E, message: &[u8]) -> Result<Signature, WorkerError> {
        let (inner, (place, key)) = (&*self.inner, self.key(key, KeyUsage::Sign)?);
        inner.call(place, |member| Box::pin(sign_at(inner, member, &key, (e, message)))).await
    }

    /// Opens a session key that was sealed to `key`: 1 to [`crate::protocol::MAX_OPENED`] octets.
    pub async fn unseal(&self, key: &PublicKey, cipher: &Sm2Ciphertext) -> Result<Secret, WorkerError> {
        let (inner, (place, key)) = (&*self.inner, self.key(key, KeyUsage::Encrypt)?);
        let open = async |member: &Member| member.client.unseal(member.label(&key), cipher).await;
        inner.call(place, |member| Box::pin(async move { open(member).await.map_err(Miss::of_unseal) })).await
    }

    /// All tokens, in the order of the configuration.
    pub fn view(&self) -> Vec<TokenView> {
        let known = self.inner.keys().all.len();
        let mut views: Vec<_> = self.inner.members.iter().map(Member::view).collect();
        for view in &mut views {
            view.keys.resize(known, Standing::Unknown);
        }
        views
    }

    /// The keys that it looks after.
    pub fn kept(&self) -> Vec<(PublicKey, KeyUsage)> {
        self.inner.keys().kept().map(|(_, key)| (key.public, key.usage)).collect()
    }

    /// Whether each of these keys has a token that serves.
    pub fn serves(&self, keys: &[(PublicKey, KeyUsage)]) -> bool {
        let known = self.inner.keys();
        keys.iter().all(|(public, usage)| known.place(public, *usage).is_some_and(|place| self.inner.serves(place)))
    }

    /// Why no token serves for some of these keys, in words for operators.
    pub fn reasons(&self, keys: &[(PublicKey, KeyUsage)]) -> String {
        let known = self.inner.keys();
        let places = keys.iter().map(|(public, usage)| known.place(public, *usage).unwrap_or(usize::MAX));
        let mut missing = places.filter(|place| !self.inner.serves(*place));
        self.inner.reasons(missing.next().unwrap_or(0))
    }

    /// Self-proofs since this was last asked, for the records that tell of every use of a signing key.
    pub fn take_proofs(&self) -> Vec<(PublicKey, Proofs)> {
        let keys = self.inner.keys();
        let taken = std::mem::take(&mut *self.inner.proofs());
        taken.into_iter().filter_map(|(place, proofs)| Some((keys.all.get(place)?.public, proofs))).collect()
    }

    /// Those that could not be recorded; they are given again.
    pub fn give_back(&self, public: &PublicKey, given: Proofs) {
        let Some(place) = self.inner.keys().place(public, KeyUsage::Sign) else { return };
        let mut proofs = self.inner.proofs();
        let counts = proofs.entry(place).or_default();
        counts.good += given.good;
        counts.refused += given.refused;
    }
}

async fn sign_at(inner: &Inner, member: &Member, key: &PoolKey, (e, message): (&E, &[u8])) -> Result<Signature, Miss> {
    let message = member.needs_message().then_some(message);
    let raw = member.client.sign(member.label(key), e, message).await.map_err(Miss::of_sign)?;
    match Signature::from_raw(&raw) {
        Ok(signature) if inner.verifier.verify(&key.public, e, &signature).is_ok() => Ok(signature),
        _ => {
            tracing::error!(token = member.name, "the token's signature does not verify against the certificate");
            Err(Miss::blame(WorkerError::Defective))
        }
    }
}
