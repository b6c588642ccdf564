//! What operators watch of the verification of signatures: tables of keys, batches, second opinions. Read at each scrape, so
//! that the path of requests counts in its own plain numbers.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, MetricFamily, MetricType};
use yanqian_trust::{KeyClass, KeyUse, Subject, Verifier, VerifierStats};

use crate::families::{Family, Sample, describe, family, float, plain};

/// Upper bounds of the batch sizes' buckets.
const SIZES: [usize; 5] = [1, 2, 4, 8, 16];

fn by_use(counts: [u64; 2], result: &'static str) -> impl Iterator<Item = Sample> {
    KeyUse::ALL.into_iter().zip(counts).map(move |(to, count)| (vec![to.as_str().into(), result.into()], float(count)))
}

fn by_subject(counts: [u64; 4], result: &'static str) -> impl Iterator<Item = Sample> {
    Subject::ALL
        .into_iter()
        .zip(counts)
        .map(move |(subject, count)| (vec![subject.as_str().into(), result.into()], float(count)))
}

const FAMILIES: [Family<VerifierStats>; 9] = [
    Family {
        name: "yanqian_key_tables",
        help: "Tables of public keys, by what they are for and whose key it is.",
        kind: MetricType::GAUGE,
        labels: &["use", "class"],
        samples: |stats| {
            let classes = |(to, held): (KeyUse, [u64; 2])| {
                KeyClass::ALL
                    .into_iter()
                    .zip(held)
                    .map(move |(class, n)| (vec![to.as_str().into(), class.as_str().into()], float(n)))
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
            counts.map(|(result, count)| (vec![result.into()], float(count))).to_vec()
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
        let batches = describe(BATCHES.0, BATCHES.1, &[]);
        let described = FAMILIES.iter().map(Family::describe).chain([batches]);
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
