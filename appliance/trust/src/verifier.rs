use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use yanqian_messages::SignatureVerifier;
use yanqian_sm::{E, EncryptionKey, PublicKey, Signature, VerifyError};

use crate::batcher::{Batcher, Item, MAX_BATCH, Sm2};
use crate::second_opinion::{Disputed, OpenSsl, SecondOpinion, SignedContent};
use crate::tables::{KeyOwner, KeyUse, KnownKeys, TableStats, Tabled, Tables};

/// How a [`Verifier`] works.
#[derive(Debug, Clone, Copy)]
pub struct VerifierSettings {
    /// Octets that tables of keys may take.
    pub table_octets: usize,
    /// Every n-th answer is verified a second time by another implementation.
    pub shadow_every: NonZeroU32,
}

/// What a second opinion was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Answer,
    Certificate,
    RevocationList,
    OcspResponse,
}

impl Subject {
    pub const ALL: [Self; 4] = [Self::Answer, Self::Certificate, Self::RevocationList, Self::OcspResponse];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Certificate => "certificate",
            Self::RevocationList => "revocation-list",
            Self::OcspResponse => "ocsp-response",
        }
    }
}

/// Counts since the start, but for what [`TableStats`] says is of now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifierStats {
    pub tables: TableStats,
    /// How many batches there were of 1, 2, 3 … signatures under keys without a table. One that did not wait is a batch of
    /// one.
    pub batches: [u64; MAX_BATCH],
    /// Signatures that waited for others.
    pub waited: u64,
    /// Second opinions by [`Subject`], in the order of its `ALL`: those that agreed, those that did not.
    pub agreed: [u64; 4],
    pub disputed: [u64; 4],
    /// Signers judged from memory, and judged anew.
    pub verdicts_known: u64,
    pub verdicts_new: u64,
}

/// The daemon's way to verify SM2 signatures: over tables of the keys that it meets often, together with whatever else
/// waits, and now and then by another implementation too. One for the whole process, shared by its threads.
pub struct Verifier {
    tables: Arc<Tables>,
    batcher: Batcher,
    second: Box<dyn SecondOpinion>,
    shadow_every: NonZeroU32,
    answers: AtomicU64,
    agreed: [AtomicU64; 4],
    disputed: [AtomicU64; 4],
    verdicts: [AtomicU64; 2],
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("tables", &self.tables).finish_non_exhaustive()
    }
}

impl Verifier {
    /// The second opinion is OpenSSL's.
    pub fn new(settings: VerifierSettings) -> Self {
        Self::with_second_opinion(settings, Box::new(OpenSsl))
    }

    pub fn with_second_opinion(settings: VerifierSettings, second: Box<dyn SecondOpinion>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self {
            tables: Tables::new(settings.table_octets),
            batcher: Batcher::new(Sm2, cores),
            second,
            shadow_every: settings.shadow_every,
            answers: AtomicU64::new(0),
            agreed: Default::default(),
            disputed: Default::default(),
            verdicts: Default::default(),
        }
    }

    /// Says which keys of an owner are met at every check, in the place of what was said before.
    pub fn keep(&self, owner: KeyOwner, keys: &KnownKeys) {
        self.tables.keep(owner, keys);
    }

    /// The table for sealing to a key, where it has been made.
    pub fn sealing_table(&self, key: &PublicKey) -> Option<Arc<Tabled<EncryptionKey>>> {
        let table = self.tables.sealing(key);
        if table.is_none() {
            self.tables.sighted(KeyUse::Seal, key);
        }
        table
    }

    /// Of every n-th answer, holds our verdict on the signature against another implementation's over the same octets.
    pub fn shadow(&self, signed: &SignedContent<'_>, ours: bool) -> Result<(), Disputed> {
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        if !number.is_multiple_of(self.shadow_every.get().into()) {
            return Ok(());
        }
        self.compare(Subject::Answer, ours, self.second.holds(signed))
    }

    /// Two implementations' verdicts on one signature.
    pub(crate) fn compare(&self, subject: Subject, ours: bool, theirs: bool) -> Result<(), Disputed> {
        let counter = if ours == theirs { &self.agreed } else { &self.disputed };
        counter[subject as usize].fetch_add(1, Ordering::Relaxed);
        if ours == theirs {
            return Ok(());
        }
        tracing::error!(
            subject = subject.as_str(),
            ours,
            theirs,
            "two implementations disagree about an SM2 signature"
        );
        Err(Disputed)
    }

    pub(crate) fn count_verdict(&self, known: bool) {
        self.verdicts[usize::from(known)].fetch_add(1, Ordering::Relaxed);
    }

    pub fn stats(&self) -> VerifierStats {
        let [verdicts_new, verdicts_known] = self.verdicts.each_ref().map(|counter| counter.load(Ordering::Relaxed));
        let counts = |counters: &[AtomicU64; 4]| counters.each_ref().map(|counter| counter.load(Ordering::Relaxed));
        VerifierStats {
            tables: self.tables.stats(),
            batches: self.batcher.sizes(),
            waited: self.batcher.queued(),
            agreed: counts(&self.agreed),
            disputed: counts(&self.disputed),
            verdicts_known,
            verdicts_new,
        }
    }
}

impl SignatureVerifier for Verifier {
    /// Blocks a little longer than its own arithmetic takes when many verify at once, and never for anything but arithmetic.
    fn verify(&self, key: &PublicKey, e: &E, signature: &Signature) -> Result<(), VerifyError> {
        if let Some(table) = self.tables.verifying(key) {
            return table.verify(e, signature);
        }
        if !self.batcher.verify(&Item { key: *key, e: *e, signature: *signature }) {
            // What does not verify is cheap to come by, and earns no table.
            return Err(VerifyError);
        }
        self.tables.sighted(KeyUse::Verify, key);
        Ok(())
    }
}
