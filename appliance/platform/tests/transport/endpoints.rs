use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use yanqian_platform::{AttemptResult, ConnectStage, Endpoint, EndpointState, RetrySettings, SendError};
use yanqian_platform_sim::Misbehaviour;

use crate::support::{World, in_seconds, loopback, nobody};

fn three(config: &mut yanqian_platform_sim::Config) {
    config.also_listen = vec![loopback(); 2];
}

#[tokio::test]
async fn a_request_goes_on_to_the_next_endpoint_when_nothing_of_it_was_written() {
    let world = World::new();
    let platform = world.platform(|_| {}).await;
    let client = world.client(|_| {}, &[nobody(), platform.https_addr]);
    let request = world.request();
    assert_eq!(client.send(&request, &world.trust).await.unwrap().status, 200);
    let seen = platform.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].nonce, Some(request.nonce().to_string()), "the same request");
    let stats = client.stats();
    assert_eq!(stats.endpoints[0].attempts[AttemptResult::NotSent as usize], 1);
    assert_eq!(stats.endpoints[0].failed_connections[ConnectStage::Tcp as usize], 1);
    assert_eq!(stats.endpoints[1].attempts[AttemptResult::Answered as usize], 1);
    assert_eq!(stats.retries, 1);
}

#[tokio::test]
async fn a_request_that_was_written_and_not_answered_goes_nowhere_else() {
    let world = World::new();
    let platform = world.platform(three).await;
    let client = world.client(|_| {}, &platform.addresses);
    platform.misbehave(Misbehaviour::CloseBeforeAnswer, Some(1));
    assert_eq!(client.send(&world.request(), &world.trust).await.err(), Some(SendError::Unanswered));
    assert_eq!(platform.stats().requests, 1);
    assert_eq!(client.stats().retries, 0);
}

#[tokio::test]
async fn where_the_platform_says_that_it_is_idempotent_the_same_octets_go_once_more() {
    let world = World::with(|text| text.replacen("[request]\n", "[request]\nidempotent = true\n", 1));
    // The simulator is not, so the one that swallows requests is a server of its own.
    let mute = TcpListener::bind(loopback()).await.unwrap();
    let platform = world.platform(|_| {}).await;
    let endpoints = |settings: &mut yanqian_platform::LinkSettings| {
        settings.security = yanqian_platform::Security::Gateway;
        settings.endpoints =
            vec![Endpoint::gateway(&format!("http://{}", mute.local_addr().unwrap()), &[], &[]).unwrap()];
    };
    let client = world.client(endpoints, &[]);
    let request = world.request();
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = mute.accept().await.unwrap();
            let mut octets = vec![0; 16 * 1024];
            let mut length = 0;
            while !octets[..length].ends_with(b"\"}") {
                length += stream.read(&mut octets[length..]).await.unwrap();
            }
            octets.truncate(length);
            heard.push(octets);
        }
        heard
    });
    assert_eq!(client.send(&request, &world.trust).await.err(), Some(SendError::Unanswered));
    let heard = heard.await.unwrap();
    assert_eq!(heard[0], heard[1], "the same octets");
    assert!(heard[0].ends_with(request.body()));
    drop(platform);
}

#[tokio::test]
async fn an_attempt_that_was_not_sent_does_not_make_an_unanswered_one_sent_to_nobody() {
    let world = World::with(|text| text.replacen("[request]\n", "[request]\nidempotent = true\n", 1));
    let platform = world.platform(|_| {}).await;
    let client = world.client(|_| {}, &[platform.https_addr, nobody()]);
    platform.misbehave(Misbehaviour::CloseBeforeAnswer, Some(1));
    // Third in line is the first again, which is told to behave by then and refuses the nonce: an answer, not a guess.
    platform.misbehave(Misbehaviour::CloseBeforeAnswer, None);
    assert_eq!(client.send(&world.request(), &world.trust).await.err(), Some(SendError::Unanswered));
}

#[tokio::test]
async fn an_endpoint_that_fails_is_left_alone_and_asked_again_when_it_is_back() {
    let world = World::new();
    let platform = world.platform(three).await;
    let client = world.client(|_| {}, &platform.addresses);
    platform.serve_at(0, false);
    for _ in 0..20 {
        assert_eq!(client.send(&world.request(), &world.trust).await.unwrap().status, 200);
    }
    let stats = client.stats();
    assert!(stats.endpoints[0].rests >= 1, "{stats:?}");
    assert!(stats.retries < 20, "while it rests nobody is sent there first: {stats:?}");
    platform.serve_at(0, true);
    let deadline = in_seconds(20);
    while client.stats().endpoints[0].state != EndpointState::Serving {
        assert!(Instant::now() < deadline, "not asked again: {:?}", client.stats());
        client.send(&world.request(), &world.trust).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(platform.stats().duplicates, 0);
}

#[tokio::test]
async fn an_outage_does_not_double_the_load_on_what_is_left() {
    let world = World::new();
    let platform = world.platform(|_| {}).await;
    let with = |settings: &mut yanqian_platform::LinkSettings| {
        settings.retries = RetrySettings { percent: 10, reserve: 2 };
        settings.breaker.consecutive = u32::MAX.try_into().unwrap();
        settings.breaker.samples = u32::MAX.try_into().unwrap();
    };
    let client = world.client(with, &[nobody(), platform.https_addr]);
    let mut answered = 0;
    for _ in 0..40 {
        match client.send(&world.request(), &world.trust).await {
            Ok(_) => answered += 1,
            Err(error) => assert_eq!(error, SendError::NotSent),
        }
    }
    // The reserve, and a tenth of the requests after the first, which found the reserve full.
    assert_eq!(answered, 2 + 3);
    let stats = client.stats();
    assert_eq!((stats.retries, stats.retries_denied, stats.retry_budget), (5, 35, 0));
}

#[tokio::test]
async fn the_deadline_bounds_everything() {
    let world = World::new();
    let silent = TcpListener::bind(loopback()).await.unwrap();
    let client = world.client(|_| {}, &[silent.local_addr().unwrap()]);
    let began = Instant::now();
    let sent = client.send_by(&world.request(), &world.trust, began + Duration::from_millis(300)).await;
    assert_eq!(sent.err(), Some(SendError::NotSent), "TLS never began");
    assert!(began.elapsed() < Duration::from_secs(3), "the profile alone would wait for 3 s");
    assert_eq!(client.stats().endpoints[0].state, EndpointState::Serving);

    let platform = world.platform(|_| {}).await;
    platform.delay(Duration::from_secs(30));
    let client = world.client(|_| {}, &[platform.https_addr]);
    let sent = client.send_by(&world.request(), &world.trust, in_seconds(1)).await;
    assert_eq!(sent.err(), Some(SendError::Unanswered));

    let sent = client.send_by(&world.request(), &world.trust, Instant::now()).await;
    assert_eq!(sent.err(), Some(SendError::NotSent));
    assert_eq!(platform.stats().requests, 1, "nothing begins after the deadline");
}

#[tokio::test]
async fn only_pinned_addresses_are_connected_to() {
    let world = World::new();
    let platform = world.platform(|_| {}).await;
    let port = platform.https_addr.port();
    let pinned = |pin: &str, name: &str| {
        let endpoint = Endpoint::https(&format!("https://{name}:{port}"), vec![pin.parse().unwrap()]).unwrap();
        world.client(|settings| settings.endpoints = vec![endpoint], &[])
    };
    // A name that nobody could resolve would do as well; the certificate names this one.
    let sent = pinned("127.0.0.1", "localhost").send(&world.request(), &world.trust).await;
    assert_eq!(sent.unwrap().status, 200);
    let sent = pinned("127.0.0.2", "localhost").send(&world.request(), &world.trust).await;
    assert_eq!(sent.err(), Some(SendError::NotSent), "the name leads to 127.0.0.1, the pin does not");
    // The pin is where to connect, not whom to trust.
    let client = pinned("127.0.0.1", "platform.example");
    assert_eq!(client.send(&world.request(), &world.trust).await.err(), Some(SendError::Unidentified));
    assert_eq!(client.stats().endpoints[0].failed_connections[ConnectStage::Identity as usize], 1);
    // While the endpoint rests for it, too.
    for _ in 0..20 {
        assert_eq!(client.send(&world.request(), &world.trust).await.err(), Some(SendError::Unidentified));
    }
    assert!(client.stats().endpoints[0].rests > 0);
    assert_eq!(platform.stats().requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_killed_in_turn_under_load_cost_no_request_its_one_end_and_nothing_is_sent_twice() {
    for http2 in [false, true] {
        let world = Arc::new(World::new());
        let platform = world.platform(|config| (three(config), config.http2 = http2).1).await;
        let client = Arc::new(world.client(|_| {}, &platform.addresses));
        let done = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let (world, client, done) = (Arc::clone(&world), Arc::clone(&client), Arc::clone(&done));
            tasks.push(tokio::spawn(async move {
                let (mut answered, mut unknown) = (Vec::new(), Vec::new());
                while !done.load(Ordering::Relaxed) {
                    let request = world.request();
                    match client.send_by(&request, &world.trust, in_seconds(20)).await {
                        Ok(answer) => {
                            assert_eq!(answer.status, 200);
                            answered.push(request.nonce().to_string());
                        }
                        Err(SendError::Unanswered) => unknown.push(request.nonce().to_string()),
                        Err(error) => panic!("{error:?} while two endpoints serve: {:?}", client.stats()),
                    }
                }
                (answered, unknown)
            }));
        }
        for round in 0..6 {
            let killed = round % 3;
            platform.serve_at(killed, false);
            tokio::time::sleep(Duration::from_millis(250)).await;
            platform.serve_at(killed, true);
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        done.store(true, Ordering::Relaxed);
        let (mut answered, mut unknown) = (Vec::new(), Vec::new());
        for task in tasks {
            let (a, u) = task.await.unwrap();
            answered.extend(a);
            unknown.extend(u);
        }
        let stats = platform.stats();
        assert_eq!(stats.duplicates, 0, "none is sent twice");
        let seen: Vec<_> = platform.seen().into_iter().filter_map(|seen| seen.nonce).collect();
        assert!(answered.iter().all(|nonce| seen.contains(nonce)), "what was answered was asked");
        assert!(answered.len() > 50, "{} answered, {} unknown, http2 {http2}", answered.len(), unknown.len());
        assert!(unknown.len() <= 6 * 8, "at most what was under way at each kill: {}", unknown.len());
        let rests: u64 = client.stats().endpoints.iter().map(|endpoint| endpoint.rests).sum();
        eprintln!(
            "http2 {http2}: {} answered, {} unknown, {} rests, {} retries",
            answered.len(),
            unknown.len(),
            rests,
            client.stats().retries
        );
    }
}
