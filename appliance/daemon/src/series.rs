//! Series that exist from the start.

use prometheus::{Error, IntCounterVec, IntGauge, Opts, Registry};

pub(crate) fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, Error> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

/// What failed, by one label: `reason`.
pub(crate) fn failures(registry: &Registry, name: &str, help: &str, reasons: &[&str]) -> Result<IntCounterVec, Error> {
    let failures = IntCounterVec::new(Opts::new(name, help), &["reason"])?;
    registry.register(Box::new(failures.clone()))?;
    for reason in reasons {
        failures.with_label_values(&[reason]);
    }
    Ok(failures)
}
