//! The entity's key pairs over time. Which of them are in force is decided once for each check, when its intent is made; the
//! check keeps them to its end, whatever is loaded or begins meanwhile.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::atomic::{self, AtomicBool};
use std::sync::{Arc, PoisonError, RwLock};

use yanqian_agreement::Agreement;
use yanqian_evidence::{Context, Label};
use yanqian_messages::Certificate;
use yanqian_sm::PublicKey;
use yanqian_vocabulary::{CertificateHash, KeyId, Timestamp};

/// What a pair is for. One that signs never opens, nor the other way round (GB/T 20518-2018, dual certificates).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PairUsage {
    Signing,
    Encryption,
}

impl PairUsage {
    pub const ALL: [Self; 2] = [Self::Signing, Self::Encryption];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Encryption => "encryption",
        }
    }

    /// As records name it.
    pub const fn label(self) -> Label {
        Label::new(self.as_str())
    }
}

/// Where a pair stands at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PairState {
    Former,
    InUse,
    Next,
}

impl PairState {
    /// Of the pair at `place` in a list whose pair at `in_use` is in use.
    pub fn of(place: usize, in_use: usize) -> Self {
        match place.cmp(&in_use) {
            Ordering::Less => Self::Former,
            Ordering::Equal => Self::InUse,
            Ordering::Greater => Self::Next,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Former => "former",
            Self::InUse => "in-use",
            Self::Next => "next",
        }
    }
}

/// A key pair of the entity's: its label in the token, and the certificate that says whose it is.
#[derive(Debug)]
pub struct KeyPair {
    pub label: String,
    pub certificate: Certificate,
    pub public_key: PublicKey,
    /// From when on it is in use. The first pair of a list is in use until the second begins, whatever stands here.
    pub from: Option<Timestamp>,
    /// Of a pair for encryption: until when what is sealed to it is opened.
    pub until: Option<Timestamp>,
    proven: AtomicBool,
}

impl KeyPair {
    /// A pair that has yet to prove itself. None when the certificate holds no SM2 key.
    pub fn new(
        label: String,
        certificate: Certificate,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Option<Self> {
        let public_key = *certificate.public_key()?;
        Some(Self { label, certificate, public_key, from, until, proven: AtomicBool::new(false) })
    }

    pub fn certificate_hash(&self) -> CertificateHash {
        CertificateHash::new(self.certificate.hash())
    }

    pub fn key_id(&self) -> KeyId {
        KeyId::new(self.certificate.key_id())
    }

    /// Whether both are the same key in the token with the same certificate; when they serve may differ.
    pub fn is_same_pair(&self, other: &Self) -> bool {
        self.label == other.label && self.certificate.as_der() == other.certificate.as_der()
    }

    /// Whether the token showed, when it was last asked, that it holds the certificate's key and uses it rightly.
    pub fn is_proven(&self) -> bool {
        self.proven.load(atomic::Ordering::Acquire)
    }

    pub fn set_proven(&self, proven: bool) {
        self.proven.store(proven, atomic::Ordering::Release);
    }

    pub(crate) fn is_valid_at(&self, now: Timestamp) -> bool {
        (self.certificate.not_before()..=self.certificate.not_after()).contains(&now.unix_seconds())
    }

    fn opens_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The pairs that are in force at one moment, and what records then say of the entity.
#[derive(Debug)]
pub struct InForce {
    pub signing: Arc<KeyPair>,
    /// Under whose certificate the platform seals readings, as far as we told it.
    pub encryption: Option<Arc<KeyPair>>,
    /// All pairs that still open what is sealed to them; those that begin later too.
    pub openers: Vec<Arc<KeyPair>>,
    /// The agreement that decides; the context has its hash.
    pub agreement: Arc<Agreement>,
    pub context: Arc<Context>,
}

/// Why a list of pairs is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairsError {
    #[error("there is no signing pair")]
    NoSigningPair,
    #[error("a pair begins before the one above it, or does not say when it begins")]
    Order,
}

/// All pairs of the entity, each list in the order in which they begin.
#[derive(Debug)]
pub struct Pairs {
    signing: Vec<Arc<KeyPair>>,
    encryption: Vec<Arc<KeyPair>>,
    /// From when on which pairs are in force, ascending; the first from ever.
    periods: Vec<(Timestamp, Arc<InForce>)>,
}

impl Pairs {
    /// `base` is what records say of everything but the keys; it names `agreement` by its hash.
    pub fn new(
        base: &Context,
        agreement: &Arc<Agreement>,
        signing: Vec<Arc<KeyPair>>,
        encryption: Vec<Arc<KeyPair>>,
    ) -> Result<Self, PairsError> {
        for pairs in [&signing, &encryption] {
            let begins: Option<Vec<_>> = pairs.iter().skip(1).map(|pair| pair.from).collect();
            let begins = begins.ok_or(PairsError::Order)?;
            let first = pairs.first().and_then(|pair| pair.from);
            if !first.iter().chain(&begins).is_sorted_by(|one, other| one < other) {
                return Err(PairsError::Order);
            }
        }
        let later = |pairs: &[Arc<KeyPair>]| pairs.iter().skip(1).filter_map(|pair| pair.from).collect::<Vec<_>>();
        let ever = Timestamp::from_unix_millis(0);
        let starts: BTreeSet<_> = [ever]
            .into_iter()
            .chain(later(&signing))
            .chain(later(&encryption))
            .chain(encryption.iter().filter_map(|pair| pair.until))
            .collect();
        let periods = starts
            .into_iter()
            .map(|start| Some((start, Arc::new(in_force(base, agreement, &signing, &encryption, start)?))))
            .collect::<Option<_>>()
            .ok_or(PairsError::NoSigningPair)?;
        Ok(Self { signing, encryption, periods })
    }

    /// What is in force at a moment.
    pub fn at(&self, now: Timestamp) -> &Arc<InForce> {
        let begun = self.periods.partition_point(|(start, _)| *start <= now);
        // Never empty, and the first period begins with time itself.
        &self.periods[begun.saturating_sub(1)].1
    }

    pub fn of(&self, usage: PairUsage) -> &[Arc<KeyPair>] {
        match usage {
            PairUsage::Signing => &self.signing,
            PairUsage::Encryption => &self.encryption,
        }
    }

    /// Every pair with where it stands at a moment.
    pub fn told(&self, now: Timestamp) -> impl Iterator<Item = (PairUsage, &Arc<KeyPair>, PairState)> {
        PairUsage::ALL.into_iter().flat_map(move |usage| {
            let pairs = self.of(usage);
            let in_use = current(pairs, now);
            pairs.iter().enumerate().map(move |(place, pair)| (usage, pair, PairState::of(place, in_use)))
        })
    }

    /// What a record about a signing pair says when that pair is not, or not yet, in force.
    pub fn context_of(&self, pair: &Arc<KeyPair>) -> Option<&Arc<Context>> {
        self.periods.iter().find(|(_, period)| Arc::ptr_eq(&period.signing, pair)).map(|(_, period)| &period.context)
    }
}

/// The place of the pair in use at a moment: the last that has begun.
fn current(pairs: &[Arc<KeyPair>], now: Timestamp) -> usize {
    let begun = |pair: &Arc<KeyPair>| pair.from.is_none_or(|from| from <= now);
    pairs.iter().skip(1).take_while(|pair| begun(pair)).count()
}

fn in_force(
    base: &Context,
    agreement: &Arc<Agreement>,
    signing: &[Arc<KeyPair>],
    encryption: &[Arc<KeyPair>],
    now: Timestamp,
) -> Option<InForce> {
    let signing = signing.get(current(signing, now)).map(Arc::clone)?;
    let openers = encryption.iter().filter(|pair| pair.opens_at(now)).map(Arc::clone).collect();
    let encryption = encryption.get(current(encryption, now)).map(Arc::clone);
    let context = Context {
        key: signing.key_id(),
        certificate: signing.certificate_hash(),
        encryption_key: encryption.as_deref().map(KeyPair::key_id),
        encryption_certificate: encryption.as_deref().map(KeyPair::certificate_hash),
        ..base.clone()
    };
    let agreement = Arc::clone(agreement);
    Some(InForce { signing, encryption, openers, agreement, context: Arc::new(context) })
}

/// The pairs as last loaded. Whoever took what is in force keeps it.
#[derive(Debug)]
pub(crate) struct LoadedPairs(RwLock<Arc<Pairs>>);

impl LoadedPairs {
    pub(crate) fn new(pairs: Pairs) -> Self {
        Self(RwLock::new(Arc::new(pairs)))
    }

    pub(crate) fn load(&self) -> Arc<Pairs> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace(&self, pairs: Arc<Pairs>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pairs;
    }
}

#[cfg(test)]
pub(crate) mod tests;
