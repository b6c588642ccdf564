//! What operators watch of the entity's key pairs and of reloads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use yanqian_gateway::{Metrics, PairState, PairUsage, Pairs};
use yanqian_vocabulary::Timestamp;

const LABELS: [&str; 5] = ["usage", "label", "key_id", "certificate", "state"];

/// Values of [`LABELS`].
type Series = [String; 5];

/// The metric families about pairs.
#[derive(Debug, Clone)]
pub(crate) struct KeyGauges {
    info: IntGaugeVec,
    proven: IntGaugeVec,
    expiry: IntGaugeVec,
    pub(crate) switches: IntCounterVec,
    reloads: IntCounterVec,
    refused: IntGauge,
    metrics: Metrics,
    /// The series that exist, so that those of pairs that are gone go too.
    told: Arc<Mutex<BTreeSet<Series>>>,
}

impl KeyGauges {
    /// Creates the families and registers them; fails only on a name registered twice.
    pub(crate) fn register(registry: &Registry, metrics: Metrics) -> Result<Self, prometheus::Error> {
        let family = |name: &str, help: &str| {
            let family = IntGaugeVec::new(Opts::new(name, help), &LABELS)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let counter = |name: &str, help: &str, label: &str, values: [&str; 2]| {
            let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counter.clone()))?;
            for value in values {
                counter.with_label_values(&[value]);
            }
            Ok::<_, prometheus::Error>(counter)
        };
        let refused = IntGauge::new("yanqian_reload_refused", "1 while the last reload is one that was refused.")?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Self {
            info: family("yanqian_key_pair_info", "1 for each key pair of the entity, by where it stands in time.")?,
            proven: family(
                "yanqian_key_pair_proven",
                "1 while the token proved, when last asked, that it holds the pair's key; nobody asks about former signing keys.",
            )?,
            expiry: family("yanqian_key_pair_expiry_timestamp_seconds", "When the certificate of a key pair expires.")?,
            switches: counter(
                "yanqian_key_switches_total",
                "Times that another key pair came into use while the daemon ran.",
                "usage",
                PairUsage::ALL.map(PairUsage::as_str),
            )?,
            reloads: counter(
                "yanqian_reloads_total",
                "Reloads that were asked for.",
                "result",
                ["applied", "refused"],
            )?,
            refused,
            metrics,
            told: Arc::default(),
        })
    }

    pub(crate) fn tell_reload(&self, applied: bool) {
        self.reloads.with_label_values(&[if applied { "applied" } else { "refused" }]).inc();
        self.refused.set(i64::from(!applied));
    }

    /// Tells where each pair stands, and when the first certificate ends that is in use or will be.
    pub(crate) fn tell(&self, pairs: &Pairs, now: Timestamp) {
        let mut series = BTreeSet::new();
        let mut soonest = BTreeMap::new();
        for (usage, pair, state) in pairs.told(now) {
            let labels = [
                usage.as_str().to_owned(),
                pair.label.clone(),
                pair.key_id().to_string(),
                pair.certificate_hash().to_string(),
                state.as_str().to_owned(),
            ];
            let end = pair.certificate.not_after();
            self.info.with_label_values(&labels).set(1);
            self.proven.with_label_values(&labels).set(pair.is_proven().into());
            self.expiry.with_label_values(&labels).set(end);
            series.insert(labels);
            if state != PairState::Former {
                soonest.entry(usage).and_modify(|first: &mut i64| *first = end.min(*first)).or_insert(end);
            }
        }
        for usage in PairUsage::ALL {
            let role = [usage.as_str()];
            match soonest.get(&usage) {
                Some(end) => self.metrics.certificate_expiry.with_label_values(&role).set(*end),
                // Fails when the role was not there before either.
                None => drop(self.metrics.certificate_expiry.remove_label_values(&role)),
            }
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in told.difference(&series) {
            for family in [&self.info, &self.proven, &self.expiry] {
                let _ = family.remove_label_values(gone);
            }
        }
        *told = series;
    }
}
