//! Appending, sharing syncs, shedding, and the order of what is written.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use support::{clock, config, context, exchange, intent, outcome, refusal, software, stopped};
use yanqian_evidence::{Body, Decision, Kind, Octets, Outcome};
use yanqian_ledger::{Ledger, LedgerError, LedgerState, OpenError, read_records, verify_dir};
use yanqian_vocabulary::{NodeId, Reason, Timestamp, Verdict};

#[tokio::test]
async fn records_come_back_in_order_with_their_sequence_time_and_leaf() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, recovery) = Ledger::open(directory.path(), config(), clock()).unwrap();
    assert_eq!((recovery.last_sequence, recovery.torn_tail), (0, None));
    let first = ledger.append(context(), intent(1)).await.unwrap();
    let second = ledger.append(context(), outcome(1, first.sequence)).await.unwrap();
    let third = ledger.append(context(), refusal(2)).await.unwrap();
    drop(ledger);
    assert_eq!([first.sequence, second.sequence, third.sequence], [1, 2, 3]);
    let entries: Vec<_> = read_records(directory.path()).unwrap().collect::<Result<_, _>>().unwrap();
    for (entry, appended) in entries.iter().zip([first, second, third]) {
        assert_eq!((entry.record.sequence, entry.record.time), (appended.sequence, appended.time));
        assert_eq!(entry.leaf, appended.leaf);
        assert_eq!(entry.record.context, *context());
    }
    assert_eq!(entries[0].record.body, Body::Intent(intent(1)));
    let verified = verify_dir(directory.path()).unwrap();
    let counts = verified.summary.counts;
    assert_eq!(counts.kinds[&Kind::Intent], 1);
    assert_eq!(counts.verdicts[&Verdict::NotFound], 1);
    assert_eq!(counts.reasons[&Reason::AgreementPurpose], 1);
    assert_eq!((verified.summary.open_intents, verified.durable), (0, Some(3)));
}

#[tokio::test]
async fn appends_that_wait_together_share_a_sync() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(directory.path(), config(), clock()).unwrap();
    let appends: Vec<_> = (0..500).map(|n| ledger.submit(context(), refusal(n)).unwrap()).collect();
    for append in appends {
        append.await.unwrap();
    }
    let stats = ledger.stats();
    assert_eq!((stats.appends, stats.last_sequence, stats.queue), (500, 500, 0));
    assert!(stats.syncs < 250, "{} syncs for 500 records", stats.syncs);
}

#[tokio::test]
async fn a_full_queue_sheds_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config();
    config.queue = 4;
    let (ledger, _) = Ledger::open(directory.path(), config, clock()).unwrap();
    let tries: Vec<_> = (0..2000).map(|n| ledger.submit(context(), refusal(n))).collect();
    let (taken, shed): (Vec<_>, Vec<_>) = tries.into_iter().partition(Result::is_ok);
    assert!(!shed.is_empty() && shed.iter().all(|refused| matches!(refused, Err(LedgerError::Busy))));
    let mut last = 0;
    let expected = taken.len();
    for append in taken {
        last = append.unwrap().await.unwrap().sequence;
    }
    assert_eq!(usize::try_from(last).unwrap(), expected, "shed records take no sequence");
}

#[tokio::test]
async fn a_check_ends_once_and_only_after_it_began() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(directory.path(), config(), clock()).unwrap();
    assert_eq!(ledger.append(context(), outcome(1, 1)).await, Err(LedgerError::IntentNotOpen));
    let sequence = ledger.append(context(), intent(1)).await.unwrap().sequence;
    assert_eq!(ledger.append(context(), outcome(2, sequence)).await, Err(LedgerError::IntentNotOpen));
    let (one, other) = (
        ledger.submit(context(), outcome(1, sequence)).unwrap(),
        ledger.submit(context(), outcome(1, sequence)).unwrap(),
    );
    assert!(one.await.is_ok());
    assert_eq!(other.await, Err(LedgerError::IntentNotOpen));
    drop(ledger);
    assert_eq!(verify_dir(directory.path()).unwrap().summary.records, 2);
}

#[tokio::test]
async fn a_record_that_is_too_large_or_of_another_node_is_refused_and_the_ledger_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(directory.path(), config(), clock()).unwrap();
    let sequence = ledger.append(context(), intent(1)).await.unwrap().sequence;
    let mut large = outcome(1, sequence);
    large.answer =
        Some(yanqian_evidence::Answer { octets: Octets::new(vec![0; 1 << 20]), signature: None, attributes: None });
    assert_eq!(ledger.append(context(), large).await, Err(LedgerError::TooLarge));
    let mut other = (*context()).clone();
    other.node = NodeId::new("node-2").unwrap();
    assert_eq!(ledger.append(Arc::new(other), refusal(2)).await, Err(LedgerError::OtherNode));
    ledger.append(context(), outcome(1, sequence)).await.unwrap();
}

#[tokio::test]
async fn times_never_go_back_even_when_the_clock_does() {
    let directory = tempfile::tempdir().unwrap();
    let now = Arc::new(std::sync::atomic::AtomicI64::new(2_000_000));
    let seen = Arc::clone(&now);
    let clock = yanqian_ledger::Clock::new(move || {
        Timestamp::from_unix_millis(seen.load(std::sync::atomic::Ordering::Relaxed))
    });
    let (ledger, _) = Ledger::open(directory.path(), config(), clock.clone()).unwrap();
    let before = ledger.append(context(), refusal(1)).await.unwrap();
    now.store(1_000_000, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(ledger.append(context(), refusal(2)).await.unwrap().time, before.time);
    drop(ledger);
    let (ledger, _) = Ledger::open(directory.path(), config(), clock).unwrap();
    assert_eq!(ledger.append(context(), refusal(3)).await.unwrap().time, before.time);
    drop(ledger);
    verify_dir(directory.path()).unwrap();
}

#[tokio::test]
async fn segments_follow_each_other_by_size_and_hold_together() {
    let directory = tempfile::tempdir().unwrap();
    let mut small = config();
    small.segment_octets = 2000;
    let (ledger, _) = Ledger::open(directory.path(), small.clone(), clock()).unwrap();
    let open = ledger.append(context(), intent(1000)).await.unwrap().sequence;
    for n in 0..40 {
        let sequence = ledger.append(context(), intent(n)).await.unwrap().sequence;
        ledger.append(context(), outcome(n, sequence)).await.unwrap();
    }
    drop(ledger);
    let verified = verify_dir(directory.path()).unwrap();
    assert!(verified.summary.segments > 10, "{verified:?}");
    assert_eq!((verified.summary.records, verified.summary.open_intents), (81, 1));
    // The open intent lies in the first segment, far from the end, and is found although only the end is proven.
    small.open_check_octets = 0;
    let (ledger, recovery) = Ledger::open(directory.path(), small, clock()).unwrap();
    assert_eq!(recovery.dangling.iter().map(|intent| intent.sequence).collect::<Vec<_>>(), [open]);
    assert_eq!(ledger.close_dangling(&recovery, &software()).await, Ok(1));
    assert_eq!(ledger.close_dangling(&recovery, &software()).await, Ok(0), "the second time does nothing");
}

#[tokio::test]
async fn a_segment_with_records_is_sealed_by_age() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config();
    config.segment_age = std::time::Duration::from_millis(1);
    let (ledger, _) = Ledger::open(directory.path(), config, clock()).unwrap();
    for n in 0..3 {
        ledger.append(context(), refusal(n)).await.unwrap();
    }
    assert!(ledger.stats().segment >= 3);
}

#[tokio::test]
async fn a_second_process_cannot_open_the_ledger_and_another_node_may_not() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(directory.path(), config(), clock()).unwrap();
    assert!(matches!(Ledger::open(directory.path(), config(), clock()), Err(OpenError::Locked)));
    assert!(verify_dir(directory.path()).is_ok(), "reading needs no lock");
    drop(ledger);
    let mut other = config();
    other.node = NodeId::new("node-2").unwrap();
    assert!(matches!(Ledger::open(directory.path(), other, clock()), Err(OpenError::OtherLedger)));
}

#[tokio::test]
async fn an_intent_that_nobody_waits_for_ends_without_a_signature() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(directory.path(), config(), clock()).unwrap();
    for n in 0..50 {
        drop(ledger.submit(context(), intent(n)).unwrap());
    }
    ledger.append(context(), stopped()).await.unwrap();
    drop(ledger);
    let verified = verify_dir(directory.path()).unwrap().summary;
    assert_eq!(verified.open_intents, 0, "{verified:?}");
    let intents = verified.counts.kinds.get(&Kind::Intent).copied().unwrap_or(0);
    assert_eq!(verified.counts.reasons.get(&Reason::EvidenceUnavailable).copied().unwrap_or(0), intents);
}

#[tokio::test]
async fn a_live_ledger_can_be_verified_while_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config();
    config.segment_octets = 50_000;
    let (ledger, _) = Ledger::open(directory.path(), config, clock()).unwrap();
    let path = directory.path().to_owned();
    let reader = std::thread::spawn(move || {
        let mut counts = Vec::new();
        while counts.last().is_none_or(|count| *count < 2000) {
            counts.push(verify_dir(&path)?.summary.records);
        }
        Ok::<_, OpenError>(counts)
    });
    while !reader.is_finished() {
        let appends: Vec<_> = (0..20).filter_map(|n| ledger.submit(context(), refusal(n)).ok()).collect();
        for append in appends {
            append.await.unwrap();
        }
    }
    let counts = reader.join().unwrap().unwrap();
    assert!(counts.is_sorted() && counts.len() > 1, "{counts:?}");
    assert_eq!(ledger.state(), LedgerState::Writing);
}

#[tokio::test]
async fn an_exchange_continues_an_open_check_and_its_outcome_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(directory.path(), config(), clock()).unwrap();
    assert_eq!(ledger.append(context(), exchange(1, 1)).await, Err(LedgerError::IntentNotOpen));
    let begun = ledger.append(context(), intent(1)).await.unwrap().sequence;
    assert_eq!(ledger.append(context(), exchange(2, begun)).await, Err(LedgerError::IntentNotOpen));
    let step = ledger.append(context(), exchange(1, begun)).await.unwrap().sequence;
    assert_eq!(ledger.append(context(), outcome(1, begun)).await, Err(LedgerError::OtherExchange));
    assert_eq!(ledger.stats().open_intents, 1);
    let end = Outcome { exchange: Some(step), ..outcome(1, begun) };
    ledger.append(context(), end).await.unwrap();
    assert_eq!(ledger.append(context(), exchange(1, begun)).await, Err(LedgerError::IntentNotOpen));
    let left = ledger.append(context(), intent(2)).await.unwrap().sequence;
    ledger.append(context(), exchange(2, left)).await.unwrap();
    drop(ledger);
    assert_eq!(verify_dir(directory.path()).unwrap().summary.open_intents, 1);
    // After a restart the ledger still knows which exchange the open check has come to.
    let (ledger, recovery) = Ledger::open(directory.path(), config(), clock()).unwrap();
    assert_eq!(
        recovery.dangling.iter().map(|open| (open.sequence, open.exchange)).collect::<Vec<_>>(),
        [(left, Some(left + 1))]
    );
    assert_eq!(ledger.append(context(), outcome(2, left)).await, Err(LedgerError::OtherExchange));
    assert_eq!(ledger.close_dangling(&recovery, &software()).await, Ok(1));
    drop(ledger);
    assert_eq!(verify_dir(directory.path()).unwrap().summary.open_intents, 0);
}

#[tokio::test]
async fn an_exchange_that_nobody_waits_for_leaves_its_check_to_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(directory.path(), config(), clock()).unwrap();
    for n in 0..50 {
        let begun = ledger.append(context(), intent(n)).await.unwrap().sequence;
        drop(ledger.submit(context(), exchange(n, begun)).unwrap());
        let refused = Decision::Refused { reason: Reason::EvidenceUnavailable };
        ledger.append(context(), Outcome { decision: refused, ..outcome(n, begun) }).await.unwrap();
    }
    drop(ledger);
    let verified = verify_dir(directory.path()).unwrap().summary;
    assert_eq!((verified.open_intents, verified.counts.kinds[&Kind::Outcome]), (0, 50));
}
