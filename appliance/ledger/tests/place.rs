//! One record by its place: what was appended comes back, and nothing else is taken for it.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use support::{clock, config, context, intent, outcome, refusal};
use yanqian_evidence::{LeafHash, Record};
use yanqian_ledger::{Appended, Ledger, PlaceError, read_record_at, read_records};

async fn filled(directory: &Path, records: u64) -> Vec<Appended> {
    let mut config = config();
    config.segment_octets = 4000;
    let (ledger, _) = Ledger::open(directory, config, clock()).unwrap();
    let mut appended = Vec::new();
    for n in 0..records {
        let begun = ledger.append(context(), intent(n)).await.unwrap();
        appended.push(begun);
        appended.push(ledger.append(context(), outcome(n, begun.sequence)).await.unwrap());
    }
    appended
}

fn at(directory: &Path, place: &Appended) -> Result<Vec<u8>, PlaceError> {
    read_record_at(directory, place.segment, place.offset, place.leaf)
}

#[tokio::test]
async fn every_record_is_found_where_its_append_said_over_all_segments() {
    let directory = tempfile::tempdir().unwrap();
    let appended = filled(directory.path(), 20).await;
    assert!(appended.last().unwrap().segment > 2);
    let entries = read_records(directory.path()).unwrap().map(Result::unwrap);
    for (place, entry) in appended.iter().zip(entries) {
        assert_eq!((place.segment, place.offset), (entry.segment, entry.offset));
        assert_eq!(Record::decode(&at(directory.path(), place).unwrap()), Ok(entry.record));
    }
}

#[tokio::test]
async fn another_record_and_another_place_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let appended = filled(directory.path(), 2).await;
    let stolen = Appended { leaf: appended[1].leaf, ..appended[0] };
    assert!(matches!(at(directory.path(), &stolen), Err(PlaceError::OtherRecord)));
    for offset in [0, 1, appended[0].offset - 1, appended[0].offset + 1] {
        let moved = Appended { offset, ..appended[0] };
        assert!(matches!(at(directory.path(), &moved), Err(PlaceError::Ledger(_))), "{offset}");
    }
}

#[tokio::test]
async fn a_place_beyond_the_durable_end_is_absent_and_a_broken_durable_record_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let appended = filled(directory.path(), 2).await;
    let file = directory.path().join("00000001.seg");
    let whole = std::fs::read(&file).unwrap();
    let length = whole.len() as u64;
    let last = appended.last().unwrap();
    for (segment, offset) in [(1, length), (1, u64::MAX), (2, 20), (9, last.offset)] {
        let beyond = Appended { segment, offset, ..*last };
        assert!(matches!(at(directory.path(), &beyond), Err(PlaceError::Absent)), "{segment} {offset}");
    }
    // A torn tail: octets that a crash left after the durable end.
    std::fs::write(&file, [&whole[..], &whole[usize::try_from(last.offset).unwrap()..]].concat()).unwrap();
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length + 150).unwrap();
    let torn = Appended { offset: length, leaf: LeafHash::new([0; 32]), ..*last };
    assert!(matches!(at(directory.path(), &torn), Err(PlaceError::Absent)));
    assert!(at(directory.path(), last).is_ok());
    // Cut or changed within what was durable.
    for change in [&whole[..whole.len() - 1], &[&whole[..whole.len() - 1], &[0xee]].concat()] {
        std::fs::write(&file, change).unwrap();
        let Err(PlaceError::Ledger(error)) = at(directory.path(), last) else { panic!("taken for a record") };
        assert_eq!(error.code(), "acknowledged-frame");
    }
    std::fs::remove_file(&file).unwrap();
    let Err(PlaceError::Ledger(error)) = at(directory.path(), last) else { panic!("taken for a record") };
    assert_eq!(error.code(), "segment-missing");
}

#[tokio::test]
async fn a_record_after_a_refused_one_stands_where_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(directory.path(), config(), clock()).unwrap();
    let batch: Vec<_> =
        (0..50)
            .map(|n| {
                if n % 7 == 3 {
                    ledger.submit(context(), outcome(n, 900))
                } else {
                    ledger.submit(context(), refusal(n))
                }
            })
            .collect();
    for append in batch {
        if let Ok(place) = append.unwrap().await {
            assert!(at(directory.path(), &place).is_ok());
        }
    }
}
