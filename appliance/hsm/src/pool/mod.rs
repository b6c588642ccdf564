//! Several tokens as one: the daemon asks the pool, and the pool asks one of the workers.
//!
//! Each token has a worker process and a socket of its own, so that a module that hangs or crashes touches no other. A token
//! counts for a key only while its worker's key under the label *is* that key, by its public half, and has proven itself to this
//! process; labels may differ from token to token, and so may what a module wants to be handed.
//!
//! **Balancing.** Of two tokens taken by chance, the one where a request is expected to be done sooner: its usual time, times
//! the requests under way there and one. **Going on.** A call that a token refuses for its own reasons, answers with "busy" or with a
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


use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
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
}

/// A key that the pool is asked for.
#[derive(Debug, Clone)]
pub struct PoolKey {
    /// Its certificate's.
    pub public: PublicKey,
    pub usage: KeyUsage,
    /// Its label in each token, in the order of the tokens.
    pub labels: Vec<String>,
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
    /// In the order of the pool's keys.
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
}

/// Self-proofs that signing keys were asked for since the last look.
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
    keys: Vec<PoolKey>,
    verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    /// Which token was found first, and its grade: the one that records tell.
    grade: OnceLock<(String, String)>,
    /// For the whole of a call.
    call_timeout: Duration,
    random: AtomicU64,
    proofs: [AtomicU64; 2],
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

    fn count_proof(&self, good: bool) {
        self.proofs[usize::from(good)].fetch_add(1, Ordering::Relaxed);
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
        let members = members
            .into_iter()
            .enumerate()
            .map(|(index, PoolMember { name, client })| {
                let label = |key: &PoolKey| key.labels.get(index).cloned().unwrap_or_default();
                Member::new(name, WorkerClient::new(client), keys.iter().map(label).collect())
            })
            .collect();
        let mut seed = [0; 8];
        // Without it all daemons would choose and pause alike, which only costs evenness.
        let _ = getrandom::fill(&mut seed);
        let random = AtomicU64::new(u64::from_le_bytes(seed));
        let inner = Inner { members, keys, verifier, grade: OnceLock::new(), call_timeout, random, proofs: Default::default() };
        Self { inner: Arc::new(inner) }
    }

    fn place(&self, key: &PublicKey, usage: KeyUsage) -> Result<usize, WorkerError> {
        let place = self.inner.keys.iter().position(|known| known.public == *key && known.usage == usage);
        place.ok_or_else(|| WorkerError::Unavailable(format!("no token was named for key {}", hex::encode(key.key_id()))))
    }

    /// Signs a digest with the token's half of `key`. The signature has been verified against `key`.
    ///
    /// `message` is what the digest was made of; it goes only to tokens that need it ([`Status::needs_message`]).
    pub async fn sign(&self, key: &PublicKey, e: &E, message: &[u8]) -> Result<Signature, WorkerError> {
        let (inner, place) = (&*self.inner, self.place(key, KeyUsage::Sign)?);
        inner.call(place, |member| Box::pin(sign_at(inner, member, place, (key, e, message)))).await
    }

    /// Opens a session key that was sealed to `key`: 1 to [`crate::protocol::MAX_OPENED`] octets.
    pub async fn unseal(&self, key: &PublicKey, cipher: &Sm2Ciphertext) -> Result<Secret, WorkerError> {
        let (inner, place) = (&*self.inner, self.place(key, KeyUsage::Encrypt)?);
        let open = async |member: &Member| member.client.unseal(&member.labels[place], cipher).await;
        inner.call(place, |member| Box::pin(async move { open(member).await.map_err(Miss::of_unseal) })).await
    }

    /// All tokens, in the order of the configuration.
    pub fn view(&self) -> Vec<TokenView> {
        self.inner.members.iter().map(Member::view).collect()
    }

    /// Whether every key has a token that serves.
    pub fn serves(&self) -> bool {
        let tokens = self.view();
        (0..self.inner.keys.len()).all(|key| tokens.iter().any(|token| token.serves(key)))
    }

    /// Why no token serves for some key, in words for operators.
    pub fn reasons(&self) -> String {
        let tokens = self.view();
        let missing = (0..self.inner.keys.len()).find(|key| !tokens.iter().any(|token| token.serves(*key)));
        self.inner.reasons(missing.unwrap_or(0))
    }

    /// Self-proofs since this was last asked, for the records that tell of every use of a signing key.
    pub fn take_proofs(&self) -> Proofs {
        let [refused, good] = &self.inner.proofs;
        Proofs { good: good.swap(0, Ordering::Relaxed), refused: refused.swap(0, Ordering::Relaxed) }
    }
}

async fn sign_at(
    inner: &Inner,
    member: &Member,
    place: usize,
    (key, e, message): (&PublicKey, &E, &[u8]),
) -> Result<Signature, Miss> {
    let message = member.needs_message().then_some(message);
    let raw = member.client.sign(&member.labels[place], e, message).await.map_err(Miss::of_sign)?;
    match Signature::from_raw(&raw) {
        Ok(signature) if inner.verifier.verify(key, e, &signature).is_ok() => Ok(signature),
        _ => {
            tracing::error!(token = member.name, "the token's signature does not verify against the certificate");
            Err(Miss::blame(WorkerError::Defective))
        }
    }
}
