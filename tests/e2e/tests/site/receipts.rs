//! Receipts: what a caller takes home, proven offline by a program that shares no process, network or token with the
//! appliance.

use std::path::{Path, PathBuf};

use serde_json::Value;
use yanqian_harness::people::{self, NumberForm};
use yanqian_harness::{Caller, Form, Misbehaviour, Output, Reply, Site};

use crate::support::{assert_problem, assert_verdict, good, site, site_with};

/// A receipt in a file of its own.
struct Kept {
    directory: tempfile::TempDir,
    json: Value,
}

impl Kept {
    async fn of(caller: &Caller, reply: &Reply) -> Self {
        let receipt = caller.receipt(&reply.id()).await.unwrap();
        assert_eq!(receipt.status, 200, "{}", String::from_utf8_lossy(&receipt.body));
        assert_eq!(receipt.header("content-type"), "application/json");
        let kept = Self { directory: tempfile::tempdir().unwrap(), json: receipt.json() };
        std::fs::write(kept.file(), &receipt.body).unwrap();
        kept
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("receipt.json")
    }

    /// Writes another JSON in its place and has it verified.
    fn altered(&self, site: &Site, json: &Value) -> Output {
        let file = self.directory.path().join("altered.json");
        std::fs::write(&file, json.to_string()).unwrap();
        verified(site, &file)
    }
}

fn verified(site: &Site, file: &Path) -> Output {
    site.verify_receipt(file, &[]).unwrap()
}

#[track_caller]
fn assert_proven(output: &Output) {
    assert_eq!(output.code, Some(0), "{}", output.all());
}

#[track_caller]
fn assert_not_proven(output: &Output, what: &str) {
    assert_eq!(output.code, Some(1), "{what}: {}", output.all());
}

/// Every kind of end on one platform: a verdict, a refusal before the token, and an answer that was not believed.
async fn every_end_has_its_receipt(site: &Site) {
    let caller = site.caller("core-banking").unwrap();
    let matched = caller.ask(&good("receipt")).await.unwrap();
    assert_verdict(&matched, "match");
    let kept = Kept::of(&caller, &matched).await;
    assert_eq!((kept.json["v"].clone(), kept.json["state"].clone()), (1.into(), "pending".into()));
    assert_eq!(kept.json["verification"], matched.id().as_str());
    assert_proven(&verified(site, &kept.file()));

    let mut unwanted = good("refused");
    unwanted["purpose"] = "marketing".into();
    let refused = caller.ask(&unwanted).await.unwrap();
    assert_problem(&refused, 403, "agreement-purpose");
    assert_proven(&verified(site, &Kept::of(&caller, &refused).await.file()));

    site.sim().misbehave(Misbehaviour::OtherNonce, 1).await.unwrap();
    let unproven = caller.ask(&good("unproven")).await.unwrap();
    assert_problem(&unproven, 502, "platform-nonce");
    assert_proven(&verified(site, &Kept::of(&caller, &unproven).await.file()));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_has_a_receipt_that_verifies_offline() {
    every_end_has_its_receipt(&site().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_verify_on_a_platform_without_signed_attributes() {
    every_end_has_its_receipt(&site_with(|options| options.form(Form::Second)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_verify_on_a_platform_with_two_steps() {
    every_end_has_its_receipt(&site_with(|options| options.form(Form::TwoStep)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_verify_however_a_platform_signs() {
    for form in [Form::Attached, Form::SortedPairs, Form::CanonicalJson, Form::SignedBody] {
        every_end_has_its_receipt(&site_with(|options| options.form(form)).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_for_its_own_caller_and_outlives_a_restart() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let reply = caller.ask(&good("mine")).await.unwrap();
    let first = caller.receipt(&reply.id()).await.unwrap();
    let other = site.caller("branch-kiosk").unwrap();
    assert_problem(&other.receipt(&reply.id()).await.unwrap(), 404, "not-found");
    assert_problem(&caller.receipt("019adf3c-0000-7000-8000-000000000000").await.unwrap(), 404, "not-found");

    site.kill_daemon();
    site.start_daemon().await.unwrap();
    let again = site.caller("core-banking").unwrap().receipt(&reply.id()).await.unwrap();
    assert_eq!((again.status, again.body), (200, first.body));
}

/// One octet after the other, spread over everything that a receipt holds: records, certificates, lists, salt.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_with_an_altered_octet_is_refused() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let reply = caller.ask(&good("altered")).await.unwrap();
    let kept = Kept::of(&caller, &reply).await;
    for list in ["records", "leaf_hashes", "certificates", "revocation"] {
        let entries = kept.json[list].as_array().unwrap();
        assert!(!entries.is_empty(), "{list}");
        for (number, entry) in entries.iter().enumerate() {
            let text = entry.as_str().unwrap();
            for place in (0..8).map(|part| part * (text.len() - 4) / 7) {
                let mut altered = kept.json.clone();
                altered[list][number] = with_another_character(text, place).into();
                assert_not_proven(&kept.altered(&site, &altered), &format!("{list}[{number}] at {place}"));
            }
            let mut without = kept.json.clone();
            without[list].as_array_mut().unwrap().remove(number);
            // A certificate that the trust store has too may be missing.
            if list != "certificates" {
                assert_not_proven(&kept.altered(&site, &without), &format!("without {list}[{number}]"));
            }
        }
    }
    let another = caller.ask(&good("another")).await.unwrap();
    let another = Kept::of(&caller, &another).await;
    let mut mixed = kept.json.clone();
    mixed["records"][1] = another.json["records"][1].clone();
    mixed["leaf_hashes"][1] = another.json["leaf_hashes"][1].clone();
    assert_not_proven(&kept.altered(&site, &mixed), "another check's outcome");
}

fn with_another_character(text: &str, place: usize) -> String {
    let mut octets = text.as_bytes().to_vec();
    octets[place] = if octets[place] == b'0' { b'1' } else { b'0' };
    String::from_utf8(octets).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_opens_its_commitment_to_those_who_know_what_was_asked() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let request = people::about(&people::holder(NumberForm::PassportLetter), "committed");
    let reply = caller.ask(&request).await.unwrap();
    let kept = Kept::of(&caller, &reply).await;
    let fields = kept.directory.path().join("asked.json");
    let opened = |request: &Value| {
        std::fs::write(&fields, request.to_string()).unwrap();
        site.verify_receipt(&kept.file(), &["--fields", &fields.display().to_string()]).unwrap()
    };
    assert_proven(&opened(&request));
    let mut other = request.clone();
    other["document"]["name"] = "王小明".into();
    assert_not_proven(&opened(&other), "another name");
}
