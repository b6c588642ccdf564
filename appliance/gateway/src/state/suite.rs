//! Claims that every state store must meet, run here over `SQLite`; a shared database has to pass the same.
#![allow(clippy::unwrap_used)]

use super::*;
use yanqian_vocabulary::{EntityId, NodeId};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn id(n: u8) -> VerificationId {
    VerificationId::new(at(1), [n; 10])
}

fn caller(name: &str) -> CallerId {
    CallerId::new(name).unwrap()
}

fn begin(n: u8, who: &str, tag: u8, fingerprint: u8) -> Begin {
    Begin { id: id(n), caller: caller(who), tag: [tag; 32], fingerprint: [fingerprint; 32], now: at(1) }
}

fn finish(n: u8, who: &str, tag: Option<u8>, expires: i64) -> Finish {
    Finish {
        id: id(n),
        caller: caller(who),
        tag: tag.map(|tag| [tag; 32]),
        sealed: vec![n],
        now: at(1),
        expires: at(expires),
        receipt: None,
    }
}

fn open(directory: &std::path::Path) -> SqliteState {
    let (entity, node) = (EntityId::new("bank").unwrap(), NodeId::new("n1").unwrap());
    SqliteState::open(&directory.join("state.sqlite"), entity, node).unwrap()
}

fn with_store(claim: impl FnOnce(&mut dyn StateStore)) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    store.begin_batch().unwrap();
    claim(&mut store);
    store.commit_batch().unwrap();
}

#[test]
fn a_key_in_use_answers_in_flight_and_another_request_under_it_a_mismatch() {
    with_store(|store| {
        assert_eq!(store.begin(&begin(1, "a", 1, 1)).unwrap(), Begun::New);
        assert_eq!(store.begin(&begin(2, "a", 1, 1)).unwrap(), Begun::InFlight);
        assert_eq!(store.begin(&begin(3, "a", 1, 9)).unwrap(), Begun::Mismatch);
    });
}

#[test]
fn the_same_key_of_another_caller_is_another_key() {
    with_store(|store| {
        assert_eq!(store.begin(&begin(1, "a", 1, 1)).unwrap(), Begun::New);
        assert_eq!(store.begin(&begin(2, "b", 1, 1)).unwrap(), Begun::New);
    });
}

#[test]
fn a_finished_key_gives_its_reply_and_a_released_key_is_free() {
    with_store(|store| {
        store.begin(&begin(1, "a", 1, 1)).unwrap();
        store.finish(&finish(1, "a", Some(1), 100)).unwrap();
        assert_eq!(
            store.begin(&begin(2, "a", 1, 1)).unwrap(),
            Begun::Final(StoredReply { id: id(1), sealed: vec![1] })
        );
        store.release(&caller("a"), &[1; 32], id(1)).unwrap();
        assert_eq!(store.begin(&begin(2, "a", 1, 9)).unwrap(), Begun::Mismatch, "a final reply cannot be released");

        store.begin(&begin(3, "a", 2, 1)).unwrap();
        store.release(&caller("a"), &[2; 32], id(3)).unwrap();
        assert_eq!(store.begin(&begin(4, "a", 2, 9)).unwrap(), Begun::New);
    });
}

#[test]
fn a_reply_is_found_by_its_own_caller_only() {
    with_store(|store| {
        store.finish(&finish(1, "a", None, 100)).unwrap();
        assert!(store.find(&caller("a"), id(1)).unwrap().is_some());
        assert_eq!(store.find(&caller("b"), id(1)).unwrap(), None);
        assert_eq!(store.find(&caller("a"), id(2)).unwrap(), None);
    });
}

#[test]
fn an_answer_is_accepted_once_by_nonce_and_once_by_serial_even_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    {
        let mut store = open(directory.path());
        assert!(store.accept_answer("p", Nonce::new([1; 16]), "s1", at(100)).unwrap());
    }
    let mut store = open(directory.path());
    assert!(!store.accept_answer("p", Nonce::new([1; 16]), "s2", at(100)).unwrap());
    assert!(!store.accept_answer("p", Nonce::new([2; 16]), "s1", at(100)).unwrap());
    assert!(store.accept_answer("q", Nonce::new([1; 16]), "s1", at(100)).unwrap());
}

#[test]
fn checks_under_way_are_orphans_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    {
        let mut store = open(directory.path());
        store.begin(&begin(1, "a", 1, 1)).unwrap();
        store.begin(&begin(2, "a", 2, 1)).unwrap();
        store.finish(&finish(2, "a", Some(2), 100)).unwrap();
    }
    let orphans = open(directory.path()).orphans().unwrap();
    assert_eq!(orphans, vec![Orphan { id: id(1), caller: caller("a"), tag: [1; 32] }]);
}

#[test]
fn what_expired_is_purged_and_nothing_else() {
    with_store(|store| {
        store.finish(&finish(1, "a", None, 100)).unwrap();
        store.finish(&finish(2, "a", None, 200)).unwrap();
        store.begin(&begin(3, "a", 3, 3)).unwrap();
        store.accept_answer("p", Nonce::new([1; 16]), "s", at(100)).unwrap();
        assert_eq!(store.purge(at(150)).unwrap(), 2);
        assert!(store.find(&caller("a"), id(2)).unwrap().is_some());
        assert_eq!(store.begin(&begin(4, "a", 3, 3)).unwrap(), Begun::InFlight);
    });
}

#[test]
fn a_receipt_is_kept_for_its_caller_until_it_expires() {
    with_store(|store| {
        let kept = KeptReceipt { sealed: vec![7], expires: at(100) };
        store.finish(&Finish { receipt: Some(kept), ..finish(1, "a", None, 50) }).unwrap();
        assert_eq!(store.find_receipt(&caller("a"), id(1)).unwrap(), Some(vec![7]));
        assert_eq!(store.find_receipt(&caller("b"), id(1)).unwrap(), None, "another caller's");
        assert_eq!(store.find_receipt(&caller("a"), id(2)).unwrap(), None);
        store.purge(at(60)).unwrap();
        assert_eq!(store.find(&caller("a"), id(1)).unwrap(), None, "the reply expires on its own day");
        assert_eq!(store.find_receipt(&caller("a"), id(1)).unwrap(), Some(vec![7]));
        store.purge(at(101)).unwrap();
        assert_eq!(store.find_receipt(&caller("a"), id(1)).unwrap(), None);
    });
}

#[test]
fn a_replaced_receipt_keeps_its_caller_and_its_expiry() {
    with_store(|store| {
        let kept = KeptReceipt { sealed: vec![7], expires: at(100) };
        store.finish(&Finish { receipt: Some(kept), ..finish(1, "a", None, 50) }).unwrap();
        store.replace_receipt(id(1), &[8]).unwrap();
        store.replace_receipt(id(2), &[9]).unwrap();
        assert_eq!(store.find_receipt_of_any(id(1)).unwrap(), Some((caller("a"), vec![8])));
        assert_eq!(store.find_receipt_of_any(id(2)).unwrap(), None, "nothing is made by replacing");
        store.purge(at(101)).unwrap();
        assert_eq!(store.find_receipt_of_any(id(1)).unwrap(), None);
    });
}

#[test]
fn a_days_quota_is_set_aside_once_for_all_nodes_and_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let entity = EntityId::new("bank").unwrap();
    let node = |name: &str| {
        let node = NodeId::new(name).unwrap();
        SqliteState::open(&directory.path().join("state.sqlite"), entity.clone(), node).unwrap()
    };
    assert_eq!(node("n1").lease("agreement", 7, 10, 4).unwrap(), 4);
    assert_eq!(node("n2").lease("agreement", 7, 10, 4).unwrap(), 4);
    assert_eq!(node("n1").lease("agreement", 7, 10, 4).unwrap(), 2, "what is left");
    assert_eq!(node("n2").lease("agreement", 7, 10, 4).unwrap(), 0);
    assert_eq!(node("n2").lease("agreement", 7, 9, 4).unwrap(), 0, "of a quota that was lowered");
    assert_eq!(node("n1").lease("agreement", 8, 10, 4).unwrap(), 4, "another day");
    assert_eq!(node("n1").lease("caller/a", 7, 10, 4).unwrap(), 4, "another quota");
}

#[test]
fn what_is_returned_of_a_days_quota_is_there_again_and_no_more_than_was_set_aside() {
    with_store(|store| {
        assert_eq!(store.lease("agreement", 7, 10, 10).unwrap(), 10);
        store.return_lease("agreement", 7, 3).unwrap();
        store.return_lease("agreement", 8, 3).unwrap();
        assert_eq!(store.lease("agreement", 7, 10, 10).unwrap(), 3);
        store.return_lease("agreement", 7, u64::MAX).unwrap();
        assert_eq!(store.lease("agreement", 7, 10, u64::MAX).unwrap(), 10);
        assert_eq!(store.lease("agreement", 7, u64::MAX, 5).unwrap(), 5);
    });
}

#[test]
fn a_day_is_remembered_longer_than_any_clock_steps() {
    const DAY: i64 = 86_400_000;
    with_store(|store| {
        assert_eq!(store.lease("agreement", 7, 10, 10).unwrap(), 10);
        assert_eq!(store.purge(at(407 * DAY)).unwrap(), 0);
        assert_eq!(store.lease("agreement", 7, 10, 10).unwrap(), 0);
        assert_eq!(store.purge(at(408 * DAY)).unwrap(), 1);
    });
}

/// 170 octets that no other check has, as long as a sealed receipt.
fn sealed(n: u16) -> Vec<u8> {
    (0..6u8).flat_map(|part| yanqian_sm::sm3(&[&n.to_be_bytes(), &[part]])).take(170).collect()
}

fn many(n: u16) -> VerificationId {
    VerificationId::new(at(i64::from(n)), [u8::try_from(n % 256).unwrap(); 10])
}

/// Of the checks, those of which some piece is in the store's files.
fn left_on_disk(directory: &std::path::Path, checks: impl Iterator<Item = u16>) -> Vec<u16> {
    let mut held = std::collections::HashSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let octets = std::fs::read(entry.unwrap().path()).unwrap();
        held.extend(octets.windows(8).map(|piece| u64::from_be_bytes(piece.try_into().unwrap())));
    }
    let is_held = |n: u16| sealed(n).as_chunks().0.iter().any(|piece| held.contains(&u64::from_be_bytes(*piece)));
    checks.filter(|n| is_held(*n)).collect()
}

#[test]
fn what_was_replaced_is_in_none_of_the_stores_files() {
    const CHECKS: u16 = 1200;
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    for batch in 0..CHECKS / 100 {
        store.begin_batch().unwrap();
        for n in batch * 100..(batch + 1) * 100 {
            // Ends of all kinds lie side by side, so that pages are split, emptied in part and joined.
            let kept = KeptReceipt { sealed: sealed(n), expires: at(i64::from(n % 7) * 1000) };
            store.finish(&Finish { id: many(n), receipt: Some(kept), ..finish(0, "a", None, 1_000_000) }).unwrap();
        }
        store.commit_batch().unwrap();
    }
    assert_eq!(left_on_disk(directory.path(), 0..CHECKS).len(), usize::from(CHECKS), "the search finds what is there");
    store.begin_batch().unwrap();
    for n in (0..CHECKS).filter(|n| n % 5 == 0) {
        store.replace_receipt(many(n), &[0xee; 138]).unwrap();
    }
    store.commit_batch().unwrap();
    assert!(!left_on_disk(directory.path(), (0..CHECKS).filter(|n| n % 5 == 0)).is_empty(), "the log still has them");
    store.scrub().unwrap();
    assert_eq!(left_on_disk(directory.path(), (0..CHECKS).filter(|n| n % 5 == 0)), [0; 0]);
    let kept: Vec<u16> = (0..CHECKS).filter(|n| n % 5 != 0).collect();
    assert_eq!(left_on_disk(directory.path(), kept.iter().copied()), kept, "and the others are there");
}

#[test]
fn a_store_that_another_process_reads_says_that_it_is_not_scrubbed() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    store.begin_batch().unwrap();
    store.finish(&finish(1, "a", None, 50)).unwrap();
    store.commit_batch().unwrap();
    let reader = rusqlite::Connection::open(directory.path().join("state.sqlite")).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM verification;").unwrap();
    store.begin_batch().unwrap();
    store.purge(at(60)).unwrap();
    store.commit_batch().unwrap();
    assert!(store.scrub().is_err());
    drop(reader);
    store.scrub().unwrap();
}

#[tokio::test]
async fn an_operation_alone_meets_no_open_batch() {
    let directory = tempfile::tempdir().unwrap();
    let (handle, _thread) = StateHandle::start(Box::new(open(directory.path()))).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200u8 {
        let handle = handle.clone();
        tasks.spawn(async move {
            if n % 3 == 0 {
                handle.call_alone(|store| store.scrub()).await.unwrap();
            } else {
                handle.call(move |store| store.begin(&begin(n, "a", n, n))).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(handle.call(|store| store.orphans()).await.unwrap().len(), 133);
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let connection = rusqlite::Connection::open(directory.path().join("state.sqlite")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let (entity, node) = (EntityId::new("bank").unwrap(), NodeId::new("n1").unwrap());
    let error = SqliteState::open(&directory.path().join("state.sqlite"), entity, node).expect_err("newer");
    assert!(matches!(error, StateError::Newer { found: 99, known: 3 }));
}

#[tokio::test]
async fn operations_through_the_thread_are_durable_when_they_return() {
    let directory = tempfile::tempdir().unwrap();
    let (handle, thread) = StateHandle::start(Box::new(open(directory.path()))).unwrap();
    let results = futures_join(&handle, 50).await;
    assert!(results.into_iter().all(|begun| begun == Begun::New));
    drop(handle);
    thread.join();
    assert_eq!(open(directory.path()).orphans().unwrap().len(), 50);
}

async fn futures_join(handle: &StateHandle, count: u8) -> Vec<Begun> {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..count {
        let handle = handle.clone();
        tasks.spawn(async move { handle.call(move |store| store.begin(&begin(n, "a", n, n))).await.unwrap() });
    }
    tasks.join_all().await
}
