//! What the archive promises: what was kept comes back as it was, or it says that it does not.
#![allow(clippy::unwrap_used)]

use yanqian_ledger::archive::MAX_ARCHIVED;
use yanqian_ledger::{Archive, ArchiveError, Archived};

#[test]
fn what_is_kept_comes_back_by_its_hash_and_by_its_kind() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("archive");
    let archive = Archive::open(&root).unwrap();
    let hash = archive.put(Archived::Certificate, b"certificate").unwrap();
    assert_eq!(hash, yanqian_sm::sm3(&[b"certificate"]));
    assert_eq!(archive.put(Archived::Certificate, b"certificate").unwrap(), hash);
    assert_eq!(Archive::read_only(&root).get(Archived::Certificate, &hash).unwrap(), b"certificate");
    assert!(matches!(archive.get(Archived::Crl, &hash), Err(ArchiveError::Absent)));
    let name = yanqian_vocabulary::ContentDigest::new(hash).to_string();
    assert!(root.join("certificates").join(name + ".der").is_file());
    assert_eq!(std::fs::read_dir(root.join("certificates")).unwrap().count(), 1, "nothing else is left there");
}

#[test]
fn a_damaged_file_is_told_and_healed_by_the_right_octets() {
    let directory = tempfile::tempdir().unwrap();
    let hash = Archive::open(directory.path()).unwrap().put(Archived::Crl, b"list").unwrap();
    let file = std::fs::read_dir(directory.path().join("crls")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, b"lisT").unwrap();
    let archive = Archive::open(directory.path()).unwrap();
    assert!(matches!(archive.get(Archived::Crl, &hash), Err(ArchiveError::Damaged)));
    archive.put(Archived::Crl, b"list").unwrap();
    assert_eq!(archive.get(Archived::Crl, &hash).unwrap(), b"list");
}

#[test]
fn an_unfinished_file_of_a_killed_process_is_no_archived_file_and_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::open(directory.path()).unwrap();
    let hash = yanqian_sm::sm3(&[b"list"]);
    let name = yanqian_vocabulary::ContentDigest::new(hash).to_string();
    std::fs::write(directory.path().join("crls").join(name + ".new"), b"li").unwrap();
    assert!(matches!(archive.get(Archived::Crl, &hash), Err(ArchiveError::Absent)));
    archive.put(Archived::Crl, b"list").unwrap();
    assert_eq!(archive.get(Archived::Crl, &hash).unwrap(), b"list");
}

#[test]
fn many_threads_keep_the_same_and_all_of_it_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::open(directory.path()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..20u8 {
                    archive.put(Archived::Certificate, &[n; 100]).unwrap();
                }
            });
        }
    });
    for n in 0..20u8 {
        let hash = yanqian_sm::sm3(&[&[n; 100]]);
        assert_eq!(archive.get(Archived::Certificate, &hash).unwrap(), [n; 100]);
    }
}

#[test]
fn what_is_too_large_is_neither_kept_nor_read() {
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::open(directory.path()).unwrap();
    assert!(matches!(archive.put(Archived::Crl, &vec![0; MAX_ARCHIVED + 1]), Err(ArchiveError::TooLarge)));
    let hash = archive.put(Archived::Crl, b"small").unwrap();
    let file = std::fs::read_dir(directory.path().join("crls")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, vec![0; MAX_ARCHIVED + 1]).unwrap();
    assert!(matches!(archive.get(Archived::Crl, &hash), Err(ArchiveError::TooLarge)));
}
