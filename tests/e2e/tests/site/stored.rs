//! What a daemon stored of its evidence: `ledger verify` finds a flipped bit in any file of it, and misses what records name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use yanqian_harness::{Misbehaviour as M, Output, Site};

use crate::searching::files;
use crate::support::{assert_verdict, good, site_with, within};

/// Bits flipped in each file.
const FLIPS: usize = 4;

/// A site that answered, refused and made checkpoints, stopped.
async fn stopped() -> Site {
    let mut site = site_with(|mut options| {
        options.checkpoints = Some(1);
        options
    })
    .await;
    let caller = site.caller("core-banking").unwrap();
    for n in 0..3 {
        assert_verdict(&caller.ask(&good(&format!("s-{n}"))).await.unwrap(), "match");
    }
    for misbehaviour in [M::BrokenSignature, M::RevokedSigner, M::CloseBeforeAnswer] {
        site.sim().misbehave(misbehaviour, 1).await.unwrap();
        assert_ne!(caller.ask(&good("r")).await.unwrap().status, 200);
    }
    let published = site.places().state().join("tree/checkpoint");
    within(Duration::from_mins(1), "a checkpoint").until(async || published.exists().then_some(())).await;
    site.stop_daemon().expect("an orderly stop");
    site
}

fn verify(site: &Site, more: &[&str]) -> Output {
    let ledger = site.places().ledger().display().to_string();
    let arguments: Vec<&str> = ["ledger", "verify"].iter().chain(more).copied().chain([ledger.as_str()]).collect();
    site.yanqian(&arguments).unwrap()
}

fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_any_stored_file_of_the_evidence_is_found_and_its_place_is_named() {
    let site = stopped().await;
    let whole = verify(&site, &[]);
    assert_eq!(whole.code, Some(0), "{}", whole.all());
    assert!(
        whole.stdout.contains("that these records name") && !whole.stdout.contains("not proven"),
        "{}",
        whole.stdout
    );
    let rooms = ["ledger", "archive", "tree", "checkpoints"].map(|room| site.places().state().join(room));
    for room in rooms {
        // The reserve's octets mean nothing.
        let stored: Vec<PathBuf> = files(&room).into_iter().filter(|file| name(file) != "reserve").collect();
        assert!(stored.len() >= 2, "{}: {stored:?}", room.display());
        for file in stored {
            let good = std::fs::read(&file).unwrap();
            for flip in 0..FLIPS {
                let at = good.len() * (2 * flip + 1) / (2 * FLIPS);
                let mut bad = good.clone();
                bad[at] ^= 1 << (flip * 3 % 8);
                std::fs::write(&file, bad).unwrap();
                let found = verify(&site, &[]);
                assert_eq!(found.code, Some(1), "{} octet {at}: {}", file.display(), found.all());
                let place = name(&file).strip_suffix(".seg").map(|number| number.trim_start_matches('0'));
                let place = place.map_or_else(|| name(&file).to_owned(), |number| format!("segment {number}, offset"));
                assert!(found.stderr.contains(&place), "{} octet {at}: {}", file.display(), found.stderr);
            }
            std::fs::write(&file, good).unwrap();
        }
    }
    assert_eq!(verify(&site, &[]).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_file_that_is_gone_is_missed_by_the_record_that_names_it() {
    let site = stopped().await;
    let archive = site.places().state().join("archive");
    for folder in ["certificates", "crls"] {
        let mut missed = 0;
        for file in files(&archive.join(folder)) {
            let good = std::fs::read(&file).unwrap();
            std::fs::remove_file(&file).unwrap();
            let found = verify(&site, &[]);
            if found.code != Some(0) {
                missed += 1;
                let said = format!("{folder}/{}: missing, and record ", name(&file));
                assert!(found.stderr.contains(&said), "{}", found.all());
                assert_eq!(verify(&site, &["--without-archive"]).code, Some(0));
            }
            std::fs::write(&file, good).unwrap();
        }
        assert!(missed > 0, "{folder}: what records name is missed");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let empty = verify(&site, &["--archive", elsewhere.path().to_str().unwrap()]);
    assert!(empty.code == Some(1) && empty.stderr.contains("missing, and record 1 names it"), "{}", empty.all());
}
