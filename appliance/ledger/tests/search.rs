//! Finding records again: through the index, by reading everything, and as counts.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use support::{clock, config, context, exchange, intent, outcome, refusal, software, stopped, verification};
use yanqian_evidence::{Aggregate, Body, Decision, Intent, Label, Rejected};
use yanqian_ledger::search::{Check, Column, End, EpochKey, Index, IndexError, Indexed, Query, Report, Wanted, scan};
use yanqian_ledger::{Ledger, LedgerConfig};
use yanqian_vocabulary::{CallerId, DocumentType, Mode, PurposeCode, Reason, Timestamp, Verdict};

const DAY: i64 = 86_400_000;

fn key(epoch: u32) -> EpochKey {
    EpochKey::new(epoch, Timestamp::from_unix_millis(0), [u8::try_from(epoch).unwrap(); 32])
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_764_000_000_000 + millis)
}

/// Check `n` of a document: number, epoch, caller, purpose and day are all made from `n`.
fn of(n: u64) -> Intent {
    let pick = |count: u64| usize::try_from(n % count).unwrap();
    Intent {
        caller: CallerId::new(["core-banking", "branch", "hotline"][pick(3)]).unwrap(),
        purpose: PurposeCode::new(["account-opening", "loan"][pick(2)]).unwrap(),
        search: Some(key(u32::try_from(n / 40 + 1).unwrap()).search(DocumentType::PrcPassport, &number(n % 10))),
        received: at(i64::try_from(n % 4).unwrap() * DAY),
        ..intent(n)
    }
}

fn number(n: u64) -> String {
    format!("E{:08}", 12_340_000 + n)
}

/// Small segments, so that there are many.
fn small() -> LedgerConfig {
    LedgerConfig { segment_octets: 8 << 10, ..config() }
}

/// Appends checks of every kind of end: of four, a verdict, a mismatch after an exchange, a refusal, and an unknown one.
async fn fill(directory: &Path, range: std::ops::Range<u64>) {
    let (ledger, _) = Ledger::open(directory, small(), clock()).unwrap();
    for n in range {
        if n % 4 == 2 {
            ledger.append(context(), refusal(n)).await.unwrap();
            continue;
        }
        let first = ledger.append(context(), of(n)).await.unwrap().sequence;
        let mut last = outcome(n, first);
        match n % 4 {
            1 => {
                let step = ledger.append(context(), exchange(n, first)).await.unwrap();
                last.exchange = Some(step.sequence);
                last.decision = Decision::Verdict { overall: Verdict::Mismatch, fields: BTreeMap::default() };
            }
            3 => last.decision = Decision::Refused { reason: Reason::OutcomeUnknown },
            _ => {}
        }
        ledger.append(context(), last).await.unwrap();
    }
    ledger.append(context(), stopped()).await.unwrap();
}

fn scanned(directory: &Path, query: &Query) -> Vec<Check> {
    let mut found = Vec::new();
    scan(directory, query, |check| found.push(check)).unwrap();
    found.sort_by_key(|check| check.first.record.sequence);
    found
}

fn ids(checks: &[Check]) -> Vec<String> {
    checks
        .iter()
        .map(|check| format!("{} {} {:?}", check.head.verification, check.records().count(), check.end))
        .collect()
}

/// What the index finds, which must be what a reading of everything finds.
fn found(index: &Index, directory: &Path, query: &Query) -> Vec<Check> {
    let found = index.find(directory, query, 10_000, &mut BTreeSet::new()).unwrap();
    assert_eq!(ids(&found), ids(&scanned(directory, query)), "{query:?}");
    found
}

fn by_document(n: u64, epochs: std::ops::RangeInclusive<u32>) -> Query {
    let tags = epochs.map(|epoch| key(epoch).search(DocumentType::PrcPassport, &number(n))).collect();
    Query { tags: Some(tags), ..Query::default() }
}

#[tokio::test]
async fn a_document_is_found_in_every_epoch_whose_key_is_there_and_in_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    fill(&ledger, 0..120).await;
    let mut index = Index::open(&directory.path().join("search.sqlite")).unwrap();
    let indexed = index.update(&ledger, |_| {}).unwrap();
    assert_eq!(indexed.records, indexed.last_sequence);
    // Of twelve checks of document 4, those whose number is 2 of 4 are refusals, which hold no tag.
    let all = found(&index, &ledger, &by_document(4, 1..=3));
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|check| check.records().count() >= 2 && check.last.is_some()));
    assert_eq!(found(&index, &ledger, &by_document(4, 2..=3)).len(), 4);
    assert_eq!(found(&index, &ledger, &by_document(4, 4..=9)).len(), 0);
    assert_eq!(found(&index, &ledger, &Query { tags: Some(Vec::new()), ..Query::default() }).len(), 0);
    assert_eq!(index.tags_by_epoch().unwrap(), [(1, 30), (2, 30), (3, 30)]);
}

#[tokio::test]
async fn every_condition_finds_through_the_index_what_reading_everything_finds() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    fill(&ledger, 0..100).await;
    let mut index = Index::open(&directory.path().join("search.sqlite")).unwrap();
    index.update(&ledger, |_| {}).unwrap();
    let none = Query::default();
    assert_eq!(found(&index, &ledger, &none).len(), 100);
    let one = found(&index, &ledger, &Query { verification: Some(verification(17)), ..none.clone() });
    assert_eq!((one.len(), one[0].exchanges.len(), one[0].end), (1, 1, End::Verdict(Verdict::Mismatch)));
    let branch = Query { caller: Some(CallerId::new("branch").unwrap()), ..none.clone() };
    assert_eq!(found(&index, &ledger, &branch).len(), 25);
    let loans = Query { purpose: Some(PurposeCode::new("loan").unwrap()), ..branch.clone() };
    assert!(found(&index, &ledger, &loans).iter().all(|check| check.head.verification != verification(4)));
    assert_eq!(found(&index, &ledger, &Query { mode: Some(Mode::ChipReading), ..none.clone() }).len(), 0);
    let days = Query { from: Some(at(DAY)), until: Some(at(2 * DAY)), ..none.clone() };
    assert_eq!(found(&index, &ledger, &days).len(), 25);
    for (wanted, count) in [
        (Wanted::Verdict("not-found".into()), 25),
        (Wanted::Verdict("unknown".into()), 25),
        (Wanted::Verdict("refused".into()), 25),
        (Wanted::Verdict("open".into()), 0),
        (Wanted::Reason("agreement-purpose".into()), 25),
        (Wanted::Reason("outcome-unknown".into()), 25),
    ] {
        assert_eq!(found(&index, &ledger, &Query { end: Some(wanted), ..none.clone() }).len(), count);
    }
}

#[tokio::test]
async fn an_index_goes_on_where_it_ended_and_follows_checks_over_its_edge() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, file) = (directory.path().join("ledger"), directory.path().join("search.sqlite"));
    let mut index = Index::open(&file).unwrap();
    let (writer, _) = Ledger::open(&ledger, small(), clock()).unwrap();
    assert_eq!(index.update(&ledger, |_| {}).unwrap(), Indexed::default(), "nothing yet");
    let first = writer.append(context(), of(1)).await.unwrap().sequence;
    assert_eq!(index.update(&ledger, |_| {}).unwrap().records, 1);
    assert_eq!(found(&index, &ledger, &Query::default())[0].end, End::Open);
    let step = writer.append(context(), exchange(1, first)).await.unwrap().sequence;
    assert_eq!(index.update(&ledger, |_| {}).unwrap().records, 1);
    let mut last = outcome(1, first);
    last.exchange = Some(step);
    writer.append(context(), last).await.unwrap();
    drop(writer);
    for (from, count) in [(10, 1), (20, 30), (60, 3), (70, 200)] {
        fill(&ledger, from..from + count).await;
        let indexed = index.update(&ledger, |_| {}).unwrap();
        assert!(!indexed.anew && indexed.records > 0, "{indexed:?}");
        assert_eq!(index.update(&ledger, |_| {}).unwrap().records, 0);
        drop(index);
        index = Index::open(&file).unwrap();
        found(&index, &ledger, &Query::default());
    }
    assert_eq!(
        found(&index, &ledger, &Query { verification: Some(verification(1)), ..Query::default() })[0].records().count(),
        3
    );
}

#[tokio::test]
async fn an_index_of_another_ledger_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (directory.path().join("one"), directory.path().join("other"));
    fill(&one, 0..100).await;
    fill(&other, 7..150).await;
    let mut index = Index::open(&directory.path().join("search.sqlite")).unwrap();
    index.update(&one, |_| {}).unwrap();
    assert!(index.update(&other, |_| {}).unwrap().anew);
    found(&index, &other, &Query::default());
    assert!(index.update(&one, |_| {}).unwrap().anew, "also of a shorter one");
    found(&index, &one, &Query::default());
}

#[tokio::test]
async fn a_row_that_leads_elsewhere_is_an_error_and_no_result() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, file) = (directory.path().join("ledger"), directory.path().join("search.sqlite"));
    fill(&ledger, 0..20).await;
    Index::open(&file).unwrap().update(&ledger, |_| {}).unwrap();
    for lie in [
        "UPDATE entry SET place = place + 1",
        "UPDATE entry SET segment = 99",
        "UPDATE entry SET (segment, place) = (SELECT segment, place FROM entry ORDER BY sequence LIMIT 1)",
        "UPDATE later SET (segment, place) = (SELECT segment, place FROM entry ORDER BY sequence LIMIT 1)",
        "UPDATE later SET first = 1 WHERE first > 1",
    ] {
        let copy = directory.path().join("altered.sqlite");
        std::fs::copy(&file, &copy).unwrap();
        rusqlite::Connection::open(&copy).unwrap().execute(lie, []).unwrap();
        let error =
            Index::open(&copy).unwrap().find(&ledger, &Query::default(), 1000, &mut BTreeSet::new()).unwrap_err();
        assert!(matches!(error, IndexError::Unfit { .. }), "{lie}: {error}");
        assert!(error.to_string().contains("make it anew"));
    }
    // Of what it says of a check, only the places count: the rest is read from the record.
    let copy = directory.path().join("altered.sqlite");
    std::fs::copy(&file, &copy).unwrap();
    rusqlite::Connection::open(&copy).unwrap().execute("UPDATE entry SET caller = 'branch'", []).unwrap();
    let branch = Query { caller: Some(CallerId::new("branch").unwrap()), ..Query::default() };
    let told = Index::open(&copy).unwrap().find(&ledger, &branch, 1000, &mut BTreeSet::new()).unwrap();
    assert_eq!(ids(&told), ids(&scanned(&ledger, &branch)));
}

#[tokio::test]
async fn a_damaged_ledger_is_not_taken_in() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    fill(&ledger, 0..20).await;
    let segment = ledger.join("00000001.seg");
    let mut octets = std::fs::read(&segment).unwrap();
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    std::fs::write(&segment, octets).unwrap();
    let mut index = Index::open(&directory.path().join("search.sqlite")).unwrap();
    assert!(matches!(index.update(&ledger, |_| {}), Err(IndexError::Ledger(_))));
    assert_eq!(index.tags_by_epoch().unwrap(), [], "not even in part");
}

#[tokio::test]
async fn a_check_that_a_crash_cut_off_is_unknown_and_one_without_an_end_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let (writer, _) = Ledger::open(&ledger, small(), clock()).unwrap();
    writer.append(context(), of(1)).await.unwrap();
    writer.append(context(), of(2)).await.unwrap();
    drop(writer);
    let open = |end| scanned(&ledger, &Query { end: Some(Wanted::Verdict(end)), ..Query::default() });
    assert_eq!(open("open".to_owned()).len(), 2);
    let (writer, recovery) = Ledger::open(&ledger, small(), clock()).unwrap();
    assert_eq!(writer.close_dangling(&recovery, &software()).await.unwrap(), 2);
    writer.append(context(), of(3)).await.unwrap();
    drop(writer);
    assert!(open("unknown".to_owned()).iter().all(|check| check.end == End::CutOff && check.last.is_some()));
    assert_eq!(open("unknown".to_owned()).len(), 2);
    assert_eq!(open("open".to_owned()).len(), 1);
}

#[tokio::test]
async fn a_report_counts_each_check_once_with_refusals_unknown_ends_and_what_was_turned_away() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    fill(&ledger, 0..100).await;
    let (writer, _) = Ledger::open(&ledger, small(), clock()).unwrap();
    for (until, count) in [(0, 5), (DAY, 7)] {
        let rejected = vec![Rejected { cause: Label::new("caller-unknown"), count }];
        let aggregate = Aggregate { from: at(0), until: at(until), rejected, shed: Vec::new() };
        writer.append(context(), Body::from(aggregate)).await.unwrap();
    }
    drop(writer);
    let report = Report::make(&ledger, &[Column::Caller, Column::Verdict], None, None).unwrap();
    let total = report.total;
    assert_eq!((total.checks, total.allowed, total.refused, total.unknown), (100, 75, 25, 25));
    assert_eq!((total.not_found, total.mismatches, total.matches, total.open), (25, 25, 0, 0));
    assert_eq!(report.rows.iter().map(|row| row.counts.checks).sum::<u64>(), 100);
    let row = report.rows.iter().find(|row| row.words == ["hotline", "mismatch"]).unwrap();
    assert_eq!((row.counts.checks, row.counts.mismatches), (8, 8));
    assert_eq!(report.turned_away.iter().map(|away| away.count).collect::<Vec<_>>(), [5, 7]);

    let day = Report::make(&ledger, &[Column::Day], Some(at(DAY)), Some(at(2 * DAY))).unwrap();
    assert_eq!((day.rows.len(), day.total.checks), (1, 25));
    assert_eq!(day.rows[0].words, ["2025-11-26"]);
    assert_eq!((day.turned_away.len(), day.turned_away[0].count), (1, 7));
    assert_eq!(Report::make(&ledger, &[], None, None).unwrap().rows.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_brought_up_to_date_at_any_moments_is_the_one_made_at_once(counts in proptest::collection::vec(1u64..60, 1..5)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let ledger = directory.path().join("ledger");
        let mut step_by_step = Index::open(&directory.path().join("steps.sqlite")).unwrap();
        let mut next = 0;
        for count in counts {
            runtime.block_on(fill(&ledger, next..next + count));
            next += count;
            step_by_step.update(&ledger, |_| {}).unwrap();
        }
        let mut at_once = Index::open(&directory.path().join("once.sqlite")).unwrap();
        at_once.update(&ledger, |_| {}).unwrap();
        let all = |index: &Index| ids(&index.find(&ledger, &Query::default(), 10_000, &mut BTreeSet::new()).unwrap());
        prop_assert_eq!(all(&step_by_step), all(&at_once));
        prop_assert_eq!(all(&at_once).len() as u64, next);
    }
}
