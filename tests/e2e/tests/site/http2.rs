//! Both protocols of the internal API: what they share, and how their connections end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use yanqian_harness::{Caller, Connection, File, Protocol, REAL_NAME, Reply, Site};

use crate::support::{assert_problem, assert_verdict, good, site, site_with, within};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

async fn ask(connection: &Connection, reference: &str) -> Result<Reply, yanqian_harness::HarnessError> {
    connection.send(Method::POST, REAL_NAME, JSON, good(reference).to_string()).await
}

fn caller(site: &Site, protocol: Protocol) -> Caller {
    site.caller("core-banking").unwrap().over(protocol)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_give_the_same_replies() {
    let site = site().await;
    let [one, two] = Protocol::BOTH.map(|protocol| caller(&site, protocol));
    let reply = one.ask_once("key-1", &good("r")).await.unwrap();
    assert_verdict(&reply, "match");
    let again = two.ask_once("key-1", &good("r")).await.unwrap();
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &reply.body));
    for caller in [&one, &two] {
        assert_eq!(caller.look_up(&reply.id()).await.unwrap().body, reply.body);
        assert_problem(&caller.post("{", &[]).await.unwrap(), 400, "json-invalid");
        assert_problem(&caller.get("/v1/nothing").await.unwrap(), 404, "not-found");
        let wrong = caller.send(Method::DELETE, REAL_NAME, &[], "").await.unwrap();
        assert_problem(&wrong, 405, "method-not-allowed");
        assert_eq!(wrong.header("allow"), "POST");
        assert_problem(&caller.post("x".repeat(3 << 20), &[]).await.unwrap(), 413, "body-too-large");
    }
    let stranger = site.caller("stranger").unwrap().over(Protocol::Http2);
    assert_problem(&stranger.ask(&good("r")).await.unwrap(), 403, "caller-unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_checks_share_one_connection() {
    let site = site().await;
    let connection = Arc::new(caller(&site, Protocol::Http2).open().await.unwrap());
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let connection = Arc::clone(&connection);
            tokio::spawn(async move { ask(&connection, &format!("r-{number}")).await.unwrap() })
        })
        .collect();
    let mut ids = BTreeSet::new();
    for (number, task) in tasks.into_iter().enumerate() {
        let reply = task.await.unwrap();
        assert_verdict(&reply, "match");
        assert_eq!(reply.text("/reference"), format!("r-{number}"));
        ids.insert(reply.id());
    }
    assert_eq!(ids.len(), 64);
    assert_eq!(site.sim().stats().await.unwrap().requests, 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_carries_a_request_id_of_ours_that_the_log_joins_with_the_verification() {
    let site = site().await;
    let theirs = "their-own-id-4711";
    let mut seen = BTreeSet::new();
    let mut checks = Vec::new();
    for protocol in Protocol::BOTH {
        let caller = caller(&site, protocol);
        let with = |name| [("content-type", "application/json"), (name, theirs)];
        let replies = [
            caller.send(Method::POST, REAL_NAME, &with("x-request-id"), good("r").to_string()).await.unwrap(),
            caller.send(Method::GET, "/v1/nothing", &with("x-request-id"), "").await.unwrap(),
            caller.send(Method::PUT, REAL_NAME, &with("x-request-id"), "").await.unwrap(),
            caller.send(Method::POST, REAL_NAME, &with("x-request-id"), "{").await.unwrap(),
        ];
        checks.push((replies[0].header("x-request-id").to_owned(), replies[0].id()));
        for reply in replies {
            let id = reply.header("x-request-id").to_owned();
            assert_eq!((id.len(), id.as_bytes()[14]), (36, b'7'), "a UUIDv7: {id}");
            assert!(!format!("{:?}", reply.headers).contains(theirs));
            assert!(seen.insert(id), "every reply has its own");
        }
    }
    within(Duration::from_secs(5), "the log joins request and verification")
        .until(async || {
            let log = std::fs::read_to_string(site.places().daemon_log()).unwrap();
            assert!(!log.contains(theirs), "{log}");
            let joined = |(request, verification): &(String, String)| {
                log.lines().any(|line| line.contains(request.as_str()) && line.contains(verification.as_str()))
            };
            checks.iter().all(joined).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_talkative_log_of_http2_holds_no_personal_data() {
    let site = site_with(|mut options| {
        options.log = "trace";
        options
    })
    .await;
    let body = good("the-callers-own-reference");
    assert_verdict(&caller(&site, Protocol::Http2).ask_once("the-callers-own-key", &body).await.unwrap(), "match");
    let log = std::fs::read_to_string(site.places().daemon_log()).unwrap();
    assert!(log.contains("HTTP/2.0") && log.contains("TRACE"), "the log is talkative");
    let text = |pointer: &str| body.pointer(pointer).and_then(serde_json::Value::as_str).unwrap().to_owned();
    let secrets = ["/document/number", "/document/name", "/document/birth_date", "/reference"].map(text);
    for secret in secrets.iter().map(String::as_str).chain(["the-callers-own-key"]) {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_ended_in_good_order_after_its_share_of_requests() {
    let site = site_with(|options| options.with(File::Daemon, "limits.max_requests_per_connection", 3)).await;
    for protocol in Protocol::BOTH {
        let connection = caller(&site, protocol).open().await.unwrap();
        for number in 1..=3 {
            let reply = ask(&connection, "r").await.unwrap();
            assert_verdict(&reply, "match");
            let close = protocol == Protocol::Http1 && number == 3;
            assert_eq!(reply.header("connection"), if close { "close" } else { "" }, "{protocol:?} {number}");
        }
        within(Duration::from_secs(5), "the daemon ends the connection")
            .until(async || connection.is_closed().then_some(()))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_end_and_a_slow_check_is_not_idle() {
    let site = site_with(|options| {
        options.with(File::Daemon, "limits.idle_ms", 700).with(File::Daemon, "limits.head_ms", 1500)
    })
    .await;
    for protocol in Protocol::BOTH {
        let silent = caller(&site, protocol).open().await.unwrap();
        let began = Instant::now();
        let connection = caller(&site, protocol).open().await.unwrap();
        site.sim().delay(1800).await.unwrap();
        assert_verdict(&ask(&connection, "slow").await.unwrap(), "match");
        site.sim().behave().await.unwrap();
        let answered = Instant::now();
        within(Duration::from_secs(5), "the pause is too long")
            .until(async || connection.is_closed().then_some(()))
            .await;
        let paused = answered.elapsed();
        assert!(paused > Duration::from_millis(500) && paused < Duration::from_secs(3), "{protocol:?} {paused:?}");
        assert!(silent.is_closed() && began.elapsed() > Duration::from_millis(1500), "{protocol:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_requests_under_way_end_in_both_protocols() {
    let mut site = site().await;
    site.sim().delay(1500).await.unwrap();
    let mut tasks = Vec::new();
    for protocol in Protocol::BOTH {
        let connection = Arc::new(caller(&site, protocol).open().await.unwrap());
        let asked = Arc::clone(&connection);
        tasks.push((connection, tokio::spawn(async move { ask(&asked, "under way").await.unwrap() })));
    }
    within(Duration::from_secs(5), "the requests reach the platform")
        .until(async || (site.sim().stats().await.unwrap().requests == 2).then_some(()))
        .await;
    site.ask_daemon_to_stop();
    for (connection, task) in tasks {
        assert_verdict(&task.await.unwrap(), "match");
        within(Duration::from_secs(3), "the connection ends")
            .until(async || connection.is_closed().then_some(()))
            .await;
    }
    let status = within(Duration::from_secs(5), "the daemon ends").until(async || site.daemon_ended()).await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_requests_no_longer_than_its_deadline() {
    let mut site = site_with(|options| options.with(File::Daemon, "limits.shutdown_ms", 1000)).await;
    site.sim().delay(20_000).await.unwrap();
    for protocol in Protocol::BOTH {
        let caller = caller(&site, protocol);
        tokio::spawn(async move { caller.ask(&good("never")).await.map(|reply| reply.status) });
    }
    within(Duration::from_secs(5), "the requests reach the platform")
        .until(async || (site.sim().stats().await.unwrap().requests == 2).then_some(()))
        .await;
    site.ask_daemon_to_stop();
    let began = Instant::now();
    let status = within(Duration::from_secs(15), "the daemon ends").until(async || site.daemon_ended()).await;
    assert!(status.success() && began.elapsed() >= Duration::from_millis(900), "{status} {:?}", began.elapsed());
    // What was cut off has no outcome, and the next start says so.
    site.start_daemon().await.unwrap();
    let records = site.ledger_records().unwrap();
    let count = |kind: &str| records.iter().filter(|record| record.kind() == kind).count();
    assert_eq!((count("intent"), count("outcome"), count("outcome-unknown")), (2, 0, 2));
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_handshake_names_is_spoken() {
    let site = site().await;
    let named = site.caller("core-banking").unwrap();
    // No protocol named: HTTP/1.1.
    let unnamed = named.offering(&[]);
    assert!(unnamed.connect().await.unwrap().get_ref().1.alpn_protocol().is_none());
    assert_verdict(&unnamed.ask(&good("r")).await.unwrap(), "match");
    // Both named: HTTP/2.
    let both = named.offering(&[b"http/1.1", b"h2"]);
    assert_eq!(both.connect().await.unwrap().get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    // Another named: nothing.
    assert!(named.offering(&[b"spdy/3.1"]).connect().await.is_err());
    // HTTP/2 without its name, with or without TLS, is not understood.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for caller in [&named, &unnamed] {
        let answer = caller.write_raw(preface, Duration::from_secs(5)).await.unwrap();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    }
    let mut plain = tokio::net::TcpStream::connect(named.address()).await.unwrap();
    plain.write_all(preface).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(8), plain.read_to_end(&mut answer)).await.expect("ended in time");
    assert!(answer.first().is_none_or(|kind| *kind == 21), "nothing or a TLS alert: {answer:?}");
    // An offer to change to HTTP/2 in clear is passed over.
    let upgrade =
        [("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABkAAQAAP__")];
    let reply = named.send(Method::GET, "/v1/nothing", &upgrade, "").await.unwrap();
    assert_problem(&reply, 404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_cannot_take_all_connections_or_all_places() {
    let site = site_with(|options| {
        options
            .with(File::Daemon, "limits.max_connections", 6)
            .with(File::Daemon, "limits.max_connections_per_caller", 4)
            .with(File::Daemon, "limits.max_in_flight", 4)
            .with(File::Daemon, "limits.max_in_flight_per_caller", 3)
    })
    .await;
    let greedy = caller(&site, Protocol::Http2);
    let mut open = Vec::new();
    for _ in 0..4 {
        let connection = greedy.open().await.unwrap();
        assert_problem(&connection.send(Method::GET, "/", &[], "").await.unwrap(), 404, "not-found");
        open.push(connection);
    }
    assert!(greedy.ask(&good("fifth")).await.is_err());
    let other = site.caller("branch-kiosk").unwrap();
    assert_verdict(&other.ask(&good("other")).await.unwrap(), "match");

    site.sim().delay(1500).await.unwrap();
    let connection = Arc::new(open.pop().unwrap());
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let connection = Arc::clone(&connection);
            tokio::spawn(async move { ask(&connection, "r").await.unwrap() })
        })
        .collect();
    within(Duration::from_secs(5), "its share is under way")
        .until(async || (site.sim().stats().await.unwrap().requests == 4).then_some(()))
        .await;
    assert_verdict(&other.ask(&good("other")).await.unwrap(), "match");
    let mut shed = 0;
    for task in tasks {
        let reply = task.await.unwrap();
        if reply.status != 200 {
            assert_problem(&reply, 503, "overloaded");
            shed += 1;
        }
    }
    assert_eq!(shed, 5);
    let metrics = site.metrics().await.unwrap();
    let rejected = metrics.by_label("yanqian_rejected_total", "cause");
    assert_eq!(rejected.get("caller-connection-limit"), Some(&1), "{rejected:?}");
    assert_eq!(metrics.sum("yanqian_shed_total"), 5);
}
