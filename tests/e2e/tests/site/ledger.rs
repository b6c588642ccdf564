//! The evidence: what it counts, that it verifies, and that it notices.

use std::path::PathBuf;

use yanqian_harness::people;
use yanqian_harness::{Misbehaviour as M, Record, Site};

use crate::support::{assert_verdict, good, site};

/// A bit of everything.
async fn mixture(site: &Site) {
    let caller = site.caller("core-banking").unwrap();
    for number in 0..5 {
        assert_verdict(&caller.ask(&good(&format!("m-{number}"))).await.unwrap(), "match");
    }
    let mut other = good("n");
    other["document"]["name"] = "王小明".into();
    assert_verdict(&caller.ask(&other).await.unwrap(), "mismatch");
    other["document"]["number"] = people::free_passport_number().into();
    assert_verdict(&caller.ask(&other).await.unwrap(), "not-found");
    for misbehaviour in [M::BrokenSignature, M::RevokedSigner, M::CloseBeforeAnswer] {
        site.sim().misbehave(misbehaviour, 1).await.unwrap();
        assert_ne!(caller.ask(&good("r")).await.unwrap().status, 200);
    }
    for (pointer, value) in [("/purpose", "marketing"), ("/document/number", "E1"), ("/document/type", "x")] {
        let mut wrong = good("w");
        *wrong.pointer_mut(pointer).unwrap() = value.into();
        assert_ne!(caller.ask(&wrong).await.unwrap().status, 200);
    }
    // Repeats make no record and no count of their own.
    for _ in 0..3 {
        assert_verdict(&caller.ask_once("key", &good("k")).await.unwrap(), "match");
    }
    assert_eq!(site.caller("stranger").unwrap().ask(&good("s")).await.unwrap().status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_ledger_count_the_same() {
    let site = site().await;
    mixture(&site).await;
    let metrics = site.metrics().await.unwrap();
    let records = site.ledger_records().unwrap();
    let (verdicts, reasons) = Record::count_ends(&records);
    assert_eq!(metrics.by_label("yanqian_verdicts_total", "verdict"), verdicts);
    assert_eq!(metrics.by_label("yanqian_refusals_total", "reason"), reasons);
    assert_eq!(verdicts.values().sum::<u64>(), 8);
    assert_eq!(reasons.values().sum::<u64>(), 6);
    let intents = records.iter().filter(|record| record.kind() == "intent").count() as u64;
    assert_eq!(metrics.sum("yanqian_signatures_total"), intents);
    assert_eq!(site.sim().stats().await.unwrap().requests, intents);
    assert_eq!(metrics.sum("yanqian_ledger_records"), records.len() as u64);
    assert_eq!(metrics.sum("yanqian_rejected_total"), 1);
    assert_eq!(metrics.value("yanqian_checks_in_flight"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_has_its_intent_before_it_and_names_its_key_and_agreement() {
    let site = site().await;
    mixture(&site).await;
    let records = site.ledger_records().unwrap();
    let list = site.yanqian_as_worker(&[
        "hsm",
        "list",
        "--json",
        "--config",
        &site.places().worker_config().display().to_string(),
    ]);
    let keys = list.unwrap().stdout;
    for (place, record) in records.iter().enumerate() {
        assert_eq!(record.sequence(), (place + 1).to_string());
        assert!(keys.contains(&record.key_id()) && !record.key_id().is_empty(), "{keys}");
        assert_eq!(record.text("/context/grade"), "development");
        // Of both pairs, key and certificate are those that the token lists.
        let pair = ["certificate", "encryption_key", "encryption_certificate"]
            .map(|name| record.text(&format!("/context/{name}")));
        assert!(pair.iter().all(|hash| hash.len() == 64 && keys.contains(hash.as_str())), "{pair:?} in {keys}");
        assert!(pair[1] != record.key_id() && pair[2] != pair[0], "two pairs");
        if record.kind() == "outcome" {
            let intent: usize = record.text("/body/intent").parse().unwrap();
            assert!(intent <= place);
            assert_eq!(records[intent - 1].verification(), record.verification());
            assert_eq!(records[intent - 1].kind(), "intent");
        }
    }
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

fn segments(site: &Site) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(site.places().ledger())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.metadata().unwrap().len() > 1000)
        .filter(|file| !file.file_name().unwrap().to_string_lossy().contains("mark"))
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_anywhere_in_the_records_is_found() {
    let mut site = site().await;
    mixture(&site).await;
    site.stop_daemon().expect("an orderly stop");
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
    let segment = segments(&site).pop().expect("a segment with records");
    let whole = std::fs::read(&segment).unwrap();
    for part in 1..8 {
        let mut octets = whole.clone();
        let at = octets.len() * part / 8;
        octets[at] ^= 0x10;
        std::fs::write(&segment, &octets).unwrap();
        let output = site.ledger_verify().unwrap();
        assert_eq!(output.code, Some(1), "octet {at} of {}: {}", whole.len(), output.all());
        assert!(!output.stderr.trim().is_empty());
    }
    // Records that were acknowledged and are gone are missed, too.
    std::fs::write(&segment, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(site.ledger_verify().unwrap().code, Some(1));
    std::fs::write(&segment, &whole).unwrap();
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_does_not_start_on_a_damaged_ledger() {
    let mut site = site().await;
    mixture(&site).await;
    site.stop_daemon().expect("an orderly stop");
    let segment = segments(&site).pop().expect("a segment with records");
    let whole = std::fs::read(&segment).unwrap();
    let mut octets = whole.clone();
    let at = octets.len() / 3;
    octets[at] ^= 1;
    std::fs::write(&segment, &octets).unwrap();
    let error = site.start_daemon().await.expect_err("a damaged ledger").to_string();
    assert!(error.contains("ledger"), "{error}");
    std::fs::write(&segment, &whole).unwrap();
    site.start_daemon().await.unwrap();
    assert_verdict(&site.caller("core-banking").unwrap().ask(&good("r")).await.unwrap(), "match");
}
