//! Anchored receipts with every octet in its turn changed, written down for the receipt page to agree with
//! (support/corpus.rs).
#![allow(clippy::unwrap_used)]

mod support;

use support::corpus::{self, Judged};
use support::ledger::Ledger;
use support::{Site, Story, failures};
use yanqian_evidence::{Receipt, SignedCheckpoint};
use yanqian_verify::{Options, Trust, verify_json};
use yanqian_vocabulary::Timestamp;

fn judged(site: &Site, json: &[u8], at: Option<Timestamp>) -> Vec<&'static str> {
    let trust = Trust::load(&site.layout.trust(), 0).unwrap();
    let report = verify_json(json, &trust, &Options { at, asked: None });
    corpus::write(json, &site.layout.trust(), &Judged { at, ..Judged::default() }, &report);
    failures(&report)
}

fn anchored(site: &Site, ledger: &Ledger, minimum: usize) -> Receipt {
    std::fs::write(site.layout.trust().join("ledgers.toml"), ledger.toml(minimum)).unwrap();
    let receipt = Story::two_steps(site).receipt();
    let anchor = ledger.anchor(&receipt, site.now.plus_millis(1));
    receipt.anchored(anchor).unwrap()
}

#[test]
fn no_octet_of_an_anchored_file_can_be_another() {
    let site = Site::new();
    let json = anchored(&site, &Ledger::new(), 1).to_json().into_bytes();
    assert_eq!(judged(&site, &json, None), [""; 0]);
    let anchor = json.windows(8).position(|window| window == b"\"anchor\"").unwrap();
    for at in (0..anchor).step_by(397).chain((anchor..json.len()).step_by(7)) {
        let mut changed = json.clone();
        changed[at] ^= 1 << (at % 8);
        assert_ne!(judged(&site, &changed, None), [""; 0], "octet {at}");
    }
}

#[test]
fn an_anchor_that_holds_keeps_a_receipt_and_one_that_does_not_keeps_none() {
    let site = Site::new();
    let ledger = Ledger::new();
    let good = anchored(&site, &ledger, 1);
    let later = Some(site.now.plus_millis(400 * 86_400_000));
    assert_eq!(judged(&site, good.to_json().as_bytes(), later), [""; 0]);

    let with = |change: &dyn Fn(&mut yanqian_evidence::Anchor)| {
        let mut changed = good.clone();
        change(changed.anchor.as_mut().unwrap());
        judged(&site, changed.to_json().as_bytes(), None)
    };
    assert_eq!(with(&|anchor| anchor.proofs.swap(0, 1)), ["anchor"]);
    assert_eq!(with(&|anchor| anchor.proofs[1].path.truncate(3)), ["anchor"]);
    assert_eq!(with(&|anchor| anchor.proofs[1].index = u64::from(u32::MAX)), ["anchor"]);
    assert_eq!(with(&|anchor| anchor.proofs.truncate(2)), ["format"]);
    assert_eq!(with(&|anchor| anchor.checkpoint = anchor.checkpoint.without_witnesses()), ["anchor"]);
    let sign = |change: &dyn Fn(&mut yanqian_evidence::Checkpoint)| {
        with(&|anchor| {
            let mut checkpoint = anchor.checkpoint.checkpoint.clone();
            change(&mut checkpoint);
            let mut signed = SignedCheckpoint::new(checkpoint.clone(), ledger.keeper.sign(&checkpoint));
            signed.add(ledger.witness.sign(&checkpoint)).unwrap();
            anchor.checkpoint = signed;
        })
    };
    assert_eq!(sign(&|_| ()), [""; 0]);
    assert_eq!(sign(&|checkpoint| checkpoint.size = 41), ["anchor"]);
    assert_eq!(sign(&|checkpoint| checkpoint.time = site.now.plus_millis(-1)), ["anchor"]);
    std::fs::remove_file(site.layout.trust().join("ledgers.toml")).unwrap();
    assert_eq!(judged(&site, good.to_json().as_bytes(), later).last(), Some(&"anchor"));
    anchored(&site, &Ledger::new(), 0);
    assert_eq!(judged(&site, good.to_json().as_bytes(), None), ["anchor"], "another ledger's key");
}
