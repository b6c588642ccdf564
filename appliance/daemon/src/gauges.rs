//! What operators watch besides the checks themselves: token, ledger, disk, certificates, build. Every series exists from the
//! start, so that no rate begins with a gap and no alert waits for a first event.

use std::collections::BTreeMap;
use std::path::Path;

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use yanqian_hsm::Status;
use yanqian_hsm::binding::return_codes;
use yanqian_ledger::Stats;

/// The metric families of the daemon.
#[derive(Debug, Clone)]
pub(crate) struct Gauges {
    token: Vec<Mirror>,
    codes: BTreeMap<&'static str, Mirror>,
    other_codes: Mirror,
    last_success: Gauge,
    queue_depth: IntGauge,
    queue_capacity: IntGauge,
    ledger: Vec<Mirror>,
    ledger_queue: IntGauge,
    open_intents: IntGauge,
    stalled: Gauge,
    free_octets: IntGauge,
    pub(crate) route_stopped: IntGauge,
}

/// A counter of another process or component, followed by its increases: its own restarts do not take anything back.
#[derive(Debug, Clone)]
struct Mirror {
    counter: IntCounter,
    last: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Mirror {
    fn new(registry: &Registry, name: &str, help: &str) -> Result<Self, prometheus::Error> {
        let counter = IntCounter::new(name, help)?;
        registry.register(Box::new(counter.clone()))?;
        Ok(Self::of(counter))
    }

    fn of(counter: IntCounter) -> Self {
        Self { counter, last: std::sync::Arc::default() }
    }

    fn follow(&self, now: u64) {
        let last = self.last.swap(now, std::sync::atomic::Ordering::Relaxed);
        self.counter.inc_by(if now >= last { now - last } else { now });
    }
}

/// Name and help of what the worker counts, and how it says it.
type WorkerCounter = (&'static str, &'static str, fn(&Status) -> u64);
type LedgerCounter = (&'static str, &'static str, fn(&Stats) -> u64);

const TOKEN: [WorkerCounter; 9] = [
    (
        "yanqian_hsm_signatures_total",
        "Signatures that the token made, proofs and requests for certificates included.",
        |s| s.signatures_total,
    ),
    ("yanqian_hsm_sign_failures_total", "Signatures that the token was asked for and did not make.", |s| {
        s.sign_failures_total
    }),
    ("yanqian_hsm_unseals_total", "Ciphertexts that the token opened, proofs included.", |s| s.unseals_total),
    ("yanqian_hsm_unseal_failures_total", "Ciphertexts that the token did not open.", |s| s.unseal_failures_total),
    ("yanqian_hsm_logins_total", "Logins at the token.", |s| s.logins_total),
    ("yanqian_hsm_sessions_reopened_total", "Sessions opened again after an error.", |s| s.sessions_reopened_total),
    (
        "yanqian_hsm_reinitialisations_total",
        "Times that the worker initialised the module again and the token came back.",
        |s| s.reinitialisations_total,
    ),
    (
        "yanqian_hsm_defective_signatures_total",
        "Signatures that the token made and that do not verify; none left the worker.",
        |s| s.defective_signatures_total,
    ),
    ("yanqian_hsm_busy_total", "Requests that the worker turned away because its queue was full.", |s| s.busy_total),
];

const LEDGER: [LedgerCounter; 4] = [
    ("yanqian_ledger_appends_total", "Records that the ledger took.", |s| s.appends),
    (
        "yanqian_ledger_syncs_total",
        "Times that the ledger was synced to the disk; one serves all records that wait.",
        |s| s.syncs,
    ),
    ("yanqian_ledger_written_bytes_total", "Octets that the ledger wrote.", |s| s.octets),
    ("yanqian_ledger_refused_total", "Records that the ledger did not take.", |s| s.refused),
];

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

impl Gauges {
    /// Creates the families and registers them; fails only on a name registered twice.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let build = IntGaugeVec::new(Opts::new("yanqian_build_info", "1, labelled with the version."), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        let token = TOKEN.iter().map(|(name, help, _)| Mirror::new(registry, name, help)).collect::<Result<_, _>>()?;
        let codes = IntCounterVec::new(
            Opts::new(
                "yanqian_hsm_return_codes_total",
                "What the module's functions answered, other than CKR_OK; codes that the standard does not know are \"other\".",
            ),
            &["code"],
        )?;
        registry.register(Box::new(codes.clone()))?;
        let last_success = Gauge::new(
            "yanqian_hsm_last_success_timestamp_seconds",
            "When the token last signed or opened something; 0 before the first.",
        )?;
        registry.register(Box::new(last_success.clone()))?;
        let ledger =
            LEDGER.iter().map(|(name, help, _)| Mirror::new(registry, name, help)).collect::<Result<_, _>>()?;
        let stalled = Gauge::new(
            "yanqian_ledger_stalled_seconds",
            "How long the write under way has been taking; 0 while none is.",
        )?;
        registry.register(Box::new(stalled.clone()))?;
        Ok(Self {
            token,
            codes: return_codes().map(|(_, name, _)| (name, Mirror::of(codes.with_label_values(&[name])))).collect(),
            other_codes: Mirror::of(codes.with_label_values(&["other"])),
            last_success,
            ledger,
            queue_depth: gauge(registry, "yanqian_hsm_queue_depth", "Requests waiting for the token.")?,
            queue_capacity: gauge(registry, "yanqian_hsm_queue_capacity", "Requests that may wait for the token.")?,
            ledger_queue: gauge(registry, "yanqian_ledger_queue_depth", "Records waiting for the disk.")?,
            open_intents: gauge(registry, "yanqian_ledger_open_intents", "Checks with an intent and without an end.")?,
            stalled,
            free_octets: gauge(registry, "yanqian_state_free_bytes", "Free space where the ledger lies.")?,
            route_stopped: gauge(
                registry,
                "yanqian_platform_route_stopped",
                "1 while nothing is asked of the platform until an operator opens its route.",
            )?,
        })
    }

    pub(crate) fn tell_token(&self, status: &Status) {
        for (mirror, (_, _, value)) in self.token.iter().zip(TOKEN) {
            mirror.follow(value(status));
        }
        let mut others = 0;
        for seen in &status.return_codes {
            match self.codes.get(seen.name.as_str()) {
                Some(mirror) => mirror.follow(seen.total),
                None => others += seen.total,
            }
        }
        self.other_codes.follow(others);
        self.last_success.set(std::time::Duration::from_millis(status.last_success_ms).as_secs_f64());
        self.queue_depth.set(status.queue_depth.into());
        self.queue_capacity.set(status.queue_capacity.into());
    }

    pub(crate) fn tell_ledger(&self, stats: &Stats, directory: &Path) {
        for (mirror, (_, _, value)) in self.ledger.iter().zip(LEDGER) {
            mirror.follow(value(stats));
        }
        let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.ledger_queue.set(whole(stats.queue));
        self.open_intents.set(whole(stats.open_intents));
        self.stalled.set(std::time::Duration::from_millis(stats.stalled_milliseconds).as_secs_f64());
        if let Some(free) = free_space(directory) {
            self.free_octets.set(i64::try_from(free).unwrap_or(i64::MAX));
        }
    }
}

/// Octets that an ordinary user may still write where a directory lies.
pub(crate) fn free_space(directory: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(directory).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use yanqian_hsm::protocol::CodeCount;

    use super::*;

    #[test]
    fn a_restarted_worker_takes_nothing_back() {
        let registry = Registry::new();
        let gauges = Gauges::register(&registry).unwrap();
        let status = |signatures_total| Status { signatures_total, ..Status::default() };
        for (counted, total) in [(3, 3), (5, 5), (2, 7), (2, 7)] {
            gauges.tell_token(&status(counted));
            assert_eq!(gauges.token[0].counter.get(), total);
        }
    }

    #[test]
    fn return_codes_are_counted_by_name_and_foreign_ones_together() {
        let registry = Registry::new();
        let gauges = Gauges::register(&registry).unwrap();
        let code = |name: &str, total| CodeCount { name: name.to_owned(), total };
        gauges.tell_token(&Status {
            return_codes: vec![code("CKR_DEVICE_ERROR", 2), code("0x80000384", 3), code("0x777", 4)],
            last_success_ms: 1500,
            ..Status::default()
        });
        assert_eq!(gauges.codes["CKR_DEVICE_ERROR"].counter.get(), 2);
        assert_eq!(gauges.codes["CKR_SESSION_HANDLE_INVALID"].counter.get(), 0, "there from the start");
        assert_eq!(gauges.other_codes.counter.get(), 7);
        assert!((gauges.last_success.get() - 1.5).abs() < 1e-9);
    }

    #[test]
    fn the_free_space_of_a_directory_is_known() {
        assert!(free_space(Path::new("/")).is_some());
        assert_eq!(free_space(Path::new("/nonexistent")), None);
    }
}
