//! Formats are fixed from the first record: files written once, compared octet for octet ever after.
//! `UPDATE_GOLDEN=1` writes the files that are missing; it never changes one that is there.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use yanqian_evidence::verify::Place;
use yanqian_evidence::{Mark, Record, Verifier};

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder)
}

fn samples() -> [(&'static str, Vec<(&'static str, Record)>); 5] {
    [
        ("records-1", support::records()),
        ("records-2", support::records_2()),
        ("records-2-later", support::records_2_later()),
        ("records-3", support::records_3()),
        ("records-4", support::records_4()),
    ]
}

fn compare(file: &Path, octets: &[u8]) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !file.exists() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, octets).unwrap();
    }
    let golden = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(golden == octets, "{} differs from what is written now", file.display());
}

#[test]
fn every_kind_of_record_is_written_as_its_fixture() {
    for (folder, samples) in samples() {
        for (name, record) in samples {
            compare(&fixtures(folder).join(format!("{name}.cbor")), &record.encode());
        }
    }
}

#[test]
fn every_fixture_is_read_and_says_what_was_written() {
    for (folder, samples) in samples() {
        let mut count = 0;
        for entry in std::fs::read_dir(fixtures(folder)).unwrap() {
            let path = entry.unwrap().path();
            let record =
                Record::decode(&std::fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let name = path.file_stem().unwrap().to_str().unwrap();
            let (_, sample) = samples.iter().find(|(sample, _)| *sample == name).unwrap();
            assert_eq!(record, *sample, "{name}");
            count += 1;
        }
        assert_eq!(count, samples.len());
    }
}

/// The values that docs/ledger-format.md gives to the writer of a second reader.
fn compare_ledger(ledger: &support::Ledger, folder: &Path, records: u64) {
    compare(&folder.join("00000001.seg"), &ledger.segments[0]);
    compare(&folder.join("00000002.seg"), &ledger.segments[1]);
    let mut mark = vec![0; 1024];
    let (slot, at) = ledger.mark.encode();
    let at = usize::try_from(at).unwrap();
    mark[at..at + slot.len()].copy_from_slice(&slot);
    compare(&folder.join("durable.mark"), &mark);

    let mark = Mark::decode(&std::fs::read(folder.join("durable.mark")).unwrap());
    let mut verifier = Verifier::new(mark);
    verifier.segment(&std::fs::read(folder.join("00000001.seg")).unwrap(), Place::Sealed, |_| {}).unwrap();
    let place = Place::Last { durable: mark.unwrap().sequence };
    verifier.segment(&std::fs::read(folder.join("00000002.seg")).unwrap(), place, |_| {}).unwrap();
    let summary = verifier.summary();
    let known = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap().trim().to_owned();
    assert_eq!(summary.records, records);
    assert_eq!(summary.root.to_string(), known("root.hex"));
    assert_eq!(summary.chain.to_string(), known("chain.hex"));
}

#[test]
fn a_whole_ledger_is_written_as_its_fixture_and_proves_to_its_known_root() {
    compare_ledger(&support::ledger(), &fixtures("ledger-1"), 23);
}

#[test]
fn a_ledger_with_checks_of_two_steps_is_written_as_its_fixture_and_proves_to_its_known_root() {
    compare_ledger(&support::ledger_2(), &fixtures("ledger-2"), 7);
}
