//! What protects the token's keys: the least that is accepted, and the metric that tells it.

use prometheus::{IntGaugeVec, Opts, Registry};
use schemars::JsonSchema;
use serde::Deserialize;
use yanqian_hsm::pool::TokenView;
use yanqian_vocabulary::TokenGrade;

/// The grades, as the configuration writes them.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub(crate) enum LeastGrade {
    Development,
    Sealed,
    Hsm,
}

impl From<LeastGrade> for TokenGrade {
    fn from(grade: LeastGrade) -> Self {
        match grade {
            LeastGrade::Development => Self::Development,
            LeastGrade::Sealed => Self::Sealed,
            LeastGrade::Hsm => Self::Hsm,
        }
    }
}

/// By token: 1 for the grade that its worker told last, 0 for the others.
#[derive(Debug, Clone)]
pub(crate) struct GradeGauge(IntGaugeVec);

const GRADES: [TokenGrade; 3] = [TokenGrade::Development, TokenGrade::Sealed, TokenGrade::Hsm];

impl GradeGauge {
    /// Fails only on a name registered twice.
    pub(crate) fn register(registry: &Registry, tokens: &[String]) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("yanqian_hsm_grade", "1 for what protects the token's keys: hsm, sealed or development.");
        let gauge = IntGaugeVec::new(opts, &["token", "grade"])?;
        registry.register(Box::new(gauge.clone()))?;
        let gauge = Self(gauge);
        for token in tokens {
            gauge.set(token, "");
        }
        Ok(gauge)
    }

    pub(crate) fn tell(&self, view: &TokenView) {
        if let Some(status) = &view.status {
            self.set(&view.name, &status.grade);
        }
    }

    fn set(&self, token: &str, grade: &str) {
        for known in GRADES {
            self.0.with_label_values(&[token, known.as_str()]).set(i64::from(known.as_str() == grade));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_grade_is_told_and_all_are_there_from_the_start() {
        let gauge = GradeGauge::register(&Registry::new(), &["t".to_owned()]).unwrap();
        let values = || GRADES.map(|grade| gauge.0.with_label_values(&["t", grade.as_str()]).get());
        assert_eq!(values(), [0, 0, 0]);
        gauge.set("t", "sealed");
        assert_eq!(values(), [0, 1, 0]);
        gauge.set("t", "hsm");
        assert_eq!(values(), [0, 0, 1]);
    }
}
