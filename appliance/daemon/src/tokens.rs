//! The tokens that the entity's keys are in: found at the start, looked after while the daemon serves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use yanqian_evidence::{Context, Management};
use yanqian_gateway::{Core, KeyPair, PairState, PairUsage, Pairs};
use yanqian_hsm::pool::{PoolKey, PoolMember, Proofs, StartError};
use yanqian_hsm::protocol::KeyUsage;
use yanqian_hsm::{ClientConfig, Status, TokenPool};
use yanqian_sm::PublicKey;
use yanqian_trust::Verifier;
use yanqian_vocabulary::{Reason, Timestamp, TokenGrade};

use crate::admin::Readiness;
use crate::config::{Config, Token};
use crate::keys::is_needed;

/// Between attempts to reach a worker at start, at most.
const RETRY: Duration = Duration::from_millis(250);

/// How to reach a token's worker.
pub(crate) fn client(config: &Config, token: &Token) -> ClientConfig {
    let mut client = ClientConfig::new(&token.socket);
    client.expected_uid = token.worker_uid;
    client.least_grade = config.hsm.grade;
    client
}

/// The configured tokens, asked for these keys.
pub(crate) fn pool(config: &Config, keys: Vec<PoolKey>, verifier: &Arc<Verifier>) -> TokenPool {
    let member = |token: &Token| PoolMember {
        name: token.name.clone(),
        client: client(config, token),
        labels: token.labels.clone(),
    };
    TokenPool::new(config.hsm.tokens.iter().map(member).collect(), keys, Arc::clone(verifier) as _)
}

/// What a pair's key is in a token.
pub(crate) const fn key_usage(usage: PairUsage) -> KeyUsage {
    match usage {
        PairUsage::Signing => KeyUsage::Sign,
        PairUsage::Encryption => KeyUsage::Encrypt,
    }
}

/// All pairs that anything depends on, as tokens are asked for them.
pub(crate) fn needed(pairs: &Pairs, now: Timestamp) -> Vec<PoolKey> {
    let needed = pairs.told(now).filter(|(usage, pair, state)| is_needed(*usage, pair, *state, now));
    needed.map(|(usage, pair, _)| pool_key(usage, pair)).collect()
}

/// A pair as tokens are asked for it.
pub(crate) fn pool_key(usage: PairUsage, pair: &KeyPair) -> PoolKey {
    PoolKey { public: pair.public_key, usage: key_usage(usage), label: pair.label.clone() }
}

/// The pairs in use.
pub(crate) fn in_use(pairs: &Pairs, now: Timestamp) -> Vec<(PublicKey, KeyUsage)> {
    let in_use = pairs.told(now).filter(|(_, _, state)| *state == PairState::InUse);
    in_use.map(|(usage, pair, _)| (pair.public_key, key_usage(usage))).collect()
}

/// Waits for a worker: it may start later than the daemon, and the daemon can do nothing without one. Gives the tokens' grade.
///
/// # Errors
/// Tokens of more than one grade, or of one that this version does not know.
pub(crate) async fn reach(pool: &TokenPool, readiness: &Readiness) -> Result<TokenGrade, String> {
    let mut told = false;
    loop {
        match pool.reach().await {
            Ok(status) => return grade_of(&status),
            Err(StartError::Unfit(why)) => return Err(why),
            Err(StartError::Grade(why)) => return Err(format!("hsm.grade: {why}")),
            Err(StartError::Waiting(why)) => {
                if !told {
                    tracing::warn!(why, "waiting for the HSM worker");
                    told = true;
                }
                readiness.set(vec![format!("waiting for the HSM worker: {why}")]);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

fn grade_of(status: &Status) -> Result<TokenGrade, String> {
    let grade: TokenGrade = status.grade.parse().map_err(|error| format!("the token's grade: {error}"))?;
    if grade == TokenGrade::Development {
        tracing::warn!(
            token = status.token_label,
            model = status.token_model,
            "THE TOKEN IS OF DEVELOPMENT GRADE: a soft token protects no key; every record says so"
        );
    }
    Ok(grade)
}

/// Every key in use must have a token that holds it and has proven it before anything is served; other tokens join when they come, and
/// what fails of other keys is told, and tried again until its time.
///
/// # Errors
/// A key that no token can use, or a ledger that does not take the proofs' record.
pub(crate) async fn admit(core: &Core, pool: &TokenPool, readiness: &Readiness, now: Timestamp) -> Result<(), String> {
    let pairs = core.pairs();
    let required = in_use(&pairs, now);
    let mut told = false;
    loop {
        let admitted = pool.admit(&required).await;
        record_proofs(core, None, pool).await?;
        let why = match admitted {
            Ok(()) => break,
            Err(StartError::Unfit(why) | StartError::Grade(why)) => return Err(why),
            Err(StartError::Waiting(why)) => why,
        };
        if !told {
            tracing::warn!(why, "waiting for a token that serves");
            told = true;
        }
        readiness.set(vec![format!("waiting for a token that serves: {why}")]);
        let next = pool.next_probe().unwrap_or_else(Instant::now).saturating_duration_since(Instant::now());
        tokio::time::sleep(next.min(RETRY).max(RETRY / 10)).await;
    }
    for (usage, pair, state) in pairs.told(now) {
        let key = [(pair.public_key, key_usage(usage))];
        if pool.serves(&key) {
            pair.set_proven(true);
        } else if is_needed(usage, pair, state, now) {
            let (label, why) = (&pair.label, pool.reasons(&key));
            tracing::error!(
                usage = usage.as_str(),
                label,
                state = state.as_str(),
                why,
                "a key is not proven; it is tried again"
            );
        }
    }
    Ok(())
}

/// Every use of a signing key stands in the ledger (I2): a self-proof as a management record, under the pair that it is of. `pairs` are
/// those about to be loaded, if there are such.
pub(crate) async fn record_proofs(core: &Core, pairs: Option<&Pairs>, pool: &TokenPool) -> Result<(), String> {
    let loaded = core.pairs();
    let mut problem = None;
    for (key, mut left) in pool.take_proofs() {
        let own = pairs.and_then(|pairs| context_of(pairs, &key)).or_else(|| context_of(&loaded, &key));
        let context = own.unwrap_or_else(|| core.in_force().context.clone());
        while left != Proofs::default() {
            let refused = (left.good == 0).then_some(Reason::SignatureDefective);
            if let Err(error) = core.append_under(&context, Management::SelfProof { refused }.into()).await {
                problem = Some(format!("a key's proof cannot be recorded: {error}"));
                break;
            }
            *(if refused.is_some() { &mut left.refused } else { &mut left.good }) -= 1;
        }
        if left != Proofs::default() {
            pool.give_back(&key, left);
        }
    }
    problem.map_or(Ok(()), Err)
}

/// What records about a signing key say of the entity.
fn context_of(pairs: &Pairs, key: &PublicKey) -> Option<Arc<Context>> {
    let pair = pairs.of(PairUsage::Signing).iter().find(|pair| pair.public_key == *key)?;
    pairs.context_of(pair).cloned()
}
