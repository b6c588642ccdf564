//! Floods and stalls of HTTP/2. While they go on another caller is served; afterwards counters and ledger tell of them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use yanqian_harness::{Caller, File, Protocol, REAL_NAME};

use crate::abuse::{Neighbour, assert_told, impatient};
use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, Raw, SETTINGS,
    WINDOW_UPDATE, field, frame, request, settings,
};
use crate::support::{assert_verdict, good, site, site_with};

const LIMIT: Duration = Duration::from_secs(10);
const LOOKUP: &str = "/v1/verifications/01890000-0000-7000-8000-000000000000";

async fn client(caller: &Caller) -> SendRequest<Bytes> {
    let stream = caller.over(Protocol::Http2).connect().await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

async fn post(sender: &mut SendRequest<Bytes>) -> (ResponseFuture, SendStream<Bytes>) {
    *sender = sender.clone().ready().await.unwrap();
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("https://localhost{REAL_NAME}"))
        .header("content-type", "application/json")
        .body(())
        .unwrap();
    sender.send_request(request, false).unwrap()
}

async fn code(response: Response<RecvStream>) -> (u16, String) {
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        text.extend_from_slice(&data);
    }
    let problem: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    (status, problem["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_are_refused_by_their_deadline() {
    let site = site_with(impatient).await;
    let caller = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::of(&site);
    let mut sender = client(&caller).await;
    let began = Instant::now();
    let mut streams = Vec::new();
    for number in 0..40 {
        let (response, mut body) = post(&mut sender).await;
        let dripping = tokio::spawn(async move {
            body.send_data(Bytes::from_static(b"{"), false).unwrap();
            // Half of them fall silent, half send an octet now and then.
            while number % 2 == 0 && body.send_data(Bytes::from_static(b" "), false).is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            std::future::pending::<()>().await;
        });
        streams.push((response, dripping));
    }
    for (response, dripping) in streams {
        let reply = tokio::time::timeout(LIMIT, response).await.expect("an answer in time").unwrap();
        assert_eq!(code(reply).await, (408, "body-timeout".to_owned()));
        dripping.abort();
    }
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    neighbour.was_served().await;
    let refused = site.metrics().await.unwrap().by_label("yanqian_refusals_total", "reason");
    assert_eq!(refused.get("body-timeout"), Some(&40), "{refused:?}");
    let recorded = site.ledger_records().unwrap().iter().filter(|record| record.reason() == "body-timeout").count();
    assert_eq!(recorded, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_bodies_are_refused_at_their_limit() {
    let site = site_with(impatient).await;
    let caller = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::of(&site);
    let mut sender = client(&caller).await;
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (response, mut body) = post(&mut sender).await;
        let endless = tokio::spawn(async move {
            let mut sent = 0;
            loop {
                body.reserve_capacity(16 * 1024);
                match std::future::poll_fn(|context| body.poll_capacity(context)).await {
                    Some(Ok(room)) if body.send_data(Bytes::from(vec![b' '; room]), false).is_ok() => sent += room,
                    _ => return sent,
                }
            }
        });
        tasks.push((response, endless));
    }
    for (response, endless) in tasks {
        let reply = tokio::time::timeout(LIMIT, response).await.expect("an answer in time").unwrap();
        assert_eq!(code(reply).await, (413, "body-too-large".to_owned()));
        let sent = tokio::time::timeout(LIMIT, endless).await.expect("nobody takes more").unwrap();
        assert!(sent < 16 << 20, "{sent} octets were taken");
    }
    neighbour.was_served().await;
    let refused = site.metrics().await.unwrap().by_label("yanqian_refusals_total", "reason");
    assert_eq!(refused.get("body-too-large"), Some(&8), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_block_that_does_not_end_ends_the_connection() {
    let site = site_with(impatient).await;
    let caller = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::of(&site);
    let block = request("GET", LOOKUP, &[]);
    let began = Instant::now();
    let mut connections = Vec::new();
    for number in 0..60 {
        let mut raw = Raw::open(&caller, &[]).await;
        match number % 3 {
            // Nothing at all after the settings.
            0 => {}
            // A block whose last frame never comes.
            1 => assert!(raw.write(&frame(HEADERS, END_STREAM, 1, &block)).await),
            // A frame whose last octet never comes, after a request that was answered.
            _ => {
                assert!(raw.write(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await);
                let next = frame(HEADERS, END_STREAM | END_HEADERS, 3, &block);
                assert!(raw.write(&next[..next.len() - 1]).await);
            }
        }
        connections.push(raw);
    }
    for raw in connections {
        raw.ended(LIMIT).await;
    }
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    neighbour.was_served().await;
    assert_told(site, &[("head-timeout", 60)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rapid_resets_end_the_connection() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::of(&site);
    let block = request("GET", LOOKUP, &[]);
    let check = request("POST", REAL_NAME, &[("content-type", "application/json")]);
    for (block, flags) in [(&block, END_STREAM | END_HEADERS), (&check, END_HEADERS)] {
        for _ in 0..5 {
            let mut raw = Raw::open(&caller, &[]).await;
            let mut stream = 1;
            let written = raw
                .flood(LIMIT, || {
                    let mut octets = frame(HEADERS, flags, stream, block);
                    octets.extend_from_slice(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
                    stream += 2;
                    octets
                })
                .await;
            assert!(written >= 90, "a few resets are nobody's fault: {written}");
            raw.ended(LIMIT).await;
        }
    }
    neighbour.was_served().await;
    assert_told(site, &[("http-flood", 10)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_given_up_now_and_then_do_not_end_the_connection() {
    let site = site_with(|options| options.with(File::Daemon, "limits.http2_max_resets", 5)).await;
    let mut sender = client(&site.caller("core-banking").unwrap()).await;
    for _ in 0..30 {
        let (response, mut body) = post(&mut sender).await;
        body.send_reset(h2::Reason::CANCEL);
        drop(response);
        let (response, mut body) = post(&mut sender).await;
        body.send_data(Bytes::from(good("kept").to_string()), true).unwrap();
        let reply = tokio::time::timeout(LIMIT, response).await.expect("an answer in time").unwrap();
        assert_eq!(code(reply).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_that_ask_for_nothing_end_the_connection() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::of(&site);
    let opening = frame(HEADERS, END_HEADERS, 1, &request("POST", REAL_NAME, &[("content-type", "application/json")]));
    let floods = [
        settings(&[(3, 100)]),
        frame(SETTINGS, 0, 0, &[]),
        frame(PING, 0, 0, &[7; 8]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 9]),
        frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
        frame(DATA, 0, 1, &[]),
        // A type that nobody knows.
        frame(0x42, 0, 0, &[0; 4]),
    ];
    for one in &floods {
        let mut raw = Raw::open(&caller, &[]).await;
        assert!(raw.write(&opening).await);
        let many = one.repeat(50);
        raw.flood(LIMIT, || many.clone()).await;
        raw.ended(LIMIT).await;
    }
    neighbour.was_served().await;
    assert_told(site, &[("http-flood", floods.len() as u64)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_continuations_ends_the_connection() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::of(&site);
    for payload in [field("x-more", "y"), Vec::new(), field("x-more", &"y".repeat(16_000))] {
        let mut raw = Raw::open(&caller, &[]).await;
        assert!(raw.write(&frame(HEADERS, END_STREAM, 1, &request("GET", LOOKUP, &[]))).await);
        let next = frame(CONTINUATION, 0, 1, &payload);
        raw.flood(LIMIT, || next.clone()).await;
        raw.ended(LIMIT).await;
    }
    neighbour.was_served().await;
    assert_told(site, &[("http-flood", 2)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_not_taken_ends_the_connection() {
    let site = site_with(impatient).await;
    let caller = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::of(&site);
    // SETTINGS_INITIAL_WINDOW_SIZE 0: the reply's body may not be sent.
    let mut connections = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::open(&caller, &[(4, 0)]).await;
        for stream in [1, 3, 5] {
            assert!(raw.write(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &request("GET", LOOKUP, &[]))).await);
        }
        connections.push(raw);
    }
    let began = Instant::now();
    for raw in connections {
        raw.ended(LIMIT).await;
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    neighbour.was_served().await;
    assert_told(site, &[("reply-timeout", 20)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_header_lists_are_refused() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::of(&site);
    let large = "y".repeat(60_000);
    let refused = async |headers: &[(&str, &str)]| {
        let reply = caller.over(Protocol::Http2).send(Method::GET, LOOKUP, headers, "").await;
        reply.map_or(431, |reply| reply.status)
    };
    assert_eq!(refused(&[("x-large", &large)]).await, 431);
    let names: Vec<String> = (0..400).map(|number| format!("x-{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "y")).collect();
    // Few enough octets, too many fields.
    assert_eq!(refused(&many[..100]).await, 431);
    assert_eq!(refused(&many).await, 431);
    // One field of the dynamic table, named again and again: little to send, much to hold (RFC 7541 7.3).
    let mut raw = Raw::open(&caller, &[]).await;
    let mut block = vec![0x40];
    block.extend_from_slice(&field("x-bomb", &"y".repeat(3000))[1..]);
    block.extend_from_slice(&request("GET", LOOKUP, &[]));
    block.extend(std::iter::repeat_n(0xbe, 8000));
    assert!(raw.write(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await);
    assert!(raw.write(&frame(PING, 0, 0, &[1; 8])).await);
    assert_verdict(&caller.ask(&good("r")).await.unwrap(), "match");
    drop(raw);
    neighbour.was_served().await;
    assert_told(site, &[("head-too-large", 1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn breaches_of_the_protocol_end_the_connection() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let neighbour = Neighbour::of(&site);
    let get = request("GET", LOOKUP, &[]);
    let breaches = [
        ("data on no stream", frame(DATA, 0, 0, &[0])),
        ("headers on an even stream", frame(HEADERS, END_STREAM | END_HEADERS, 2, &get)),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &get)),
        ("a ping of the wrong length", frame(PING, 0, 0, &[0; 7])),
        ("settings of the wrong length", frame(SETTINGS, 0, 0, &[0; 5])),
        ("a window of no octets", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("a window that overflows", frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes())),
        ("a frame that is too long", frame(DATA, 0, 1, &vec![0; 20_000])),
        ("a header block that is none", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 40])),
    ];
    for (name, octets) in &breaches {
        let mut raw = Raw::open(&caller, &[]).await;
        raw.write(octets).await;
        let frames = raw.ended(LIMIT).await;
        let farewell = frames.iter().find(|frame| frame.kind == GOAWAY);
        assert!(farewell.is_some_and(|frame| frame.payload[4..8] != [0; 4]), "{name}: {frames:?}");
    }
    neighbour.was_served().await;
    assert_told(site, &[("http-malformed", breaches.len() as u64)]).await;
}
