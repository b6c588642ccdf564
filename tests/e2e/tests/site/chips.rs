//! What a chip is asked before its files are sent, and documents that are refused by form.

use serde_json::{Value, json};
use yanqian_harness::people::{self, Holder, NumberForm};
use yanqian_harness::{Site, Variant};

use crate::support::{Marks, assert_problem, assert_verdict, site};

/// Whom the simulator's variants make use of: somebody with a chip, one of the same kind before them.
fn holder() -> Holder {
    people::holder(NumberForm::PassportDigits)
}

async fn request(site: &Site, variant: Variant) -> Value {
    let holder = holder();
    people::chip_request(&holder, "chip", &site.sim().chip(&holder.number, variant).await.unwrap())
}

/// Puts the authority of the simulator's country beside the configuration and names it there.
async fn authenticate_chips(site: &mut Site) {
    let directory = site.places().etc().join("csca");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("csca.cer"), site.sim().chip_authority().await.unwrap()).unwrap();
    site.reconfigure("chip.csca_dir", "csca").unwrap();
    site.stop_daemon();
    site.start_daemon().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chip_that_is_not_authentic_is_refused_before_anything_is_sent() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let genuine = request(&site, Variant::Genuine).await;
    let reply = caller.ask(&genuine).await.unwrap();
    assert_verdict(&reply, "match");
    assert_eq!(reply.json()["passive_authentication"], "not-configured");

    authenticate_chips(&mut site).await;
    let caller = site.caller("core-banking").unwrap();
    let reply = caller.ask(&genuine).await.unwrap();
    assert_verdict(&reply, "match");
    assert_eq!(reply.json()["passive_authentication"], "passed");

    let mut other_picture = genuine.clone();
    other_picture["chip"]["dg2"] = people::chip_request(
        &holder(),
        "chip",
        &site.sim().chip(&people::holder(NumberForm::PassportLetter).number, Variant::Genuine).await.unwrap(),
    )["chip"]["dg2"]
        .take();
    for (body, code, field, rule) in [
        (request(&site, Variant::AlteredZone).await, "chip-digest", "chip.dg1", "The digest of DG1"),
        (other_picture, "chip-digest", "chip.dg2", "The digest of DG2"),
        (request(&site, Variant::ForeignSigner).await, "chip-signer", "chip.sod", "No configured country signing"),
    ] {
        let before = Marks::of(&site).await;
        let reply = caller.ask(&body).await.unwrap();
        assert_problem(&reply, 422, code);
        assert_eq!(reply.json()["field"], field);
        assert!(reply.json()["detail"].as_str().unwrap().starts_with(rule), "{}", reply.json());
        assert_eq!(before.since(&site).await, Marks::NOTHING);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stated_beside_a_chip_is_held_against_it_and_goes_nowhere() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let mut body = request(&site, Variant::Genuine).await;
    body["document"] = people::document(&holder());
    assert_verdict(&caller.ask(&body).await.unwrap(), "match");
    let seen = site.sim().seen().await.unwrap();
    let sent: Vec<_> = seen.iter().filter_map(|request| request.inner.as_ref()).map(Value::to_string).collect();
    assert!(!sent.is_empty() && !sent.iter().any(|inner| inner.contains(&holder().name)), "{sent:?}");

    body["document"]["expiry"] = json!("2049-12-31");
    let before = Marks::of(&site).await;
    let reply = caller.ask(&body).await.unwrap();
    assert_problem(&reply, 422, "chip-contradicts-field");
    assert_eq!(reply.json()["field"], "document.expiry");
    assert_eq!(before.since(&site).await, Marks::NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_number_names_field_and_rule_and_types_are_asked_only_where_the_agreement_has_them() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let mut body = people::about(&people::holder(NumberForm::ForeignResident2023), "typed");
    let number = body["document"]["number"].as_str().unwrap().to_owned();
    let last = if number.ends_with('1') { '2' } else { '1' };
    body["document"]["number"] = format!("{}{last}", &number[..17]).into();
    let reply = caller.ask(&body).await.unwrap();
    assert_problem(&reply, 422, "document-check-digit");
    assert_eq!(reply.json()["field"], "document.number");
    assert!(reply.json()["detail"].as_str().unwrap().contains("MOD 11-2"), "{}", reply.json());

    body["document"] = json!({
        "type": "resident-identity-card", "number": "11010519491231002X", "name": "张伟", "birth_date": "1949-12-31",
    });
    let before = Marks::of(&site).await;
    assert_problem(&caller.ask(&body).await.unwrap(), 403, "agreement-document-type");
    assert_eq!(before.since(&site).await, Marks::NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_with_a_document_that_the_profile_has_no_word_for_is_not_served() {
    let mut site = site().await;
    let file = site.places().agreement();
    let text = std::fs::read_to_string(&file).unwrap();
    let more = text.replacen("\"prc-passport\"", "\"prc-passport\", \"residence-permit\"", 1);
    assert_ne!(more, text);
    std::fs::write(&file, more).unwrap();
    site.stop_daemon();
    let error = site.start_daemon().await.expect_err("the daemon must not start").to_string();
    assert!(error.contains("no word for `residence-permit`"), "{error}");
}
