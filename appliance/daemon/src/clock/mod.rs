//! Whether the clock can be trusted. An answer is fresh by this clock, and certificates and lists are valid by it, so while a
//! time daemon is configured and does not vouch for it, nothing is asked of the platform.
//!
//! The kernel knows too (`adjtimex`), but the hardened unit forbids that call together with those that set the clock.

mod chrony;
mod steps;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use yanqian_evidence::Management;
use yanqian_gateway::{ClockHealth, Core};

use self::steps::Look;
use crate::config::{ClockConfig, ClockSource};
use crate::gauges::Gauges;

/// Between looks for steps, and between questions to the time daemon, in looks.
const LOOK: Duration = Duration::from_secs(1);
const LOOKS: u32 = 5;
/// Steps that wait for a ledger that does not write; of more, the first count.
const UNRECORDED: usize = 64;
/// What was known is worth nothing any more after this.
const STALE: Duration = Duration::from_secs(30);
/// Made anew by systemd-timesyncd each time that it has synchronised the clock; it does so every 2048 s at the latest, and may miss once.
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";
const TIMESYNCD_AGE: Duration = Duration::from_secs(2 * 2048 + 60);

/// How far the clock may be off, where the source tells; or why it is not to be trusted.
pub(crate) type Finding = Result<Option<Duration>, String>;

/// What is known of the clock.
pub(crate) struct ClockTrust {
    config: ClockConfig,
    found: Mutex<(Instant, Finding)>,
}

impl ClockTrust {
    /// Asks once before anything depends on it.
    pub(crate) async fn begin(config: ClockConfig) -> Arc<Self> {
        let found = ask(&config).await;
        if let (ClockSource::None, _) | (_, Err(_)) = (config.source, &found) {
            let why = found.as_ref().err().map_or("nobody is asked (clock.source)", String::as_str);
            tracing::warn!(
                why,
                "the clock is not known to be right, and an answer's freshness is worth no more than the clock"
            );
        }
        Arc::new(Self { config, found: Mutex::new((Instant::now(), found)) })
    }

    /// What is known now.
    pub(crate) fn finding(&self) -> Finding {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.0.elapsed() > STALE { Err("nothing has been heard of it lately".to_owned()) } else { found.1.clone() }
    }

    async fn ask(&self) {
        let found = ask(&self.config).await;
        let mut kept = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        match (&kept.1, &found) {
            (Ok(_), Err(why)) => tracing::error!(why, "the clock is not to be trusted"),
            (Err(_), Ok(_)) => tracing::warn!("the clock is to be trusted again"),
            _ => {}
        }
        *kept = (Instant::now(), found);
    }

    /// Runs until its task is aborted.
    pub(crate) async fn watch(self: Arc<Self>, core: Arc<Core>, gauges: Gauges) {
        let mut last = Look::now();
        let mut unrecorded = VecDeque::new();
        loop {
            for _ in 0..LOOKS {
                self.tell(&gauges);
                tokio::time::sleep(LOOK).await;
                let now = Look::now();
                let step = now.step_since(&last);
                last = now;
                let Some(milliseconds) = step else { continue };
                tracing::error!(milliseconds, "the clock was moved");
                gauges.clock_steps.inc();
                unrecorded.push_back(milliseconds);
                unrecorded.truncate(UNRECORDED);
                break;
            }
            while let Some(milliseconds) = unrecorded.front().copied() {
                if let Err(error) = core.append(Management::ClockStepped { milliseconds }.into()).await {
                    tracing::error!(%error, "the clock's step cannot be recorded; it is tried again");
                    break;
                }
                unrecorded.pop_front();
            }
            self.ask().await;
        }
    }

    fn tell(&self, gauges: &Gauges) {
        let finding = self.finding();
        let known = self.config.source != ClockSource::None && finding.is_ok();
        gauges.clock_synchronised.set(known.into());
        gauges.clock_error.set(finding.ok().flatten().unwrap_or_default().as_secs_f64());
    }
}

impl ClockHealth for ClockTrust {
    fn is_trusted(&self) -> bool {
        self.config.source == ClockSource::None || !self.config.required || self.finding().is_ok()
    }
}

/// Asks the configured source.
pub(crate) async fn ask(config: &ClockConfig) -> Finding {
    match config.source {
        ClockSource::None => Ok(None),
        ClockSource::Timesyncd => synchronised_file(Path::new(TIMESYNCD)).map(|()| None),
        ClockSource::Chrony => {
            let tracking = chrony::tracking(config.chrony_port).await?;
            if !tracking.synchronised {
                return Err("chrony has not synchronised it".to_owned());
            }
            if tracking.error > config.max_error {
                let (error, most) = (tracking.error.as_millis(), config.max_error.as_millis());
                return Err(format!("it may be off by {error} ms, and {most} ms are allowed"));
            }
            Ok(Some(tracking.error))
        }
    }
}

fn synchronised_file(file: &Path) -> Result<(), String> {
    let made = std::fs::metadata(file).and_then(|data| data.modified());
    let made = made.map_err(|_| format!("{}: systemd-timesyncd has not synchronised it", file.display()))?;
    match SystemTime::now().duration_since(made) {
        Ok(age) if age > TIMESYNCD_AGE => {
            Err(format!("systemd-timesyncd synchronised it {} s ago and not since", age.as_secs()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(source: ClockSource, required: bool) -> ClockConfig {
        // Nobody answers at port 1.
        ClockConfig { source, required, max_error: Duration::from_secs(1), chrony_port: 1 }
    }

    #[tokio::test]
    async fn a_clock_that_nobody_vouches_for_is_trusted_only_where_nobody_was_to() {
        for (source, required, trusted) in
            [(ClockSource::None, true, true), (ClockSource::Chrony, true, false), (ClockSource::Chrony, false, true)]
        {
            let trust = ClockTrust::begin(config(source, required)).await;
            assert_eq!(trust.is_trusted(), trusted, "{source:?} {required}");
        }
    }

    #[tokio::test]
    async fn a_clock_that_may_be_off_by_more_than_the_bound_is_not_trusted() {
        // Half a second and two, where one is allowed.
        for (of_two, trusted) in [(-1, true), (1, false)] {
            let port = chrony::tests::vouching(chrony::tests::power(of_two)).await;
            let trust = ClockTrust::begin(ClockConfig { chrony_port: port, ..config(ClockSource::Chrony, true) }).await;
            assert_eq!(trust.is_trusted(), trusted, "{:?}", trust.finding());
            let why = trust.finding().err().unwrap_or_default();
            assert_eq!(why.contains("off by 2000 ms, and 1000 ms are allowed"), !trusted, "{why}");
        }
    }

    #[tokio::test]
    async fn what_was_heard_long_ago_is_worth_nothing() {
        let trust = ClockTrust::begin(config(ClockSource::Chrony, true)).await;
        *trust.found.lock().unwrap() = (Instant::now(), Ok(None));
        assert!(trust.is_trusted());
        *trust.found.lock().unwrap() = (Instant::now().checked_sub(STALE * 2).unwrap(), Ok(None));
        assert!(!trust.is_trusted());
    }

    #[test]
    fn timesyncds_file_vouches_while_it_is_young() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("synchronized");
        assert!(synchronised_file(&file).is_err());
        let made = std::fs::File::create(&file).unwrap();
        assert_eq!(synchronised_file(&file), Ok(()));
        made.set_modified(SystemTime::now() - TIMESYNCD_AGE - Duration::from_mins(1)).unwrap();
        assert!(synchronised_file(&file).unwrap_err().contains("not since"));
    }
}
