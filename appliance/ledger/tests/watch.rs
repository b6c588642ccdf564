//! Files that somebody deletes, replaces or moves beneath a running ledger in a real directory, and a disk that hangs.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use support::slow_disk::SlowDisk;
use support::{clock, config, context, intent, outcome, refusal};
use yanqian_ledger::{Failure, Ledger, LedgerConfig, LedgerError, LedgerState, OpenError};

/// Far above the half second of the default, for machines that are busy.
const NOTICED: Duration = Duration::from_secs(20);

fn small() -> LedgerConfig {
    let mut config = config();
    config.segment_octets = 2000;
    config
}

async fn until(ledger: &Ledger, state: LedgerState) {
    let began = Instant::now();
    while ledger.state() != state {
        assert!(began.elapsed() < NOTICED, "{:?} in place of {state:?}", ledger.state());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A ledger of several segments at `root/ledger`, and what `change` does to it without any append.
async fn notices(what: &str, change: impl FnOnce(&Path)) -> (Ledger, tempfile::TempDir) {
    let root = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(&root.path().join("ledger"), small(), clock()).unwrap();
    for n in 0..12 {
        ledger.append(context(), refusal(n)).await.unwrap();
    }
    assert!(ledger.stats().segment > 2, "{what}");
    change(&root.path().join("ledger"));
    until(&ledger, LedgerState::Failed(Failure::FileChanged)).await;
    assert_eq!(ledger.append(context(), refusal(50)).await, Err(LedgerError::Failed), "{what}");
    assert!(ledger.state().needs_operator());
    (ledger, root)
}

fn newest(directory: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|end| end == "seg")).max().unwrap()
}

fn replace(file: &Path) {
    let copy = file.with_extension("copy");
    std::fs::copy(file, &copy).unwrap();
    std::fs::rename(copy, file).unwrap();
}

#[tokio::test]
async fn every_file_of_a_real_directory_that_is_deleted_replaced_or_moved_is_noticed() {
    let remove = |file: &Path| std::fs::remove_file(file).unwrap();
    notices("the segment being written is deleted", |at| remove(&newest(at))).await;
    notices("the segment being written is replaced", |at| replace(&newest(at))).await;
    notices("the segment being written is renamed", |at| {
        std::fs::rename(newest(at), at.join("elsewhere")).unwrap();
    })
    .await;
    notices("a sealed segment is deleted", |at| remove(&at.join("00000001.seg"))).await;
    notices("a sealed segment is replaced by its copy", |at| replace(&at.join("00000001.seg"))).await;
    notices("the mark is deleted", |at| remove(&at.join("durable.mark"))).await;
    notices("the mark is replaced by its copy", |at| replace(&at.join("durable.mark"))).await;
    notices("the directory is renamed", |at| std::fs::rename(at, at.with_extension("away")).unwrap()).await;
    notices("the directory is replaced", |at| {
        std::fs::rename(at, at.with_extension("away")).unwrap();
        std::fs::create_dir(at).unwrap();
    })
    .await;
    notices("the directory is deleted", |at| std::fs::remove_dir_all(at).unwrap()).await;
}

#[tokio::test]
async fn what_was_acknowledged_must_be_there_when_the_ledger_is_opened_again() {
    let (ledger, root) = notices("all of it is deleted, the mark included", |at| {
        for entry in std::fs::read_dir(at).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    })
    .await;
    // No new ledger takes the place of the one whose records callers hold.
    assert!(matches!(ledger.reopen().await, Err(OpenError::SegmentMissing(1))));
    assert_eq!(std::fs::read_dir(root.path().join("ledger")).unwrap().count(), 0);

    let (ledger, root) = notices("the end of it is cut off, and the mark deleted", |at| {
        std::fs::remove_file(at.join("durable.mark")).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(newest(at)).unwrap();
        file.set_len(file.metadata().unwrap().len() - 10).unwrap();
    })
    .await;
    assert_eq!(ledger.reopen().await.unwrap_err().code(), "acknowledged-frame");
    drop(root);
}

#[tokio::test]
async fn a_reserve_that_somebody_removes_is_taken_again() {
    let root = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(root.path(), small(), clock()).unwrap();
    std::fs::remove_file(root.path().join("reserve")).unwrap();
    let began = Instant::now();
    while !root.path().join("reserve").exists() {
        assert!(began.elapsed() < NOTICED);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    until(&ledger, LedgerState::Writing).await;
    ledger.append(context(), intent(1)).await.unwrap();
}

#[tokio::test]
async fn behind_a_disk_that_hangs_nothing_waits_longer_than_its_patience() {
    let root = tempfile::tempdir().unwrap();
    let disk = SlowDisk::new(root.path());
    let mut config = small();
    config.patience = Duration::from_millis(50);
    let (ledger, _) = Ledger::open_storage(Box::new(disk.clone()), config, clock()).unwrap();
    let begun = ledger.append(context(), intent(1)).await.unwrap().sequence;
    disk.hang();
    // The first meets the hang; it and whatever follows is refused, a new check without even waiting.
    assert_eq!(ledger.append(context(), refusal(2)).await, Err(LedgerError::Slow));
    assert!(matches!(ledger.submit(context(), intent(3)), Err(LedgerError::Slow)));
    assert_eq!(ledger.append(context(), outcome(1, begun)).await, Err(LedgerError::Slow));
    assert!(ledger.stats().stalled_milliseconds >= 50);
    assert_eq!(ledger.state(), LedgerState::Writing, "slow is not broken");
    disk.go_on();
    // What was queued is written, in order, and the ledger goes on.
    let released = Instant::now();
    let after = loop {
        match ledger.append(context(), intent(4)).await {
            Ok(appended) => break appended.sequence,
            Err(error) => assert!(error == LedgerError::Slow && released.elapsed() < NOTICED, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    drop(ledger);
    let records: Vec<_> =
        yanqian_ledger::read_records(root.path()).unwrap().map(|entry| entry.unwrap().record.body).collect();
    assert_eq!(records.len() as u64, after.max(begun + 3));
    assert!(records.contains(&refusal(2).into()) && records.contains(&outcome(1, begun).into()), "{records:?}");
    assert!(!records.contains(&intent(3).into()), "what was refused at once was never queued");
}

#[tokio::test]
async fn a_segment_is_sealed_at_its_age_without_any_append() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config();
    config.segment_age = Duration::from_millis(3); // of a clock that moves with each look
    config.watch = Duration::from_millis(5);
    let (ledger, _) = Ledger::open(root.path(), config, clock()).unwrap();
    ledger.append(context(), refusal(1)).await.unwrap();
    let began = Instant::now();
    while ledger.stats().segment == 1 {
        assert!(began.elapsed() < NOTICED);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // One without records is not sealed, however old.
    let sealed = ledger.stats().segment;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ledger.stats().segment, sealed);
    drop(ledger);
    assert_eq!(yanqian_ledger::verify_dir(root.path()).unwrap().summary.records, 1);
}
