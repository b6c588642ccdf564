use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use yanqian_hsm::protocol::{self, Hello, MAX_FRAME, Operation, Outcome, PROTOCOL, Reply, Request, Welcome, codes};
use yanqian_hsm::{ClientConfig, WorkerClient, WorkerError};

use crate::support::{Site, digest};

fn connect(site: &Site) -> UnixStream {
    let stream = UnixStream::connect(site.path("worker.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn read_frame(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).ok()?;
    let mut content = vec![0; u32::from_be_bytes(prefix) as usize];
    stream.read_exact(&mut content).ok()?;
    Some(content)
}

fn greet(stream: &mut UnixStream, protocol: u32) -> Welcome {
    let hello = Hello { protocol, software: "test".into() };
    stream.write_all(&protocol::encode(&hello).unwrap()).unwrap();
    protocol::decode(&read_frame(stream).expect("a welcome")).unwrap()
}

/// Whether the worker has closed the connection.
fn is_closed(stream: &mut UnixStream) -> bool {
    let mut octet = [0; 1];
    match stream.read(&mut octet) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[tokio::test]
async fn damaged_frames_end_their_connection_and_nothing_else() {
    let site = Site::new();
    let _worker = site.start();
    let too_large = u32::try_from(MAX_FRAME + 1).unwrap().to_be_bytes();
    for damage in
        [&too_large[..], &[0xff; 4], &[0; 4], &[0, 0, 0, 1, 0xff], &[0, 0, 0, 3, 1, 2, 3], b"GET / HTTP/1.1\r\n\r\n"]
    {
        let mut early = connect(&site);
        early.write_all(damage).unwrap();
        assert!(is_closed(&mut early), "{damage:02x?} before the greeting");
        let mut late = connect(&site);
        assert_eq!(greet(&mut late, PROTOCOL).refusal, None);
        late.write_all(damage).unwrap();
        assert!(is_closed(&mut late), "{damage:02x?} after the greeting");
    }
    site.client().status().await.unwrap();
}

/// Any operation, most of them nonsense to a token.
fn operation() -> impl Strategy<Value = Operation> {
    let label = prop_oneof![Just("sign".to_owned()), "[ -~]{0,70}"];
    let octets = || prop::collection::vec(any::<u8>(), 0..9000);
    prop_oneof![
        (label.clone(), any::<[u8; 32]>(), prop::option::of(octets())).prop_map(|(label, e, tbs)| Operation::Sign {
            label,
            e,
            tbs
        }),
        (label.clone(), octets()).prop_map(|(label, cipher)| Operation::Unseal { label, cipher }),
        (label.clone(), octets()).prop_map(|(label, nonce)| Operation::SelfProof { label, nonce }),
        (label.clone(), octets()).prop_map(|(label, certificate)| Operation::ImportCertificate { label, certificate }),
        (label.clone(), "[ -~]{0,70}").prop_map(|(label, subject)| Operation::Csr { label, subject }),
        (label.clone(), any::<[u8; 32]>()).prop_map(|(label, key_id)| Operation::DestroyKey { label, key_id }),
        (label.clone(), label, octets(), octets()).prop_map(|(label, wrapping_label, enveloped_key, certificate)| {
            Operation::ImportEncryptionKey { label, wrapping_label, enveloped_key, certificate }
        }),
        any::<u32>().prop_map(|count| Operation::Random { count }),
        Just(Operation::ListKeys),
        Just(Operation::Status),
    ]
}

#[tokio::test]
async fn whatever_is_asked_gets_one_answer_and_costs_neither_worker_nor_key() {
    let site = Site::new();
    let _worker = site.start();
    let client = site.client();
    client.generate_key("sign").await.unwrap();
    let before = client.status().await.unwrap();
    let mut runner = TestRunner::deterministic();
    let mut stream = connect(&site);
    greet(&mut stream, PROTOCOL);
    let strategy = operation();
    for id in 0..400 {
        let operation = strategy.new_tree(&mut runner).unwrap().current();
        let name = operation.name();
        let frame = protocol::encode(&Request { id, operation }).unwrap();
        stream.write_all(&frame).unwrap();
        let reply: Reply = protocol::decode(&read_frame(&mut stream).unwrap_or_else(|| panic!("{name}"))).unwrap();
        assert_eq!(reply.id, id, "{name}");
        assert!(!matches!(reply.outcome, Outcome::Unavailable(_)), "{name}: {:?}", reply.outcome);
    }
    drop(stream);
    // Frames that were a request before some of their octets changed.
    for _ in 0..100 {
        let operation = strategy.new_tree(&mut runner).unwrap().current();
        let mut frame = protocol::encode(&Request { id: 1, operation }).unwrap().to_vec();
        let (place, octet) = (any::<prop::sample::Index>(), any::<u8>()).new_tree(&mut runner).unwrap().current();
        let place = 4 + place.index(frame.len() - 4);
        frame[place] = octet;
        let mut stream = connect(&site);
        greet(&mut stream, PROTOCOL);
        stream.write_all(&frame).unwrap();
        // An answer, or the end of this connection.
        if let Some(content) = read_frame(&mut stream) {
            protocol::decode::<Reply>(&content).unwrap();
        }
    }
    let after = client.status().await.unwrap();
    assert_eq!((after.pid, after.logins_total, after.reinitialisations_total), (before.pid, before.logins_total, 0));
    let key = client.public_key("sign").await.unwrap();
    client.sign("sign", &digest(&key, b"m"), None).await.unwrap();
    let listed = client.list_keys().await.unwrap();
    assert_eq!(listed.iter().map(|key| key.label.as_str()).collect::<Vec<_>>(), ["sign"]);
}

#[tokio::test]
async fn another_version_is_refused_by_name() {
    let site = Site::new();
    let _worker = site.start();
    let mut stream = connect(&site);
    let welcome = greet(&mut stream, PROTOCOL + 1);
    assert_eq!(welcome.refusal.unwrap().code, codes::PROTOCOL_VERSION);
    assert!(is_closed(&mut stream));
}

#[tokio::test]
async fn slow_greetings_and_slow_frames_are_cut_off() {
    let site = Site::new();
    let _worker = site.start();
    let started = Instant::now();
    let mut silent = connect(&site);
    let mut slow = connect(&site);
    greet(&mut slow, PROTOCOL);
    slow.write_all(&[0, 0]).unwrap();
    assert!(is_closed(&mut silent));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(is_closed(&mut slow));
    assert!(started.elapsed() < Duration::from_secs(12));
}

#[tokio::test]
async fn answers_carry_the_ids_of_their_questions() {
    let site = Site::new();
    let _worker = site.start();
    let mut stream = connect(&site);
    greet(&mut stream, PROTOCOL);
    for id in [u64::MAX, 0, 7] {
        let request = Request { id, operation: Operation::Random { count: 8 } };
        stream.write_all(&protocol::encode(&request).unwrap()).unwrap();
    }
    let mut ids: Vec<u64> = (0..3)
        .map(|_| {
            let reply: Reply = protocol::decode(&read_frame(&mut stream).unwrap()).unwrap();
            assert!(matches!(reply.outcome, Outcome::Done(_)));
            reply.id
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [0, 7, u64::MAX]);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let mut site = Site::new();
    site.extra = "max_connections = 3".into();
    let _worker = site.start();
    // The probe that waited for the worker may still have its place.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut open: Vec<UnixStream> = (0..3).map(|_| connect(&site)).collect();
    for stream in &mut open {
        assert_eq!(greet(stream, PROTOCOL).refusal, None);
    }
    assert!(is_closed(&mut connect(&site)));
    drop(open.pop());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(greet(&mut connect(&site), PROTOCOL).refusal, None);
}

#[tokio::test]
async fn a_worker_under_another_uid_is_not_trusted() {
    let site = Site::new();
    let _worker = site.start();
    let own = rustix::process::geteuid().as_raw();
    let client = |uid| {
        WorkerClient::new(ClientConfig { expected_uid: Some(uid), ..ClientConfig::new(site.path("worker.sock")) })
    };
    client(own).status().await.unwrap();
    assert!(matches!(client(own + 1).status().await, Err(WorkerError::Protocol(_))));
}

/// Asks under another uid, through a copy of this test; needs root, as CI has it.
fn ask_as(site: &Site, uid: u32) -> String {
    use std::os::unix::fs::PermissionsExt;
    for name in ["", "worker.sock"] {
        std::fs::set_permissions(site.path(name), std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    // The build directory may be closed to others; the copy is not.
    let copy = site.path("copy-of-test");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(copy)
        .args(["--exact", "protocol::asker", "--nocapture", "--ignored"])
        .env("ASKER_SOCKET", site.path("worker.sock"))
        .uid(uid)
        .current_dir("/")
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
#[ignore = "a part of other tests: asks a worker under another uid"]
#[allow(clippy::print_stderr)]
async fn asker() {
    let client = WorkerClient::new(ClientConfig::new(std::env::var("ASKER_SOCKET").unwrap()));
    let status = client.status().await;
    let made = client.generate_key("by-asker").await;
    let imported = client.import_encryption_key("open", "signing", b"envelope", b"certificate").await;
    let key = client.public_key("signing").await;
    let signed = match &key {
        Ok(key) => client.sign("signing", &digest(key, b"m"), None).await.map(|_| ()),
        Err(error) => Err(error.clone()),
    };
    let (status, made, imported) = (status.map(|_| ()), made.map(|_| ()), imported.map(|_| ()));
    eprintln!("status {status:?}\nmade {made:?}\nimported {imported:?}\nsigned {signed:?}");
}

#[tokio::test]
#[allow(clippy::print_stderr)]
async fn strangers_are_refused_and_clients_may_sign_but_not_manage() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can ask under other uids");
        return;
    }
    let mut site = Site::new();
    site.extra = "client_uids = [4001]\nadmin_uids = [4002]".into();
    let _worker = site.start();
    site.client().generate_key("signing").await.unwrap();

    let stranger = ask_as(&site, 4003);
    assert_eq!(stranger.matches(codes::PEER).count(), 4, "{stranger}");
    let client = ask_as(&site, 4001);
    assert!(client.contains("status Ok") && client.contains("signed Ok"), "{client}");
    assert_eq!(client.matches(codes::NOT_PERMITTED).count(), 2, "{client}");
    let admin = ask_as(&site, 4002);
    assert!(admin.contains("made Ok") && admin.contains("signed Ok"), "{admin}");
    assert!(admin.contains(codes::CERTIFICATE) && !admin.contains(codes::NOT_PERMITTED), "{admin}");
}
