//! Sealed segments on their way into the archive and off the node: a task of its own. Nothing waits for it; an archive that is away
//! makes segments wait, no more. What operators order of the archive is done here too, because it goes on record.

mod metrics;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use yanqian_evidence::Management;
use yanqian_evidence::segment::file_name;
use yanqian_gateway::{Clock as _, Core, SystemClock};
use yanqian_ledger::tree::{Checkpoints, TreePlaces};
use yanqian_ledger::{Exported, ExportedList, Ledger, OpenError, exported_list, made};
use yanqian_retention::{
    Archive, ArchiveError, Expirable, Exporter, Keep, Kind, Name, Places, Range, expire, place, release, still_there,
};

use crate::anchoring;
use crate::config::Config;
use crate::parts::{self, PartError};

use metrics::RetentionMetrics;

/// After a start, so that the first look does not compete with it.
const SETTLE: Duration = Duration::from_secs(2);

/// The archive and what is ordered of it.
#[derive(Clone)]
pub(crate) struct Keeping {
    archive: Arc<Archive>,
    core: Arc<Core>,
    directory: PathBuf,
    keep: Keep,
    wake: Arc<Notify>,
    /// One order at a time: one whose operator no longer waits goes on, and a hold does not pass it by.
    orders: Arc<Mutex<()>>,
    apart: Handle,
}

/// The task that exports and removes, on threads of its own: storage that hangs holds none of those that carry checks.
pub(crate) struct Retention {
    keeping: Keeping,
    task: JoinHandle<()>,
    /// Taken when it goes.
    runtime: Option<Runtime>,
}

impl Drop for Retention {
    /// What hangs in a system call is left to the end of the process.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Ends the task, which lets go of the ledger.
pub(crate) async fn stop(retention: Option<Retention>) {
    if let Some(mut retention) = retention {
        retention.task.abort();
        let _ = (&mut retention.task).await;
    }
}

/// Threads for system calls and for sealing.
const BLOCKING: usize = 4;

impl Retention {
    /// None without an archive.
    pub(crate) fn start(
        config: &Config,
        core: &Arc<Core>,
        ledger: &Arc<Ledger>,
        registry: &Registry,
    ) -> Result<Option<Self>, PartError> {
        let metrics = RetentionMetrics::register(registry).map_err(|error| PartError::from(error.to_string()))?;
        let Some(archive) = parts::archive(config)? else { return Ok(None) };
        let directory = parts::ledger_directory(config);
        let tree = config.checkpoints.is_some().then(|| anchoring::places(config));
        let evidence = config.state_dir.join("archive");
        let exporter = Exporter::new(Places { ledger: directory.clone(), evidence, tree: tree.clone() });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING)
            .thread_name("archive")
            .enable_all()
            .build()
            .map_err(|error| PartError::from(error.to_string()))?;
        let keeping = Keeping {
            apart: runtime.handle().clone(),
            archive: Arc::new(archive),
            core: Arc::clone(core),
            directory,
            keep: config.retention.keep,
            wake: Arc::default(),
            orders: Arc::default(),
        };
        let (keep_local, interval) = (config.retention.keep_local, config.retention.interval);
        let ledger = Arc::clone(ledger);
        let work = Work { keeping: keeping.clone(), ledger, exporter, tree, keep_local, interval, metrics };
        let task = runtime.spawn(work.run());
        Ok(Some(Self { keeping, task, runtime: Some(runtime) }))
    }

    pub(crate) fn keeping(&self) -> Keeping {
        self.keeping.clone()
    }
}

struct Work {
    keeping: Keeping,
    ledger: Arc<Ledger>,
    exporter: Exporter,
    tree: Option<TreePlaces>,
    keep_local: Option<Duration>,
    interval: Duration,
    metrics: RetentionMetrics,
}

impl Work {
    /// Runs until its task is aborted.
    async fn run(mut self) {
        tokio::time::sleep(SETTLE).await;
        loop {
            for result in [self.export().await, self.remove().await] {
                match result {
                    Ok(()) => {}
                    Err(error @ ArchiveError::NotCovered(_)) => tracing::debug!(%error, "an export waits"),
                    Err(error) => {
                        tracing::error!(%error, "the archive");
                        self.metrics.failed(&error);
                    }
                }
            }
            if let Err(error) = self.tell().await {
                tracing::debug!(%error, "the list of exported segments");
            }
            let wake = Arc::clone(&self.keeping.wake);
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = wake.notified() => {}
            }
        }
    }

    /// Everything that is sealed, oldest first.
    async fn export(&mut self) -> Result<(), ArchiveError> {
        let sealed = self.ledger.stats().segment.saturating_sub(1);
        let list = self.keeping.list().await?;
        self.refill(&list).await?;
        let mut next = count(&list) + 1;
        while next <= sealed {
            let line = self.exporter.export(&self.keeping.archive, next).await?;
            tracing::info!(segment = next, hash = %line.hash, "a segment was exported and read back");
            self.ledger.note_exported(line).await?;
            self.tell().await?;
            next += 1;
        }
        Ok(())
    }

    /// What the archive once held and has lost, or never had where it is another, as long as the files are here.
    async fn refill(&mut self, list: &ExportedList) -> Result<(), ArchiveError> {
        let missing = self.keeping.lost(list).await?;
        if !missing.is_empty() {
            self.exporter.ask_anew();
        }
        for line in missing {
            let again = self.exporter.export(&self.keeping.archive, line.segment).await?;
            if again.hash != line.hash {
                return Err(ArchiveError::Differs(Name::Segment(line.segment)));
            }
            tracing::warn!(segment = line.segment, "the archive had lost a segment; it was exported again");
        }
        Ok(())
    }

    /// Files that were here long enough, oldest first; none while nobody vouches for the clock.
    async fn remove(&self) -> Result<(), ArchiveError> {
        let Some(keep) = self.keep_local.filter(|_| self.keeping.core.clock_is_trusted()) else { return Ok(()) };
        let list = self.keeping.list().await?;
        // A crash came between the list and the file, or somebody brought the file back.
        if let Some(line) = list.of(list.removed)
            && self.keeping.directory.join(file_name(line.segment)).exists()
        {
            still_there(&self.keeping.archive, line).await?;
            match self.ledger.remove_sealed(line.segment).await {
                Ok(()) | Err(OpenError::NotRemovable { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let now = SystemClock.now();
        let covered = match &self.tree {
            Some(tree) => Checkpoints::new(&tree.checkpoints).latest()?.unwrap_or(0),
            None => u64::MAX,
        };
        let from = usize::try_from(list.removed).unwrap_or(usize::MAX);
        for line in list.segments.iter().skip(from) {
            let age = u128::try_from(now.millis_since(line.last_time)).unwrap_or(0);
            if age < keep.as_millis() || line.last >= covered {
                return Ok(());
            }
            match self.ledger.removable(line.segment).await {
                Ok(()) => {}
                // Its time comes with the next segments.
                Err(OpenError::NotRemovable { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            still_there(&self.keeping.archive, line).await?;
            let removed = Management::SegmentRemoved { segment: line.segment, hash: line.hash };
            self.keeping.record(removed).await?;
            self.ledger.remove_sealed(line.segment).await?;
            tracing::info!(segment = line.segment, "a segment's file was removed; the archive holds it");
        }
        Ok(())
    }

    async fn tell(&self) -> Result<(), ArchiveError> {
        let (list, sealed) = (self.keeping.list().await?, self.ledger.stats().segment.saturating_sub(1));
        let exported = count(&list);
        self.metrics.exported.set(whole(exported));
        self.metrics.removed.set(whole(list.removed));
        self.metrics.waiting.set(whole(sealed.saturating_sub(exported)));
        let directory = self.keeping.directory.clone();
        let oldest = if exported < sealed {
            let made = tokio::task::spawn_blocking(move || made(&directory, exported + 2)).await;
            made.map_err(std::io::Error::other).map_err(failed)??.unix_seconds()
        } else {
            0
        };
        self.metrics.oldest_waiting.set(oldest);
        Ok(())
    }
}

fn failed(source: std::io::Error) -> OpenError {
    OpenError::Io { doing: "reading the ledger", source }
}

fn count(list: &ExportedList) -> u64 {
    u64::try_from(list.segments.len()).unwrap_or(u64::MAX)
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Keeping {
    /// Does what was ordered on the archive's own threads.
    pub(crate) async fn apart<T, F>(&self, work: impl FnOnce(Self) -> F) -> Result<T, String>
    where
        F: Future<Output = Result<T, String>> + Send + 'static,
        T: Send + 'static,
    {
        self.apart.spawn(work(self.clone())).await.unwrap_or_else(|error| Err(error.to_string()))
    }

    async fn list(&self) -> Result<ExportedList, OpenError> {
        let directory = self.directory.clone();
        tokio::task::spawn_blocking(move || exported_list(&directory))
            .await
            .map_err(|error| failed(std::io::Error::other(error)))?
    }

    /// On record when this returns.
    async fn record(&self, event: Management) -> Result<u64, ArchiveError> {
        let appended = self.core.append(event.into()).await;
        appended
            .map(|appended| appended.sequence)
            .map_err(|error| failed(std::io::Error::other(error.to_string())).into())
    }

    /// Has the task look for sealed segments now.
    pub(crate) fn export_now(&self) {
        self.wake.notify_one();
    }

    /// Gives the hold's number and its record's sequence.
    pub(crate) async fn hold(self, range: Range, reason: String, operator: u32) -> Result<(u64, u64), String> {
        let _alone = self.orders.lock().await;
        self.is_the_archive().await?;
        let placed = place(&self.archive, range, &reason, operator, SystemClock.now()).await;
        let (hold, text) = placed.map_err(|error| error.to_string())?;
        let recorded = self.record(Management::HoldPlaced { hold, text, operator }).await;
        recorded
            .map(|sequence| (hold, sequence))
            .map_err(|error| format!("hold {hold} is in force, but not on record: {error}"))
    }

    /// What was exported, is on the node still, and is not in the archive.
    async fn lost<'a>(&self, list: &'a ExportedList) -> Result<Vec<&'a Exported>, ArchiveError> {
        let here = list.segments.iter().filter(|line| line.segment > list.removed);
        let there = self.archive.numbers(Kind::Segment).await?;
        Ok(here.filter(|line| there.binary_search(&line.segment).is_err()).collect())
    }

    /// A directory that is not mounted is no archive: a hold there would be found by nobody. What the node still has tells, as the
    /// newest segments always are; of what only the archive had, a loss is no reason to hold nothing any more.
    async fn is_the_archive(&self) -> Result<(), String> {
        let list = self.list().await.map_err(|error| error.to_string())?;
        match self.lost(&list).await.map_err(|error| error.to_string())?.first() {
            None => Ok(()),
            Some(line) => Err(format!(
                "segment {} is not in the archive, although it was exported: is it the right one, and mounted?",
                line.segment
            )),
        }
    }

    pub(crate) async fn release(self, hold: u64, reason: String, operator: u32) -> Result<u64, String> {
        let _alone = self.orders.lock().await;
        let released = release(&self.archive, hold, &reason, operator, SystemClock.now()).await;
        let text = released.map_err(|error| error.to_string())?;
        let recorded = self.record(Management::HoldReleased { hold, text, operator }).await;
        recorded.map_err(|error| format!("hold {hold} is released, but that is not on record: {error}"))
    }

    /// Only what the node itself has removed: otherwise the records would still be here.
    pub(crate) async fn expire(self, segment: u64, operator: u32) -> Result<u64, String> {
        let _alone = self.orders.lock().await;
        if !self.core.clock_is_trusted() {
            return Err("nobody vouches for the clock: how old records are is not known".to_owned());
        }
        let list = self.list().await.map_err(|error| error.to_string())?;
        let line: &Exported = list.of(segment).ok_or_else(|| format!("segment {segment} was not exported"))?;
        if segment > list.removed {
            return Err(format!("segment {segment} is still on the node"));
        }
        let mut sequence = 0;
        let expired = expire(&self.archive, line, &self.keep, SystemClock.now(), || async {
            sequence =
                self.record(Management::SegmentExpired { segment, hash: line.hash, operator: Some(operator) }).await?;
            Ok(())
        });
        match expired.await.map_err(|error| error.to_string())? {
            Expirable::Now => {
                let restored = self.directory.join(yanqian_ledger::storage::RESTORED).join(file_name(segment));
                match std::fs::remove_file(&restored) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        Err(format!("{}: {error}; remove it by hand", restored.display()))
                    }
                    _ if sequence == 0 => Err(format!("segment {segment} was expired before")),
                    _ => Ok(sequence),
                }
            }
            Expirable::Young => Err(format!("segment {segment} has records that are not past their days")),
            Expirable::Held(hold) => Err(format!("segment {segment} has records under hold {hold}")),
        }
    }
}
