//! What every check needs, put together once at start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use yanqian_evidence::{Aggregate, Body, Context, Label, Rejected, Shed as ShedCount};
use yanqian_hsm::TokenPool;
use yanqian_ledger::search::EpochKey;
use yanqian_ledger::tree::Anchors;
use yanqian_ledger::{Appended, Archive, ArchiveError, Archived, Ledger, LedgerError};
use yanqian_platform::{Found, PlatformClient, Profile, Route};
use yanqian_trust::{RevocationKind, SharedTrust, TrustStore, Verifier};
use yanqian_vocabulary::{CallerId, EntityId, Mode, PlatformId, Timestamp, VerificationId};

use crate::api::BodyLimits;
use crate::clock::{Clock, ClockHealth};
use crate::keys::{InForce, LoadedPairs, PairUsage, Pairs};
use crate::metrics::{Metrics, RejectCause};
use crate::quotas::Quotas;
use crate::reply::Shed;
use crate::secrets::StateKeys;
use crate::state::StateHandle;
use crate::turns::Turns;

/// Who signs and opens with the entity's keys; which of them, [`Pairs`] says.
#[derive(Debug)]
pub struct Signer {
    pub tokens: TokenPool,
}

/// The platform that checks are sent to.
#[derive(Debug)]
pub struct PlatformLink {
    pub profile: Arc<Profile>,
    pub client: Arc<PlatformClient>,
    pub trust: Arc<SharedTrust>,
    /// Whether anything may be asked of it.
    pub route: Arc<Route>,
    /// The entity's number at the platform.
    pub customer_number: String,
    pub application: String,
}

/// Limits of the pipeline.
#[derive(Debug, Clone, Copy)]
pub struct CoreLimits {
    pub max_in_flight: u32,
    /// From a check's head to the platform's answer.
    pub check: Duration,
    /// Of a body without a portrait or chip files; those are added for the services that take them.
    pub body: BodyLimits,
    pub reply_retention_millis: i64,
    pub receipt_retention_millis: i64,
}

/// The parts of a [`Core`].
pub struct CoreParts {
    pub clock: Arc<dyn Clock>,
    pub clock_health: Arc<dyn ClockHealth>,
    /// With the agreement that decides.
    pub pairs: Pairs,
    pub ledger: Arc<Ledger>,
    /// Where the ledger's segments are, for reading records back.
    pub ledger_directory: PathBuf,
    pub archive: Archive,
    /// Proofs for receipts; absent where no checkpoints are made.
    pub anchors: Option<Anchors>,
    /// Whose documents' chips are taken for genuine; absent where that is left to the platform.
    pub chip_anchors: Option<Arc<yanqian_chip::Anchors>>,
    pub state: StateHandle,
    pub keys: StateKeys,
    pub search_key: EpochKey,
    pub signing: Signer,
    pub platform: PlatformLink,
    pub verifier: Arc<Verifier>,
    pub metrics: Metrics,
    pub limits: CoreLimits,
}

impl std::fmt::Debug for CoreParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CoreParts({})", self.ledger_directory.display())
    }
}

/// The running gateway.
pub struct Core {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clock_health: Arc<dyn ClockHealth>,
    entity: EntityId,
    platform_id: PlatformId,
    pub(crate) quotas: Quotas,
    pub(crate) state: StateHandle,
    pub(crate) keys: StateKeys,
    pub(crate) signing: Signer,
    pub(crate) platform: PlatformLink,
    /// Verifies every SM2 signature that counts.
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) metrics: Metrics,
    pub(crate) reply_retention_millis: i64,
    pub(crate) receipt_retention_millis: i64,
    /// From a check's head to the platform's answer.
    pub(crate) check_limit: Duration,
    pub(crate) ledger_directory: PathBuf,
    pub(crate) archive: Archive,
    pub(crate) anchors: Option<Anchors>,
    pub(crate) chip_anchors: Option<Arc<yanqian_chip::Anchors>>,
    /// Of those who decode pictures and chip files.
    pub(crate) decoding: Turns,
    body_limits: BodyLimits,
    pairs: LoadedPairs,
    search_key: RwLock<Arc<EpochKey>>,
    ledger: Arc<Ledger>,
    slots: Arc<Semaphore>,
    max_in_flight: u32,
    accepting: AtomicBool,
    turned_away: Mutex<TurnedAway>,
    /// The highest sequence that the metrics have been told: acknowledgements do not come in order.
    records_told: Mutex<i64>,
}

const fn base64_length(octets: usize) -> usize {
    octets.div_ceil(3) * 4
}

/// Counts since the last aggregate record.
struct TurnedAway {
    from: Timestamp,
    rejected: BTreeMap<&'static str, u64>,
    shed: BTreeMap<yanqian_vocabulary::Reason, u64>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Core({})", self.entity)
    }
}

impl Core {
    pub fn new(parts: CoreParts) -> Arc<Self> {
        let from = parts.clock.now();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let context = Arc::clone(&parts.pairs.at(from).context);
        Arc::new(Self {
            quotas: Quotas::new(parts.clock.uptime()),
            clock: parts.clock,
            clock_health: parts.clock_health,
            entity: context.entity.clone(),
            platform_id: context.platform.clone(),
            state: parts.state,
            keys: parts.keys,
            signing: parts.signing,
            platform: parts.platform,
            verifier: parts.verifier,
            metrics: parts.metrics,
            reply_retention_millis: parts.limits.reply_retention_millis,
            receipt_retention_millis: parts.limits.receipt_retention_millis,
            check_limit: parts.limits.check,
            ledger_directory: parts.ledger_directory,
            archive: parts.archive,
            anchors: parts.anchors,
            chip_anchors: parts.chip_anchors,
            decoding: Turns::new(cores),
            body_limits: parts.limits.body,
            pairs: LoadedPairs::new(parts.pairs),
            search_key: RwLock::new(Arc::new(parts.search_key)),
            ledger: parts.ledger,
            slots: Arc::new(Semaphore::new(parts.limits.max_in_flight as usize)),
            max_in_flight: parts.limits.max_in_flight,
            accepting: AtomicBool::new(true),
            turned_away: Mutex::new(TurnedAway { from, rejected: BTreeMap::new(), shed: BTreeMap::new() }),
            records_told: Mutex::default(),
        })
    }

    pub(crate) fn entity(&self) -> &EntityId {
        &self.entity
    }

    pub(crate) fn platform_id(&self) -> &PlatformId {
        &self.platform_id
    }

    /// The caller that a client certificate's names stand for.
    pub(crate) fn caller(&self, names: &[String]) -> Result<CallerId, RejectCause> {
        let caller = self.in_force().agreement.caller_by_certificate_name(names).map(|caller| caller.id.clone());
        caller.map_err(|_| RejectCause::CallerUnknown)
    }

    /// Fresh octets from the operating system.
    ///
    /// # Panics
    /// When the operating system gives no randomness: nothing that this process does is safe then.
    #[allow(clippy::unused_self)] // the seam through which a simulation will own randomness
    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut octets = [0; N];
        getrandom::fill(&mut octets).expect("the operating system gives randomness");
        octets
    }

    pub(crate) fn new_id(&self, now: Timestamp) -> VerificationId {
        VerificationId::new(now, self.random())
    }

    /// The entity's pairs as last loaded.
    pub fn pairs(&self) -> Arc<Pairs> {
        self.pairs.load()
    }

    /// Puts other pairs in the place of those that are there. Checks under way keep theirs.
    pub fn replace_pairs(&self, pairs: Arc<Pairs>) {
        self.pairs.replace(pairs);
    }

    /// The key of the epoch whose search tags new intents hold.
    pub fn search_key(&self) -> Arc<EpochKey> {
        // The lock is held for a clone or an assignment, neither of which leaves half of it done.
        Arc::clone(&self.search_key.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins another epoch. Checks under way keep the tags that they have.
    pub fn replace_search_key(&self, key: Arc<EpochKey>) {
        *self.search_key.write().unwrap_or_else(PoisonError::into_inner) = key;
    }

    /// What is in force now; a check takes it once.
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force_at(self.clock.now())
    }

    pub(crate) fn in_force_at(&self, now: Timestamp) -> Arc<InForce> {
        Arc::clone(self.pairs.load().at(now))
    }

    /// Makes a record about the appliance durable, under what is in force now.
    pub async fn append(&self, body: Body) -> Result<Appended, LedgerError> {
        self.append_under(&self.in_force().context, body).await
    }

    /// Makes a record durable under what was in force for it.
    pub async fn append_under(&self, context: &Arc<Context>, body: Body) -> Result<Appended, LedgerError> {
        let appended = self.ledger.append(Arc::clone(context), body).await;
        if let Ok(appended) = &appended
            && let Ok(mut told) = self.records_told.lock()
        {
            *told = i64::try_from(appended.sequence).unwrap_or(i64::MAX).max(*told);
            self.metrics.ledger_records.set(*told);
        }
        appended
    }

    /// A place among the checks under way; none when there are too many or the daemon is stopping.
    pub(crate) fn take_slot(&self) -> Option<OwnedSemaphorePermit> {
        if !self.is_accepting() {
            return None;
        }
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }

    /// Limits of a body of this service.
    pub(crate) const fn body_limits(&self, mode: Mode) -> BodyLimits {
        let mut limits = self.body_limits;
        limits.max_bytes += match mode {
            Mode::RealName => 0,
            Mode::RealPerson => base64_length(yanqian_documents::MAX_PORTRAIT),
            Mode::ChipReading => base64_length(yanqian_documents::MAX_CHIP),
        };
        limits
    }

    /// Keeps our own certificates, so that receipts of what was signed under them stay whole. Blocks.
    pub fn archive_pairs(&self, pairs: &Pairs) -> Result<(), ArchiveError> {
        let mut all = PairUsage::ALL.into_iter().flat_map(|usage| pairs.of(usage));
        all.try_for_each(|pair| self.archive.put(Archived::Certificate, pair.certificate.as_der()).map(drop))
    }

    /// Keeps the certificates and revocation data on which an answer's proof rests, so that its receipt stays whole. Blocks.
    pub(crate) fn archive_proof(&self, found: &Found, trust: &TrustStore) -> Result<(), ArchiveError> {
        for certificate in found.signer.iter().chain(&found.chain) {
            self.archive.put(Archived::Certificate, certificate.as_der())?;
        }
        for evidence in &found.revocation {
            let kind = match evidence.kind {
                RevocationKind::Crl => Archived::Crl,
                RevocationKind::Ocsp => Archived::Ocsp,
            };
            // The store that judged by it has it.
            let der = trust.revocation_data(&evidence.hash).ok_or(ArchiveError::Absent)?;
            self.archive.put(kind, &der)?;
        }
        Ok(())
    }

    pub(crate) fn is_accepting(&self) -> bool {
        self.accepting.load(Ordering::Acquire)
    }

    pub(crate) fn stop_accepting(&self) {
        self.accepting.store(false, Ordering::Release);
    }

    /// Resolves when no check is under way.
    pub(crate) async fn idle(&self) {
        // Fails only when the semaphore is closed, which nothing does.
        let _ = self.slots.acquire_many(self.max_in_flight).await;
    }

    pub(crate) fn count_rejected(&self, cause: RejectCause) {
        self.metrics.reject(cause);
        if let Ok(mut away) = self.turned_away.lock() {
            *away.rejected.entry(cause.as_str()).or_default() += 1;
        }
    }

    pub(crate) fn count_shed(&self, shed: Shed) {
        self.metrics.shed.inc();
        if let Ok(mut away) = self.turned_away.lock() {
            *away.shed.entry(shed.reason()).or_default() += 1;
        }
    }

    /// Records what was turned away since the last call; nothing when nothing was (I1).
    pub async fn record_aggregate(&self) -> Result<(), LedgerError> {
        let until = self.clock.now();
        let Some(aggregate) = self.take_turned_away(until) else { return Ok(()) };
        let kept = aggregate.clone();
        let result = self.append(aggregate.into()).await.map(|_| ());
        if result.is_err() {
            self.give_back(&kept);
        }
        result
    }

    fn take_turned_away(&self, until: Timestamp) -> Option<Aggregate> {
        let mut away = self.turned_away.lock().ok()?;
        if away.rejected.is_empty() && away.shed.is_empty() {
            away.from = until;
            return None;
        }
        let rejected = std::mem::take(&mut away.rejected);
        let shed = std::mem::take(&mut away.shed);
        let from = std::mem::replace(&mut away.from, until);
        Some(Aggregate {
            from,
            until,
            rejected: rejected.into_iter().map(|(cause, count)| Rejected { cause: Label::new(cause), count }).collect(),
            shed: shed.into_iter().map(|(reason, count)| ShedCount { reason, count }).collect(),
        })
    }

    fn give_back(&self, aggregate: &Aggregate) {
        let Ok(mut away) = self.turned_away.lock() else { return };
        away.from = aggregate.from;
        for rejected in &aggregate.rejected {
            if let Some(cause) = RejectCause::ALL.iter().find(|cause| cause.as_str() == rejected.cause.as_str()) {
                *away.rejected.entry(cause.as_str()).or_default() += rejected.count;
            }
        }
        for shed in &aggregate.shed {
            *away.shed.entry(shed.reason).or_default() += shed.count;
        }
    }

    /// The way to the platform.
    pub fn platform_client(&self) -> &PlatformClient {
        &self.platform.client
    }
}
