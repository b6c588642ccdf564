//! The histogram of what the modules' calls take. The workers count in buckets of their own, so no library's histogram fits: this
//! one adds their increases up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, Desc, Describer};
use prometheus::proto::{self, MetricFamily, MetricType};
use prometheus::{Opts, Registry};
use yanqian_hsm::protocol::{LATENCY_BOUNDS, Latency, TIMED_OPERATIONS};

use super::mirror::Last;

const NAME: &str = "yanqian_hsm_call_seconds";
const HELP: &str = "What the calls into a token's module took, those that failed included. A profile has one mechanism for each operation.";

/// One token's calls for one operation.
#[derive(Debug, Default)]
struct Series {
    token: String,
    operation: &'static str,
    counts: [u64; LATENCY_BOUNDS.len() + 1],
    sum_us: u64,
    last: [Last; LATENCY_BOUNDS.len() + 1],
    last_sum: Last,
}

/// All tokens' calls, by token.
#[derive(Debug, Clone)]
pub(super) struct Latencies {
    series: Arc<Mutex<Vec<Series>>>,
    description: Desc,
}

impl Latencies {
    /// All series of these tokens, registered.
    pub(super) fn register(registry: &Registry, tokens: &[String]) -> Result<Self, prometheus::Error> {
        let labels = ["token", "operation"].map(str::to_owned).to_vec();
        let description = Opts::new(NAME, HELP).variable_labels(labels).describe()?;
        let series = tokens.iter().flat_map(|token| {
            TIMED_OPERATIONS.map(|operation| Series { token: token.clone(), operation, ..Series::default() })
        });
        let latencies = Self { series: Arc::new(Mutex::new(series.collect())), description };
        registry.register(Box::new(latencies.clone()))?;
        Ok(latencies)
    }

    fn series(&self) -> MutexGuard<'_, Vec<Series>> {
        // Counts, whole whatever happened to a thread that held the lock.
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a worker, another than before when `anew`.
    pub(super) fn follow(&self, token: &str, told: &[Latency], anew: bool) {
        let mut all = self.series();
        for mine in all.iter_mut().filter(|one| anew && one.token == token) {
            mine.last.iter().chain([&mine.last_sum]).for_each(Last::begin_anew);
        }
        for latency in told {
            let mine = all.iter_mut().find(|one| one.token == token && one.operation == latency.operation);
            // Another number of buckets is another version's: its counts mean something else.
            let Some(mine) = mine.filter(|_| latency.counts.len() == LATENCY_BOUNDS.len() + 1) else { continue };
            for ((count, last), now) in mine.counts.iter_mut().zip(&mine.last).zip(&latency.counts) {
                *count = count.saturating_add(last.increase(*now));
            }
            mine.sum_us = mine.sum_us.saturating_add(mine.last_sum.increase(latency.sum_us));
        }
    }
}

impl Series {
    fn metric(&self) -> proto::Metric {
        let label = |name: &str, value: &str| {
            let mut pair = proto::LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        };
        let mut up_to = 0;
        let buckets = LATENCY_BOUNDS.iter().zip(self.counts).map(|(bound, count)| {
            up_to += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound.as_secs_f64());
            bucket.set_cumulative_count(up_to);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(self.counts.iter().sum());
        histogram.set_sample_sum(std::time::Duration::from_micros(self.sum_us).as_secs_f64());
        let mut metric =
            proto::Metric::from_label(vec![label("operation", self.operation), label("token", &self.token)]);
        metric.set_histogram(histogram);
        metric
    }
}

impl Collector for Latencies {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut family = MetricFamily::default();
        family.set_name(NAME.to_owned());
        family.set_help(HELP.to_owned());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(self.series().iter().map(Series::metric).collect());
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn a_worker_that_starts_again_takes_nothing_back_and_all_series_are_there_before() {
        let registry = Registry::new();
        let latencies = Latencies::register(&registry, &["a".into(), "b".into()]).unwrap();
        let page = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let series = |part: &str, operation: &str, token: &str| {
            format!("{NAME}_{part}{{operation=\"{operation}\",token=\"{token}\"}}")
        };
        for (operation, token) in [("sign", "a"), ("unseal", "a"), ("sign", "b"), ("unseal", "b")] {
            assert!(page().contains(&format!("{} 0", series("count", operation, token))), "{}", page());
        }
        let told = |first: u64, sum_us: u64| {
            let mut counts = vec![0; LATENCY_BOUNDS.len() + 1];
            counts[0] = first;
            counts[3] = 1;
            vec![Latency { operation: "sign".into(), counts, sum_us }]
        };
        latencies.follow("a", &told(5, 1_000_000), true);
        latencies.follow("a", &told(7, 1_500_000), false);
        // Another worker, some of whose counts are as high as those of the one before.
        latencies.follow("a", &told(2, 500_000), true);
        let page = page();
        for line in [
            format!("{} 11", series("count", "sign", "a")),
            format!("{} 2", series("sum", "sign", "a")),
            format!("{NAME}_bucket{{operation=\"sign\",token=\"a\",le=\"0.0001\"}} 9"),
            format!("{NAME}_bucket{{operation=\"sign\",token=\"a\",le=\"0.001\"}} 11"),
            format!("{NAME}_bucket{{operation=\"sign\",token=\"a\",le=\"+Inf\"}} 11"),
            format!("{} 0", series("count", "sign", "b")),
        ] {
            assert!(page.contains(&line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn counts_in_other_buckets_are_left_out() {
        let latencies = Latencies::register(&Registry::new(), &["a".into()]).unwrap();
        latencies.follow("a", &[Latency { operation: "sign".into(), counts: vec![1; 3], sum_us: 9 }], true);
        assert_eq!(latencies.series()[0].sum_us, 0);
    }
}
