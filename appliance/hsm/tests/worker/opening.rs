//! The encryption key when the module, the worker or whoever sends the ciphertext misbehaves.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rustix::process::Signal;
use yanqian_devpki::EntityEncryption;
use yanqian_hsm::protocol::{self, Hello, MAX_CIPHER, Operation, Outcome, PROTOCOL, Reply, Request, Welcome, codes};
use yanqian_hsm::{WorkerClient, WorkerError};
use yanqian_messages::sm2_cipher_to_der;
use yanqian_sm::{PublicKey, Sm2Ciphertext};

use crate::encryption::{Enrolled, assert_refused, der, key_of, sealed};
use crate::support::{Site, Worker, digest, verifies};

/// A worker over the faulty module, with an encryption key `open` beside the signing key `sign`.
struct Scene {
    enrolled: Enrolled,
    issued: EntityEncryption,
    worker: Worker,
    client: WorkerClient,
    key: PublicKey,
    good: Sm2Ciphertext,
}

impl Scene {
    async fn new(extra: &str) -> Self {
        let scene = Self::before_import(extra).await;
        scene.import().await.unwrap();
        scene
    }

    async fn before_import(extra: &str) -> Self {
        let mut site = Site::faulty();
        site.extra = extra.into();
        let worker = site.start();
        let client = site.client();
        let enrolled = Enrolled::new(site, &client).await;
        let issued = enrolled.issue();
        let key = key_of(&issued.certificate);
        let good = sealed(&key, &[9; 16]);
        Self { enrolled, issued, worker, client, key, good }
    }

    async fn import(&self) -> Result<(), WorkerError> {
        let (envelope, certificate) = (&self.issued.enveloped_key, der(&self.issued.certificate));
        self.client.import_encryption_key("open", "sign", envelope, &certificate).await.map(drop)
    }

    async fn opens(&self) {
        assert_eq!(self.client.unseal("open", &self.good).await.unwrap().expose(), [9; 16]);
    }

    fn order(&self, orders: &str) {
        self.enrolled.site.order(orders);
    }

    async fn labels(&self) -> Vec<String> {
        self.client.list_keys().await.unwrap().into_iter().map(|key| key.label).collect()
    }

    fn altered(&self) -> Sm2Ciphertext {
        let mut cipher = self.good.clone();
        cipher.hash[0] ^= 1;
        cipher
    }
}

#[tokio::test]
async fn a_session_or_device_that_was_away_for_a_moment_costs_no_reading() {
    let scene = Scene::new("").await;
    for code in ["0xB3", "0x60", "0x05", "0x06", "0x30", "0x80000384"] {
        scene.order(&format!("C_Decrypt {code} 1"));
        scene.opens().await;
    }
    scene.order("C_Decrypt close-all 1");
    for _ in 0..6 {
        scene.opens().await;
    }
    assert_eq!(scene.client.status().await.unwrap().logins_total, 2);
}

#[tokio::test]
async fn a_module_that_calls_a_bad_ciphertext_a_failed_device_costs_no_worker() {
    let scene = Scene::new("").await;
    scene.order("C_Decrypt vague");
    let pid = scene.client.status().await.unwrap().pid;
    for _ in 0..5 {
        assert_refused(scene.client.unseal("open", &scene.altered()).await, codes::NOT_OPENED);
        scene.opens().await;
    }
    assert_eq!(scene.client.status().await.unwrap().pid, pid);
}

#[tokio::test]
async fn a_lost_token_is_unavailable_and_never_a_bad_ciphertext() {
    let scene = Scene::new("").await;
    scene.order("C_Decrypt 0x32\nC_OpenSession 0xE0");
    for _ in 0..2 {
        let error = scene.client.unseal("open", &scene.good).await.unwrap_err();
        assert!(matches!(error, WorkerError::Unavailable(_)), "{error}");
    }
    scene.order("");
    let deadline = Instant::now() + Duration::from_mins(1);
    while let Err(error) = scene.client.unseal("open", &scene.good).await {
        assert!(matches!(error, WorkerError::Unavailable(_)), "{error}");
        assert!(Instant::now() < deadline, "{}", scene.worker.log());
    }
    scene.opens().await;
}

#[tokio::test]
async fn a_module_that_hangs_or_crashes_while_it_opens_is_unavailable() {
    for (order, code) in [("hang", Some(75)), ("abort", None)] {
        let mut scene = Scene::new("call_timeout_ms = 3000").await;
        scene.order(&format!("C_Decrypt {order}"));
        let error = scene.client.unseal("open", &scene.good).await.unwrap_err();
        assert!(matches!(error, WorkerError::Unavailable(_)), "{order}: {error}");
        assert_eq!(scene.worker.ended().code(), code, "{order}: {}", scene.worker.log());
    }
}

#[tokio::test]
async fn a_worker_killed_while_it_opens_is_unavailable_and_the_next_one_opens() {
    let mut scene = Scene::new("").await;
    scene.order("C_Decrypt sleep");
    let asking = {
        let (client, good) = (scene.client.clone(), scene.good.clone());
        tokio::spawn(async move { client.unseal("open", &good).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    scene.worker.signal(Signal::KILL);
    let error = asking.await.unwrap().unwrap_err();
    assert!(matches!(error, WorkerError::Unavailable(_)), "{error}");
    scene.worker.ended();
    scene.order("");
    let _worker = scene.enrolled.site.start();
    scene.opens().await;
}

#[tokio::test]
async fn an_encryption_key_whose_proof_fails_does_not_serve_and_the_signing_key_does() {
    let scene = Scene::new("").await;
    drop(scene.worker);
    scene.enrolled.site.order("C_Decrypt corrupt");
    let worker = scene.enrolled.site.start();
    assert_refused(scene.client.unseal("open", &scene.good).await, codes::SELF_PROOF);
    let listed = scene.client.list_keys().await.unwrap();
    let proven: Vec<_> = listed.iter().map(|key| (key.label.as_str(), key.proven, key.problem.is_some())).collect();
    assert_eq!(proven, [("open", false, true), ("sign", true, false)]);
    assert!(worker.log().contains("unseal.mechanism"));
    let signing = scene.client.public_key("sign").await.unwrap();
    let e = digest(&signing, b"m");
    assert!(verifies(&signing, &e, &scene.client.sign("sign", &e, None).await.unwrap()));
}

#[tokio::test]
async fn a_key_with_which_the_token_fails_costs_the_others_one_recovery_and_then_nothing() {
    let scene = Scene::new("").await;
    drop(scene.worker);
    scene.enrolled.site.order("C_Decrypt 0x6");
    let worker = scene.enrolled.site.start();
    let before = scene.client.status().await.unwrap();
    let signing = scene.client.public_key("sign").await.unwrap();
    let e = digest(&signing, b"m");
    for _ in 0..5 {
        assert_refused(scene.client.unseal("open", &scene.good).await, codes::SELF_PROOF);
        assert!(verifies(&signing, &e, &scene.client.sign("sign", &e, None).await.unwrap()));
    }
    let after = scene.client.status().await.unwrap();
    assert_eq!(
        (after.pid, after.reinitialisations_total),
        (before.pid, before.reinitialisations_total),
        "{}",
        worker.log()
    );
}

#[tokio::test]
async fn a_plaintext_of_another_length_is_not_given_out() {
    let scene = Scene::new("").await;
    scene.order("C_Decrypt shorten");
    assert_refused(scene.client.unseal("open", &scene.good).await, codes::NOT_OPENED);
}

#[tokio::test]
async fn an_import_that_fails_leaves_nothing_and_can_be_done_again() {
    let scene = Scene::before_import("").await;
    scene.order("C_Decrypt corrupt");
    assert_refused(scene.import().await, codes::SELF_PROOF);
    assert_eq!(scene.labels().await, ["sign"], "the proof failed");
    scene.order("C_Decrypt 0x70");
    assert_refused(scene.import().await, codes::PROFILE);
    assert_eq!(scene.labels().await, ["sign"], "the profile does not fit");
    scene.order("C_UnwrapKey 0x6");
    assert_refused(scene.import().await, codes::NOT_OPENED);
    assert_eq!(scene.labels().await, ["sign"], "the module does not say what is wrong");
    scene.order("C_UnwrapKey 0xB3 1\nC_Decrypt 0xB3 1");
    scene.import().await.unwrap();
    scene.order("");
    scene.opens().await;
}

/// A connection without the client's manners.
struct Raw(UnixStream);

impl Raw {
    fn connect(site: &Site) -> Self {
        let stream = UnixStream::connect(site.path("worker.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut raw = Self(stream);
        let hello = Hello { protocol: PROTOCOL, software: "test".into() };
        raw.0.write_all(&protocol::encode(&hello).unwrap()).unwrap();
        let welcome: Welcome = protocol::decode(&raw.read()).unwrap();
        assert_eq!(welcome.refusal, None);
        raw
    }

    fn read(&mut self) -> Vec<u8> {
        let mut prefix = [0; 4];
        self.0.read_exact(&mut prefix).unwrap();
        let mut content = vec![0; u32::from_be_bytes(prefix) as usize];
        self.0.read_exact(&mut content).unwrap();
        content
    }

    fn ask(&mut self, operation: Operation) -> Outcome {
        self.0.write_all(&protocol::encode(&Request { id: 1, operation }).unwrap()).unwrap();
        protocol::decode::<Reply>(&self.read()).unwrap().outcome
    }
}

#[tokio::test]
async fn hostile_ciphertexts_are_refused_one_by_one_and_never_cost_the_worker() {
    let scene = Scene::new("").await;
    let before = scene.client.status().await.unwrap();
    let mut raw = Raw::connect(&scene.enrolled.site);
    let mut runner = TestRunner::deterministic();
    let good = sm2_cipher_to_der(&scene.good);
    let arbitrary = prop::collection::vec(any::<u8>(), 1..=MAX_CIPHER);
    let mutated = (any::<prop::sample::Index>(), 1..=u8::MAX, any::<prop::sample::Index>(), any::<bool>());
    let mutated = mutated.prop_map(move |(place, change, cut, whole)| {
        let mut cipher = good.clone();
        let place = place.index(cipher.len());
        cipher[place] ^= change;
        if !whole {
            cipher.truncate(1 + cut.index(cipher.len() - 1));
        }
        cipher
    });
    let hostile = prop_oneof![1 => arbitrary, 4 => mutated];
    for _ in 0..300 {
        let cipher = hostile.new_tree(&mut runner).unwrap().current();
        let printed = hex::encode(&cipher);
        let outcome = raw.ask(Operation::Unseal { label: "open".into(), cipher });
        let Outcome::Refused(refusal) = outcome else { panic!("{printed}: {outcome:?}") };
        assert_eq!(refusal.code, codes::NOT_OPENED, "{printed}: {}", refusal.message);
    }
    scene.opens().await;
    let after = scene.client.status().await.unwrap();
    assert_eq!((after.pid, after.logins_total), (before.pid, before.logins_total));
    assert_eq!(after.unseal_failures_total - before.unseal_failures_total, 300);
    assert_eq!(after.unseals_total - before.unseals_total, 1);
}

#[tokio::test]
async fn many_at_once_get_their_own_session_keys() {
    let scene = Scene::new("threads = 4").await;
    let asked: Vec<_> = (0..64_u8)
        .map(|number| {
            let (client, cipher) = (scene.client.clone(), sealed(&scene.key, &[number; 16]));
            tokio::spawn(async move { (number, client.unseal("open", &cipher).await.unwrap()) })
        })
        .collect();
    for task in asked {
        let (number, opened) = task.await.unwrap();
        assert_eq!(opened.expose(), [number; 16]);
    }
}
