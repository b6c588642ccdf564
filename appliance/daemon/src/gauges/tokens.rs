//! What operators watch of each token, told by its worker and by the pool. Every series carries the token's configured name, and
//! exists from the start, also for a token that never comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::{Atomic, GenericGauge, GenericGaugeVec};
use prometheus::{Gauge, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use yanqian_hsm::Status;
use yanqian_hsm::binding::return_codes;
use yanqian_hsm::pool::{BreakerState, CallResult, TokenView};

use super::latency::Latencies;
use super::mirror::Mirror;

/// Name and help of what a worker counts, and how it says it.
type WorkerCounter = (&'static str, &'static str, fn(&Status) -> u64);
type WorkerGauge = (&'static str, &'static str, fn(&Status) -> u32);

const COUNTERS: [WorkerCounter; 9] = [
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

const GAUGES: [WorkerGauge; 4] = [
    ("yanqian_hsm_queue_depth", "Requests waiting for the token.", |s| s.queue_depth),
    ("yanqian_hsm_queue_capacity", "Requests that may wait for the token.", |s| s.queue_capacity),
    ("yanqian_hsm_sessions", "Sessions that the worker has open at the token.", |s| s.sessions),
    ("yanqian_hsm_sessions_limit", "Sessions that the worker opens at most.", |s| s.sessions_limit),
];

/// The metric families of all tokens.
#[derive(Debug, Clone)]
pub(super) struct TokenGauges {
    tokens: BTreeMap<String, OneToken>,
    latencies: Latencies,
}

#[derive(Debug, Clone)]
struct OneToken {
    /// Process id and start of the worker that is followed.
    worker: Arc<Mutex<(u32, u64)>>,
    counters: Vec<Mirror>,
    gauges: Vec<IntGauge>,
    codes: BTreeMap<&'static str, Mirror>,
    other_codes: Mirror,
    last_success: Gauge,
    calls: Vec<Mirror>,
    switch_overs: Mirror,
    in_flight: IntGauge,
    breaker: Vec<IntGauge>,
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    let family = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn gauges<P: Atomic + 'static>(
    registry: &Registry,
    (name, help): (&str, &str),
    labels: &[&str],
) -> Result<GenericGaugeVec<P>, prometheus::Error> {
    let family = GenericGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn of_token<P: Atomic>(family: &GenericGaugeVec<P>, token: &str) -> GenericGauge<P> {
    family.with_label_values(&[token])
}

impl TokenGauges {
    /// Creates the families with all series of these tokens; fails only on a name registered twice.
    pub(super) fn register(registry: &Registry, tokens: &[String]) -> Result<Self, prometheus::Error> {
        let by_token = ["token"];
        let worker_counters: Vec<_> = COUNTERS
            .iter()
            .map(|(name, help, _)| counters(registry, name, help, &by_token))
            .collect::<Result<_, _>>()?;
        let worker_gauges: Vec<IntGaugeVec> =
            GAUGES.iter().map(|(name, help, _)| gauges(registry, (name, help), &by_token)).collect::<Result<_, _>>()?;
        let codes = counters(
            registry,
            "yanqian_hsm_return_codes_total",
            "What the module's functions answered, other than CKR_OK; codes that the standard does not know are \"other\".",
            &["token", "code"],
        )?;
        let last_success: GaugeVec = gauges(
            registry,
            (
                "yanqian_hsm_last_success_timestamp_seconds",
                "When the token last signed or opened something; 0 before the first.",
            ),
            &by_token,
        )?;
        let calls = counters(
            registry,
            "yanqian_hsm_calls_total",
            "Calls to the token by how they ended, probes not included.",
            &["token", "result"],
        )?;
        let switch_overs = counters(
            registry,
            "yanqian_hsm_switchovers_total",
            "Calls that went on from this token to another.",
            &by_token,
        )?;
        let in_flight: IntGaugeVec =
            gauges(registry, ("yanqian_hsm_in_flight", "Calls to the token under way."), &by_token)?;
        let breaker: IntGaugeVec = gauges(
            registry,
            ("yanqian_hsm_breaker_state", "1 for the state that the token's breaker is in: closed while it serves."),
            &["token", "state"],
        )?;
        let mirror = |family: &IntCounterVec, values: &[&str]| Mirror::of(family.with_label_values(values));
        let one = |token: &str| OneToken {
            worker: Arc::default(),
            counters: worker_counters.iter().map(|family| mirror(family, &[token])).collect(),
            gauges: worker_gauges.iter().map(|family| of_token(family, token)).collect(),
            codes: return_codes().map(|(_, name, _)| (name, mirror(&codes, &[token, name]))).collect(),
            other_codes: mirror(&codes, &[token, "other"]),
            last_success: of_token(&last_success, token),
            calls: CallResult::ALL.iter().map(|result| mirror(&calls, &[token, result.as_str()])).collect(),
            switch_overs: mirror(&switch_overs, &[token]),
            in_flight: of_token(&in_flight, token),
            breaker: BreakerState::ALL
                .iter()
                .map(|state| breaker.with_label_values(&[token, state.as_str()]))
                .collect(),
        };
        let told = Self {
            tokens: tokens.iter().map(|token| (token.clone(), one(token))).collect(),
            latencies: Latencies::register(registry, tokens)?,
        };
        for token in told.tokens.values() {
            token.tell_breaker(BreakerState::Open);
        }
        Ok(told)
    }

    pub(super) fn tell(&self, view: &TokenView) {
        let Some(token) = self.tokens.get(&view.name) else { return };
        for (mirror, count) in token.calls.iter().zip(view.results) {
            mirror.follow(count);
        }
        token.switch_overs.follow(view.switch_overs);
        token.in_flight.set(i64::try_from(view.in_flight).unwrap_or(i64::MAX));
        token.tell_breaker(view.breaker);
        match &view.status {
            Some(status) => {
                let anew = token.is_another_worker(status);
                token.tell_status(status, anew);
                self.latencies.follow(&view.name, &status.latencies, anew);
            }
            // What cannot be known is none: a queue of a worker that is away has no length.
            None => token.gauges.iter().for_each(|gauge| gauge.set(0)),
        }
    }
}

impl OneToken {
    fn tell_breaker(&self, now: BreakerState) {
        for (gauge, state) in self.breaker.iter().zip(BreakerState::ALL) {
            gauge.set(i64::from(state == now));
        }
    }

    fn is_another_worker(&self, status: &Status) -> bool {
        let now = (status.pid, status.started_at_ms);
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *worker, now) != now
    }

    fn tell_status(&self, status: &Status, anew: bool) {
        if anew {
            self.counters.iter().chain(self.codes.values()).chain([&self.other_codes]).for_each(Mirror::begin_anew);
        }
        for (mirror, (_, _, value)) in self.counters.iter().zip(COUNTERS) {
            mirror.follow(value(status));
        }
        for (gauge, (_, _, value)) in self.gauges.iter().zip(GAUGES) {
            gauge.set(value(status).into());
        }
        let mut others = 0;
        for seen in &status.return_codes {
            match self.codes.get(seen.name.as_str()) {
                Some(mirror) => mirror.follow(seen.total),
                None => others += seen.total,
            }
        }
        self.other_codes.follow(others);
        self.last_success.set(Duration::from_millis(status.last_success_ms).as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use prometheus::TextEncoder;
    use yanqian_hsm::protocol::CodeCount;

    use super::*;

    fn view(name: &str, status: Option<Status>) -> TokenView {
        TokenView {
            name: name.to_owned(),
            breaker: BreakerState::Closed,
            keys: Vec::new(),
            problem: None,
            status,
            in_flight: 2,
            results: Default::default(),
            switch_overs: 4,
        }
    }

    fn told() -> (Registry, TokenGauges) {
        let registry = Registry::new();
        let gauges = TokenGauges::register(&registry, &["a".into(), "b".into()]).unwrap();
        (registry, gauges)
    }

    #[test]
    fn a_restarted_worker_takes_nothing_back() {
        let (_, gauges) = told();
        let status = |pid, signatures_total| Status { pid, signatures_total, ..Status::default() };
        for (pid, counted, total) in [(1, 3, 3), (1, 5, 5), (2, 2, 7), (2, 2, 7), (3, 4, 11)] {
            gauges.tell(&view("a", Some(status(pid, counted))));
            assert_eq!(gauges.tokens["a"].counters[0].counter.get(), total);
        }
        assert_eq!(gauges.tokens["b"].counters[0].counter.get(), 0);
    }

    #[test]
    fn return_codes_are_counted_by_name_and_foreign_ones_together() {
        let (_, gauges) = told();
        let code = |name: &str, total| CodeCount { name: name.to_owned(), total };
        let status = Status {
            return_codes: vec![code("CKR_DEVICE_ERROR", 2), code("0x80000384", 3), code("0x777", 4)],
            last_success_ms: 1500,
            ..Status::default()
        };
        gauges.tell(&view("a", Some(status)));
        let token = &gauges.tokens["a"];
        assert_eq!(token.codes["CKR_DEVICE_ERROR"].counter.get(), 2);
        assert_eq!(token.other_codes.counter.get(), 7);
        assert!((token.last_success.get() - 1.5).abs() < 1e-9);
    }

    #[test]
    fn every_series_of_every_token_is_there_before_it_is() {
        let (registry, gauges) = told();
        let page = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let first = page();
        for token in ["a", "b"] {
            let mut series: Vec<String> =
                COUNTERS.iter().map(|(name, ..)| format!("{name}{{token=\"{token}\"}} 0")).collect();
            series.extend(GAUGES.iter().map(|(name, ..)| format!("{name}{{token=\"{token}\"}} 0")));
            series.extend(CallResult::ALL.map(|result| {
                format!("yanqian_hsm_calls_total{{result=\"{}\",token=\"{token}\"}} 0", result.as_str())
            }));
            series.push(format!("yanqian_hsm_switchovers_total{{token=\"{token}\"}} 0"));
            series.push(format!("yanqian_hsm_breaker_state{{state=\"open\",token=\"{token}\"}} 1"));
            series.push(format!("yanqian_hsm_breaker_state{{state=\"closed\",token=\"{token}\"}} 0"));
            series.push(format!("yanqian_hsm_return_codes_total{{code=\"other\",token=\"{token}\"}} 0"));
            for line in series {
                assert!(first.contains(&line), "{line} is not in\n{first}");
            }
        }
        gauges.tell(&view("b", Some(Status { sessions: 9, sessions_limit: 9, ..Status::default() })));
        let told = page();
        for line in [
            "yanqian_hsm_sessions{token=\"b\"} 9",
            "yanqian_hsm_breaker_state{state=\"closed\",token=\"b\"} 1",
            "yanqian_hsm_breaker_state{state=\"open\",token=\"b\"} 0",
            "yanqian_hsm_in_flight{token=\"b\"} 2",
            "yanqian_hsm_switchovers_total{token=\"b\"} 4",
        ] {
            assert!(told.contains(line), "{line} is not in\n{told}");
        }
        gauges.tell(&view("b", None));
        assert!(page().contains("yanqian_hsm_sessions{token=\"b\"} 0"));
    }
}
