//! The text form of a metrics page, read well enough to compare counts.

use std::collections::BTreeMap;

/// Samples of one scrape. Counters here are far below 2^53, so a float holds them exactly.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: BTreeMap<String, f64>,
    text: String,
}

impl Metrics {
    pub(crate) fn parse(text: &str) -> Self {
        let samples = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(series, value)| Some((series.to_owned(), value.parse().ok()?)))
            .collect();
        Self { samples, text: text.to_owned() }
    }

    /// The page as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// One series as it is written, labels in alphabetical order: `yanqian_refusals_total{reason="field-unknown"}`.
    pub fn value(&self, series: &str) -> Option<f64> {
        self.samples.get(series).copied()
    }

    /// The value of one label in every series of a family that has it, with the counts summed over the other labels.
    pub fn by_label(&self, family: &str, label: &str) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        let start = format!("{family}{{");
        let name = format!("{label}=\"");
        for (series, value) in &self.samples {
            let Some(labels) = series.strip_prefix(&start) else { continue };
            let Some((_, rest)) = labels.split_once(&name) else { continue };
            let Some((found, _)) = rest.split_once('"') else { continue };
            *sums.entry(found.to_owned()).or_default() += count(*value);
        }
        sums.retain(|_, sum| *sum > 0);
        sums
    }

    /// A family's sum over all labels.
    pub fn sum(&self, family: &str) -> u64 {
        let mine = |series: &str| series == family || series.starts_with(&format!("{family}{{"));
        self.samples.iter().filter(|(series, _)| mine(series)).map(|(_, value)| count(*value)).sum()
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts: whole, not negative, below 2^53
fn count(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_summed_and_split_by_label() {
        let page = "# TYPE a_total counter\na_total{m=\"x\",r=\"one\"} 2\na_total{m=\"y\",r=\"one\"} 3\n\
                    a_total{m=\"y\",r=\"none\"} 0\na_total_more 9\nb 1.5\n";
        let metrics = Metrics::parse(page);
        assert_eq!(metrics.sum("a_total"), 5);
        assert_eq!(metrics.by_label("a_total", "r"), BTreeMap::from([("one".to_owned(), 5)]));
        assert_eq!(metrics.value("b"), Some(1.5));
    }
}
