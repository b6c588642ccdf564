//! One key, one check: never two calls to the platform, whatever the caller repeats (I4).

use std::time::Duration;

use yanqian_harness::people;
use yanqian_harness::{File, Misbehaviour as M};

use crate::support::{Marks, assert_problem, assert_verdict, good, site, site_with, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_its_first_reply_and_costs_nothing() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let before = Marks::of(&site).await;
    let first = caller.ask_once("key-1", &good("r")).await.unwrap();
    assert_verdict(&first, "match");
    assert_eq!(first.header("idempotency-replayed"), "");
    for _ in 0..3 {
        let again = caller.ask_once("key-1", &good("r")).await.unwrap();
        assert_eq!((again.status, &again.body, again.id()), (200, &first.body, first.id()));
        assert_eq!(again.header("idempotency-replayed"), "true");
    }
    assert_eq!(before.since(&site).await, Marks { signatures: 1, requests: 1 });

    site.stop_daemon().expect("an orderly stop");
    site.start_daemon().await.unwrap();
    let caller = site.caller("core-banking").unwrap();
    let after = caller.ask_once("key-1", &good("r")).await.unwrap();
    assert_eq!((after.status, after.body), (200, first.body.clone()));
    assert_eq!(caller.look_up(&first.id()).await.unwrap().body, first.body);
    assert_eq!(before.since(&site).await, Marks { signatures: 1, requests: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_request_of_one_caller() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let first = caller.ask_once("key-1", &good("r")).await.unwrap();
    assert_verdict(&first, "match");
    let mut others = vec![good("another reference"), people::request("remittance", "r", &good("r")["document"])];
    let mut other = good("r");
    other["document"]["name"] = "王小明".into();
    others.push(other);
    let mut fewer = good("r");
    fewer["document"].as_object_mut().unwrap().remove("expiry");
    others.push(fewer);
    for other in others {
        let reply = caller.ask_once("key-1", &other).await.unwrap();
        // One of them is also outside the agreement; which of the two is said first does not matter here.
        if reply.status != 403 {
            assert_problem(&reply, 409, "idempotency-mismatch");
        }
    }
    // The same request with its members in another order and with other white space is the same request.
    let reordered = format!(
        " {{ \"document\": {}, \"reference\": \"r\",\n \"purpose\": \"account-opening\" }} ",
        good("r")["document"]
    );
    let again = caller.post(reordered, &[("idempotency-key", "key-1")]).await.unwrap();
    assert_eq!((again.status, again.body), (200, first.body.clone()));

    let kiosk = site.caller("branch-kiosk").unwrap().ask_once("key-1", &good("r")).await.unwrap();
    assert_verdict(&kiosk, "match");
    assert_ne!(kiosk.id(), first.id());
    assert_eq!(site.sim().stats().await.unwrap().requests, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_check_is_under_way_is_told_so() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    site.sim().delay(1500).await.unwrap();
    let slow = tokio::spawn({
        let caller = caller.clone();
        async move { caller.ask_once("key-1", &good("r")).await.unwrap() }
    });
    within(Duration::from_secs(5), "the request reaches the platform")
        .until(async || (site.sim().stats().await.unwrap().requests == 1).then_some(()))
        .await;
    assert_problem(&caller.ask_once("key-1", &good("r")).await.unwrap(), 409, "idempotency-in-flight");
    assert_problem(&caller.ask_once("key-1", &good("other")).await.unwrap(), 409, "idempotency-mismatch");
    let reply = slow.await.unwrap();
    assert_verdict(&reply, "match");
    assert_eq!(caller.ask_once("key-1", &good("r")).await.unwrap().body, reply.body);
    assert_eq!(site.sim().stats().await.unwrap().requests, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_under_one_key_make_one_call() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    site.sim().delay(100).await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let caller = caller.clone();
        tasks.push(tokio::spawn(async move { caller.ask_once("key-1", &good("r")).await.unwrap() }));
    }
    let mut verdicts = 0;
    for task in tasks {
        let reply = task.await.unwrap();
        match reply.status {
            200 => verdicts += 1,
            _ => assert_problem(&reply, 409, "idempotency-in-flight"),
        }
    }
    assert!(verdicts >= 1);
    assert_eq!(site.sim().stats().await.unwrap().requests, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_free_again_when_nothing_was_sent() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    site.stop_worker();
    assert_problem(&caller.ask_once("key-1", &good("r")).await.unwrap(), 503, "signer-unavailable");
    site.start_worker().await.unwrap();
    let reply = within(Duration::from_secs(10), "the worker is found again")
        .until(async || Some(caller.ask_once("key-1", &good("r")).await.unwrap()).filter(|reply| reply.status != 503))
        .await;
    assert_verdict(&reply, "match");
    assert_eq!(site.sim().stats().await.unwrap().requests, 1);
    // A refusal before anything was sent does not take the key either.
    let mut wrong = good("r");
    wrong["document"]["number"] = "E1".into();
    assert_problem(&caller.ask_once("key-2", &wrong).await.unwrap(), 422, "document-number-malformed");
    assert_verdict(&caller.ask_once("key-2", &good("r")).await.unwrap(), "match");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_and_not_answered_stays_unknown_for_its_key() {
    let site = site_with(|options| options.with(File::Profile, "limits.head_ms", 800)).await;
    let caller = site.caller("core-banking").unwrap();
    for (number, misbehaviour) in [M::Hang, M::CloseBeforeAnswer, M::CutBody].into_iter().enumerate() {
        let key = format!("key-{number}");
        site.sim().misbehave(misbehaviour, 1).await.unwrap();
        let first = caller.ask_once(&key, &good("r")).await.unwrap();
        assert_problem(&first, 504, "outcome-unknown");
        for _ in 0..2 {
            let again = caller.ask_once(&key, &good("r")).await.unwrap();
            assert_eq!((again.status, &again.body), (504, &first.body), "{misbehaviour}");
        }
        assert_eq!(site.sim().stats().await.unwrap().requests, number as u64 + 1, "{misbehaviour}");
    }
    // A refused answer is final, too: the platform has been asked.
    site.sim().misbehave(M::BrokenSignature, 1).await.unwrap();
    let first = caller.ask_once("key-9", &good("r")).await.unwrap();
    assert_problem(&first, 502, "platform-signature");
    assert_eq!(caller.ask_once("key-9", &good("r")).await.unwrap().body, first.body);
    assert_eq!(site.sim().stats().await.unwrap().requests, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_none_is_refused() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let long = "k".repeat(129);
    for key in ["", "two words", &long] {
        assert_problem(&caller.ask_once(key, &good("r")).await.unwrap(), 400, "idempotency-key-malformed");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_problem(&caller.post(good("r").to_string(), &twice).await.unwrap(), 400, "idempotency-key-malformed");
    assert_eq!(Marks::of(&site).await.requests, 0);
}
