//! The pairs in use while the daemon runs: which begins when, whether each still proves itself, and what is told of them. One task
//! does this and the reloads, so that neither meets the other half-way.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::Instant;
use yanqian_evidence::{Der, Management};
use yanqian_gateway::{Clock, Core, InForce, KeyPair, PairState, PairUsage, SystemClock};
use yanqian_vocabulary::Timestamp;

use crate::admin::Readiness;
use crate::key_gauges::KeyGauges;
use crate::keys::{Prover, is_needed};
use crate::reload::Reloader;
use crate::tokens::{self, key_usage};

/// Between looks at what is in force.
const LOOK: Duration = Duration::from_millis(200);
/// Between proofs of pairs that have not proven themselves, and between attempts to record what the ledger did not take.
const AGAIN: Duration = Duration::from_secs(2);

pub(crate) struct Rotation {
    core: Arc<Core>,
    prover: Prover,
    gauges: KeyGauges,
    readiness: Readiness,
    /// Pairs in use as the ledger has them, signing and encryption.
    recorded: [Option<Arc<KeyPair>>; 2],
    /// Why the last reload was refused, if it was.
    refused: Option<String>,
    record_again: Instant,
    prove_again: Instant,
}

fn in_use(in_force: &InForce) -> [Option<Arc<KeyPair>>; 2] {
    [Some(Arc::clone(&in_force.signing)), in_force.encryption.clone()]
}

impl Rotation {
    /// Begins with the pairs that the loaded configuration's record names, which was made at `loaded`.
    pub(crate) fn new(
        core: Arc<Core>,
        prover: Prover,
        gauges: KeyGauges,
        readiness: Readiness,
        loaded: Timestamp,
    ) -> Self {
        let recorded = in_use(core.pairs().at(loaded));
        let now = Instant::now();
        let rotation =
            Self { core, prover, gauges, readiness, recorded, refused: None, record_again: now, prove_again: now };
        rotation.tell();
        rotation
    }

    /// Runs until its task is aborted.
    pub(crate) async fn run(mut self, mut reloader: Reloader, mut hangup: Signal) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(()) = hangup.recv() => {
                    let _ = sd_notify::notify(&[sd_notify::NotifyState::Reloading]);
                    self.refused = reloader.reload().await.err();
                    self.gauges.tell_reload(self.refused.is_none());
                }
                _ = look.tick() => {}
            }
            if Instant::now() >= self.record_again && !self.follow().await {
                self.record_again = Instant::now() + AGAIN;
            }
            if Instant::now() >= self.prove_again {
                self.prove_again().await;
                self.prove_again = Instant::now() + AGAIN;
            }
            self.tell();
            reloader.finish();
        }
    }

    /// Records that another pair came into use, and has it prove itself once more: the token may have lost it since it was loaded.
    /// False when the ledger did not take it.
    async fn follow(&mut self) -> bool {
        let mut whole = true;
        let in_force = self.core.in_force();
        for ((usage, recorded), now) in PairUsage::ALL.into_iter().zip(&mut self.recorded).zip(in_use(&in_force)) {
            let same = match (&*recorded, &now) {
                (Some(one), Some(other)) => one.is_same_pair(other),
                (one, other) => one.is_none() && other.is_none(),
            };
            if same {
                continue;
            }
            if let Some(pair) = &now {
                let Ok(certificate) = Der::new(pair.certificate.as_der()) else { continue };
                let former = recorded.as_ref().map(|pair| pair.key_id());
                let change = Management::KeyChanged { usage: usage.label(), key: pair.key_id(), certificate, former };
                if let Err(error) = self.core.append_under(&in_force.context, change.into()).await {
                    tracing::error!(%error, "the change of the key in use cannot be recorded; it is tried again");
                    whole = false;
                    continue;
                }
                self.gauges.switches.with_label_values(&[usage.as_str()]).inc();
                tracing::warn!(usage = usage.as_str(), label = pair.label, key = %pair.key_id(), "another key is in use");
                let pairs = self.core.pairs();
                if let Err(problem) = self.prover.prove_and_record(&self.core, &pairs, usage, pair).await {
                    tracing::error!("{problem}; no other key stands in for it");
                }
            }
            *recorded = now;
            // A former signing key is nobody's business any more.
            self.prover.tokens.keep(tokens::needed(&self.core.pairs(), SystemClock.now()));
        }
        whole
    }

    /// Has pairs prove themselves that something depends on and that did not when last asked (I9).
    async fn prove_again(&self) {
        let (pairs, now) = (self.core.pairs(), SystemClock.now());
        for (usage, pair, state) in pairs.told(now) {
            if pair.is_proven() || !is_needed(usage, pair, state, now) {
                continue;
            }
            // The pool tries by itself, too.
            if self.prover.tokens.serves(&[(pair.public_key, key_usage(usage))]) {
                pair.set_proven(true);
            } else if let Err(problem) = self.prover.prove_and_record(&self.core, &pairs, usage, pair).await {
                tracing::debug!("{problem}; it is tried again");
                continue;
            }
            tracing::warn!(usage = usage.as_str(), label = pair.label, "the key proves itself again");
        }
    }

    fn tell(&self) {
        let (pairs, now) = (self.core.pairs(), SystemClock.now());
        self.gauges.tell(&pairs, now);
        let (mut reasons, mut notes) = (Vec::new(), Vec::new());
        for (usage, pair, state) in pairs.told(now) {
            if pair.is_proven() || !is_needed(usage, pair, state, now) {
                continue;
            }
            let told = format!("{} key `{}` ({}) does not prove itself", usage.as_str(), pair.label, state.as_str());
            if state == PairState::InUse { reasons.push(told) } else { notes.push(told) }
        }
        notes.extend(self.refused.iter().map(|why| format!("the last reload was refused: {why}")));
        self.readiness.set_keys(reasons, notes);
    }
}
