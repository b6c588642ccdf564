//! Metric families that are read from a component's own counts at each scrape, all of their samples in every one.

use std::borrow::Cow;

use prometheus::core::{Desc, Describer};
use prometheus::proto::{self, MetricFamily, MetricType};
use prometheus::{Error, Opts};

pub(crate) type Labels = &'static [&'static str];
pub(crate) type Sample = (Vec<Cow<'static, str>>, f64);

/// A family over the counts `S`.
pub(crate) struct Family<S> {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: MetricType,
    pub(crate) labels: Labels,
    pub(crate) samples: fn(&S) -> Vec<Sample>,
}

#[allow(clippy::cast_precision_loss)] // a metrics page holds floats
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

/// The one sample of a family without labels.
pub(crate) fn plain(value: u64) -> Vec<Sample> {
    vec![(Vec::new(), float(value))]
}

pub(crate) fn describe(name: &str, help: &str, labels: Labels) -> Result<Desc, Error> {
    Opts::new(name, help).variable_labels(labels.iter().map(ToString::to_string).collect()).describe()
}

impl<S> Family<S> {
    pub(crate) fn describe(&self) -> Result<Desc, Error> {
        describe(self.name, self.help, self.labels)
    }

    pub(crate) fn collect(&self, stats: &S) -> MetricFamily {
        let metrics = (self.samples)(stats).into_iter().map(|(values, value)| {
            let mut labels: Vec<_> = self.labels.iter().zip(values).map(label).collect();
            labels.sort();
            let mut metric = proto::Metric::from_label(labels);
            if self.kind == MetricType::COUNTER {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            } else {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            metric
        });
        family(self.name, self.help, self.kind, metrics.collect())
    }
}

fn label((name, value): (&&'static str, Cow<'static, str>)) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name((*name).to_owned());
    pair.set_value(value.into_owned());
    pair
}

pub(crate) fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<proto::Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}
