//! `kill -9` of the daemon in mid-flight. What was acknowledged has its record; what was not has an end for good; and no key
//! ever leads to a second call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use yanqian_harness::{Caller, Misbehaviour as M, Record, Reply, Site};

use crate::support::{assert_problem, assert_verdict, good, site, within};

async fn killed_while(misbehaviour: M) {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask_once("key-0", &good("before")).await.unwrap(), "match");
    site.sim().misbehave(misbehaviour, 1).await.unwrap();
    let lost = tokio::spawn(async move { caller.ask_once("key-1", &good("lost")).await });
    within(Duration::from_secs(5), "the request reaches the platform")
        .until(async || (site.sim().stats().await.unwrap().requests == 2).then_some(()))
        .await;
    site.kill_daemon();
    assert!(lost.await.unwrap().is_err(), "nothing was acknowledged");
    site.start_daemon().await.unwrap();

    let caller = site.caller("core-banking").unwrap();
    let reply = caller.ask_once("key-1", &good("lost")).await.unwrap();
    assert_problem(&reply, 504, "outcome-unknown");
    let again = caller.ask_once("key-1", &good("lost")).await.unwrap();
    assert_eq!((again.status, &again.body), (504, &reply.body));
    assert_eq!(caller.look_up(&reply.id()).await.unwrap().body, reply.body);
    assert_problem(&caller.ask_once("key-1", &good("other")).await.unwrap(), 409, "idempotency-mismatch");
    let kinds: Vec<_> = site.records_of(&reply.id()).unwrap().iter().map(Record::kind).collect();
    assert_eq!(kinds, ["intent", "outcome-unknown"]);
    assert_eq!(site.sim().stats().await.unwrap().requests, 2, "the platform was not called again");

    assert_verdict(&caller.ask_once("key-0", &good("before")).await.unwrap(), "match");
    assert_verdict(&caller.ask_once("key-2", &good("after")).await.unwrap(), "match");
    let stats = site.sim().stats().await.unwrap();
    assert_eq!((stats.requests, stats.duplicates), (3, 0));
    let verified = site.ledger_verify().unwrap();
    assert_eq!(verified.code, Some(0), "{}", verified.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_platform_is_silent() {
    killed_while(M::Hang).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_answer_trickles_in() {
    killed_while(M::SlowBody).await;
}

/// What a caller sent under a key, and what it was told, if anything.
type Told = BTreeMap<String, (Value, Option<Reply>)>;

/// A request whose document number belongs to no other key, so that the platform's log tells which key a call was for.
fn numbered(key: usize) -> Value {
    let mut request = good(&format!("crash-{key}"));
    request["document"]["number"] = format!("E{:08}", 90_000_000 + key).into();
    request
}

/// Asks under fresh keys until told to stop or cut off.
async fn load(caller: Caller, keys: Arc<AtomicUsize>, done: Arc<AtomicBool>) -> Told {
    let mut told = Told::new();
    while !done.load(Ordering::Relaxed) {
        let number = keys.fetch_add(1, Ordering::Relaxed);
        let (key, request) = (format!("key-{number}"), numbered(number));
        let reply = caller.ask_once(&key, &request).await.ok();
        let cut_off = reply.is_none();
        told.insert(key, (request, reply));
        if cut_off {
            break;
        }
    }
    told
}

/// How often the platform was asked about each document number.
async fn calls(site: &Site) -> BTreeMap<String, u64> {
    let mut calls = BTreeMap::new();
    for request in site.sim().seen().await.unwrap() {
        let number =
            request.inner.as_ref().and_then(|inner| inner["docNumber"].as_str()).unwrap_or_default().to_owned();
        *calls.entry(number).or_default() += 1;
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_under_load_again_and_again() {
    let mut site = site().await;
    let keys = Arc::new(AtomicUsize::new(0));
    let mut told = Told::new();
    for round in 0..3_u64 {
        site.sim().delay(10 * round).await.unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let caller = site.caller("core-banking").unwrap();
            tasks.push(tokio::spawn(load(caller, Arc::clone(&keys), Arc::clone(&done))));
        }
        tokio::time::sleep(Duration::from_millis(400 + 170 * round)).await;
        site.kill_daemon();
        done.store(true, Ordering::Relaxed);
        for task in tasks {
            told.extend(task.await.unwrap());
        }
        site.start_daemon().await.unwrap();
    }
    site.sim().delay(0).await.unwrap();
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
    let asked_before = calls(&site).await;

    let records: BTreeMap<String, Vec<Record>> =
        site.ledger_records().unwrap().into_iter().fold(BTreeMap::new(), |mut by, record| {
            by.entry(record.verification()).or_default().push(record);
            by
        });
    let caller = site.caller("core-banking").unwrap();
    let (mut acknowledged, mut unknown, mut never_sent) = (0, 0, 0);
    for (key, (request, reply)) in &told {
        let number = request["document"]["number"].as_str().unwrap();
        let before = asked_before.get(number).copied().unwrap_or_default();
        let again = caller.ask_once(key, request).await.unwrap();
        if let Some(reply) = reply {
            acknowledged += 1;
            let ends = &records[&reply.id()];
            assert_eq!(ends.last().map(Record::verdict).as_deref(), Some("not-found"), "{key} was acknowledged");
            assert_eq!((again.status, &again.body), (reply.status, &reply.body), "{key}");
        } else if again.status == 504 {
            unknown += 1;
            assert_problem(&again, 504, "outcome-unknown");
        } else {
            // Either the first reply was recorded and only its way back was cut, or nothing had been sent.
            assert_verdict(&again, "not-found");
            never_sent += u64::from(before == 0);
        }
    }
    assert!(acknowledged > 20, "{acknowledged} acknowledged, {unknown} unknown, {never_sent} never sent");
    assert!(told.len() > acknowledged, "something was cut off");
    for (number, count) in calls(&site).await {
        assert_eq!(count, 1, "{number} was asked more than once");
    }
    assert_eq!(site.sim().stats().await.unwrap().duplicates, 0);
    let open = site.ledger_verify().unwrap();
    assert_eq!(open.code, Some(0));
    assert!(open.stdout.contains("open intents  0"), "{}", open.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_answer_and_reply_keeps_the_reply_for_its_key() {
    // Killed at many moments after the platform has answered: the key then has the verdict or an unknown end, never a
    // second call and never something else.
    let mut site = site().await;
    let mut ends = BTreeMap::new();
    for round in 0..8_u64 {
        let caller = site.caller("core-banking").unwrap();
        let key = format!("key-{round}");
        let request = numbered(usize::try_from(round).unwrap());
        let before = site.sim().stats().await.unwrap().requests;
        let asked = {
            let (key, request) = (key.clone(), request.clone());
            tokio::spawn(async move { caller.ask_once(&key, &request).await })
        };
        within(Duration::from_secs(5), "the request reaches the platform")
            .until(async || (site.sim().stats().await.unwrap().requests > before).then_some(()))
            .await;
        tokio::time::sleep(Duration::from_millis(round)).await;
        site.kill_daemon();
        let told = asked.await.unwrap().ok();
        site.start_daemon().await.unwrap();
        let again = site.caller("core-banking").unwrap().ask_once(&key, &request).await.unwrap();
        if let Some(told) = told {
            assert_eq!(told.body, again.body);
        }
        *ends.entry(again.code()).or_insert(0) += 1;
    }
    assert!(ends.keys().all(|end| end == "not-found" || end == "outcome-unknown"), "{ends:?}");
    assert!(calls(&site).await.values().all(|count| *count == 1));
}
