use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use yanqian_hsm::WorkerError;
use yanqian_hsm::protocol::codes;
use yanqian_messages::{Certificate, PlainVerifier};
use yanqian_sm::PublicKey;

use crate::support::{Site, digest, verifies};

fn refusal(error: &WorkerError) -> (&str, &str) {
    match error {
        WorkerError::Refused { code, message } => (code, message),
        other => panic!("not a refusal: {other}"),
    }
}

#[tokio::test]
async fn a_key_is_made_listed_proven_and_signs_what_software_verifies() {
    let site = Site::new();
    let _worker = site.start();
    let client = site.client();
    assert_eq!(client.list_keys().await.unwrap(), []);

    let made = client.generate_key("signing").await.unwrap();
    let key = client.public_key("signing").await.unwrap();
    assert_eq!(made.public_key, Some(key.to_sec1()));
    assert!(made.proven);
    client.self_proof("signing", &key, &PlainVerifier).await.unwrap();

    let e = digest(&key, b"a message");
    let signature = client.sign("signing", &e, None).await.unwrap();
    assert!(verifies(&key, &e, &signature));
    let with_message = client.sign("signing", &e, Some(b"a message")).await.unwrap();
    assert!(verifies(&key, &e, &with_message));

    let listed = client.list_keys().await.unwrap();
    assert_eq!((listed[0].label.as_str(), &listed[0].id, listed[0].proven), ("signing", &made.id, true));
    assert_eq!(listed[0].problem, None);

    let status = client.status().await.unwrap();
    assert_eq!((status.grade.as_str(), status.profile.as_str()), ("development", "softtoken"));
    // The proof at making, the self-proof, two signatures.
    assert_eq!(status.signatures_total, 4);
    assert_eq!((status.logins_total, status.sign_failures_total), (1, 0));
    assert!(status.token_model.contains("SOFT"));
    assert_eq!(client.random(32).await.unwrap().len(), 32);
}

#[tokio::test]
async fn refusals_have_codes_and_cost_no_signature() {
    let site = Site::new();
    let _worker = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let key = client.public_key("signing").await.unwrap();
    let before = client.status().await.unwrap().signatures_total;

    let e = digest(&key, b"one message");
    let error = client.sign("signing", &e, Some(b"another message")).await.unwrap_err();
    assert_eq!(refusal(&error).0, codes::TBS_MISMATCH);
    let error = client.sign("nobody", &e, None).await.unwrap_err();
    assert_eq!(refusal(&error).0, codes::UNKNOWN_KEY);
    let error = client.generate_key("signing").await.unwrap_err();
    assert_eq!(refusal(&error).0, codes::LABEL_IN_USE);
    let error = client.sign("", &e, None).await.unwrap_err();
    assert_eq!(refusal(&error).0, codes::BAD_REQUEST);
    let error = client.csr("signing", "CN=").await.unwrap_err();
    assert_eq!(refusal(&error).0, codes::BAD_REQUEST);
    let error = client.import_certificate("signing", b"no certificate").await.unwrap_err();
    assert_eq!(refusal(&error).0, codes::CERTIFICATE);

    assert_eq!(client.status().await.unwrap().signatures_total, before);
}

#[tokio::test]
async fn self_proofs_are_limited() {
    let site = Site::new();
    let _worker = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let key = client.public_key("signing").await.unwrap();
    let mut refused = 0;
    for _ in 0..20 {
        if let Err(error) = client.self_proof("signing", &key, &PlainVerifier).await {
            assert_eq!(refusal(&error).0, codes::RATE_LIMITED);
            refused += 1;
        }
    }
    assert!((10..20).contains(&refused), "{refused} of 20 refused");
}

#[tokio::test]
async fn a_self_proof_by_another_key_fails() {
    let site = Site::new();
    let _worker = site.start();
    let client = site.client();
    client.generate_key("one").await.unwrap();
    client.generate_key("other").await.unwrap();
    let other = client.public_key("other").await.unwrap();
    let error = client.self_proof("one", &other, &PlainVerifier).await.unwrap_err();
    assert_eq!(error, WorkerError::Defective);
}

#[tokio::test]
async fn a_certification_request_is_signed_by_its_own_key() {
    let site = Site::new();
    let _worker = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let key = client.public_key("signing").await.unwrap();
    let csr = client.csr("signing", "C=CN, O=Example Bank, CN=Example Bank signing").await.unwrap();
    let spki = key.to_spki_der();
    assert!(csr.windows(spki.len()).any(|window| window == spki));
    // CertificationRequest ::= SEQUENCE { info, algorithm, BIT STRING }.
    let (content, _) = element(&csr);
    let (_, after_info) = element(content);
    let info = &content[..content.len() - after_info.len()];
    let (_, after_algorithm) = element(after_info);
    let (bits, _) = element(after_algorithm);
    let signature = yanqian_sm::Signature::from_der(bits.strip_prefix(&[0]).unwrap()).unwrap();
    assert!(yanqian_sm::verify(&key, &digest(&key, info), &signature).is_ok());
}

#[tokio::test]
async fn keys_survive_the_worker_and_are_proven_again_at_start() {
    let site = Site::new();
    let mut worker = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let key = client.public_key("signing").await.unwrap();

    worker.signal(Signal::TERM);
    assert_eq!(worker.ended().code(), Some(0), "{}", worker.log());
    assert!(!site.path("worker.sock").exists());
    assert!(matches!(client.status().await, Err(WorkerError::Unavailable(_))));

    let _worker = site.start();
    let status = client.status().await.unwrap();
    assert_eq!((status.self_proofs_total, status.signatures_total), (1, 1));
    assert_eq!(client.public_key("signing").await.unwrap(), key);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_clients_at_once_get_their_own_signatures() {
    let site = Site::new();
    let _worker = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let key = client.public_key("signing").await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8_u32 {
        // Half of them share one connection.
        let client = if number % 2 == 0 { client.clone() } else { site.client() };
        tasks.spawn(async move {
            for round in 0..100_u32 {
                let message = [number.to_be_bytes(), round.to_be_bytes()].concat();
                let e = digest(&key, &message);
                let signature = client.sign("signing", &e, Some(&message)).await.unwrap();
                assert!(verifies(&key, &e, &signature));
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!(client.status().await.unwrap().signatures_total, 801);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_answers_busy_and_loses_nothing() {
    let mut site = Site::new();
    site.extra = "threads = 1\nqueue = 2".into();
    let _worker = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let key = client.public_key("signing").await.unwrap();
    let e = digest(&key, b"m");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let client = client.clone();
        tasks.spawn(async move { client.sign("signing", &e, None).await });
    }
    let (mut signed, mut busy) = (0, 0);
    while let Some(ended) = tasks.join_next().await {
        match ended.unwrap() {
            Ok(signature) => {
                assert!(verifies(&key, &e, &signature));
                signed += 1;
            }
            Err(WorkerError::Busy) => busy += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(signed > 0 && busy > 0, "{signed} signed, {busy} busy");
    assert_eq!(client.status().await.unwrap().busy_total, busy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_worker_gives_unavailable_and_the_next_worker_is_found() {
    let site = Site::new();
    let mut worker = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let key = client.public_key("signing").await.unwrap();
    let e = digest(&key, b"m");
    let load: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                loop {
                    match client.sign("signing", &e, None).await {
                        Ok(signature) => assert!(verifies(&key, &e, &signature)),
                        Err(error) => return error,
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    worker.signal(Signal::KILL);
    let killed = Instant::now();
    for task in load {
        let error = task.await.unwrap();
        assert!(matches!(error, WorkerError::Unavailable(_)), "{error}");
    }
    assert!(killed.elapsed() < Duration::from_secs(1));
    worker.ended();
    assert!(site.path("worker.sock").exists(), "a killed worker leaves its socket behind");

    let _worker = site.start();
    let signature = client.sign("signing", &e, None).await.unwrap();
    assert!(verifies(&key, &e, &signature));
}

#[tokio::test]
async fn a_second_worker_does_not_take_the_first_ones_socket() {
    let site = Site::new();
    let _worker = site.start();
    let mut second = site.spawn();
    assert_eq!(second.ended().code(), Some(73), "{}", second.log());
    site.client().status().await.unwrap();
}

#[tokio::test]
async fn the_socket_is_for_owner_and_group_and_files_for_the_owner() {
    let site = Site::new();
    let worker = site.start();
    let mode = |path: &str| std::fs::metadata(site.path(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("worker.sock"), 0o660);
    assert_eq!(mode("state"), 0o700);
    let log = worker.log();
    assert!(log.contains("WARN") && log.contains("DEVELOPMENT"), "{log}");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", worker.child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[tokio::test]
async fn a_certificate_is_stored_beside_its_key_and_one_of_another_key_is_not() {
    let site = Site::new();
    let _worker = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let key = client.public_key("signing").await.unwrap();
    let first = certificate(&key, 1);
    client.import_certificate("signing", &first).await.unwrap();
    client.import_certificate("signing", &first).await.unwrap();
    let stored = client.list_keys().await.unwrap().remove(0).certificate_hash;
    assert_eq!(stored, Some(yanqian_sm::sm3(&[&first])));

    let renewed = certificate(&key, 2);
    client.import_certificate("signing", &renewed).await.unwrap();
    let stored = client.list_keys().await.unwrap().remove(0).certificate_hash;
    assert_eq!(stored, Some(yanqian_sm::sm3(&[&renewed])));

    client.generate_key("other").await.unwrap();
    let error = client.import_certificate("other", &first).await.unwrap_err();
    assert_eq!(refusal(&error).0, codes::CERTIFICATE);
}

#[tokio::test]
async fn a_key_is_destroyed_with_its_certificate_only_by_its_own_id() {
    let mut site = Site::new();
    site.extra = "threads = 3".into();
    let _worker = site.start();
    let client = site.client();
    for label in ["old", "new"] {
        client.generate_key(label).await.unwrap();
    }
    let (old, new) = (client.public_key("old").await.unwrap(), client.public_key("new").await.unwrap());
    client.import_certificate("old", &certificate(&old, 1)).await.unwrap();
    let error = client.destroy_key("old", new.key_id()).await.unwrap_err();
    assert_eq!(refusal(&error).0, codes::OTHER_KEY);
    let e = digest(&old, b"m");
    for _ in 0..6 {
        client.sign("old", &e, None).await.unwrap();
    }
    client.destroy_key("old", old.key_id()).await.unwrap();
    // Every thread has known it.
    for _ in 0..6 {
        assert_eq!(refusal(&client.sign("old", &e, None).await.unwrap_err()).0, codes::UNKNOWN_KEY);
    }
    let listed = client.list_keys().await.unwrap();
    assert_eq!(listed.iter().map(|key| key.label.as_str()).collect::<Vec<_>>(), ["new"]);
    let objects = std::fs::read_dir(site.path("token").join("objects")).unwrap().count();
    assert_eq!(objects, 2, "the other pair, and nothing of the destroyed one");
    assert_eq!(client.status().await.unwrap().reinitialisations_total, 0);
}

/// Content of the first DER element, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (header, length) = match der[1] {
        short @ 0..=127 => (2, usize::from(short)),
        0x81 => (3, usize::from(der[2])),
        _ => (4, usize::from(der[2]) * 256 + usize::from(der[3])),
    };
    der[header..].split_at(length)
}

/// A certificate with an invalid signature: the worker stores certificates, the trust room judges them.
fn certificate(key: &PublicKey, serial: u8) -> Vec<u8> {
    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let [.., high, low] = content.len().to_be_bytes();
        let length = match (high, low) {
            (0, low @ 0..=127) => vec![low],
            (0, low) => vec![0x81, low],
            (high, low) => vec![0x82, high, low],
        };
        [&[tag], length.as_slice(), &content].concat()
    }
    let algorithm = tlv(0x30, &[&tlv(6, &[&[0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75]])]);
    let name = tlv(0x30, &[&tlv(0x31, &[&tlv(0x30, &[&tlv(6, &[&[0x55, 4, 3]]), &tlv(0x0c, &[b"test"])])])]);
    let validity = tlv(0x30, &[&tlv(0x17, &[b"250101000000Z"]), &tlv(0x17, &[b"350101000000Z"])]);
    let version = tlv(0xa0, &[&tlv(2, &[&[2]])]);
    let serial = tlv(2, &[&[serial]]);
    let body = tlv(0x30, &[&version, &serial, &algorithm, &name, &validity, &name, &key.to_spki_der()]);
    let der = tlv(0x30, &[&body, &algorithm, &tlv(3, &[&[0, 0x30, 0]])]);
    assert!(Certificate::from_der(&der).is_ok());
    der
}
