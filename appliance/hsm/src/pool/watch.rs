//! Looking after the tokens: who is there, who holds which key, and who may serve again.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};
use yanqian_sm::{PublicKey, sm2_encrypt};
use zeroize::Zeroizing;

use super::breaker::{BreakerState, Probed};
use super::member::{Member, Standing};
use super::{Inner, KeyTrouble, PoolKey, StartError, TokenPool};
use crate::client::WorkerError;
use crate::protocol::{KeyUsage, Status, codes};

/// Between looks at a token that serves.
const LOOK: Duration = Duration::from_secs(2);
/// How long a worker may take to tell its state; its token has no part in that.
const LOOK_LIMIT: Duration = Duration::from_secs(1);
/// A worker makes one self-proof a second, and a daemon that starts again at once has just had it.
const PROOF_PAUSE: Duration = Duration::from_millis(300);
const PROOF_TRIES: u32 = 20;
/// Looks at a token that serves before its keys that do not are tried again.
const LOOKS_FOR_UNFIT: u32 = 5;

/// Why a key was not found to serve.
enum Trouble {
    /// It is another key: whatever it signs is wrong, until somebody changes something.
    Other(String),
    /// The token refuses, or signs wrongly. If it has served before, it may do so again, and is asked when no other is left.
    Failed(String),
    Away(String),
    /// The worker allows no more proofs now.
    Limited,
}

impl From<WorkerError> for Trouble {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Refused { code, .. } if code == codes::RATE_LIMITED => Self::Limited,
            WorkerError::Refused { .. } | WorkerError::Defective => Self::Failed(error.to_string()),
            // The worker answers, or nobody does: either may change by itself.
            other => Self::Away(other.to_string()),
        }
    }
}

impl Inner {
    /// Asks a worker for its state.
    async fn status(&self, member: &Member) -> Result<(Status, bool), WorkerError> {
        let asked = timeout(LOOK_LIMIT, member.client.status()).await;
        let error = match asked {
            Ok(Ok(status)) => {
                let anew = member.tell_status(&status);
                return Ok((status, anew));
            }
            Ok(Err(error)) => error,
            Err(_) => WorkerError::Timeout(LOOK_LIMIT),
        };
        member.lost();
        Err(error)
    }

    /// What a worker tells that speaks against its token.
    fn objection(&self, status: &Status) -> Option<String> {
        let (token, grade) = self.grade.get()?;
        (*grade != status.grade).then(|| {
            format!(
                "its grade is {}, while records say {grade} since token `{token}` was found first: tokens of one pool have one grade",
                status.grade
            )
        })
    }

    /// Looks at a token's keys, those that serve excepted where `unfit_only`.
    async fn examine(&self, member: &Member, unfit_only: bool) -> (Probed, Option<String>) {
        let (status, _) = match self.status(member).await {
            Ok(told) => told,
            Err(error) => return (Probed::Bad, Some(error.to_string())),
        };
        let keys = self.keys();
        if let Some(why) = self.objection(&status) {
            for (key, _) in keys.kept() {
                member.set_standing(key, Standing::Unfit(why.clone()));
            }
            member.examined(&status);
            return (Probed::Bad, Some(why));
        }
        if let Some(why) = status.away {
            return (Probed::Bad, Some(format!("the token is away: {why}")));
        }
        // What is wrong with a key that served so far, and with one that did not.
        let (mut fails, mut unfit) = (None, None);
        let mut good = false;
        for (place, key) in keys.kept() {
            if unfit_only && member.standing(place) == Standing::Serves {
                good = true;
                continue;
            }
            let limit = member.probe_limit(self.call_timeout);
            let looked = timeout(limit, self.prove(member, place, key)).await;
            let trouble = looked.unwrap_or_else(|_| Err(WorkerError::Timeout(limit).into()));
            match trouble {
                Ok(()) => {
                    good = true;
                    member.set_standing(place, Standing::Serves);
                }
                Err(Trouble::Failed(why)) if member.standing(place) == Standing::Serves => fails = Some(why),
                Err(Trouble::Other(why) | Trouble::Failed(why)) => {
                    member.set_standing(place, Standing::Unfit(why.clone()));
                    unfit = Some(why);
                }
                Err(Trouble::Away(why)) => return (Probed::Bad, Some(why)),
                Err(Trouble::Limited) => return (Probed::Limited, None),
            }
        }
        member.examined(&status);
        if good && fails.is_none() { (Probed::Good, None) } else { (Probed::Bad, fails.or(unfit)) }
    }

    /// The worker's key under the label is the certificate's, and it does what it is for.
    async fn prove(&self, member: &Member, place: usize, key: &PoolKey) -> Result<(), Trouble> {
        let label = member.label(key);
        let found = member.client.public_key(label).await?;
        if found != key.public {
            let (found, own) = (hex::encode(found.key_id()), hex::encode(key.public.key_id()));
            return Err(Trouble::Other(format!("its key `{label}` is {found}, the certificate's is {own}")));
        }
        match key.usage {
            KeyUsage::Sign => {
                let proven = member.client.self_proof(label, &key.public, self.verifier.as_ref()).await;
                match &proven {
                    Ok(()) => self.count_proof(place, true),
                    Err(WorkerError::Defective) => self.count_proof(place, false),
                    Err(_) => {}
                }
                Ok(proven?)
            }
            KeyUsage::Encrypt => prove_opening(member, label, &key.public).await,
        }
    }

    /// Has one token prove a key, whatever is known of it.
    async fn prove_now(&self, member: &Member, place: usize, key: &PoolKey) -> Result<(), KeyTrouble> {
        let of_several =
            |why: String| if self.members.len() == 1 { why } else { format!("token `{}`: {why}", member.name) };
        for _ in 0..PROOF_TRIES {
            let looked = timeout(self.call_timeout, self.prove(member, place, key)).await;
            match looked.unwrap_or_else(|_| Err(WorkerError::Timeout(self.call_timeout).into())) {
                Ok(()) => {
                    member.set_standing(place, Standing::Serves);
                    return Ok(());
                }
                // As when it is looked at: what has served is asked again when no other token is left.
                Err(Trouble::Failed(why)) if member.standing(place) == Standing::Serves => {
                    return Err(KeyTrouble::Unfit(of_several(why)));
                }
                Err(Trouble::Failed(why) | Trouble::Other(why)) => {
                    member.set_standing(place, Standing::Unfit(why.clone()));
                    return Err(KeyTrouble::Unfit(of_several(why)));
                }
                Err(Trouble::Away(why)) => return Err(KeyTrouble::Away(of_several(why))),
                Err(Trouble::Limited) => sleep(PROOF_PAUSE).await,
            }
        }
        Err(KeyTrouble::Away(of_several("the worker allows no more self-proofs now".to_owned())))
    }

    /// Whether every token was asked for a key, and none can use it.
    fn is_hopeless(&self, key: usize) -> bool {
        self.members.iter().all(|member| matches!(member.standing(key), Standing::Unfit(_)))
    }

    /// Probes a token whose breaker is open, when that is due.
    async fn probe(&self, member: &Member) {
        if let Some(epoch) = member.begin_probe() {
            let (result, why) = self.examine(member, false).await;
            member.probed(epoch, result, self.random_octet(), why);
        }
    }

    /// Looks at a token that serves.
    async fn look(&self, member: &Member, unfit_too: bool) {
        let (status, anew) = match self.status(member).await {
            Ok(told) => told,
            Err(error) => return member.trip(self.random_octet(), error.to_string()),
        };
        if let Some(why) = status.away {
            return member.trip(self.random_octet(), format!("the token is away: {why}"));
        }
        let has_unfit = || self.keys().kept().any(|(key, _)| member.standing(key) != Standing::Serves);
        if anew || (unfit_too && has_unfit()) {
            let (result, why) = self.examine(member, !anew).await;
            if let (Probed::Bad, Some(why)) = (result, why) {
                member.trip(self.random_octet(), why);
            }
        }
    }

    async fn tend(&self, member: &Member) {
        let mut looks: u32 = 0;
        loop {
            if let Some(at) = member.probe_at() {
                sleep_until(at.into()).await;
                self.probe(member).await;
                continue;
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = member.opened.notified() => {}
            }
            if member.breaker_state() == BreakerState::Closed {
                looks = looks.wrapping_add(1);
                self.look(member, member.take_new_keys() || looks.is_multiple_of(LOOKS_FOR_UNFIT)).await;
            }
        }
    }
}

/// Seals something to the key that the token must open.
async fn prove_opening(member: &Member, label: &str, key: &PublicKey) -> Result<(), Trouble> {
    let system = |error: &dyn std::fmt::Display| Trouble::Away(format!("the system's random numbers: {error}"));
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut_slice()).map_err(|error| system(&error))?;
    let sealed = sm2_encrypt(key, secret.as_slice(), &mut getrandom::SysRng).map_err(|error| system(&error))?;
    let opened = member.client.unseal(label, &sealed).await?;
    if opened.expose() == secret.as_slice() {
        return Ok(());
    }
    Err(Trouble::Failed(format!("key `{label}` opens to something else than was sealed to its certificate")))
}

impl TokenPool {
    /// Asks all workers for their state, once, and gives the grade of their tokens, which is from then on the pool's.
    ///
    /// # Errors
    /// [`StartError::Waiting`] when nobody answers, [`StartError::Grade`] when a token is of a lower grade than is demanded,
    /// [`StartError::Unfit`] when two tokens differ in grade.
    pub async fn reach(&self) -> Result<Status, StartError> {
        let mut asking = JoinSet::new();
        for index in 0..self.inner.members.len() {
            let inner = std::sync::Arc::clone(&self.inner);
            asking.spawn(async move {
                let member = &inner.members[index];
                let told = inner.status(member).await;
                if let Err(error) = &told {
                    member.trip(0, error.to_string());
                }
                (index, told.map(|(status, _)| status))
            });
        }
        let mut reached = Vec::new();
        for (index, told) in asking.join_all().await {
            match told {
                Ok(status) => reached.push((index, status)),
                Err(WorkerError::Refused { code, message }) if code == codes::GRADE => {
                    let several = self.inner.members.len() > 1;
                    let name = &self.inner.members[index].name;
                    let why = if several { format!("token `{name}`: {message}") } else { message };
                    return Err(StartError::Grade(why));
                }
                Err(_) => {}
            }
        }
        reached.sort_by_key(|(index, _)| *index);
        let mut reached = reached.into_iter();
        let Some((first, status)) = reached.next() else {
            return Err(StartError::Waiting(self.reasons(&self.kept())));
        };
        let name = |index: usize| &self.inner.members[index].name;
        if let Some((other, differs)) = reached.find(|(_, other)| other.grade != status.grade) {
            return Err(StartError::Unfit(format!(
                "token `{}` is of grade {}, token `{}` of grade {}: a record tells one grade, so all tokens must have the same",
                name(first),
                status.grade,
                name(other),
                differs.grade
            )));
        }
        let _ = self.inner.grade.set((name(first).clone(), status.grade.clone()));
        Ok(status)
    }

    /// Probes all tokens that are due; done as soon as each of these keys has a token that serves.
    ///
    /// # Errors
    /// [`StartError::Unfit`] when every token was asked and a key can be used in none, [`StartError::Waiting`] when that may change
    /// by itself.
    pub async fn admit(&self, keys: &[(PublicKey, KeyUsage)]) -> Result<(), StartError> {
        let mut asking = JoinSet::new();
        for index in 0..self.inner.members.len() {
            let inner = std::sync::Arc::clone(&self.inner);
            asking.spawn(async move { inner.probe(&inner.members[index]).await });
        }
        while !self.serves(keys) && asking.join_next().await.is_some() {}
        // A probe that was begun is ended: others wait for its result.
        asking.detach_all();
        if self.serves(keys) {
            return Ok(());
        }
        let known = self.inner.keys();
        let hopeless = |(public, usage): &(PublicKey, KeyUsage)| {
            let place = known.place(public, *usage);
            place.is_some_and(|place| self.inner.is_hopeless(place))
        };
        let problem = self.reasons(keys);
        Err(if keys.iter().any(hopeless) { StartError::Unfit(problem) } else { StartError::Waiting(problem) })
    }

    /// Has the tokens prove a key now, under this very label, one of those that the pool keeps; done as soon as one did. Waits where
    /// a worker allows no more proofs.
    pub async fn prove(&self, key: &PoolKey) -> Result<(), KeyTrouble> {
        let Some(place) = self.inner.keys().all.iter().position(|known| known == key) else {
            return Err(KeyTrouble::Unfit(format!("no token was asked for key `{}`", key.label)));
        };
        let mut asking = JoinSet::new();
        for index in 0..self.inner.members.len() {
            let (inner, key) = (std::sync::Arc::clone(&self.inner), key.clone());
            asking.spawn(async move { inner.prove_now(&inner.members[index], place, &key).await });
        }
        let (mut unfit, mut away) = (Vec::new(), Vec::new());
        while let Some(ended) = asking.join_next().await {
            match ended {
                Ok(Ok(())) => {
                    asking.detach_all();
                    return Ok(());
                }
                Ok(Err(KeyTrouble::Unfit(why))) => unfit.push(why),
                Ok(Err(KeyTrouble::Away(why))) => away.push(why),
                Err(panicked) => away.push(panicked.to_string()),
            }
        }
        Err(if away.is_empty() { KeyTrouble::Unfit(unfit.join("; ")) } else { KeyTrouble::Away(away.join("; ")) })
    }

    /// Looks after all tokens; never ends.
    pub async fn tend(&self) {
        let mut tending = JoinSet::new();
        for index in 0..self.inner.members.len() {
            let inner = std::sync::Arc::clone(&self.inner);
            tending.spawn(async move { inner.tend(&inner.members[index]).await });
        }
        while tending.join_next().await.is_some() {}
    }

    /// When the next probe is due, if any is.
    pub fn next_probe(&self) -> Option<Instant> {
        self.inner.members.iter().filter_map(Member::probe_at).min()
    }
}
