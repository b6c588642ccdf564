use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use yanqian_trust::{FetchError, RevocationKind, TrustStore};

use super::http::HttpError;

/// What operators watch of fetching. Every series exists from the start.
#[derive(Debug, Clone)]
pub(crate) struct FetchMetrics {
    fetches: IntCounterVec,
    oldest: IntGaugeVec,
}

pub(super) const fn source(kind: RevocationKind) -> &'static str {
    match kind {
        RevocationKind::Crl => "crl",
        RevocationKind::Ocsp => "ocsp",
    }
}

const KINDS: [RevocationKind; 2] = [RevocationKind::Crl, RevocationKind::Ocsp];

impl FetchMetrics {
    /// Fails only on a name registered twice.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let fetches = IntCounterVec::new(
            Opts::new(
                "yanqian_revocation_fetches_total",
                "Revocation data that was asked for, by what came of it: ok, or why nothing was taken.",
            ),
            &["source", "result"],
        )?;
        let results = std::iter::once(&"ok").chain(&HttpError::CODES).chain(&FetchError::CODES).chain(&["disk"]);
        for result in results {
            for kind in KINDS {
                fetches.with_label_values(&[source(kind), result]);
            }
        }
        let oldest = IntGaugeVec::new(
            Opts::new(
                "yanqian_revocation_oldest_timestamp_seconds",
                "thisUpdate of the oldest revocation data in use; 0 without any.",
            ),
            &["source"],
        )?;
        registry.register(Box::new(fetches.clone()))?;
        registry.register(Box::new(oldest.clone()))?;
        let metrics = Self { fetches, oldest };
        for kind in KINDS {
            metrics.oldest.with_label_values(&[source(kind)]).set(0);
        }
        Ok(metrics)
    }

    pub(super) fn count(&self, kind: RevocationKind, result: &str) {
        self.fetches.with_label_values(&[source(kind), result]).inc();
    }

    pub(crate) fn tell(&self, store: &TrustStore) {
        for kind in KINDS {
            self.oldest.with_label_values(&[source(kind)]).set(store.oldest_update(kind).unwrap_or(0));
        }
    }
}
