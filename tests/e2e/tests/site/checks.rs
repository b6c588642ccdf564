//! The main job: every type of document, every verdict, on both platforms.

use serde_json::json;
use yanqian_harness::people::{self, NumberForm};
use yanqian_harness::{Form, Site};

use crate::support::{Marks, assert_verdict, site, site_with};

/// Every number form of every document type, then each field wrong in turn.
pub(crate) async fn every_document_is_verified(site: &Site) {
    let caller = site.caller("core-banking").unwrap();
    let before = Marks::of(site).await;
    let mut asked = 0;
    for form in NumberForm::ALL {
        let holder = people::holder(form);
        let reference = format!("ref-{form:?}");
        let reply = caller.ask(&people::about(&holder, &reference)).await.unwrap();
        assert_verdict(&reply, "match");
        let body = reply.json();
        assert_eq!(body["reference"], reference.as_str());
        assert_eq!(
            body["fields"],
            json!({"number": "match", "name": "match", "birth_date": "match", "nationality": "match", "expiry": "match"}),
            "{form:?}"
        );
        assert!(!reply.text("/platform/serial").is_empty() && !reply.text("/platform/time").is_empty(), "{body}");
        let again = caller.look_up(&reply.id()).await.unwrap();
        assert_eq!((again.status, &again.body), (200, &reply.body));

        let undecided = people::undecided_holder(form);
        let reply = caller.ask(&people::about(&undecided, "undecided")).await.unwrap();
        assert_verdict(&reply, "undecided");
        assert_eq!(reply.json()["fields"]["name"], "undecided");
        asked += 2;
    }
    let holder = people::holder(NumberForm::PassportLetter);
    let wrong = [("name", "王小明"), ("birth_date", "1949-10-01"), ("nationality", "FRA"), ("expiry", "2039-12-31")];
    for (field, value) in wrong {
        let mut document = people::document(&holder);
        document[field] = value.into();
        let reply = caller.ask(&people::request("account-opening", "wrong", &document)).await.unwrap();
        assert_verdict(&reply, "mismatch");
        for (name, verdict) in reply.json()["fields"].as_object().unwrap() {
            assert_eq!(verdict, if name == field { "mismatch" } else { "match" }, "{field}: {name}");
        }
        asked += 1;
    }
    let mut document = people::document(&holder);
    document["number"] = people::free_passport_number().into();
    let reply = caller.ask(&people::request("account-opening", "nobody", &document)).await.unwrap();
    assert_verdict(&reply, "not-found");
    assert_eq!(reply.json()["fields"], json!({}));
    asked += 1;

    assert_eq!(before.since(site).await, Marks { signatures: asked, requests: asked });
    let seen = site.sim().seen().await.unwrap();
    assert!(seen.iter().all(|request| request.signature_ok && !request.refused), "{seen:?}");
    assert_eq!(site.sim().stats().await.unwrap().duplicates, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_type_is_verified_on_the_reference_platform() {
    every_document_is_verified(&site().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_type_is_verified_on_a_platform_with_another_profile() {
    every_document_is_verified(&site_with(|options| options.form(Form::Second)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn optional_fields_are_asked_about_only_when_they_are_given() {
    let site = site().await;
    let caller = site.caller("branch-kiosk").unwrap();
    let mut document = people::document(&people::holder(NumberForm::TaiwanOld));
    let members = document.as_object_mut().unwrap();
    members.remove("nationality");
    members.remove("expiry");
    let reply = caller.ask(&people::request("account-opening", "short", &document)).await.unwrap();
    assert_verdict(&reply, "match");
    assert_eq!(reply.json()["fields"], json!({"number": "match", "name": "match", "birth_date": "match"}));
    let inner = site.sim().seen().await.unwrap()[0].inner.clone().unwrap();
    assert!(inner.get("nationality").is_none() && inner.get("expiryDate").is_none(), "{inner}");
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_at_the_same_time_do_not_mix() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let mut tasks = Vec::new();
    for number in 0..60 {
        let caller = caller.clone();
        tasks.push(tokio::spawn(async move {
            let form = NumberForm::ALL[number % NumberForm::ALL.len()];
            let mut document = people::document(&people::holder(form));
            let wrong = number % 3 == 0;
            if wrong {
                document["name"] = "不是他".into();
            }
            let reference = format!("parallel-{number}");
            let reply = caller.ask(&people::request("account-opening", &reference, &document)).await.unwrap();
            assert_verdict(&reply, if wrong { "mismatch" } else { "match" });
            assert_eq!(reply.text("/reference"), reference);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let stats = site.sim().stats().await.unwrap();
    assert_eq!((stats.requests, stats.nonces, stats.duplicates), (60, 60, 0));
}
