//! What disks do: crashes at every operation, failed writes and syncs, full disks, files that vanish.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use support::sim_disk::{Chance, Fault, SimDisk};
use support::{clock, config, context, exchange, intent, outcome, refusal, software};
use yanqian_evidence::{Body, LeafHash, Management};
use yanqian_ledger::{Appended, Failure, Ledger, LedgerConfig, LedgerError, LedgerState, OpenError, verify_storage};

/// Small segments, so that a short run crosses several.
fn small() -> LedgerConfig {
    let mut config = config();
    config.segment_octets = 3000;
    config.reserve_octets = 2000;
    config.watch = Duration::from_millis(5);
    config
}

fn open(disk: &SimDisk) -> Result<(Ledger, yanqian_ledger::Recovery), OpenError> {
    Ledger::open_storage(Box::new(disk.clone()), small(), clock())
}

fn wait(append: yanqian_ledger::Append) -> Result<Appended, LedgerError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(append)
}

/// Appends in groups of growing size; gives what was acknowledged.
fn work(ledger: &Ledger, rounds: u64) -> Vec<Appended> {
    let mut acknowledged = Vec::new();
    for round in 0..rounds {
        let appends: Vec<_> = (0..=round % 4)
            .filter_map(|n| {
                let n = round * 10 + n;
                if n % 2 == 0 { ledger.submit(context(), intent(n)) } else { ledger.submit(context(), refusal(n)) }.ok()
            })
            .collect();
        acknowledged.extend(appends.into_iter().filter_map(|append| wait(append).ok()));
    }
    acknowledged
}

fn records(disk: &SimDisk) -> Vec<(u64, LeafHash)> {
    use yanqian_evidence::Verifier;
    use yanqian_evidence::verify::Place;
    let mut verifier = Verifier::new(None);
    let mut records = Vec::new();
    let mut names = disk.segments();
    let last = names.pop().unwrap();
    let mut read = |name: &str, place| {
        let octets = disk.read(name).unwrap();
        verifier.segment(&octets, place, |found| records.push((found.record.sequence, found.frame.leaf))).unwrap();
    };
    for name in &names {
        read(name, Place::Sealed);
    }
    read(&last, Place::Last { durable: 0 });
    records
}

fn assert_holds(disk: &SimDisk, acknowledged: &[Appended], what: &str) {
    verify_storage(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let records = records(disk);
    for appended in acknowledged {
        let expected = (appended.sequence, appended.leaf);
        assert!(records.contains(&expected), "{what}: acknowledged record {} is lost", appended.sequence);
    }
}

/// Runs until the fault, lets the machine or the process die, opens again, and looks for every acknowledged record.
fn crash_at(operation: u64, fault: Fault, seed: Option<u64>) -> bool {
    let disk = SimDisk::default();
    disk.fail_in(operation, fault);
    let what = format!("{fault:?} at operation {operation}, seed {seed:?}");
    let mut acknowledged = match open(&disk) {
        Ok((ledger, _)) => work(&ledger, 14),
        Err(_) => Vec::new(),
    };
    let reached = disk.operations() > operation;
    match seed {
        Some(seed) => disk.power_failure(&mut Chance(seed)),
        None => disk.kill(),
    }
    let (ledger, recovery) = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_holds(&disk, &acknowledged, &what);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let closed = runtime.block_on(ledger.close_dangling(&recovery, &software())).unwrap();
    assert_eq!(closed, recovery.dangling.len() as u64, "{what}");
    acknowledged.extend(work(&ledger, 6));
    drop(ledger);
    assert_holds(&disk, &acknowledged, &what);
    // Power may also fail after a clean end: nothing that was acknowledged depends on a later sync.
    disk.power_failure(&mut Chance(operation + 1));
    drop(open(&disk).unwrap_or_else(|error| panic!("{what}, then power failure: {error}")));
    assert_holds(&disk, &acknowledged, &what);
    reached
}

fn at_every_operation(fault: Fault, seeds: &[Option<u64>]) {
    let mut operation = 0;
    while seeds.iter().fold(false, |reached, seed| crash_at(operation, fault, *seed) | reached) {
        operation += 1;
    }
    assert!(operation > 60, "the run has {operation} operations");
}

#[test]
fn no_acknowledged_record_is_lost_when_power_fails_at_any_operation() {
    at_every_operation(Fault::Crash, &[Some(1), Some(2), Some(3), Some(4)]);
    at_every_operation(Fault::CrashAfter, &[Some(5), Some(6)]);
}

#[test]
fn no_acknowledged_record_is_lost_when_the_process_is_killed_at_any_operation() {
    at_every_operation(Fault::Crash, &[None]);
    at_every_operation(Fault::CrashAfter, &[None]);
}

#[test]
fn no_acknowledged_record_is_lost_when_any_operation_fails() {
    at_every_operation(Fault::Error, &[None, Some(7)]);
    at_every_operation(Fault::Half, &[None, Some(8)]);
}

/// Found by `yanqian-drill-ledger`: a directory's sync that said "disk full" after a new segment had its name let the ledger go
/// on in the segment before, and nothing verified any more.
#[test]
fn no_acknowledged_record_is_lost_when_any_operation_says_that_the_disk_is_full() {
    at_every_operation(Fault::Full, &[None, Some(9)]);
    at_every_operation(Fault::FullAfter, &[None, Some(10)]);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 150, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_acknowledged_record_is_lost_over_many_lives(
        lives in proptest::collection::vec((0u64..120, 0usize..5, proptest::num::u64::ANY, 1u64..12), 1..6)
    ) {
        let disk = SimDisk::default();
        let mut acknowledged = Vec::new();
        for (operation, fault, seed, rounds) in lives {
            let faults = [Fault::Crash, Fault::CrashAfter, Fault::Error, Fault::Half];
            if let Some(fault) = faults.get(fault) {
                disk.fail_in(operation, *fault);
            }
            if let Ok((ledger, _)) = open(&disk) {
                acknowledged.extend(work(&ledger, rounds));
            }
            if seed % 3 == 0 { disk.kill() } else { disk.power_failure(&mut Chance(seed)) }
            drop(open(&disk).unwrap());
            assert_holds(&disk, &acknowledged, "after a life");
        }
    }
}

/// Found by the test above: a segment's name outlived the process that made it, but not the power failure after it.
#[test]
fn a_segment_whose_name_was_not_durable_is_made_durable_before_it_is_used() {
    for operation in 0..80 {
        let disk = SimDisk::default();
        disk.fail_in(operation, Fault::CrashAfter);
        let mut acknowledged = open(&disk).map(|(ledger, _)| work(&ledger, 14)).unwrap_or_default();
        disk.kill();
        acknowledged.extend(work(&open(&disk).unwrap().0, 3));
        disk.power_failure(&mut Chance(operation + 1));
        drop(open(&disk).unwrap());
        assert_holds(&disk, &acknowledged, &format!("operation {operation}"));
    }
}

#[test]
fn after_a_failed_sync_nothing_is_appended_until_the_ledger_is_opened_again() {
    let disk = SimDisk::default();
    let (ledger, _) = open(&disk).unwrap();
    let before = wait(ledger.submit(context(), refusal(1)).unwrap()).unwrap();
    disk.fail_in(1, Fault::Error); // the write succeeds, the sync does not
    assert_eq!(wait(ledger.submit(context(), refusal(2)).unwrap()), Err(LedgerError::Failed));
    assert_eq!(ledger.state(), LedgerState::Failed(Failure::Sync));
    for n in 3..6 {
        assert_eq!(wait(ledger.submit(context(), refusal(n)).unwrap()), Err(LedgerError::Failed));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let recovery = runtime.block_on(ledger.reopen()).unwrap();
    assert!(recovery.last_sequence >= before.sequence);
    assert_eq!(ledger.state(), LedgerState::Writing);
    let after = wait(ledger.submit(context(), refusal(7)).unwrap()).unwrap();
    drop(ledger);
    // What the failed sync left in memory only was written once more: the next power failure finds no hole.
    disk.power_failure(&mut Chance(9));
    drop(open(&disk).unwrap());
    assert_holds(&disk, &[before, after], "after a failed sync");
}

#[test]
fn a_full_disk_takes_no_intent_but_the_ends_of_checks_and_refusals() {
    let disk = SimDisk::default();
    let (ledger, _) = open(&disk).unwrap();
    let sequence = wait(ledger.submit(context(), intent(1)).unwrap()).unwrap().sequence;
    disk.set_capacity(Some(disk.used()));
    let refused = (2..100).find_map(|n| wait(ledger.submit(context(), intent(n)).unwrap()).err());
    assert_eq!(refused, Some(LedgerError::Full));
    assert_eq!(ledger.state(), LedgerState::RefusalsOnly);
    assert_eq!(wait(ledger.submit(context(), exchange(1, sequence)).unwrap()), Err(LedgerError::Full));
    wait(ledger.submit(context(), outcome(1, sequence)).unwrap()).unwrap();
    wait(ledger.submit(context(), refusal(200)).unwrap()).unwrap();
    verify_storage(&disk).unwrap();

    let written = (300..400).take_while(|n| wait(ledger.submit(context(), refusal(*n)).unwrap()).is_ok()).count();
    assert!(written > 0, "the reserve carries refusals");
    assert_eq!(wait(ledger.submit(context(), refusal(500)).unwrap()), Err(LedgerError::Full), "until it is used up");
    verify_storage(&disk).unwrap();

    disk.set_capacity(None);
    let until = Instant::now() + Duration::from_secs(5);
    while ledger.state() != LedgerState::Writing && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(2));
    }
    wait(ledger.submit(context(), intent(600)).unwrap()).unwrap();
    drop(ledger);
    verify_storage(&disk).unwrap();
    let mut events = Vec::new();
    let mut verifier = yanqian_evidence::Verifier::new(None);
    for name in disk.segments() {
        let octets = disk.read(&name).unwrap();
        let place = yanqian_evidence::verify::Place::Last { durable: 0 };
        let found = verifier.segment(&octets, place, |found| {
            if let Body::Management(event) = &found.record.body {
                events.push(event.clone());
            }
        });
        found.unwrap();
    }
    assert_eq!(events, [Management::ReserveReleased {}, Management::ReserveRestored {}]);
}

#[test]
fn a_disk_that_is_full_at_start_still_opens_and_takes_refusals_as_far_as_it_can() {
    let disk = SimDisk::default();
    drop(open(&disk).unwrap());
    disk.delete("reserve");
    disk.set_capacity(Some(disk.used() + 1500));
    let (ledger, _) = open(&disk).unwrap();
    assert_eq!(ledger.state(), LedgerState::RefusalsOnly);
    assert_eq!(wait(ledger.submit(context(), intent(1)).unwrap()), Err(LedgerError::Full));
    wait(ledger.submit(context(), refusal(2)).unwrap()).unwrap();
}

fn notices(change: impl FnOnce(&SimDisk)) {
    let disk = SimDisk::default();
    let (ledger, _) = open(&disk).unwrap();
    work(&ledger, 20);
    assert!(ledger.stats().segment > 2);
    change(&disk);
    let until = Instant::now() + Duration::from_secs(1);
    while ledger.state() == LedgerState::Writing && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(ledger.state(), LedgerState::Failed(Failure::FileChanged));
    assert_eq!(wait(ledger.submit(context(), refusal(1)).unwrap()), Err(LedgerError::Failed));
}

#[test]
fn a_deleted_or_replaced_file_is_noticed_within_a_second_without_any_append() {
    let newest = |disk: &SimDisk| disk.segments().pop().unwrap();
    notices(|disk| disk.delete(&newest(disk)));
    notices(|disk| disk.replace(&newest(disk)));
    notices(|disk| disk.tamper(&newest(disk), |octets| octets.truncate(100)));
    notices(|disk| disk.delete("00000001.seg"));
    notices(|disk| disk.replace("00000001.seg"));
    notices(|disk| disk.delete("durable.mark"));
}

#[test]
fn a_record_is_not_acknowledged_into_a_file_that_was_deleted() {
    let disk = SimDisk::default();
    let mut config = small();
    config.watch = Duration::from_hours(1);
    let (ledger, _) = Ledger::open_storage(Box::new(disk.clone()), config, clock()).unwrap();
    wait(ledger.submit(context(), refusal(1)).unwrap()).unwrap();
    disk.delete("00000001.seg");
    assert_eq!(wait(ledger.submit(context(), refusal(2)).unwrap()), Err(LedgerError::Failed));
    assert_eq!(ledger.state(), LedgerState::Failed(Failure::FileChanged));
}

#[test]
fn a_disk_that_cannot_reserve_and_fills_up_within_a_record_keeps_no_part_of_it() {
    let disk = SimDisk::default();
    disk.refuse_to_reserve();
    let mut large = small();
    large.segment_octets = 1 << 20;
    let (ledger, _) = Ledger::open_storage(Box::new(disk.clone()), large, clock()).unwrap();
    let sequence = wait(ledger.submit(context(), intent(1)).unwrap()).unwrap().sequence;
    disk.set_capacity(Some(disk.used() + 1600));
    let batch: Vec<_> = (2..20).map(|n| ledger.submit(context(), intent(n)).unwrap()).collect();
    let refused = batch.into_iter().filter_map(|append| wait(append).err()).collect::<Vec<_>>();
    assert!(!refused.is_empty() && refused.iter().all(|error| *error == LedgerError::Full), "{refused:?}");
    let end = wait(ledger.submit(context(), outcome(1, sequence)).unwrap()).unwrap();
    while wait(ledger.submit(context(), refusal(200)).unwrap()).is_ok() {}
    assert_eq!(ledger.state(), LedgerState::RefusalsOnly);
    assert_eq!(verify_storage(&disk).unwrap().incomplete_tail, None);
    drop(ledger);
    assert_holds(&disk, &[end], "after a full disk");
}

#[test]
fn a_deleted_segment_of_a_real_directory_is_noticed_within_a_second() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(directory.path(), config(), clock()).unwrap();
    wait(ledger.submit(context(), refusal(1)).unwrap()).unwrap();
    std::fs::remove_file(directory.path().join("00000001.seg")).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(ledger.state(), LedgerState::Failed(Failure::FileChanged));
}

#[test]
fn an_acknowledged_record_is_never_cut_as_if_it_were_a_torn_tail() {
    let disk = SimDisk::default();
    let (ledger, _) = open(&disk).unwrap();
    wait(ledger.submit(context(), refusal(1)).unwrap()).unwrap();
    wait(ledger.submit(context(), refusal(2)).unwrap()).unwrap();
    drop(ledger);
    let segment = disk.read("00000001.seg").unwrap();
    for cut in [1, 100, 300] {
        disk.tamper("00000001.seg", |octets| octets.truncate(segment.len() - cut));
        let error = open(&disk).err().unwrap();
        assert_eq!(error.code(), "acknowledged-frame", "{error}");
        assert_eq!(verify_storage(&disk).unwrap_err().code(), "acknowledged-frame");
    }
    disk.tamper("00000001.seg", |octets| *octets = segment.clone());
    let last = segment.len() - 1;
    disk.tamper("00000001.seg", |octets| octets[last] ^= 1);
    assert_eq!(open(&disk).err().unwrap().code(), "acknowledged-frame");
    // Without the mark nobody can tell, so nothing is cut either.
    disk.delete("durable.mark");
    assert_eq!(open(&disk).err().unwrap().code(), "tail-without-mark");
    disk.tamper("00000001.seg", |octets| *octets = segment);
    open(&disk).unwrap();
}

#[test]
fn a_torn_tail_is_cut_reported_and_recorded() {
    let disk = SimDisk::default();
    let (ledger, _) = open(&disk).unwrap();
    let kept = wait(ledger.submit(context(), refusal(1)).unwrap()).unwrap();
    drop(ledger);
    let before = disk.read("00000001.seg").unwrap();
    disk.tamper("00000001.seg", |octets| octets.extend_from_slice(&[0, 0, 1, 0, 9, 9, 9]));
    assert_eq!(verify_storage(&disk).unwrap().incomplete_tail.map(|tail| tail.octets), Some(7));
    let (ledger, recovery) = open(&disk).unwrap();
    assert_eq!(recovery.torn_tail.map(|tail| (tail.offset, tail.octets)), Some((before.len() as u64, 7)));
    let next = wait(ledger.submit(context(), refusal(2)).unwrap()).unwrap();
    assert_eq!(next.sequence, kept.sequence + 2, "the repair has a record of its own before");
    drop(ledger);
    assert_holds(&disk, &[kept, next], "after the repair");
}

#[test]
fn a_missing_segment_is_named() {
    let disk = SimDisk::default();
    let (ledger, _) = open(&disk).unwrap();
    work(&ledger, 30);
    drop(ledger);
    let segments = disk.segments();
    disk.delete(segments.last().unwrap());
    let missing = segments.len() as u64;
    assert!(matches!(open(&disk), Err(OpenError::SegmentMissing(n)) if n == missing));
    assert!(matches!(verify_storage(&disk), Err(OpenError::SegmentMissing(n)) if n == missing));
    disk.delete("00000002.seg");
    assert!(matches!(open(&disk), Err(OpenError::SegmentMissing(2))));
    assert!(matches!(verify_storage(&disk), Err(OpenError::SegmentMissing(2))));
}
