//! Keys of other algorithms than SM2, over stock `SoftHSM`: what a bank's HSM has, and what may be used of it.

use openssl::pkey::{PKey, Public};
use openssl::rsa::Padding;
use openssl::sha::sha256;
use openssl::sign::{RsaPssSaltlen, Verifier};
use openssl::x509::X509Req;
use rustix::process::Signal;
use yanqian_hsm::protocol::codes;
use yanqian_hsm::{KeyAlgorithm, KeyEntry, Scheme, WorkerClient, WorkerError};
use yanqian_sm::E;

use crate::encryption::assert_refused;
use crate::sealed::{CHILD, by_hand, logged_in};
use crate::softhsm;
use crate::support::Site;

const ALL: &str = "algorithms = [\"sm2\", \"ecdsa-p256\", \"rsa-2048\", \"rsa-3072\"]";

/// A site with the stock profile, whose worker may use these algorithms.
fn site(algorithms: &str) -> Option<Site> {
    let mut site = softhsm::site()?;
    site.use_profile("softhsm");
    algorithms.clone_into(&mut site.extra);
    Some(site)
}

/// The key in a request, whose own signature must verify with it.
async fn certified(client: &WorkerClient, label: &str) -> PKey<Public> {
    let request = client.csr(label, "C=CN, CN=Other").await.unwrap();
    let request = X509Req::from_der(&request).unwrap();
    let key = request.public_key().unwrap();
    assert!(request.verify(&key).unwrap(), "{label}: the request's signature");
    key
}

fn verifies(key: &PKey<Public>, scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
    let mut verifier = Verifier::new(openssl::hash::MessageDigest::sha256(), key).unwrap();
    if scheme == Scheme::RsaPss {
        verifier.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
        verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
    }
    verifier.verify_oneshot(signature, message).unwrap()
}

async fn signs(client: &WorkerClient, label: &str, key: &PKey<Public>, schemes: &[Scheme]) {
    for scheme in schemes {
        for message in [&b"one"[..], b"another"] {
            let signature = client.sign_digest(label, *scheme, &sha256(message), Some(message)).await.unwrap();
            assert!(verifies(key, *scheme, message, &signature), "{label}: {scheme}");
            assert!(!verifies(key, *scheme, b"a third", &signature));
        }
    }
}

#[tokio::test]
async fn rsa_and_ecdsa_keys_live_from_keygen_to_destroy() {
    const SCHEMES: [(KeyAlgorithm, &[Scheme]); 3] = [
        (KeyAlgorithm::EcdsaP256, &[Scheme::EcdsaP256]),
        (KeyAlgorithm::Rsa2048, &[Scheme::RsaPkcs1, Scheme::RsaPss]),
        (KeyAlgorithm::Rsa3072, &[Scheme::RsaPkcs1, Scheme::RsaPss]),
    ];
    let Some(site) = site(ALL) else { return };
    let mut worker = site.start();
    let client = site.client();
    let mut keys = Vec::new();
    for (algorithm, schemes) in SCHEMES {
        let label = algorithm.as_str();
        let made = client.generate_key_of(algorithm, label).await.unwrap();
        assert!(made.proven && made.algorithm == Some(algorithm) && made.public_key.is_none(), "{made:?}");
        let key = certified(&client, label).await;
        assert_eq!(made.key_id, Some(yanqian_sm::sm3(&[&key.public_key_to_der().unwrap()])));
        signs(&client, label, &key, schemes).await;
        assert_refused(client.generate_key_of(algorithm, label).await, codes::LABEL_IN_USE);
        keys.push((label, key, schemes, made.key_id.unwrap()));
    }
    assert_eq!(client.status().await.unwrap().defective_signatures_total, 0);

    worker.signal(Signal::TERM);
    assert_eq!(worker.ended().code(), Some(0), "{}", worker.log());
    let _worker = site.start();
    let listed = client.list_keys().await.unwrap();
    assert!(listed.iter().all(|key| key.proven && key.problem.is_none()) && listed.len() == 3, "{listed:?}");
    for (label, key, schemes, id) in &keys {
        signs(&client, label, key, schemes).await;
        client.destroy_key(label, *id).await.unwrap();
        assert_refused(client.sign_digest(label, schemes[0], &[0; 32], None).await, codes::UNKNOWN_KEY);
    }
    assert_eq!(client.list_keys().await.unwrap(), []);
}

#[tokio::test]
async fn each_key_signs_by_its_own_schemes_and_no_sm2_operation_takes_it() {
    let Some(site) = site(ALL) else { return };
    let _worker = site.start();
    let client = site.client();
    client.generate_key_of(KeyAlgorithm::EcdsaP256, "p256").await.unwrap();
    client.generate_key_of(KeyAlgorithm::Rsa2048, "rsa").await.unwrap();
    let digest = sha256(b"m");
    for (label, scheme) in [("p256", Scheme::RsaPkcs1), ("p256", Scheme::RsaPss), ("rsa", Scheme::EcdsaP256)] {
        assert_refused(client.sign_digest(label, scheme, &digest, None).await, codes::ALGORITHM);
    }
    for label in ["p256", "rsa"] {
        assert_refused(client.sign(label, &E::from_digest(digest), None).await, codes::ALGORITHM);
        assert_refused(client.public_key(label).await, codes::ALGORITHM);
        let wrong = client.sign_digest(label, Scheme::EcdsaP256, &digest, Some(b"another")).await;
        assert_refused(wrong, if label == "p256" { codes::TBS_MISMATCH } else { codes::ALGORITHM });
    }
}

fn entry<'a>(keys: &'a [KeyEntry], label: &str) -> &'a KeyEntry {
    keys.iter().find(|key| key.label == label).unwrap_or_else(|| panic!("{label}: {keys:?}"))
}

#[tokio::test]
async fn a_key_of_an_algorithm_that_is_not_named_is_listed_with_its_reason_and_never_used() {
    let Some(mut site) = site(ALL) else { return };
    let worker = site.start();
    let client = site.client();
    client.generate_key_of(KeyAlgorithm::EcdsaP256, "p256").await.unwrap();
    let rsa = client.generate_key_of(KeyAlgorithm::Rsa2048, "rsa").await.unwrap();
    drop(worker);
    "algorithms = [\"ecdsa-p256\"]".clone_into(&mut site.extra);
    let worker = site.start();
    let listed = client.list_keys().await.unwrap();
    assert!(entry(&listed, "p256").proven);
    let barred = entry(&listed, "rsa");
    let reason = barred.problem.clone().unwrap_or_default();
    assert!(!barred.proven && reason.contains("rsa-2048 is not among `algorithms`"), "{reason}");
    // One proof: the other key's.
    assert_eq!(client.status().await.unwrap().signatures_total, 1, "{}", worker.log());
    assert_refused(client.sign_digest("rsa", Scheme::RsaPkcs1, &[0; 32], None).await, codes::ALGORITHM);
    assert_refused(client.csr("rsa", "CN=x").await, codes::ALGORITHM);
    assert_refused(client.generate_key("sm2").await, codes::ALGORITHM);
    assert_eq!(client.status().await.unwrap().signatures_total, 1);
    // What may not be used may be removed.
    client.destroy_key("rsa", rsa.key_id.unwrap()).await.unwrap();
}

#[tokio::test]
async fn by_default_only_sm2_is_allowed() {
    let Some(site) = site("") else { return };
    let _worker = site.start();
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048, KeyAlgorithm::Rsa4096] {
        assert_refused(site.client().generate_key_of(algorithm, "k").await, codes::ALGORITHM);
    }
}

/// RSA of 1024 bits and P-224, made by another tool.
#[tokio::test]
async fn weak_keys_are_never_used_whatever_is_configured() {
    const NAME: &str = "algorithms::weak_keys_are_never_used_whatever_is_configured";
    if let Ok(module) = std::env::var(CHILD) {
        use cryptoki::mechanism::Mechanism;
        use cryptoki::object::Attribute;
        let session = logged_in(&module);
        let both = |label: &str| [Attribute::Token(true), Attribute::Label(label.into()), Attribute::Id(label.into())];
        let private = |label: &str| [&both(label)[..], &[Attribute::Private(true), Attribute::Sign(true)]].concat();
        let short =
            [&both("short")[..], &[Attribute::ModulusBits(1024.into()), Attribute::PublicExponent(vec![1, 0, 1])]];
        session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &short.concat(), &private("short")).unwrap();
        let curve = Attribute::EcParams(vec![0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x21]);
        let narrow = [&both("narrow")[..], &[curve]].concat();
        session.generate_key_pair(&Mechanism::EccKeyPairGen, &narrow, &private("narrow")).unwrap();
        return;
    }
    let Some(site) = site(ALL) else { return };
    by_hand(&site, NAME);
    let worker = site.start();
    let client = site.client();
    let listed = client.list_keys().await.unwrap();
    for (label, why, scheme) in
        [("short", "1024 bits, which is weak", Scheme::RsaPkcs1), ("narrow", "P-224, which is weak", Scheme::EcdsaP256)]
    {
        let entry = entry(&listed, label);
        assert!(!entry.proven && entry.algorithm.is_none(), "{entry:?}");
        assert!(entry.problem.as_ref().is_some_and(|problem| problem.contains(why)), "{entry:?}");
        assert_refused(client.sign_digest(label, scheme, &[0; 32], None).await, codes::ALGORITHM);
    }
    assert_eq!(client.status().await.unwrap().signatures_total, 0, "{}", worker.log());
}

#[tokio::test]
async fn wrong_algorithm_tables_are_named_by_what_the_module_did() {
    let ecdsa = "mechanism = 0x1041                    # CKM_ECDSA\n";
    for (from, to, algorithm, code, said) in [
        // SoftHSM cuts what is too long for the curve: the digest of the message is not what it signs.
        (
            ecdsa,
            "mechanism = 0x1041\nencoding = \"der\"\n",
            KeyAlgorithm::EcdsaP256,
            codes::SELF_PROOF,
            "encoding should be \"raw\"",
        ),
        (ecdsa, "mechanism = 0x80001041\n", KeyAlgorithm::EcdsaP256, codes::PROFILE, "mechanism = 0x80001041"),
        (
            "mechanism = 0x1 ",
            "mechanism = 0x40 ",
            KeyAlgorithm::Rsa2048,
            codes::SELF_PROOF,
            "hashes its input: input should be \"message\"",
        ),
    ] {
        let Some(site) = site(ALL) else { return };
        site.change_profile(from, to);
        let _worker = site.start();
        let error = site.client().generate_key_of(algorithm, "k").await.unwrap_err();
        let WorkerError::Refused { code: found, message } = error else { panic!("{error}") };
        assert!(found == code && message.contains(said), "{found}: {message}");
    }
}

/// `CKM_SHA256_RSA_PKCS` hashes for itself, so the message goes along and is held against the digest.
#[tokio::test]
async fn a_mechanism_that_hashes_gets_the_message() {
    let Some(site) = site(ALL) else { return };
    site.change_profile("mechanism = 0x1 ", "mechanism = 0x40 ");
    site.change_profile("input = \"digest-info\"", "input = \"message\"");
    let _worker = site.start();
    let client = site.client();
    client.generate_key_of(KeyAlgorithm::Rsa2048, "rsa").await.unwrap();
    let key = certified(&client, "rsa").await;
    signs(&client, "rsa", &key, &[Scheme::RsaPkcs1]).await;
    let without = client.sign_digest("rsa", Scheme::RsaPkcs1, &sha256(b"m"), None).await;
    assert_refused(without, codes::TBS_REQUIRED);
    // The other scheme of the same key takes digests.
    signs(&client, "rsa", &key, &[Scheme::RsaPss]).await;
}
