//! What the worker knows of its keys and of its own replacement, as metrics. Counts go on across restarts of both processes, so a
//! series starts at its key's count and not at zero.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use yanqian_hsm::Status;
use yanqian_hsm::pool::TokenView;
use yanqian_hsm::protocol::KeyCount;

/// Configured name of the token, key label in it, and key id (SM3 of the `SubjectPublicKeyInfo`, hexadecimal).
const LABELS: [&str; 3] = ["token", "key", "key_id"];

#[derive(Debug, Clone)]
pub(crate) struct KeyUsage {
    signatures: IntCounterVec,
    limit: IntGaugeVec,
    warns_at: IntGaugeVec,
    replacement_failures: IntCounterVec,
    /// By token: the worker that was looked at last, and how many replacements had failed in it.
    failures: Arc<Mutex<BTreeMap<String, (u32, u64)>>>,
    /// By token: series that have a limit.
    limited: Arc<Mutex<BTreeMap<String, BTreeSet<[String; 2]>>>>,
}

impl KeyUsage {
    /// Creates the families and registers them; fails only on a name registered twice.
    pub(crate) fn register(registry: &Registry, tokens: &[String]) -> Result<Self, prometheus::Error> {
        let signatures = IntCounterVec::new(
            Opts::new(
                "yanqian_hsm_key_signatures_total",
                "Signatures that a key was ever asked for; up to 1.5 blocks of 1024 too high after a worker was killed.",
            ),
            &LABELS,
        )?;
        let gauge = |name, help| IntGaugeVec::new(Opts::new(name, help), &LABELS);
        let limit =
            gauge("yanqian_hsm_key_signature_limit", "Signatures after which the key signs no more, where limited.")?;
        let warns_at =
            gauge("yanqian_hsm_key_signature_warning", "Signatures from which on the limit is near, where limited.")?;
        let replacement_failures = IntCounterVec::new(
            Opts::new(
                "yanqian_hsm_replacement_failures_total",
                "Successors of the HSM worker that did not come up, so that the worker went on.",
            ),
            &["token"],
        )?;
        for token in tokens {
            replacement_failures.with_label_values(&[token]);
        }
        registry.register(Box::new(signatures.clone()))?;
        registry.register(Box::new(limit.clone()))?;
        registry.register(Box::new(warns_at.clone()))?;
        registry.register(Box::new(replacement_failures.clone()))?;
        let (failures, limited) = (Arc::default(), Arc::default());
        Ok(Self { signatures, limit, warns_at, replacement_failures, failures, limited })
    }

    /// What a token's worker told last; one that is away told nothing.
    pub(crate) fn tell(&self, view: &TokenView) {
        if let Some(status) = &view.status {
            self.tell_status(&view.name, status);
        }
    }

    fn tell_status(&self, token: &str, status: &Status) {
        let mut limited = BTreeSet::new();
        for key in &status.keys {
            self.tell_key(token, key, &mut limited);
        }
        let mut before = self.limited.lock().unwrap_or_else(PoisonError::into_inner);
        let before = before.entry(token.to_owned()).or_default();
        for gone in before.difference(&limited) {
            let gone = [token, gone[0].as_str(), gone[1].as_str()];
            // Fails when it is gone already.
            let _ = self.limit.remove_label_values(&gone);
            let _ = self.warns_at.remove_label_values(&gone);
        }
        *before = limited;

        let mut seen = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(token.to_owned()).or_default();
        let (pid, counted) = *seen;
        let now = status.replacement_failures_total;
        let failures = self.replacement_failures.with_label_values(&[token]);
        failures.inc_by(if pid == status.pid { now.saturating_sub(counted) } else { now });
        *seen = (status.pid, now);
    }

    fn tell_key(&self, token: &str, key: &KeyCount, limited: &mut BTreeSet<[String; 2]>) {
        let id = hex::encode(key.key_id);
        let labels = [token, key.label.as_str(), id.as_str()];
        let counter = self.signatures.with_label_values(&labels);
        // A worker that ends gives back what it had set aside: a count may fall by that, and a counter must not.
        counter.inc_by(key.signatures_total.saturating_sub(counter.get()));
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        if let Some(limit) = key.limit {
            self.limit.with_label_values(&labels).set(whole(limit));
            self.warns_at.with_label_values(&labels).set(whole(key.warns_at.unwrap_or(limit)));
            limited.insert([key.label.clone(), id]);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn status(pid: u32, failures: u64, signatures_total: u64, limit: Option<u64>) -> Status {
        let key =
            KeyCount { label: "k".into(), key_id: [7; 32], signatures_total, limit, warns_at: limit.map(|l| l - 1) };
        Status { pid, replacement_failures_total: failures, keys: vec![key], ..Status::default() }
    }

    #[test]
    fn a_key_starts_at_its_count_and_never_falls() {
        let usage = KeyUsage::register(&Registry::new(), &[]).unwrap();
        let id = hex::encode([7; 32]);
        for (told, shown) in [(5000, 5000), (5010, 5010), (4990, 5010), (5011, 5011)] {
            usage.tell_status("t", &status(1, 0, told, None));
            assert_eq!(usage.signatures.with_label_values(&["t", "k", &id]).get(), shown);
        }
    }

    #[test]
    fn a_limit_is_shown_while_there_is_one() {
        let registry = Registry::new();
        let usage = KeyUsage::register(&registry, &[]).unwrap();
        let shown = || registry.gather().iter().any(|family| family.name() == "yanqian_hsm_key_signature_limit");
        usage.tell_status("t", &status(1, 0, 1, Some(10)));
        assert!(shown());
        usage.tell_status("t", &status(1, 0, 1, None));
        assert!(!shown());
    }

    #[test]
    fn failed_replacements_are_counted_over_all_workers() {
        let usage = KeyUsage::register(&Registry::new(), &[]).unwrap();
        for (pid, counted, total) in [(1, 2, 2), (1, 3, 3), (2, 0, 3), (3, 4, 7)] {
            usage.tell_status("t", &status(pid, counted, 1, None));
            assert_eq!(usage.replacement_failures.with_label_values(&["t"]).get(), total);
        }
    }
}
