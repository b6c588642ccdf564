//! A session that nobody has used for long proves a key again, so that one which died silently, as behind a firewall that forgets
//! idle connections, is replaced before a check finds it.

use std::time::{Duration, Instant};

use super::lane::Lane;
use super::recover::jittered;

/// When a session was used last, and when it is due.
#[derive(Debug)]
pub(super) struct KeepAlive {
    /// None switches it off.
    after: Option<Duration>,
    due: Option<Instant>,
}

impl KeepAlive {
    pub(super) fn new(after: Option<Duration>) -> Self {
        let mut new = Self { after, due: None };
        new.used();
        new
    }

    /// Something was just asked of the session. Jittered, so that sessions that were opened together do not stay together.
    pub(super) fn used(&mut self) {
        self.due = self.after.map(|after| Instant::now() + jittered(after));
    }
}

impl Lane {
    pub(super) const fn next_keep_alive(&self) -> Option<Instant> {
        self.kept_alive.due
    }

    /// A self-proof by a key that serves. A failure is treated as one of a request would be.
    pub(super) fn keep_alive(&mut self) {
        self.kept_alive.used();
        let Some(key) = self.engine.a_proven_signing_key() else { return };
        if let Err(outcome) = self.run(|lane| lane.prove(&key)) {
            tracing::warn!(label = key.label, ?outcome, "an idle session could not be kept alive");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_puts_it_off_and_without_a_time_it_is_never_due() {
        let mut off = KeepAlive::new(None);
        off.used();
        assert_eq!(off.due, None);
        let after = Duration::from_mins(10);
        let mut on = KeepAlive::new(Some(after));
        for _ in 0..20 {
            let before = Instant::now();
            on.used();
            let due = on.due.expect("it is on");
            assert!(due >= before + after * 3 / 4 && due <= Instant::now() + after * 5 / 4);
        }
    }
}
