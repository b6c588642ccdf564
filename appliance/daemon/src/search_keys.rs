//! The epochs of search keys while the daemon runs: another begins when its time has come or an operator says so, and what an
//! operator destroyed gets its record.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};
use yanqian_evidence::Management;
use yanqian_gateway::{Clock, ClockHealth, Core, SystemClock};
use yanqian_ledger::search::{EpochKey, KeyError, KeyRing, epoch_of};
use yanqian_ledger::{Recovery, absent, read_records};
use yanqian_vocabulary::Timestamp;

use crate::config::{Config, SearchConfig};
use crate::parts;

/// Between looks.
const LOOK: Duration = Duration::from_secs(2);
/// After an epoch that could not be begun: each attempt may leave a record.
const AGAIN: Duration = Duration::from_mins(10);

/// Why an order about search keys was not carried out, or not recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EpochError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("nothing was changed: the ledger did not record it ({0})")]
    NotBegun(String),
    #[error("the key is destroyed; the ledger did not record that yet ({0}), and will be asked again")]
    NotRecorded(String),
}

/// Keeps the directory of search keys; there is one for each daemon.
pub(crate) struct SearchKeys {
    core: Arc<Core>,
    clock: Arc<dyn ClockHealth>,
    ring: KeyRing,
    config: SearchConfig,
    not_before: Instant,
    /// Records of destructions whose tombstones may not say so yet.
    on_record: BTreeMap<u32, u64>,
}

/// The key that the daemon starts with.
pub(crate) struct First {
    pub(crate) key: EpochKey,
    /// It has no file yet, and gets one by [`SearchKeys::begin`].
    pub(crate) is_new: bool,
}

/// Finds the key to start with; carries on with what a crash cut off. A key that is older than the newest epoch of the ledger is
/// not gone back to: what is found by it would be taken for what there is.
pub(crate) fn first(config: &Config, recovery: &Recovery, now: Timestamp) -> Result<First, String> {
    let ring = parts::search_keys(config).map_err(|error| error.to_string())?;
    if let Err(error) = ring.prepare().and_then(|()| ring.settle()) {
        // Searching is no reason not to serve; the looks go on trying, and record nothing before it is done.
        tracing::error!(%error, "a search key that is to be destroyed is still there");
    }
    let named = recovery.search_epoch.unwrap_or(0);
    let newest = ring.newest().map_err(|error| error.to_string())?;
    let used = match newest {
        Some(key) if key.epoch() >= named => return Ok(First { key, is_new: false }),
        Some(_) => {
            tracing::error!(
                epoch = named,
                "the key of the newest search epoch is gone: no document finds its records any more; another epoch begins"
            );
            named
        }
        None if recovery.search_epoch.is_some() => named,
        // Keys that were lost, or a ledger of before there were any: their epochs' numbers are not given again.
        None if recovery.last_sequence > 0 => highest_epoch(&parts::ledger_directory(config))?,
        None => 0,
    };
    let number = ring.next(used).map_err(|error| error.to_string())?;
    Ok(First { key: EpochKey::new(number, now, random_key()), is_new: true })
}

/// Reads the whole ledger, once.
fn highest_epoch(directory: &Path) -> Result<u32, String> {
    tracing::warn!("there is no search key: reading the ledger for the epochs that it names");
    if absent(directory).map_err(|error| error.to_string())?.is_some() {
        return Err(
            "there is no search key, and records that name epochs are in the archive only: restore the keys, or the \
                    segments with `yanqian archive restore`"
                .to_owned(),
        );
    }
    let mut highest = None;
    for entry in read_records(directory).map_err(|error| error.to_string())? {
        highest = highest.max(epoch_of(&entry.map_err(|error| error.to_string())?.record));
    }
    Ok(highest.unwrap_or_default())
}

fn random_key() -> [u8; 32] {
    let mut octets = [0; 32];
    getrandom::fill(&mut octets).expect("the operating system gives randomness");
    octets
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeyError> + Send + 'static,
) -> Result<T, EpochError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        // The task neither panics nor is it aborted.
        Err(error) => Err(EpochError::NotBegun(error.to_string())),
    }
}

impl SearchKeys {
    /// Begins the first epoch where there was none, before any tag is made in it.
    pub(crate) async fn begin(
        core: Arc<Core>,
        clock: Arc<dyn ClockHealth>,
        config: &Config,
        is_new: bool,
    ) -> Result<Self, EpochError> {
        let ring = KeyRing::new(&config.search.keys_dir);
        let (config, not_before) = (config.search.clone(), Instant::now());
        let keys = Self { core, clock, ring, config, not_before, on_record: BTreeMap::new() };
        if is_new {
            keys.put_into_use(keys.core.search_key(), None).await?;
        }
        Ok(keys)
    }

    /// Records that an epoch begins, then makes its file durable. A crash between the two leaves a record that nothing follows.
    async fn put_into_use(&self, key: Arc<EpochKey>, operator: Option<u32>) -> Result<u64, EpochError> {
        let record = Management::SearchEpochBegun { epoch: key.epoch(), operator };
        let appended =
            self.core.append(record.into()).await.map_err(|error| EpochError::NotBegun(error.to_string()))?;
        let (ring, added) = (self.ring.clone(), key);
        blocking(move || ring.add(&added)).await?;
        Ok(appended.sequence)
    }

    /// Begins another epoch; gives its number and its record's sequence.
    pub(crate) async fn begin_next(&self, operator: Option<u32>) -> Result<(u32, u64), EpochError> {
        let (ring, used) = (self.ring.clone(), self.core.search_key().epoch());
        let number = blocking(move || ring.next(used)).await?;
        let key = Arc::new(EpochKey::new(number, SystemClock.now(), random_key()));
        let sequence = self.put_into_use(Arc::clone(&key), operator).await?;
        self.core.replace_search_key(key);
        tracing::warn!(epoch = number, "search tags are made with another epoch's key");
        Ok((number, sequence))
    }

    /// Destroys an epoch's key, then records that; gives the record's sequence.
    pub(crate) async fn destroy(&mut self, epoch: u32, operator: u32) -> Result<u64, EpochError> {
        let ring = self.ring.clone();
        blocking(move || ring.destroy(epoch, SystemClock.now(), operator)).await?;
        tracing::warn!(
            epoch,
            operator,
            "the key of a search epoch is destroyed; nobody finds its records by a document any more"
        );
        self.record_destroyed(epoch, operator).await
    }

    async fn record_destroyed(&mut self, epoch: u32, operator: u32) -> Result<u64, EpochError> {
        let sequence = if let Some(sequence) = self.on_record.get(&epoch) {
            *sequence
        } else {
            let record = Management::SearchEpochDestroyed { epoch, operator: Some(operator) };
            let appended = self.core.append(record.into()).await;
            let sequence = appended.map_err(|error| EpochError::NotRecorded(error.to_string()))?.sequence;
            self.on_record.insert(epoch, sequence);
            sequence
        };
        let ring = self.ring.clone();
        blocking(move || ring.set_recorded(epoch)).await?;
        Ok(sequence)
    }

    /// Looks now and then, for good. A task of its own: directories that hang hold nobody else up.
    pub(crate) async fn tend(keys: Arc<Mutex<Self>>) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            keys.lock().await.look().await;
        }
    }

    /// Does what is due.
    async fn look(&mut self) {
        if let Err(error) = self.record_what_is_not().await {
            tracing::error!(%error, "search keys");
        }
        let key = self.core.search_key();
        let (ring, epoch) = (self.ring.clone(), key.epoch());
        let Ok(has_file) = blocking(move || Ok(ring.has_file(epoch))).await else { return };
        let why = if !has_file {
            "its key's file is gone"
        } else if self.clock.is_trusted() && is_over(key.begun(), SystemClock.now(), self.config.epoch_months) {
            "its months are over"
        } else {
            return;
        };
        if Instant::now() < self.not_before {
            return;
        }
        self.not_before = Instant::now() + AGAIN;
        tracing::warn!(epoch = key.epoch(), why, "the search epoch ends");
        if let Err(error) = self.begin_next(None).await {
            tracing::error!(%error, "the next search epoch cannot be begun; it is tried again");
        }
    }

    /// Destructions that a crash or a ledger that did not write kept from being recorded.
    async fn record_what_is_not(&mut self) -> Result<(), EpochError> {
        let ring = self.ring.clone();
        for epoch in blocking(move || ring.epochs()).await? {
            if let Some(destroyed) = epoch.destroyed.filter(|destroyed| !destroyed.recorded) {
                let (ring, number) = (self.ring.clone(), epoch.number);
                blocking(move || ring.carry_out(number)).await?;
                self.record_destroyed(epoch.number, destroyed.operator).await?;
            }
        }
        Ok(())
    }
}

/// Months in Asia/Shanghai since the year 0.
fn month(time: Timestamp) -> i64 {
    let date = time.plus_millis(8 * 3_600_000).to_utc();
    i64::from(date.year()) * 12 + i64::from(u8::from(date.month()))
}

/// Whether an epoch that began then has had its calendar months: the first counts whole.
fn is_over(begun: Timestamp, now: Timestamp, months: Option<std::num::NonZeroU32>) -> bool {
    months.is_some_and(|months| month(now) - month(begun) >= i64::from(months.get()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_epoch_ends_with_its_last_calendar_month_in_shanghai() {
        let time = |text: &str| Timestamp::from_rfc3339(text).unwrap();
        let begun = time("2026-11-26T08:00:00+08:00");
        let three = std::num::NonZeroU32::new(3);
        assert!(!is_over(begun, time("2027-01-31T23:59:59+08:00"), three));
        assert!(is_over(begun, time("2027-02-01T00:00:00+08:00"), three));
        assert!(!is_over(begun, time("2099-01-01T00:00:00+08:00"), None), "only on an order");
        assert!(!is_over(begun, time("2020-01-01T00:00:00+08:00"), three), "a clock that was set back ends nothing");
    }
}
