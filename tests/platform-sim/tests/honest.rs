//! An honest platform: right answers to right requests, and a reason for every wrong one.

#![allow(clippy::unwrap_used)]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{World, https, new_entity};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use yanqian_platform_sim::numbers::NumberForm;
use yanqian_platform_sim::{Form, sm};

#[test]
fn every_number_form_is_matched_in_both_wire_forms() {
    for (form, code) in [(Form::Reference, "resultCode"), (Form::Second, "outcome")] {
        let world = World::new(form);
        for number in NumberForm::ALL {
            let answer = world.check(&world.ask(world.holder(number))).unwrap();
            assert_eq!(answer[code], if form == Form::Reference { "0000" } else { "MATCH" }, "{number:?}");
        }
        assert_eq!(world.running.stats().duplicates, 0);
        assert_eq!(world.running.stats().nonces, NumberForm::ALL.len() as u64);
    }
}

#[test]
fn a_field_that_differs_is_named() {
    let world = World::new(Form::Reference);
    let mut ask = world.ask(world.holder(NumberForm::ForeignResident2023));
    ask.inquiry["name"] = json!("NOBODY, ANN");
    let answer = world.check(&ask).unwrap();
    assert_eq!(answer["resultCode"], "1001");
    assert_eq!(
        answer["fieldResults"],
        json!({"docNumber":"1","name":"0","birthDate":"1","nationality":"1","expiryDate":"1"})
    );
}

#[test]
fn fields_that_were_not_asked_about_are_not_answered() {
    let world = World::new(Form::Second);
    let mut ask = world.ask(world.holder(NumberForm::TaiwanOld));
    for name in ["country", "validUntil"] {
        ask.inquiry.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(world.check(&ask).unwrap()["items"], json!({"no":true,"fullName":true,"dob":true}));
}

#[test]
fn an_old_permit_number_and_its_lifetime_number_find_the_same_holder() {
    let world = World::new(Form::Reference);
    let old = world.holder(NumberForm::MacaoOld);
    for number in [&old.number[..9], &format!("{}07", &old.number[..9])] {
        let mut ask = world.ask(old);
        ask.inquiry["docNumber"] = json!(number);
        assert_eq!(world.check(&ask).unwrap()["resultCode"], "0000");
    }
}

#[test]
fn unknown_documents_are_not_found_and_some_names_are_undecided() {
    let world = World::new(Form::Reference);
    let mut ask = world.ask(world.holder(NumberForm::PassportDigits));
    ask.inquiry["docNumber"] = json!("E00000000");
    let answer = world.check(&ask).unwrap();
    assert_eq!((&answer["resultCode"], &answer["fieldResults"]), (&json!("1002"), &Value::Null));
    let odd = world.holders.iter().find(|holder| holder.name_undecided).unwrap();
    let answer = world.check(&world.ask(odd)).unwrap();
    assert_eq!((&answer["resultCode"], &answer["fieldResults"]["name"]), (&json!("1003"), &json!("2")));
}

#[test]
fn every_wrong_request_gets_a_signed_answer_with_its_code() {
    let world = World::new(Form::Reference);
    let good = world.ask(world.holder(NumberForm::HongKongNew));
    let fresh = || common::Ask { nonce: sm::random().unwrap(), ..good.clone() };
    let code = |ask: &common::Ask| world.check(ask).unwrap()["resultCode"].as_str().unwrap().to_owned();

    assert_eq!(code(&good), "0000");
    assert_eq!(code(&good), "2004", "the nonce came before");
    assert_eq!(world.running.stats().duplicates, 1);
    assert_eq!(code(&common::Ask { purpose: "P99".into(), ..fresh() }), "2002");
    assert_eq!(code(&common::Ask { customer: "YQ999999".into(), ..fresh() }), "2003");
    for minutes in [-6, 6] {
        let time = OffsetDateTime::now_utc() + Duration::minutes(minutes);
        assert_eq!(code(&common::Ask { time, ..fresh() }), "2005");
        assert_eq!(code(&common::Ask { signing_time: Some(time), ..fresh() }), "2005");
    }
    assert_eq!(code(&common::Ask { signing_time: None, ..fresh() }), "2006", "attributes missing");
    let wrong_recipient = world.certificate("signing").to_der().unwrap();
    assert_eq!(code(&common::Ask { recipient: wrong_recipient, ..fresh() }), "2007");
    assert_eq!(code(&common::Ask { inquiry: json!({"docType":"414"}), ..fresh() }), "2007");
    assert_eq!(world.running.seen().iter().filter(|seen| seen.refused).count(), 10);
}

#[test]
fn a_signature_must_be_over_the_octets_as_sent_by_a_registered_signer() {
    let world = World::new(Form::Reference);
    let answer = |package: &str, body: &str, nonce: &str| {
        let got = world.send(body).unwrap();
        let sent = common::Sent { package: package.into(), body: body.into(), nonce: nonce.into() };
        world.examine(&got, &sent).unwrap()["resultCode"].as_str().unwrap().to_owned()
    };
    let now = OffsetDateTime::now_utc();
    let sent = world.write(&world.ask(world.holder(NumberForm::PassportLetter)));

    // One space more inside the package, which no JSON reader would notice.
    let spaced = sent.package.replacen("{ ", "{  ", 1);
    let signature = sent.body.strip_prefix(&format!("{{\"bizPackage\":{}", sent.package)).unwrap();
    assert_eq!(answer(&spaced, &format!("{{\"bizPackage\":{spaced}{signature}"), &sent.nonce), "2006");

    // The platform's own signer is not a using entity, and another PKI's entity is not this one's.
    for stranger in [
        yanqian_platform_sim::pki::Identity::load(&world.layout.platform("signing").certificate.with_extension(""))
            .unwrap(),
        new_entity(&World::new(Form::Reference).layout),
    ] {
        let sent = world.write(&world.ask(world.holder(NumberForm::PassportLetter)));
        assert_eq!(answer(&sent.package, &world.sign(&sent.package, &stranger, Some(now)), &sent.nonce), "2003");
    }
}

#[test]
fn what_is_not_a_request_is_a_bad_request() {
    let world = World::new(Form::Reference);
    let sent = world.write(&world.ask(world.holder(NumberForm::TaiwanNew)));
    let bodies = [
        "null".to_owned(),
        "{}".to_owned(),
        format!("{}x", sent.body),
        sent.body.replacen("\"version\"", "\"nonce\":\"\",\"version\"", 1),
        sent.body.replacen("\"appName\"", "\"appname\"", 1),
        sent.body.replacen("{\"bizPackage\"", "{\"more\":1,\"bizPackage\"", 1),
        sent.body.replacen("R01", "R09", 1),
        world.form.body(&sent.package, "!"),
    ];
    for body in bodies {
        assert_eq!(world.send(&body).unwrap().status, 400, "{body}");
    }
    let post = |method, path, kind| {
        https(world.running.https_addr, &world.layout, method, path, kind, &sent.body).unwrap().status
    };
    assert_eq!(post("POST", "/other", "application/json"), 404);
    assert_eq!(post("PUT", "/auth/real-name", "application/json"), 405);
    assert_eq!(post("POST", "/auth/real-name", "text/plain"), 415);
    assert_eq!(world.running.stats().refused, 11);
    assert_eq!(world.running.stats().nonces, 0);
}

#[test]
fn what_was_seen_can_be_read_back_and_the_clear_octets_hold_no_personal_data() {
    let world = World::new(Form::Reference);
    let holder = world.holder(NumberForm::ForeignResident2017).clone();
    let ask = world.ask(&holder);
    world.check(&ask).unwrap();
    let seen = world.running.seen().pop().unwrap();
    assert_eq!((seen.verdict.as_str(), seen.signature_ok, seen.refused), ("0000", true, false));
    assert_eq!(seen.nonce, Some(hex::encode(ask.nonce)));
    assert_eq!(seen.inner, Some(ask.inquiry));
    let raw = String::from_utf8(STANDARD.decode(seen.raw).unwrap()).unwrap();
    assert!(raw.starts_with("POST /auth/real-name HTTP/1.1\r\n") && raw.contains("\"custNum\":\"YQ000001\""));
    assert!(!raw.contains(&holder.number) && !raw.contains(&holder.name));
    world.running.reset();
    assert!(world.running.seen().is_empty());
}
