//! Counters of the pipeline. Every label value exists from the start, so that a rate never begins with a gap, and an
//! outcome is counted where its record has become durable and nowhere else (I10).

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use yanqian_vocabulary::{Mode, Reason, Verdict};

/// Why a request or connection was turned away that never became a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectCause {
    CallerUnknown,
    NotFound,
    MethodNotAllowed,
    TlsHandshake,
    ConnectionLimit,
    CallerConnectionLimit,
    /// A head that cannot be understood, or not in one way only; a breach of HTTP/2.
    HttpMalformed,
    /// HTTP/2 frames that ask for nothing, or requests that are reset, in numbers.
    HttpFlood,
    HeadTooLarge,
    /// A head did not come in time.
    HeadTimeout,
    /// A reply was not taken in time.
    ReplyTimeout,
}

impl RejectCause {
    pub const ALL: &'static [Self] = &[
        Self::CallerUnknown,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TlsHandshake,
        Self::ConnectionLimit,
        Self::CallerConnectionLimit,
        Self::HttpMalformed,
        Self::HttpFlood,
        Self::HeadTooLarge,
        Self::HeadTimeout,
        Self::ReplyTimeout,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallerUnknown => "caller-unknown",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::TlsHandshake => "tls-handshake",
            Self::ConnectionLimit => "connection-limit",
            Self::CallerConnectionLimit => "caller-connection-limit",
            Self::HttpMalformed => "http-malformed",
            Self::HttpFlood => "http-flood",
            Self::HeadTooLarge => "head-too-large",
            Self::HeadTimeout => "head-timeout",
            Self::ReplyTimeout => "reply-timeout",
        }
    }
}

/// The metric families of the gateway.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) verdicts: IntCounterVec,
    pub(crate) refusals: IntCounterVec,
    pub(crate) rejected: IntCounterVec,
    pub(crate) shed: IntCounter,
    pub(crate) signatures: IntCounter,
    pub(crate) in_flight: IntGauge,
    pub(crate) connections: IntGauge,
    pub(crate) check_seconds: Histogram,
    pub(crate) stage_seconds: HistogramVec,
    /// Seconds since 1970 at which a certificate expires, by role.
    pub certificate_expiry: IntGaugeVec,
    /// 1 while the component can serve.
    pub component_up: IntGaugeVec,
    pub ledger_records: IntGauge,
}

/// Counts one thing as present until it is dropped, panics included.
pub(crate) struct Present(IntGauge);

impl Present {
    pub(crate) fn in_gauge(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The stages of the way, as `stage` labels.
pub(crate) const STAGES: &[&str] = &["body", "documents", "intent", "sign", "platform", "verify", "unseal", "outcome"];

/// What the daemon depends on, as `component` labels.
pub const COMPONENTS: [&str; 4] = ["trust", "ledger", "signer", "clock"];

const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

impl Metrics {
    /// Creates the families and registers them; fails only on a name registered twice.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            verdicts: IntCounterVec::new(
                Opts::new("yanqian_verdicts_total", "Checks answered with a verdict, after their outcome was durable."),
                &["mode", "verdict"],
            )?,
            refusals: IntCounterVec::new(
                Opts::new(
                    "yanqian_refusals_total",
                    "Checks refused after authentication, after the record was durable.",
                ),
                &["reason"],
            )?,
            rejected: IntCounterVec::new(
                Opts::new("yanqian_rejected_total", "Requests and connections turned away that never became a check."),
                &["cause"],
            )?,
            shed: IntCounter::new("yanqian_shed_total", "Requests answered 503 before any decision, for overload.")?,
            signatures: IntCounter::new("yanqian_signatures_total", "Signatures that the token made for requests.")?,
            in_flight: IntGauge::new("yanqian_checks_in_flight", "Checks under way.")?,
            connections: IntGauge::new("yanqian_connections", "Open connections of internal systems.")?,
            check_seconds: Histogram::with_opts(
                HistogramOpts::new("yanqian_check_seconds", "Time from a check's head to its reply.")
                    .buckets(SECONDS.to_vec()),
            )?,
            stage_seconds: HistogramVec::new(
                HistogramOpts::new("yanqian_stage_seconds", "Time spent in each stage of a check.")
                    .buckets(SECONDS.to_vec()),
                &["stage"],
            )?,
            certificate_expiry: IntGaugeVec::new(
                Opts::new("yanqian_certificate_expiry_timestamp_seconds", "When a certificate expires, by role."),
                &["role"],
            )?,
            component_up: IntGaugeVec::new(
                Opts::new("yanqian_component_up", "1 while a component can serve, 0 while it cannot."),
                &["component"],
            )?,
            ledger_records: IntGauge::new("yanqian_ledger_records", "Records in the ledger, all kinds.")?,
        };
        for mode in Mode::ALL {
            for verdict in Verdict::ALL {
                metrics.verdicts.with_label_values(&[mode.as_str(), verdict.as_str()]);
            }
        }
        for reason in Reason::ALL {
            metrics.refusals.with_label_values(&[reason.code()]);
        }
        for cause in RejectCause::ALL {
            metrics.rejected.with_label_values(&[cause.as_str()]);
        }
        for stage in STAGES {
            metrics.stage_seconds.with_label_values(&[stage]);
        }
        for component in COMPONENTS {
            metrics.component_up.with_label_values(&[component]);
        }
        registry.register(Box::new(metrics.verdicts.clone()))?;
        registry.register(Box::new(metrics.refusals.clone()))?;
        registry.register(Box::new(metrics.rejected.clone()))?;
        registry.register(Box::new(metrics.shed.clone()))?;
        registry.register(Box::new(metrics.signatures.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.check_seconds.clone()))?;
        registry.register(Box::new(metrics.stage_seconds.clone()))?;
        registry.register(Box::new(metrics.certificate_expiry.clone()))?;
        registry.register(Box::new(metrics.component_up.clone()))?;
        registry.register(Box::new(metrics.ledger_records.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn reject(&self, cause: RejectCause) {
        self.rejected.with_label_values(&[cause.as_str()]).inc();
    }

    /// Times one stage; observes when dropped.
    pub(crate) fn stage(&self, stage: &'static str) -> prometheus::HistogramTimer {
        self.stage_seconds.with_label_values(&[stage]).start_timer()
    }
}
