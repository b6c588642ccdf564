//! Checkpoints of the ledger: a task of its own that lets the tree follow the records, has the token sign what it came to, and
//! publishes it. Nothing waits for it: a token that is away makes checkpoints late and receipts pending, no more.

mod key;
mod metrics;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::Registry;
use yanqian_evidence::{Checkpoint, CheckpointKey, Origin, SignedCheckpoint};
use yanqian_gateway::{Clock as _, SystemClock};
use yanqian_hsm::TokenPool;
use yanqian_hsm::pool::PoolKey;
use yanqian_hsm::protocol::KeyUsage;
use yanqian_ledger::Ledger;
use yanqian_ledger::tree::{Checkpoints, Cosigned, TreeError, TreeKeeper, TreePlaces};
use yanqian_trust::Verifier;

use crate::admin::Readiness;
use crate::config::{CheckpointConfig, Config};
use crate::parts::PartError;
use crate::tokens;

pub(crate) use key::{checkpoint_key, ledgers, public_key};
pub(crate) use metrics::CheckpointMetrics;

/// Between looks at the ledger.
const LOOK: Duration = Duration::from_millis(250);
/// After an attempt that failed, at most.
const AGAIN: Duration = Duration::from_secs(5);
/// What an operator does about a ledger of another history.
const PROCEED: &str = "restore the ledger that was signed; if it is lost for good, keep this one apart and begin a new ledger under \
                       another node id (docs/operation.md, \"A ledger that does not go on\")";

/// The task and what it owns.
pub(crate) struct Anchoring {
    places: TreePlaces,
    key: CheckpointKey,
    /// All that checkpoints of this node may be signed and cosigned with.
    known: Vec<CheckpointKey>,
    interval: Duration,
    ledger: Arc<Ledger>,
    tokens: TokenPool,
    metrics: CheckpointMetrics,
    readiness: Readiness,
    /// Absent after a failure; opened again with the next attempt.
    keeper: Option<TreeKeeper>,
    /// Records that the last checkpoint covers.
    covered: u64,
    /// When the last checkpoint was made, or the daemon started.
    made: Instant,
    /// The segment that was being written then: another means that it was sealed.
    segment: u64,
    not_before: Instant,
    problem: Option<String>,
}

/// Where the tree of a configuration lies.
pub(crate) fn places(config: &Config) -> TreePlaces {
    TreePlaces { tree: config.tree_dir.clone(), ..TreePlaces::in_state(&config.state_dir) }
}

/// Why a daemon does not start with its tree.
pub(crate) enum Unopened {
    /// Settings, or another history: somebody has to act.
    Lasting(PartError),
    /// A disk, or a directory that is not mounted yet: another start may do.
    Passing(PartError),
}

impl From<PartError> for Unopened {
    fn from(error: PartError) -> Self {
        Self::Lasting(error)
    }
}

impl Anchoring {
    /// Opens the tree and compares it with what witnesses cosigned. `None` without a ledger key.
    ///
    /// # Errors
    /// A ledger that does not go on from what was signed or cosigned of it, and settings that cannot be used.
    pub(crate) async fn open(
        config: &Config,
        ledger: &Arc<Ledger>,
        verifier: &Arc<Verifier>,
        registry: &Registry,
        readiness: &Readiness,
    ) -> Result<Option<Self>, Unopened> {
        let metrics = CheckpointMetrics::register(registry).map_err(|error| PartError::from(error.to_string()))?;
        let Some(settings) = &config.checkpoints else { return Ok(None) };
        let key = checkpoint_key(config, settings)?;
        let (places, durable) = (places(config), ledger.stats().last_sequence);
        let witnessed = witnessed(config, settings, &key)?;
        let known = known_keys(config, settings, &key)?;
        let (opening, origin, keys) = (places.clone(), key.name.clone(), known.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let mut keeper = open_tree(opening, origin, &keys, durable)?;
            if let Some(witnessed) = &witnessed {
                keeper.continues(&witnessed.checkpoint, durable)?;
            }
            Ok::<_, TreeError>(keeper)
        });
        let opened = opened.await.map_err(|error| PartError::from(error.to_string()))?;
        let (keeper, problem) = match opened {
            Ok(keeper) => (Some(keeper), None),
            // Whether the ledger goes on must be known where somebody asked for it to be.
            Err(error) if error.is_of_another_history() => {
                return Err(PartError::file(&places.ledger, format_args!("{error}; {PROCEED}")).into());
            }
            Err(error) if settings.cosigned.is_some() => {
                return Err(Unopened::Passing(PartError::file(&places.ledger, error)));
            }
            Err(error) => {
                tracing::error!(%error, "the ledger's tree cannot be opened; checkpoints wait for it");
                metrics.failed("tree");
                (None, Some(error.to_string()))
            }
        };
        let signing = PoolKey { public: key.public, usage: KeyUsage::Sign, label: settings.label.clone() };
        // Not the pool of the entity's keys: what becomes of this key is nobody else's trouble.
        let tokens = tokens::pool(config, vec![signing], verifier);
        let covered = keeper.as_ref().map_or(0, TreeKeeper::covered);
        let now = Instant::now();
        Ok(Some(Self {
            places,
            key,
            known,
            interval: settings.interval,
            ledger: Arc::clone(ledger),
            tokens,
            metrics,
            readiness: readiness.clone(),
            keeper,
            covered,
            made: now,
            segment: 0,
            not_before: now,
            problem,
        }))
    }

    /// Runs until its task is aborted.
    pub(crate) async fn run(mut self) {
        let tokens = self.tokens.clone();
        let tending = tokens.tend();
        tokio::pin!(tending);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut tending => {}
                _ = look.tick() => {
                    if self.is_due() {
                        self.attempt().await;
                    }
                    self.tell();
                }
            }
        }
    }

    fn is_due(&self) -> bool {
        let stats = self.ledger.stats();
        let waited = self.made.elapsed() >= self.interval || stats.segment != self.segment;
        stats.last_sequence > self.covered && waited && Instant::now() >= self.not_before
    }

    async fn attempt(&mut self) {
        let segment = self.ledger.stats().segment;
        match self.make().await {
            Ok(()) => {
                (self.made, self.segment, self.problem) = (Instant::now(), segment, None);
            }
            Err((reason, problem)) => {
                self.metrics.failed(reason);
                if self.problem.as_ref() != Some(&problem) {
                    tracing::error!(reason, problem, "no checkpoint of the ledger could be made; it is tried again");
                }
                self.problem = Some(problem);
                self.not_before = Instant::now() + AGAIN.min(self.interval);
            }
        }
    }

    async fn make(&mut self) -> Result<(), (&'static str, String)> {
        let Some(checkpoint) = self.advance().await.map_err(|problem| ("tree", problem))? else { return Ok(()) };
        let (digest, text) = (self.key.digest(&checkpoint), checkpoint.to_string());
        let signature = self.tokens.sign(&self.key.public, &digest, text.as_bytes()).await;
        let signature = signature.map_err(|error| ("token", error.to_string()))?;
        let signed = SignedCheckpoint::new(checkpoint, self.key.line(&signature));
        // The pool verifies as well; what is published for good is looked at as its readers will.
        self.key.signed(&signed).map_err(|error| ("token", error.to_string()))?;
        self.publish(signed).await.map_err(|problem| ("tree", problem))
    }

    /// The tree over all durable records, on the disk.
    async fn advance(&mut self) -> Result<Option<Checkpoint>, String> {
        let (keeper, durable, now) = (self.keeper.take(), self.ledger.stats().last_sequence, SystemClock.now());
        let (places, origin, keys) = (self.places.clone(), self.key.name.clone(), self.known.clone());
        let grown = tokio::task::spawn_blocking(move || {
            let mut keeper = match keeper {
                Some(keeper) => keeper,
                None => open_tree(places, origin, &keys, durable)?,
            };
            let checkpoint = keeper.advance(durable, now)?;
            Ok::<_, TreeError>((keeper, checkpoint))
        });
        let (keeper, checkpoint) =
            grown.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        self.covered = keeper.covered();
        self.keeper = Some(keeper);
        Ok(checkpoint)
    }

    async fn publish(&mut self, signed: SignedCheckpoint) -> Result<(), String> {
        let Some(mut keeper) = self.keeper.take() else { return Err("the tree is closed".to_owned()) };
        let time = signed.checkpoint.time;
        let published = tokio::task::spawn_blocking(move || keeper.publish(signed).map(|()| keeper));
        let keeper = published.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        self.covered = keeper.covered();
        self.keeper = Some(keeper);
        self.metrics.made(self.covered, time);
        Ok(())
    }

    fn tell(&self) {
        let uncovered = self.ledger.stats().last_sequence.saturating_sub(self.covered);
        let late = uncovered > 0 && self.made.elapsed() > self.interval * 3;
        self.metrics.tell(uncovered, late);
        let note = self.problem.as_ref().map(|problem| format!("checkpoints are late: {problem}"));
        self.readiness.set_ledger_note(note);
    }
}

/// Opens the tree; keeps the keys beside its checkpoints by which their signatures can be proven.
fn open_tree(
    places: TreePlaces,
    origin: Origin,
    keys: &[CheckpointKey],
    durable: u64,
) -> Result<TreeKeeper, TreeError> {
    Checkpoints::new(&places.checkpoints).keep_keys(keys)?;
    TreeKeeper::open(places, origin, durable)
}

/// This node's ledger key, its former ones, and those of the witnesses whose cosignatures it takes.
pub(crate) fn known_keys(
    config: &Config,
    settings: &CheckpointConfig,
    key: &CheckpointKey,
) -> Result<Vec<CheckpointKey>, PartError> {
    let mut known = vec![key.clone()];
    if settings.trust.is_some() {
        let ledgers = ledgers(config, settings)?;
        known.extend(ledgers.ledgers.into_iter().filter(|(origin, _)| *origin == key.name).map(|(_, former)| former));
        known.extend(ledgers.witnesses);
    }
    Ok(known)
}

/// What a witness cosigned of this ledger, proven to be that.
fn witnessed(
    config: &Config,
    settings: &CheckpointConfig,
    key: &CheckpointKey,
) -> Result<Option<SignedCheckpoint>, Unopened> {
    let Some(file) = &settings.cosigned else { return Ok(None) };
    let fail = |problem: &dyn std::fmt::Display| PartError::file(file, problem);
    let read = Cosigned::new(file).read().map_err(|error| match error {
        error @ TreeError::Io { .. } => Unopened::Passing(fail(&error)),
        error => Unopened::Lasting(fail(&error)),
    });
    let Some(signed) = read? else {
        if settings.witness_required {
            return Err(fail(
                &"is not there, and `checkpoints.witness_required` asks for it: without it a ledger that was rolled back would not be \
                  noticed. Bring it back; for a new ledger, have a witness cosign its first checkpoint, with \
                  `witness_required = false` until then",
            )
            .into());
        }
        return Ok(None);
    };
    is_cosigned(config, settings, key, &signed).map_err(|problem| fail(&problem))?;
    Ok(Some(signed))
}

/// Whether a checkpoint is one of this node's own, cosigned by a witness that the configuration names.
pub(crate) fn is_cosigned(
    config: &Config,
    settings: &CheckpointConfig,
    key: &CheckpointKey,
    signed: &SignedCheckpoint,
) -> Result<(), String> {
    let ledgers = ledgers(config, settings).map_err(|error| error.to_string())?;
    // A former ledger key of this node may stand among the ledgers.
    let former = ledgers.ledgers.iter().filter(|(origin, _)| *origin == key.name).map(|(_, key)| key);
    if signed.checkpoint.origin != key.name {
        return Err(format!("is a checkpoint of {}, and this ledger is {}", signed.checkpoint.origin, key.name));
    }
    key.signed(signed).or_else(|error| {
        if former.clone().any(|former| former.signed(signed).is_ok()) { Ok(()) } else { Err(error.to_string()) }
    })?;
    let mut cosigned = false;
    for witness in &ledgers.witnesses {
        cosigned |= witness.cosigned(signed).map_err(|error| error.to_string())?;
    }
    if cosigned { Ok(()) } else { Err("no witness of `checkpoints.trust` cosigned it".to_owned()) }
}

/// For `yanqian check`: what there is of checkpoints.
pub(crate) fn in_words(config: &Config) -> Result<Option<String>, PartError> {
    let Some(settings) = &config.checkpoints else { return Ok(None) };
    let key = checkpoint_key(config, settings)?;
    let witnessed = witnessed(config, settings, &key).map_err(|error| match error {
        Unopened::Lasting(error) | Unopened::Passing(error) => error,
    })?;
    let every = settings.interval.as_secs();
    let words = format!("`{}` signs every {every} s as {}", settings.label, key.name);
    let cosigned = witnessed.map(|witnessed| format!("; cosigned up to record {}", witnessed.checkpoint.size));
    Ok(Some(words + &cosigned.unwrap_or_default()))
}

/// A file's text, for the parts of this room.
fn read_text(file: &Path) -> Result<String, PartError> {
    std::fs::read_to_string(file).map_err(|error| PartError::file(file, error))
}
