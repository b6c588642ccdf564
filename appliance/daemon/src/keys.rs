//! The entity's key pairs as the configuration lists them: read with their certificates, and proven at the token.

use std::path::Path;
use std::sync::Arc;

use yanqian_gateway::{Core, KeyPair, PairState, PairUsage, Pairs};
use yanqian_hsm::TokenPool;
use yanqian_hsm::pool::KeyTrouble;
use yanqian_messages::Certificate;
use yanqian_trust::{KeyOwner, KnownKeys, Verifier};
use yanqian_vocabulary::Timestamp;

use crate::anchoring::public_key;
use crate::config::{Config, PairEntry};
use crate::parts::{self, PartError};
use crate::tokens::{pool_key, record_proofs};

/// Both lists, read and checked, not proven.
#[derive(Debug)]
pub(crate) struct Lists {
    pub(crate) signing: Vec<Arc<KeyPair>>,
    pub(crate) encryption: Vec<Arc<KeyPair>>,
}

/// Reads the certificates of all pairs. Each is for its use, and valid when its pair begins.
pub(crate) fn load(config: &Config, now: Timestamp) -> Result<Lists, PartError> {
    let signing = list(config, PairUsage::Signing, now)?;
    let encryption = list(config, PairUsage::Encryption, now)?;
    for (pair, entry) in encryption.iter().zip(&config.hsm.pairs.encryption) {
        if signing.iter().any(|other| other.public_key == pair.public_key) {
            let problem = "holds the key of a signing certificate; the pairs for the two uses are separate";
            return Err(wrong(&config.file, entry, problem));
        }
    }
    if let Some(ledger) = &config.checkpoints {
        let key = public_key(&ledger.public_key)?;
        if signing.iter().chain(&encryption).any(|pair| pair.public_key == key) {
            let problem = "is the key of a pair in `[hsm]`: checkpoints have a key of their own (I2)";
            return Err(PartError::file(&ledger.public_key, problem));
        }
    }
    Ok(Lists { signing, encryption })
}

/// Something about the certificate that an entry names.
fn wrong(file: &Path, entry: &PairEntry, problem: &str) -> PartError {
    let problem = format!("{}: {problem}", entry.certificate.display());
    entry.certificate_at.problem(file, problem).into()
}

/// Reads the certificates of the pairs for one use.
pub(crate) fn list(config: &Config, usage: PairUsage, now: Timestamp) -> Result<Vec<Arc<KeyPair>>, PartError> {
    let file = &config.file;
    let entries = match usage {
        PairUsage::Signing => &config.hsm.pairs.signing,
        PairUsage::Encryption => &config.hsm.pairs.encryption,
    };
    let mut pairs: Vec<Arc<KeyPair>> = Vec::new();
    for entry in entries {
        let wrong = |problem: &str| wrong(file, entry, problem);
        let certificate = parts::first_certificate(&entry.certificate)
            .map_err(|error| entry.certificate_at.problem(file, error.to_string()))?;
        if !is_for(usage, &certificate) {
            return Err(wrong(&format!("is not {} certificate (key usage)", with_article(usage))));
        }
        if pairs.iter().any(|other| other.certificate.as_der() == certificate.as_der()) {
            return Err(wrong("is the certificate of an earlier pair"));
        }
        if let Some(from) = entry.from {
            if pairs.is_empty() && from > now {
                let problem = format!("{from} is in the future, and no pair serves until then");
                return Err(entry.from_at.problem(file, problem).into());
            }
            if !(certificate.not_before()..=certificate.not_after()).contains(&from.unix_seconds()) {
                return Err(wrong(&format!("is not valid at `from`, {from}")));
            }
        }
        let pair = KeyPair::new(entry.label.clone(), certificate, entry.from, entry.until);
        pairs.push(Arc::new(pair.ok_or_else(|| wrong("does not hold an SM2 key"))?));
    }
    Ok(pairs)
}

const fn with_article(usage: PairUsage) -> &'static str {
    match usage {
        PairUsage::Signing => "a signing",
        PairUsage::Encryption => "an encryption",
    }
}

/// Stated, not only not forbidden: a receipt's verifier does not take it on trust either.
fn is_for(usage: PairUsage, certificate: &Certificate) -> bool {
    let stated = certificate.key_usage().is_some_and(|stated| match usage {
        PairUsage::Signing => stated.digital_signature || stated.non_repudiation,
        PairUsage::Encryption => stated.key_encipherment || stated.data_encipherment || stated.key_agreement,
    });
    stated && !certificate.is_ca()
}

/// Whether anything depends on a pair: it is in use or will be, or still opens what was sealed to it.
pub(crate) fn is_needed(usage: PairUsage, pair: &KeyPair, state: PairState, now: Timestamp) -> bool {
    match (usage, state) {
        (PairUsage::Signing, PairState::Former) => false,
        (PairUsage::Encryption, PairState::Former) => pair.until.is_none_or(|until| now < until),
        _ => true,
    }
}

/// The keys that our own signatures are verified with get their tables.
pub(crate) fn keep_tables<'a>(verifier: &Verifier, signing: impl IntoIterator<Item = &'a Arc<KeyPair>>) {
    let verifying = signing.into_iter().map(|pair| pair.public_key).collect();
    verifier.keep(KeyOwner::Entity, &KnownKeys { verifying, ..KnownKeys::default() });
}

/// Why a pair did not prove itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProofError {
    /// The token, or what it answered, speaks against the pair.
    #[error("{0}")]
    Disproved(String),
    /// Nobody answered. That says nothing about a pair that proved itself before.
    #[error("{0}")]
    Unanswered(String),
}

impl From<KeyTrouble> for ProofError {
    fn from(trouble: KeyTrouble) -> Self {
        match trouble {
            KeyTrouble::Unfit(why) => Self::Disproved(why),
            KeyTrouble::Away(why) => Self::Unanswered(why),
        }
    }
}

/// Has the tokens prove pairs of the entity.
#[derive(Debug, Clone)]
pub(crate) struct Prover {
    pub(crate) tokens: TokenPool,
    pub(crate) verifier: Arc<Verifier>,
}

impl Prover {
    /// Whether a token holds the certificate's key and uses it rightly; says why not.
    async fn prove(&self, usage: PairUsage, pair: &KeyPair) -> Result<(), String> {
        let proven = self.tokens.prove(&pool_key(usage, pair)).await.map_err(ProofError::from);
        match &proven {
            Ok(()) => pair.set_proven(true),
            Err(ProofError::Disproved(_)) => pair.set_proven(false),
            Err(ProofError::Unanswered(_)) => {}
        }
        proven.map_err(|error| format!("{} key `{}` did not prove itself: {error}", usage.as_str(), pair.label))
    }

    /// Proves a pair and records that a signing key signed for it (I2); a proof that the ledger did not take changes nothing. `pairs`
    /// are those that the pair belongs to, loaded or about to be.
    pub(crate) async fn prove_and_record(
        &self,
        core: &Core,
        pairs: &Pairs,
        usage: PairUsage,
        pair: &Arc<KeyPair>,
    ) -> Result<(), String> {
        let before = pair.is_proven();
        let proven = self.prove(usage, pair).await;
        let recorded = record_proofs(core, Some(pairs), &self.tokens).await;
        recorded.inspect_err(|_| pair.set_proven(before && pair.is_proven()))?;
        proven
    }
}
