//! Sealed keys over stock `SoftHSM`, which has no SM2: the token keeps them, the worker uses them.

use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use rustix::process::Signal;
use yanqian_hsm::WorkerError;
use yanqian_hsm::protocol::{KeyUsage, codes};
use yanqian_messages::PlainVerifier;
use yanqian_sm::PublicKey;

use crate::encryption::{Enrolled, assert_refused, der, key_of, sealed};
use crate::softhsm;
use crate::support::{PIN, Site, digest, program, verifies};

pub(crate) fn site() -> Option<Site> {
    let site = softhsm::site()?;
    site.use_profile("softhsm-sealed");
    Some(site)
}

/// Environment variable that turns a test into the child process that looks at the token with its PIN: `SoftHSM` reads its own
/// environment.
pub(crate) const CHILD: &str = "YANQIAN_TEST_SEALED_CHILD";

/// Runs this test again, with the token and a login, in a process of its own.
pub(crate) fn by_hand(site: &Site, test: &str) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, site.module.to_str().unwrap())
        .env("SOFTHSM2_CONF", site.path("softhsm2.conf"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// In the child: a session that is logged in.
pub(crate) fn logged_in(module: &str) -> Session {
    let pkcs11 = Pkcs11::new(module).unwrap();
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = pkcs11.get_slots_with_initialized_token().unwrap()[0];
    let session = pkcs11.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
    session
}

/// Each way of keeping a key lives through: making, listing, a request, signatures, a restart, destruction.
async fn lives(wrapping: &str, public_key: &str) {
    let Some(site) = site() else { return };
    site.change_profile("wrapping = \"aes-key-wrap\"", &format!("wrapping = {wrapping:?}"));
    site.change_profile("public_key = \"key\"", &format!("public_key = {public_key:?}"));
    let mut worker = site.start();
    let client = site.client();
    let made = client.generate_key("sign").await.unwrap();
    assert!(made.proven && made.usage == KeyUsage::Sign);
    let key = PublicKey::from_sec1(&made.public_key.unwrap()).unwrap();
    assert_refused(client.generate_key("sign").await, codes::LABEL_IN_USE);
    let request = client.csr("sign", "C=CN, CN=Sealed").await.unwrap();
    assert!(request.windows(64).any(|octets| octets == &key.to_sec1()[1..]), "the request is for this key");
    let e = digest(&key, b"message");
    let (one, other) = (client.sign("sign", &e, None).await.unwrap(), client.sign("sign", &e, None).await.unwrap());
    assert!(verifies(&key, &e, &one) && verifies(&key, &e, &other) && one != other);
    let status = client.status().await.unwrap();
    assert_eq!((status.grade.as_str(), status.logins_total), ("sealed", 1));

    worker.signal(Signal::TERM);
    assert_eq!(worker.ended().code(), Some(0), "{}", worker.log());
    assert!(worker.log().contains("token grade SEALED"), "{}", worker.log());
    let _worker = site.start();
    let listed = client.list_keys().await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(listed[0].proven && listed[0].public_key == Some(key.to_sec1()) && listed[0].id == made.id);
    client.self_proof("sign", &key, &PlainVerifier).await.unwrap();
    assert!(verifies(&key, &e, &client.sign("sign", &e, None).await.unwrap()));

    client.destroy_key("sign", key.key_id()).await.unwrap();
    assert_eq!(client.list_keys().await.unwrap(), []);
    assert_refused(client.sign("sign", &e, None).await, codes::UNKNOWN_KEY);
    // Nothing of it is left: its label is free, public half and all.
    assert!(client.generate_key("sign").await.unwrap().public_key != made.public_key);
}

#[tokio::test]
async fn a_wrapped_key_lives_from_keygen_to_destroy() {
    lives("aes-key-wrap", "key").await;
}

#[tokio::test]
async fn a_key_kept_plain_lives_too_and_so_does_one_without_the_curve() {
    lives("none", "key").await;
    lives("none", "data").await;
    lives("aes-key-wrap", "data").await;
}

#[tokio::test]
async fn an_encryption_pair_is_imported_opens_and_survives_a_restart() {
    let Some(site) = site() else { return };
    let worker = site.start();
    let client = site.client();
    let enrolled = Enrolled::new(site, &client).await;
    let issued = enrolled.issue();
    let (certificate, key) = (der(&issued.certificate), key_of(&issued.certificate));
    let mut altered = issued.enveloped_key.clone();
    *altered.last_mut().unwrap() ^= 1;
    assert_refused(client.import_encryption_key("open", "sign", &altered, &certificate).await, codes::NOT_OPENED);
    assert_eq!(client.list_keys().await.unwrap().len(), 1, "nothing of a failed import stays");

    let entry = client.import_encryption_key("open", "sign", &issued.enveloped_key, &certificate).await.unwrap();
    assert!(entry.proven && entry.usage == KeyUsage::Encrypt && entry.public_key == Some(key.to_sec1()));
    assert_eq!(client.unseal("open", &sealed(&key, &[7; 16])).await.unwrap().expose(), [7; 16]);
    let mut elsewhere = sealed(&key, &[7; 16]);
    elsewhere.ciphertext[0] ^= 1;
    assert_refused(client.unseal("open", &elsewhere).await, codes::NOT_OPENED);
    assert_refused(client.sign("open", &digest(&key, b"m"), None).await, codes::KEY_USAGE);

    drop(worker);
    let _worker = enrolled.site.start();
    assert_eq!(client.unseal("open", &sealed(&key, &[8; 16])).await.unwrap().expose(), [8; 16]);
    let again = client.import_encryption_key("twice", "sign", &issued.enveloped_key, &certificate).await;
    assert_refused(again, codes::KEY_PRESENT);
}

/// What lies in the token, seen by somebody who has its PIN: with the wrapping, nothing that signs.
#[tokio::test]
async fn who_has_the_pin_reads_a_wrapped_key_s_octets_and_not_the_key() {
    const NAME: &str = "sealed::who_has_the_pin_reads_a_wrapped_key_s_octets_and_not_the_key";
    if let Ok(module) = std::env::var(CHILD) {
        let session = logged_in(&module);
        let secrets = session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)]).unwrap();
        assert_eq!(secrets.len(), 2, "the key, and the one that wraps it");
        for secret in secrets {
            let kinds = [AttributeType::KeyType, AttributeType::Value, AttributeType::Private];
            let attributes = session.get_attributes(secret, &kinds).unwrap();
            assert!(attributes.contains(&Attribute::Private(true)));
            let value = attributes.iter().find_map(|attribute| match attribute {
                Attribute::Value(value) => Some(value.len()),
                _ => None,
            });
            let wraps = attributes.contains(&Attribute::KeyType(KeyType::AES));
            assert_eq!(value, if wraps { None } else { Some(40) });
        }
        return;
    }
    let Some(site) = site() else { return };
    let worker = site.start();
    site.client().generate_key("sign").await.unwrap();
    drop(worker);
    by_hand(&site, NAME);
}

/// A public key beside another scalar, and octets that do not unwrap: neither key serves, the one beside them does.
#[tokio::test]
async fn a_key_that_was_tampered_with_does_not_serve_and_says_why() {
    const NAME: &str = "sealed::a_key_that_was_tampered_with_does_not_serve_and_says_why";
    if let Ok(module) = std::env::var(CHILD) {
        let session = logged_in(&module);
        let find = |label: &str| {
            let template = [Attribute::KeyType(KeyType::GENERIC_SECRET), Attribute::Label(label.into())];
            session.find_objects(&template).unwrap()[0]
        };
        let value = |label: &str| match session.get_attributes(find(label), &[AttributeType::Value]).unwrap().remove(0)
        {
            Attribute::Value(value) => value,
            other => panic!("{other:?}"),
        };
        let id = |label: &str| session.get_attributes(find(label), &[AttributeType::Id]).unwrap().remove(0);
        let mut broken = value("broken");
        broken[20] ^= 1;
        for (label, value) in [("broken", broken), ("exchanged", value("whole"))] {
            let template = [
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::KeyType(KeyType::GENERIC_SECRET),
                Attribute::Token(true),
                Attribute::Sensitive(false),
                Attribute::Extractable(true),
                Attribute::Sign(true),
                Attribute::Label(label.into()),
                id(label),
                Attribute::Value(value),
            ];
            session.destroy_object(find(label)).unwrap();
            session.create_object(&template).unwrap();
        }
        return;
    }
    let Some(site) = site() else { return };
    let worker = site.start();
    let client = site.client();
    for label in ["whole", "broken", "exchanged"] {
        client.generate_key(label).await.unwrap();
    }
    drop(worker);
    by_hand(&site, NAME);
    let worker = site.start();
    let mut keys = std::collections::BTreeMap::new();
    for key in client.list_keys().await.unwrap() {
        keys.insert(key.label, (PublicKey::from_sec1(&key.public_key.unwrap()).unwrap(), key.proven));
    }
    for (label, why) in [("broken", "does not unwrap"), ("exchanged", "not that of the public key beside it")] {
        assert!(!keys[label].1);
        let error = client.sign(label, &digest(&keys[label].0, b"m"), None).await.unwrap_err();
        let WorkerError::Refused { code, message } = error else { panic!("{error}") };
        assert!(code == codes::SEALED && message.contains(why), "{code}: {message}");
    }
    let e = digest(&keys["whole"].0, b"m");
    assert!(verifies(&keys["whole"].0, &e, &client.sign("whole", &e, None).await.unwrap()), "{}", worker.log());
}

#[tokio::test]
async fn a_token_that_goes_away_takes_its_sealed_keys_with_it_and_brings_them_back() {
    let Some(site) = site() else { return };
    let worker = site.start();
    let client = site.client();
    let key = client.generate_key("sign").await.unwrap();
    let key = PublicKey::from_sec1(&key.public_key.unwrap()).unwrap();
    let e = digest(&key, b"m");
    client.sign("sign", &e, None).await.unwrap();
    std::fs::rename(site.path("tokens"), site.path("away")).unwrap();
    // The key is in memory, and yet: no token, no signature.
    let error = client.sign("sign", &e, None).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    std::fs::rename(site.path("away"), site.path("tokens")).unwrap();
    for _ in 0..200 {
        if let Ok(signature) = client.sign("sign", &e, None).await {
            assert!(verifies(&key, &e, &signature));
            assert_eq!(client.status().await.unwrap().reinitialisations_total, 1, "{}", worker.log());
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the token does not come back:\n{}", worker.log());
}

#[test]
fn a_wrong_pin_is_tried_once() {
    let Some(site) = site() else { return };
    site.write_pin("wrong-pin");
    for _ in 0..2 {
        let mut worker = site.spawn();
        assert_eq!(worker.ended().code(), Some(77), "{}", worker.log());
    }
}

/// A promise that cannot be kept is not made: without locked memory no sealed key serves.
#[tokio::test]
async fn without_memory_that_can_be_locked_no_key_is_made() {
    let Some(site) = site() else { return };
    let config = site.write_config();
    // Root may lock what it likes, by a capability.
    let without: &[&str] =
        if rustix::process::geteuid().is_root() { &["setpriv", "--bounding-set=-ipc_lock"] } else { &[] };
    let command = [without, &["prlimit", "--memlock=0:0"]].concat();
    let child = std::process::Command::new(command[0])
        .args(&command[1..])
        .arg(program().get_program())
        .args(["worker", config.to_str().unwrap()])
        .stderr(std::fs::File::create(site.path("log")).unwrap())
        .spawn();
    // util-linux is everywhere.
    let mut child = child.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    while std::os::unix::net::UnixStream::connect(site.path("worker.sock")).is_err() {
        assert!(std::time::Instant::now() < deadline, "{}", std::fs::read_to_string(site.path("log")).unwrap());
        std::thread::sleep(Duration::from_millis(10));
    }
    let refused = site.client().generate_key("sign").await;
    child.kill().unwrap();
    child.wait().unwrap();
    let Err(WorkerError::Refused { code, message }) = refused else { panic!("{refused:?}") };
    assert!(code == codes::SEALED && message.contains("LimitMEMLOCK"), "{message}");
}
