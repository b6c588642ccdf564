//! How often a request may be tried at another endpoint: a share of the requests, so that an outage does not double the load
//! on what is left.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many retries there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySettings {
    /// Retries per hundred requests in the long run.
    pub percent: u8,
    /// Retries that can be saved up; there from the start.
    pub reserve: u32,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { percent: 20, reserve: 50 }
    }
}

/// A token bucket in hundredths of a retry. It is filled by requests, not by time: where nobody asks, nothing is saved up.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    settings: RetrySettings,
    hundredths: AtomicU64,
}

impl RetryBudget {
    pub(crate) fn new(settings: RetrySettings) -> Self {
        Self { settings, hundredths: AtomicU64::new(Self::full(settings)) }
    }

    fn full(settings: RetrySettings) -> u64 {
        u64::from(settings.reserve) * 100
    }

    /// A request came.
    pub(crate) fn deposit(&self) {
        let add = u64::from(self.settings.percent);
        let most = Self::full(self.settings);
        let _ = self.hundredths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some((now + add).min(most)));
    }

    /// Takes one retry, if there is one.
    pub(crate) fn withdraw(&self) -> bool {
        self.hundredths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| now.checked_sub(100)).is_ok()
    }

    /// Whole retries left.
    pub(crate) fn left(&self) -> u64 {
        self.hundredths.load(Ordering::Relaxed) / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_costs_the_reserve_and_then_a_share_of_the_requests() {
        let budget = RetryBudget::new(RetrySettings { percent: 20, reserve: 10 });
        let retries = (0..1000).filter(|_| {
            budget.deposit();
            budget.withdraw()
        });
        // The first deposit finds the bucket full.
        assert_eq!(retries.count(), 10 + 999 / 5);
        assert_eq!(budget.left(), 0);
    }

    #[test]
    fn what_is_saved_up_has_an_end() {
        let budget = RetryBudget::new(RetrySettings { percent: 100, reserve: 3 });
        (0..100).for_each(|_| budget.deposit());
        assert_eq!(budget.left(), 3);
        assert!((0..3).all(|_| budget.withdraw()) && !budget.withdraw());
    }
}
