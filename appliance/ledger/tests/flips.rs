//! One bit of anything that is stored: `ledger verify` names the segment, record or file, at both depths.
#![allow(clippy::unwrap_used)]

mod support;

use support::sim_disk::SimDisk;
use support::{clock, config, context, intent, outcome, refusal};
use yanqian_evidence::segment::SegmentHeader;
use yanqian_ledger::storage::Storage;
use yanqian_ledger::{Archive, Archived, Depth, Ledger, OpenError, Sound, sound_storage};

fn verify(disk: &SimDisk, depth: Depth) -> Result<Sound, OpenError> {
    let again = disk.clone();
    sound_storage(disk, &move || Ok(Box::new(again.clone()) as Box<dyn Storage>), depth, &mut |_| {})
}

/// A ledger of some segments with checks, one of them open.
async fn ledger() -> SimDisk {
    let disk = SimDisk::default();
    let mut config = config();
    config.segment_octets = 2500;
    config.reserve_octets = 1000;
    let (ledger, _) = Ledger::open_storage(Box::new(disk.clone()), config, clock()).unwrap();
    for n in 0..5 {
        let begun = ledger.append(context(), intent(n)).await.unwrap().sequence;
        ledger.append(context(), outcome(n, begun)).await.unwrap();
        ledger.append(context(), refusal(100 + n)).await.unwrap();
    }
    ledger.append(context(), intent(50)).await.unwrap();
    drop(ledger);
    disk
}

#[tokio::test]
async fn a_whole_ledger_verifies_at_both_depths_and_fast_says_how_much_it_read() {
    let disk = ledger().await;
    let (fast, full) = (verify(&disk, Depth::Fast).unwrap(), verify(&disk, Depth::Full).unwrap());
    assert_eq!((full.records, full.proven, full.summary.records), (16, 16, 16));
    assert!(full.segments > 2 && fast.proven < full.proven, "{fast:?}");
    assert_eq!((fast.records, fast.segments, fast.octets), (full.records, full.segments, full.octets));
    assert_eq!(fast.summary.chain, full.summary.chain);
}

#[tokio::test]
async fn any_one_bit_of_any_segment_is_found_at_both_depths_and_its_segment_is_named() {
    let disk = ledger().await;
    for name in disk.segments() {
        let number = yanqian_evidence::segment::number_of(&name).unwrap();
        let whole = disk.read(&name).unwrap();
        let (_, header) = SegmentHeader::decode(&whole).unwrap();
        for at in 0..whole.len() {
            let bits = if at < header { 0..8 } else { at % 8..at % 8 + 1 };
            for bit in bits {
                disk.tamper(&name, |octets| octets[at] ^= 1 << bit);
                for depth in [Depth::Fast, Depth::Full] {
                    let error = verify(&disk, depth).expect_err(&format!("{name}, octet {at}, bit {bit}, {depth:?}"));
                    let said = error.to_string();
                    assert!(said.starts_with(&format!("segment {number}, offset ")), "{name}, octet {at}: {said}");
                }
                disk.tamper(&name, |octets| octets[at] ^= 1 << bit);
            }
        }
    }
    verify(&disk, Depth::Full).unwrap();
}

#[tokio::test]
async fn any_one_bit_of_the_mark_is_found_in_either_slot_and_beside_them() {
    let disk = ledger().await;
    for at in 0..disk.read("durable.mark").unwrap().len() {
        disk.tamper("durable.mark", |octets| octets[at] ^= 1 << (at % 8));
        for depth in [Depth::Fast, Depth::Full] {
            let error = verify(&disk, depth).expect_err(&format!("octet {at}"));
            assert_eq!(error.to_string(), format!("durable.mark, slot {}: not as it was written", at / 512));
        }
        disk.tamper("durable.mark", |octets| octets[at] ^= 1 << (at % 8));
    }
    disk.tamper("durable.mark", |octets| octets.push(0));
    assert_eq!(verify(&disk, Depth::Fast).unwrap_err().code(), "mark-damaged");
}

#[test]
fn any_one_bit_of_an_archived_file_is_found_and_the_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::open(directory.path()).unwrap();
    let names = [(Archived::Certificate, "certificates"), (Archived::Crl, "crls"), (Archived::Ocsp, "ocsp")];
    for (kind, folder) in names {
        let hash = archive.put(kind, folder.as_bytes()).unwrap();
        let name = format!("{folder}/{}.der", yanqian_vocabulary::ContentDigest::new(hash));
        let file = directory.path().join(&name);
        for at in 0..folder.len() {
            let mut octets = folder.as_bytes().to_vec();
            octets[at] ^= 1 << (at % 8);
            std::fs::write(&file, octets).unwrap();
            let error = archive.verify().unwrap_err().to_string();
            assert_eq!(error, format!("{name}: not what its name says"));
        }
        std::fs::write(&file, folder).unwrap();
    }
    std::fs::write(directory.path().join("crls/unfinished.new"), "half").unwrap();
    assert_eq!(archive.verify().unwrap(), 3);
    std::fs::write(directory.path().join("crls/stray.der"), "x").unwrap();
    assert!(archive.verify().unwrap_err().to_string().starts_with("crls/stray.der: "));
}
