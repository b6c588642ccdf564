//! Anchored receipts: what an anchor proves, and what is no anchor.
#![allow(clippy::unwrap_used)]

mod support;

use support::ledger::{Keeper, Ledger, ORIGIN, WITNESS};
use support::{Site, Story, asked, failures};
use yanqian_evidence::{Anchor, Der, LeafHash, Origin, Receipt, Record, RootHash, SignedCheckpoint};
use yanqian_verify::{Finding, Ledgers, Options, Report, Trust, verify_json};

struct Scene {
    trust: Trust,
    story: Story,
    receipt: Receipt,
    ledger: Ledger,
}

impl Scene {
    fn new() -> Self {
        let site = Site::new();
        let ledger = Ledger::new();
        let story = Story::two_steps(&site);
        let receipt = story.receipt();
        let trust = Trust { ledgers: Some(ledger.ledgers()), ..site.trust() };
        Self { trust, story, receipt, ledger }
    }

    fn anchor(&self) -> Anchor {
        self.ledger.anchor(&self.receipt, self.story.at.plus_millis(1))
    }

    fn report(&self, anchor: Anchor) -> Report {
        report(&self.trust, &self.receipt, anchor, &asked())
    }

    /// The anchor is refused, with these words, and nothing else is.
    fn refuses(&self, anchor: Anchor, words: &str) {
        let report = self.report(anchor);
        assert_eq!(failures(&report), ["anchor"]);
        let says = &report.checks.iter().find(|check| check.step == "anchor").unwrap().says;
        assert!(says.contains(words), "{says}");
    }
}

fn report(trust: &Trust, receipt: &Receipt, anchor: Anchor, options: &Options) -> Report {
    let json = receipt.clone().anchored(anchor).unwrap().to_json();
    verify_json(json.as_bytes(), trust, options)
}

fn finding(report: &Report, step: &str) -> (Finding, String) {
    let check = report.checks.iter().find(|check| check.step == step).unwrap();
    (check.finding, check.says.clone())
}

#[test]
fn an_anchored_receipt_holds_and_says_who_signed_and_cosigned() {
    let scene = Scene::new();
    let report = scene.report(scene.anchor());
    assert_eq!(failures(&report), <[&str; 0]>::default());
    let (found, says) = finding(&report, "anchor");
    assert_eq!(found, Finding::Proven);
    assert!(says.contains("50 records") && says.contains(ORIGIN) && says.contains(WITNESS), "{says}");
    assert_eq!(finding(&report, "timestamp").0, Finding::NotApplicable);
}

#[test]
fn an_anchor_needs_a_ledger_key_that_the_auditor_was_told_of() {
    let mut scene = Scene::new();
    scene.trust.ledgers = None;
    scene.refuses(scene.anchor(), "ledgers.toml");
    scene.trust.ledgers = Some(Ledgers::default());
    scene.refuses(scene.anchor(), "names no key for the ledger");
    let (ledgers, strangers) = (scene.ledger.ledgers(), Ledger::new().ledgers());
    scene.trust.ledgers = Some(strangers.clone());
    scene.refuses(scene.anchor(), "the first signature is not of key");
    // The origin's earlier key stands beside the one in use.
    let both = Ledgers { ledgers: [strangers.ledgers, ledgers.ledgers.clone()].concat(), ..ledgers.clone() };
    scene.trust.ledgers = Some(both);
    assert!(scene.report(scene.anchor()).holds());
    // A key is for its origin only.
    let other = (Origin::new("example-bank/node-3").unwrap(), ledgers.ledgers[0].1.clone());
    scene.trust.ledgers = Some(Ledgers { ledgers: vec![other], ..ledgers });
    scene.refuses(scene.anchor(), "names no key for the ledger");
}

#[test]
fn as_many_witnesses_as_the_auditor_wants_must_have_cosigned() {
    let mut scene = Scene::new();
    let mut anchor = scene.anchor();
    anchor.checkpoint = anchor.checkpoint.without_witnesses();
    scene.refuses(anchor.clone(), "0 of the listed witnesses cosigned, and 1 must have");
    // A stranger's line is no witness's.
    let stranger = Keeper::new(WITNESS);
    let mut padded = anchor.clone();
    padded.checkpoint.add(stranger.sign(&anchor.checkpoint.checkpoint)).unwrap();
    scene.refuses(padded, "0 of the listed witnesses");
    scene.trust.ledgers.as_mut().unwrap().minimum_witnesses = 0;
    assert!(scene.report(anchor.clone()).holds());
    // But a listed witness's line that is false is a lie, wanted or not.
    let mut other = anchor.checkpoint.checkpoint.clone();
    other.time = other.time.plus_millis(1);
    anchor.checkpoint.add(scene.ledger.witness.sign(&other)).unwrap();
    scene.refuses(anchor, "does not verify");
}

#[test]
fn records_that_are_not_in_the_signed_tree_are_not_anchored() {
    let scene = Scene::new();
    let good = scene.anchor();

    let mut anchor = good.clone();
    anchor.proofs.swap(0, 1);
    scene.refuses(anchor, "record 1");

    let mut anchor = good.clone();
    anchor.proofs[2].path[0] = RootHash::new([7; 32]);
    scene.refuses(anchor, "record 3: the proof does not lead");

    // A tree without the record, honestly signed.
    let (mut checkpoint, _) = Ledger::checkpoint(&scene.receipt, scene.story.at);
    checkpoint.root = RootHash::from(LeafHash::new([7; 32]));
    let signed = SignedCheckpoint::new(checkpoint.clone(), scene.ledger.keeper.sign(&checkpoint));
    scene.refuses(Anchor { checkpoint: signed, ..good.clone() }, "record 1: the proof does not lead");

    // A tree in which it stands in another place than its sequence says: its order in the ledger would be another.
    let mut story = scene.story.clone();
    story.outcome.exchange = Some(43);
    story.exchange.as_mut().unwrap().intent = 42;
    story.outcome.intent = 42;
    let records = story.records().into_iter().map(|record| Record { sequence: record.sequence + 1, ..record }.encode());
    let moved = Receipt::new(records.collect(), story.certificates, story.lists, story.salt).unwrap();
    let anchor = scene.ledger.anchor(&moved, scene.story.at);
    let report = report(&scene.trust, &moved, anchor, &asked());
    assert_eq!(failures(&report), ["anchor"]);
    assert!(finding(&report, "anchor").1.contains("sequence 42 and leaf index 40"));
}

#[test]
fn a_checkpoint_is_not_before_the_records_that_it_covers() {
    let scene = Scene::new();
    let at = scene.story.at;
    assert!(scene.report(scene.ledger.anchor(&scene.receipt, at)).holds());
    scene.refuses(scene.ledger.anchor(&scene.receipt, at.plus_millis(-1)), "after the checkpoint's");
}

#[test]
fn an_anchor_lets_a_receipt_outlive_its_certificates() {
    let scene = Scene::new();
    let years = 10 * 365 * 86_400_000;
    let later = || Options { at: Some(scene.story.at.plus_millis(years)), ..asked() };
    let pending = verify_json(scene.receipt.to_json().as_bytes(), &scene.trust, &later());
    assert!(failures(&pending).contains(&"platform-chain"), "nothing shows that it existed before they expired");
    let anchored = report(&scene.trust, &scene.receipt, scene.anchor(), &later());
    assert_eq!(failures(&anchored), <[&str; 0]>::default());
    assert_eq!(anchored.at, Some(scene.story.at.plus_millis(1)), "as of the checkpoint's time");
    // A checkpoint made after they had expired shows nothing of the kind, and one that does not hold nothing at all.
    let late = scene.ledger.anchor(&scene.receipt, scene.story.at.plus_millis(years));
    assert!(failures(&report(&scene.trust, &scene.receipt, late, &later())).contains(&"platform-chain"));
    let mut false_anchor = scene.anchor();
    false_anchor.proofs.swap(0, 1);
    let found = failures(&report(&scene.trust, &scene.receipt, false_anchor, &later())).join(" ");
    assert!(found.contains("platform-chain") && found.contains("anchor"), "{found}");
}

#[test]
fn a_time_stamp_token_is_told_and_not_judged() {
    let scene = Scene::new();
    let anchor = Anchor { timestamp: Some(Der::new([0x30, 0]).unwrap()), ..scene.anchor() };
    let report = scene.report(anchor);
    assert!(report.holds());
    assert!(finding(&report, "timestamp").1.contains("its authority's own tools"));
}

#[test]
fn a_trust_directory_with_a_broken_list_of_ledgers_is_not_used() {
    let site = Site::new();
    let ledger = Ledger::new();
    let file = site.layout.trust().join("ledgers.toml");
    std::fs::write(&file, ledger.toml(0)).unwrap();
    assert_eq!(Trust::load(&site.layout.trust(), 0).unwrap().ledgers.unwrap().witnesses.len(), 1);
    std::fs::write(&file, ledger.toml(2)).unwrap();
    let error = Trust::load(&site.layout.trust(), 0).unwrap_err().to_string();
    assert!(error.contains("ledgers.toml: `minimum_witnesses`"), "{error}");
}
