//! What operators watch besides the checks themselves: token, ledger, disk, certificates, build. Every series exists from the
//! start, so that no rate begins with a gap and no alert waits for a first event.

mod forecast;
mod latency;
mod mirror;
mod tokens;

use std::path::Path;

use prometheus::{Gauge, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};
use yanqian_hsm::pool::TokenView;
use yanqian_ledger::{LedgerState, Stats};

use self::forecast::Forecast;
use self::mirror::Mirror;
use self::tokens::TokenGauges;

/// The metric families of the daemon.
#[derive(Debug, Clone)]
pub(crate) struct Gauges {
    tokens: TokenGauges,
    ledger: Vec<Mirror>,
    ledger_queue: IntGauge,
    open_intents: IntGauge,
    stalled: Gauge,
    free_octets: IntGauge,
    ledger_state: IntGaugeVec,
    forecast: Forecast,
    pub(crate) route_stopped: IntGauge,
    pub(crate) clock_synchronised: IntGauge,
    pub(crate) clock_error: Gauge,
    pub(crate) clock_steps: IntCounter,
}

type LedgerCounter = (&'static str, &'static str, fn(&Stats) -> u64);

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

fn counter(registry: &Registry, name: &str, help: &str) -> Result<Mirror, prometheus::Error> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(Mirror::of(counter))
}

impl Gauges {
    /// Creates the families and registers them; fails only on a name registered twice.
    pub(crate) fn register(registry: &Registry, tokens: &[String]) -> Result<Self, prometheus::Error> {
        let build = IntGaugeVec::new(Opts::new("yanqian_build_info", "1, labelled with the version."), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        let ledger = LEDGER.iter().map(|(name, help, _)| counter(registry, name, help)).collect::<Result<_, _>>()?;
        let stalled = Gauge::new(
            "yanqian_ledger_stalled_seconds",
            "How long the write under way has been taking; 0 while none is.",
        )?;
        registry.register(Box::new(stalled.clone()))?;
        let ledger_state =
            IntGaugeVec::new(Opts::new("yanqian_ledger_state", "1 for the state that the ledger is in."), &["state"])?;
        registry.register(Box::new(ledger_state.clone()))?;
        for state in LedgerState::ALL {
            ledger_state.with_label_values(&[state.as_str()]).set(i64::from(state == LedgerState::Writing));
        }
        let clock_error = Gauge::new(
            "yanqian_clock_error_seconds",
            "How far the clock may be off by the time daemon's own bound; 0 where that is not known.",
        )?;
        registry.register(Box::new(clock_error.clone()))?;
        let clock_steps =
            IntCounter::new("yanqian_clock_steps_total", "Times that the clock was moved otherwise than time passes.")?;
        registry.register(Box::new(clock_steps.clone()))?;
        Ok(Self {
            ledger_state,
            forecast: Forecast::register(registry)?,
            clock_error,
            clock_steps,
            clock_synchronised: gauge(
                registry,
                "yanqian_clock_synchronised",
                "1 while a time daemon vouches for the clock; 0 also where none is asked.",
            )?,
            tokens: TokenGauges::register(registry, tokens)?,
            ledger,
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

    pub(crate) fn tell_token(&self, view: &TokenView) {
        self.tokens.tell(view);
    }

    pub(crate) fn tell_ledger(&self, stats: &Stats, directory: &Path) {
        for (mirror, (_, _, value)) in self.ledger.iter().zip(LEDGER) {
            mirror.follow(value(stats));
        }
        let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.ledger_queue.set(whole(stats.queue));
        self.open_intents.set(whole(stats.open_intents));
        self.stalled.set(std::time::Duration::from_millis(stats.stalled_milliseconds).as_secs_f64());
        for state in LedgerState::ALL {
            self.ledger_state.with_label_values(&[state.as_str()]).set(i64::from(state == stats.state));
        }
        if let Some(free) = free_space(directory) {
            self.forecast.tell(stats, free);
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
    use super::*;

    #[test]
    fn the_free_space_of_a_directory_is_known() {
        assert!(free_space(Path::new("/")).is_some());
        assert_eq!(free_space(Path::new("/nonexistent")), None);
    }
}
