#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use super::*;

const NUMBER: &str = "E12345678";

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_800_000_000_000 + millis)
}

/// Three epochs, the keys told apart by their octets.
fn ring() -> (tempfile::TempDir, KeyRing) {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::new(directory.path().join("search-keys"));
    ring.prepare().unwrap();
    for (number, octet) in [(1, 0xa1), (2, 0xb2), (3, 0xc3)] {
        ring.add(&EpochKey::new(number, at(number.into()), [octet; 32])).unwrap();
    }
    (directory, ring)
}

fn search(key: &EpochKey) -> Search {
    key.search(DocumentType::PrcPassport, NUMBER)
}

fn on_disk(directory: &Path, octets: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let held = fs::read(entry.unwrap().path()).unwrap();
        held.windows(octets.len()).any(|window| window == octets)
    })
}

#[test]
fn a_key_is_read_back_and_only_its_owner_may_read_it() {
    let (_directory, ring) = ring();
    let key = ring.key(2).unwrap().unwrap();
    assert_eq!((key.epoch(), key.begun()), (2, at(2)));
    assert_eq!(search(&key), search(&EpochKey::new(2, at(9), [0xb2; 32])));
    assert_eq!(ring.newest().unwrap().unwrap().epoch(), 3);
    assert!(ring.key(4).unwrap().is_none());
    for file in ring.key_files().unwrap() {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(&ring.directory).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(format!("{key:?}"), "EpochKey(2, ..)");
}

#[test]
fn a_destroyed_key_is_nowhere_and_its_number_is_not_given_again() {
    let (_directory, ring) = ring();
    let key = fs::read_to_string(ring.file(2, KEY)).unwrap();
    let digits = key.lines().last().unwrap().strip_prefix("key ").unwrap().to_owned();
    assert!(on_disk(&ring.directory, digits.as_bytes()), "the search finds what is there");
    // A second name of the same file shows what is left in its place on the disk.
    let link = ring.directory.join("link");
    fs::hard_link(ring.file(2, KEY), &link).unwrap();
    ring.destroy(2, at(50), 997).unwrap();
    assert!(!on_disk(&ring.directory, digits.as_bytes()));
    assert!(!on_disk(&ring.directory, &[0xb2; 4]));
    assert!(fs::read(&link).unwrap().iter().all(|octet| *octet == 0), "overwritten, not only unlinked");
    assert!(ring.key(2).unwrap().is_none());
    let destroyed = Destroyed { at: at(50), operator: 997, recorded: false };
    assert_eq!(ring.epochs().unwrap()[1], Epoch { number: 2, begun: at(2), destroyed: Some(destroyed) });
    ring.set_recorded(2).unwrap();
    assert!(ring.epochs().unwrap()[1].destroyed.unwrap().recorded);
    assert!(matches!(ring.destroy(2, at(60), 997), Err(KeyError::AlreadyDestroyed(2))));
    assert_eq!((ring.next(0).unwrap(), ring.next(7).unwrap()), (4, 8));
}

#[test]
fn the_key_in_use_and_one_that_never_was_are_not_destroyed() {
    let (_directory, ring) = ring();
    assert!(matches!(ring.destroy(3, at(50), 0), Err(KeyError::InUse(3))));
    assert!(matches!(ring.destroy(9, at(50), 0), Err(KeyError::NoSuchEpoch(9))));
    assert_eq!(ring.key_files().unwrap().len(), 3);
}

#[test]
fn a_destruction_that_a_crash_cut_off_counts_and_is_carried_on_with() {
    let (_directory, ring) = ring();
    ring.put_tombstone(1, at(1), &Destroyed { at: at(50), operator: 0, recorded: false }).unwrap();
    assert!(ring.file(1, KEY).exists());
    assert!(ring.key(1).unwrap().is_none(), "nothing is searched with it any more");
    ring.settle().unwrap();
    assert!(!ring.file(1, KEY).exists());
    ring.settle().unwrap();
    assert_eq!(ring.epochs().unwrap().len(), 3);
}

#[test]
fn an_order_to_destroy_that_was_not_carried_out_is_taken_up_again() {
    let (_directory, ring) = ring();
    let decided = Destroyed { at: at(50), operator: 7, recorded: false };
    ring.put_tombstone(1, at(1), &decided).unwrap();
    assert_eq!(ring.destroy(1, at(90), 8).unwrap(), decided, "as it was decided first");
    assert!(!ring.file(1, KEY).exists());
    // The file comes back, by a backup perhaps: it goes again before anything is recorded.
    ring.add(&EpochKey::new(1, at(1), [0xa1; 32])).unwrap();
    ring.carry_out(1).unwrap();
    assert!(!ring.file(1, KEY).exists());
}

#[test]
fn what_a_crash_left_unfinished_is_removed() {
    let (_directory, ring) = ring();
    let unfinished = ring.directory.join("epoch-4.key.new");
    fs::write(&unfinished, "yanqian search key 1\nepoch 4\n").unwrap();
    ring.prepare().unwrap();
    assert!(!unfinished.exists());
    assert_eq!(ring.next(0).unwrap(), 4);
}

#[test]
fn a_directory_that_is_not_there_has_no_epochs() {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::new(directory.path().join("absent"));
    assert_eq!(ring.epochs().unwrap(), []);
    assert!(ring.newest().unwrap().is_none());
    assert_eq!(ring.next(1).unwrap(), 2);
}

#[test]
fn an_altered_file_is_refused_by_its_name_and_its_key_is_not_told() {
    let (_directory, ring) = ring();
    let file = ring.file(2, KEY);
    let whole = fs::read_to_string(&file).unwrap();
    for altered in [
        whole.replace("epoch 2", "epoch 3"),
        whole.replace("search key 1", "search key 2"),
        whole.replace("b2b2", "B2b2"),
        whole.replace("b2\n", "b\n"),
        whole.replace("begun ", "began "),
        whole.repeat(20),
        String::new(),
    ] {
        fs::write(&file, altered).unwrap();
        let error = ring.key(2).unwrap_err().to_string();
        assert!(error.contains("epoch-2.key") && !error.contains("b2b2"), "{error}");
        assert!(ring.epochs().is_err());
    }
}
