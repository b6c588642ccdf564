//! What operators watch of the verification of signatures: tables of keys, batches, second opinions. Read at each scrape, so
//! that the path of requests counts in its own plain numbers.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, MetricFamily, MetricType};
use prometheus::{Opts, core::Describer};
use yanqian_trust::{KeyClass, KeyUse, Subject, Verifier, VerifierStats};

/// Upper bounds of the batch sizes' buckets.
const SIZES: [usize; 5] = [1, 2, 4, 8, 16];

type Labels = &'static [&'static str];
type Sample = (Vec<&'static str>, f64);

/// A family with its samples, all of them in every scrape.
struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    labels: Labels,
    samples: fn(&VerifierStats) -> Vec<Sample>,
}

#[allow(clippy::cast_precision_loss)] // a metrics page holds floats
const fn float(count: u64) -> f64 {
    count as f64
}

fn by_use(counts: [u64; 2], result: &'static str) -> impl Iterator<Item = Sample> {
    KeyUse::ALL.into_iter().zip(counts).map(move |(to, count)| (vec![to.as_str(), result], float(count)))
}

fn by_subject(counts: [u64; 4], result: &'static str) -> impl Iterator<Item = Sample> {
    Subject::ALL.into_iter().zip(counts).map(move |(subject, count)| (vec![subject.as_str(), result], float(count)))
}

fn plain(value: u64) -> Vec<Sample> {
    vec![(Vec::new(), float(value))]
}

const FAMILIES: [Family; 9] = [
    Family {
        name: "yanqian_key_tables",
        help: "Tables of public keys, by what they are for and whose key it is.",
        kind: MetricType::GAUGE,
        labels: &["use", "class"],
        samples: |stats| {
            let classes = |(to, held): (KeyUse, [u64; 2])| {
                KeyClass::ALL.into_iter().zip(held).map(move |(class, n)| (vec![to.as_str(), class.as_str()], float(n)))
            };
            KeyUse::ALL.into_iter().zip(stats.tables.held).flat_map(classes).collect()
        },
    },
    Family {
        name: "yanqian_key_table_bytes",
        help: "Octets that tables of public keys take.",
        kind: MetricType::GAUGE,
        labels: &[],
        samples: |stats| plain(stats.tables.octets),
    },
    Family {
        name: "yanqian_key_table_limit_bytes",
        help: "Octets that tables of public keys may take.",
        kind: MetricType::GAUGE,
        labels: &[],
        samples: |stats| plain(stats.tables.limit),
    },
    Family {
        name: "yanqian_key_table_lookups_total",
        help: "Times that a table of a public key was asked for, and whether there was one.",
        kind: MetricType::COUNTER,
        labels: &["use", "result"],
        samples: |stats| by_use(stats.tables.hits, "hit").chain(by_use(stats.tables.misses, "miss")).collect(),
    },
    Family {
        name: "yanqian_key_table_evictions_total",
        help: "Tables of keys met in passing that made room for another.",
        kind: MetricType::COUNTER,
        labels: &[],
        samples: |stats| plain(stats.tables.evictions),
    },
    Family {
        name: "yanqian_key_tables_unplaced_total",
        help: "Tables of the platform's and our own keys for which there was no room.",
        kind: MetricType::COUNTER,
        labels: &[],
        samples: |stats| plain(stats.tables.unplaced),
    },
    Family {
        name: "yanqian_verifications_waited_total",
        help: "Signatures under keys without a table that waited for others to be verified.",
        kind: MetricType::COUNTER,
        labels: &[],
        samples: |stats| plain(stats.waited),
    },
    Family {
        name: "yanqian_second_opinions_total",
        help: "Signatures that two implementations verified, and whether they agreed.",
        kind: MetricType::COUNTER,
        labels: &["subject", "result"],
        samples: |stats| by_subject(stats.agreed, "agreed").chain(by_subject(stats.disputed, "disputed")).collect(),
    },
    Family {
        name: "yanqian_certificate_verdicts_total",
        help: "Signers whose chain and revocation were judged: from memory (hit) or anew (miss).",
        kind: MetricType::COUNTER,
        labels: &["result"],
        samples: |stats| {
            let counts = [("hit", stats.verdicts_known), ("miss", stats.verdicts_new)];
            counts.map(|(result, count)| (vec![result], float(count))).to_vec()
        },
    },
];

const BATCHES: (&str, &str) =
    ("yanqian_verification_batch_size", "Signatures under keys without a table that were verified together.");

/// The metric families of a [`Verifier`].
pub(crate) struct VerificationMetrics {
    verifier: Arc<Verifier>,
    descriptions: Vec<Desc>,
}

impl VerificationMetrics {
    pub(crate) fn new(verifier: &Arc<Verifier>) -> Result<Self, prometheus::Error> {
        let families = FAMILIES.iter().map(|family| (family.name, family.help, family.labels));
        let described = families.chain([(BATCHES.0, BATCHES.1, [].as_slice())]).map(|(name, help, labels)| {
            Opts::new(name, help).variable_labels(labels.iter().map(ToString::to_string).collect()).describe()
        });
        Ok(Self { verifier: Arc::clone(verifier), descriptions: described.collect::<Result<_, _>>()? })
    }
}

impl Collector for VerificationMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let stats = self.verifier.stats();
        FAMILIES.iter().map(|family| family.collect(&stats)).chain([batches(&stats)]).collect()
    }
}

impl Family {
    fn collect(&self, stats: &VerifierStats) -> MetricFamily {
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

fn label((name, value): (&&'static str, &'static str)) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name((*name).to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<proto::Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn batches(stats: &VerifierStats) -> MetricFamily {
    let up_to = |size: usize| stats.batches.iter().take(size).sum::<u64>();
    let buckets = SIZES.map(|size| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(float(size as u64));
        bucket.set_cumulative_count(up_to(size));
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.to_vec());
    histogram.set_sample_count(up_to(stats.batches.len()));
    histogram.set_sample_sum(float(stats.batches.iter().zip(1..).map(|(count, size)| count * size).sum()));
    let mut metric = proto::Metric::default();
    metric.set_histogram(histogram);
    family(BATCHES.0, BATCHES.1, MetricType::HISTOGRAM, vec![metric])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::num::NonZeroU32;

    use prometheus::{Registry, TextEncoder};
    use yanqian_trust::VerifierSettings;

    use super::*;

    #[test]
    fn every_series_exists_from_the_start() {
        let settings = VerifierSettings { table_octets: 1 << 20, shadow_every: NonZeroU32::MIN };
        let registry = Registry::new();
        let metrics = VerificationMetrics::new(&Arc::new(Verifier::new(settings))).unwrap();
        registry.register(Box::new(metrics)).unwrap();
        let page = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for series in [
            "yanqian_key_tables{class=\"kept\",use=\"verify\"} 0",
            "yanqian_key_tables{class=\"passing\",use=\"seal\"} 0",
            "yanqian_key_table_limit_bytes 1048576",
            "yanqian_key_table_lookups_total{result=\"miss\",use=\"seal\"} 0",
            "yanqian_second_opinions_total{result=\"disputed\",subject=\"revocation-list\"} 0",
            "yanqian_verification_batch_size_bucket{le=\"16\"} 0",
            "yanqian_certificate_verdicts_total{result=\"hit\"} 0",
            "yanqian_certificate_verdicts_total{result=\"miss\"} 0",
            "yanqian_verification_batch_size_sum 0",
        ] {
            assert!(page.contains(series), "{series} is not in\n{page}");
        }
    }

    #[test]
    fn batches_are_told_as_a_histogram() {
        let mut stats = VerifierStats::default();
        (stats.batches[0], stats.batches[2], stats.batches[15]) = (5, 2, 1);
        let told = batches(&stats);
        let histogram = told.get_metric()[0].get_histogram();
        let cumulative: Vec<_> = histogram.get_bucket().iter().map(proto::Bucket::cumulative_count).collect();
        assert_eq!(cumulative, [5, 5, 7, 7, 8]);
        assert_eq!((histogram.get_sample_count(), histogram.get_sample_sum()), (8, 5.0 + 6.0 + 16.0));
    }
}
