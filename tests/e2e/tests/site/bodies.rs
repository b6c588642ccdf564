//! Requests that cannot be read, are not allowed, or never end. Each is refused with its code before anything is signed,
//! and recorded.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use yanqian_harness::people::{self, NumberForm};
use yanqian_harness::{File, REAL_NAME, Record};

use crate::support::{Marks, assert_problem, assert_verdict, good, site, site_with};

/// Refusals by content: what is sent, status, code, field.
fn refused_contents() -> Vec<(String, u16, &'static str, &'static str)> {
    let text = good("r").to_string();
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut body = good("r");
        change(&mut body);
        body.to_string()
    };
    let set = |pointer: &'static str, value: serde_json::Value| {
        with(&move |body| *body.pointer_mut(pointer).expect("a known member") = value.clone())
    };
    let card = people::document(&people::holder(NumberForm::ForeignResident2023));
    let mut wrong_check_digit = card.clone();
    let mut number = card["number"].as_str().unwrap().to_owned();
    let last = if number.pop() == Some('0') { '1' } else { '0' };
    number.push(last);
    wrong_check_digit["number"] = number.into();
    let mut wrong_birth = card.clone();
    wrong_birth["birth_date"] = "1949-10-01".into();
    vec![
        ("{".into(), 400, "json-invalid", ""),
        ("[]".into(), 400, "json-invalid", ""),
        (format!("{text}{text}"), 400, "json-invalid", ""),
        (text.replacen('{', "{\"colour\":\"red\",", 1), 400, "field-unknown", ""),
        (text.replacen("\"number\"", "\"no\"", 1), 400, "field-unknown", "document"),
        (text.replacen("\"purpose\"", "\"purpose\":\"remittance\",\"purpose\"", 1), 400, "field-duplicate", "purpose"),
        (text.replacen("\"name\"", "\"name\":\"王伟\",\"name\"", 1), 400, "field-duplicate", "document.name"),
        (
            with(&|body| drop(body["document"].as_object_mut().unwrap().remove("name"))),
            400,
            "field-missing",
            "document.name",
        ),
        (set("/document/name", json!(7)), 400, "field-type", "document.name"),
        (set("/document/expiry", json!(null)), 400, "field-type", "document.expiry"),
        (set("/reference", json!("")), 400, "field-invalid", "reference"),
        (set("/purpose", json!("Account Opening")), 400, "purpose-malformed", "purpose"),
        (set("/document/type", json!("library-card")), 400, "document-type-unknown", "document.type"),
        (set("/document/number", json!("E123")), 422, "document-number-malformed", "document.number"),
        (set("/document/name", json!("R2-D2 1")), 422, "name-malformed", "document.name"),
        (set("/document/birth_date", json!("1990-02-30")), 422, "birth-date-invalid", "document.birth_date"),
        (set("/document/nationality", json!("XXQ")), 422, "nationality-unknown", "document.nationality"),
        (set("/document/expiry", json!("1900-01-01")), 422, "expiry-invalid", "document.expiry"),
        (
            people::request("account-opening", "r", &wrong_check_digit).to_string(),
            422,
            "document-check-digit",
            "document.number",
        ),
        (
            people::request("account-opening", "r", &wrong_birth).to_string(),
            422,
            "birth-date-contradicts-number",
            "document.birth_date",
        ),
        (set("/purpose", json!("marketing")), 403, "agreement-purpose", "purpose"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_asked_is_refused_recorded_and_never_signed() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let before = Marks::of(&site).await;
    let mut expected = Vec::new();
    for (body, status, code, field) in refused_contents() {
        let reply = caller.post(body.clone(), &[]).await.unwrap();
        assert_eq!((reply.status, reply.code(), reply.text("/field")), (status, code.into(), field.into()), "{body}");
        assert_problem(&reply, status, code);
        let records = site.records_of(&reply.id()).unwrap();
        assert_eq!(records.iter().map(Record::kind).collect::<Vec<_>>(), ["refusal"], "{body}");
        expected.push((reply.id(), code));
    }
    let kiosk = site.caller("branch-kiosk").unwrap();
    let remittance = people::request("remittance", "r", &good("r")["document"]);
    assert_problem(&kiosk.ask(&remittance).await.unwrap(), 403, "agreement-caller-purpose");
    let permit = people::document(&people::holder(NumberForm::HongKongNew));
    let reply = caller.ask(&people::request("remittance", "r", &permit)).await.unwrap();
    assert_problem(&reply, 403, "agreement-document-type");
    let reply = caller.ask(&remittance).await.unwrap();
    assert_problem(&reply, 403, "agreement-field");

    assert_eq!(before.since(&site).await, Marks::NOTHING);
    let records = site.ledger_records().unwrap();
    for (id, code) in expected {
        let record = records.iter().find(|record| record.verification() == id).expect("every refusal has a record");
        assert_eq!(record.reason(), code);
    }
    assert_verdict(&caller.ask(&good("r")).await.unwrap(), "match");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_json_is_read() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let text = good("r").to_string();
    for headers in [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/json; charset=gbk")]] {
        let reply = caller.send("POST".parse().unwrap(), REAL_NAME, headers, text.clone()).await.unwrap();
        assert_problem(&reply, 415, "content-type-unsupported");
    }
}

/// A site that loses its patience soon.
async fn impatient() -> yanqian_harness::Site {
    site_with(|options| {
        options
            .with(File::Daemon, "limits.body_ms", 1500)
            .with(File::Daemon, "limits.body_idle_ms", 600)
            .with(File::Daemon, "limits.head_ms", 1000)
            .with(File::Daemon, "limits.handshake_ms", 1000)
    })
    .await
}

fn head(more: &str) -> String {
    format!("POST {REAL_NAME} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{more}\r\n")
}

fn status_of(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    text.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_without_being_read() {
    let site = impatient().await;
    let caller = site.caller("core-banking").unwrap();
    let limit = Duration::from_secs(5);
    let began = Instant::now();
    let answer = caller.write_raw(head("content-length: 99999999\r\n").as_bytes(), limit).await.unwrap();
    assert_eq!(status_of(&answer), "413");
    assert!(began.elapsed() < Duration::from_secs(3), "it did not wait for the body");
    // One that does not say its length, and does not end.
    let mut endless = head("transfer-encoding: chunked\r\n").into_bytes();
    for _ in 0..64 {
        endless.extend_from_slice(b"1000\r\n");
        endless.extend_from_slice(&[b' '; 4096]);
        endless.extend_from_slice(b"\r\n");
    }
    let answer = caller.write_raw(&endless, limit).await.unwrap();
    assert_eq!(status_of(&answer), "413");
    assert!(String::from_utf8_lossy(&answer).contains("body-too-large"));
    let reasons = site.metrics().await.unwrap().by_label("yanqian_refusals_total", "reason");
    assert_eq!(reasons.get("body-too-large"), Some(&2), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stalls_or_trickles_is_refused_in_time() {
    let site = impatient().await;
    let caller = site.caller("core-banking").unwrap();
    let began = Instant::now();
    let stalled = format!("{}{{\"purpose\":", head("content-length: 500\r\n"));
    let answer = caller.write_raw(stalled.as_bytes(), Duration::from_secs(8)).await.unwrap();
    assert_eq!(status_of(&answer), "408", "{}", String::from_utf8_lossy(&answer));
    assert!(began.elapsed() < Duration::from_secs(4));

    // One octet after the other, each in time: the whole still has its deadline.
    let began = Instant::now();
    let mut stream = caller.connect().await.unwrap();
    stream.write_all(head("content-length: 500\r\n").as_bytes()).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let trickle = tokio::spawn(async move {
        while writer.write_all(b" ").await.is_ok() && writer.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut first = [0; 12];
    tokio::time::timeout(Duration::from_secs(8), tokio::io::AsyncReadExt::read_exact(&mut reader, &mut first))
        .await
        .expect("an answer in time")
        .unwrap();
    trickle.abort();
    assert_eq!(status_of(&first), "408");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_or_is_too_large_ends_the_connection() {
    let site = impatient().await;
    let caller = site.caller("core-banking").unwrap();
    for octets in [&b""[..], b"POST /v1/veri", b"POST / HTTP/1.1\r\nhost: local"] {
        let began = Instant::now();
        caller.write_raw(octets, Duration::from_secs(8)).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(4), "the daemon ended the silence");
    }
    let many = (0..100).map(|number| format!("x-{number}: y\r\n")).collect::<Vec<_>>().concat();
    let answer = caller.write_raw(head(&many).as_bytes(), Duration::from_secs(5)).await.unwrap();
    assert_eq!(status_of(&answer), "431");
    let long = format!("x-long: {}\r\n", "y".repeat(64 * 1024));
    let answer = caller.write_raw(head(&long).as_bytes(), Duration::from_secs(5)).await.unwrap();
    assert_eq!(status_of(&answer), "431");
    for garbage in [&b"\x16\x03\x01 not http\r\n\r\n"[..], b"GET / HTTP/9.9\r\n\r\n", b"\0\0\0\0\0\0\0\0\r\n\r\n"] {
        let answer = caller.write_raw(garbage, Duration::from_secs(5)).await.unwrap();
        assert!(!status_of(&answer).starts_with('2'), "{}", String::from_utf8_lossy(&answer));
    }
    // A peer that never finishes its handshake.
    let began = Instant::now();
    let mut silent = tokio::net::TcpStream::connect(caller.address()).await.unwrap();
    let mut none = [0; 1];
    let ended = tokio::time::timeout(Duration::from_secs(8), tokio::io::AsyncReadExt::read(&mut silent, &mut none));
    assert_eq!(ended.await.expect("ended in time").unwrap_or(0), 0);
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_verdict(&caller.ask(&good("after all that")).await.unwrap(), "match");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_does_not_stop_its_check_half_way() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    site.sim().delay(700).await.unwrap();
    let body = good("gone").to_string();
    let mut stream = caller.connect().await.unwrap();
    let request = format!("{}{body}", head(&format!("content-length: {}\r\n", body.len())));
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    crate::support::within(Duration::from_secs(5), "the request reaches the platform")
        .until(async || (site.sim().stats().await.unwrap().requests == 1).then_some(()))
        .await;
    drop(stream);
    let outcome = crate::support::within(Duration::from_secs(5), "the outcome is recorded all the same")
        .until(async || site.ledger_records().unwrap().into_iter().find(|record| record.kind() == "outcome"))
        .await;
    assert_eq!(outcome.verdict(), "match");
    let kept = caller.look_up(&outcome.verification()).await.unwrap();
    assert_verdict(&kept, "match");
}
