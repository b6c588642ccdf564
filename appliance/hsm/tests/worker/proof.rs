//! A key that does not sign what the profile promises does not serve, and the answer says what the module did instead and
//! which key of the profile to change.

use yanqian_hsm::WorkerError;
use yanqian_hsm::protocol::codes;

use crate::support::{PIN, Site, dialect, digest, softtoken, verifies};

const INPUT: &str = "mechanism = 0x80008105\ninput = \"e\"\nencoding = \"raw\"";

/// A site with one key, made while profile and dialect agreed.
async fn with_key() -> Site {
    let site = Site::new();
    let _worker = site.start();
    site.client().generate_key("sign").await.unwrap();
    site
}

/// What the worker says of the key after a start with this dialect and profile.
async fn problem(site: &mut Site, spoken: (&str, &str), profile: (&str, &str)) -> String {
    let own = dialect("softtoken");
    assert!(own.contains(spoken.0), "{}", spoken.0);
    site.speak(&own.replacen(spoken.0, spoken.1, 1));
    site.use_profile("softtoken");
    site.change_profile(profile.0, profile.1);
    let _worker = site.start();
    let client = site.client();
    let key = client.public_key("sign").await.unwrap();
    let refused = client.sign("sign", &digest(&key, b"m"), Some(b"m")).await.unwrap_err();
    let WorkerError::Refused { code, message } = refused else { panic!("{refused}") };
    assert_eq!(code, codes::SELF_PROOF, "{message}");
    let listed = client.list_keys().await.unwrap();
    assert!(!listed[0].proven);
    assert_eq!(listed[0].problem.as_deref(), Some(message.as_str()));
    message
}

#[tokio::test]
async fn each_mistake_of_a_profile_is_named_with_the_key_to_change() {
    let mut site = with_key().await;
    let sign =
        |input: &str, encoding: &str| format!("mechanism = 0x80008105\ninput = {input:?}\nencoding = {encoding:?}");
    for (spoken, profile, words) in [
        // Hashed again.
        (
            sign("message-without-z", "raw"),
            sign("e", "raw"),
            &["without Z", "sign.input should be \"message-without-z\""][..],
        ),
        (sign("message-with-z", "raw"), sign("e", "raw"), &["with Z", "sign.input should be \"message-with-z\""]),
        // Z missing, and Z twice.
        (sign("message-without-z", "raw"), sign("message-with-z", "raw"), &["without Z", "\"message-without-z\""]),
        (sign("message-with-z", "raw"), sign("message-without-z", "raw"), &["with Z", "\"message-with-z\""]),
        // The encoding.
        (sign("e", "der"), sign("e", "raw"), &["sign.encoding should be \"der\""]),
        (sign("e", "raw"), sign("e", "der"), &["sign.encoding should be \"raw\""]),
        // Both at once.
        (sign("message-with-z", "der"), sign("e", "raw"), &["\"message-with-z\"", "sign.encoding should be \"der\""]),
    ] {
        let message = problem(&mut site, (INPUT, &spoken), (INPUT, &profile)).await;
        for word in words {
            assert!(message.contains(word), "{spoken} under {profile}: {message}");
        }
        assert!(message.contains("profile.toml"), "{message}");
    }
    site.speak(&dialect("softtoken"));
    site.use_profile("softtoken");
    let _worker = site.start();
    let client = site.client();
    let key = client.public_key("sign").await.unwrap();
    let e = digest(&key, b"m");
    assert!(verifies(&key, &e, &client.sign("sign", &e, None).await.unwrap()), "the right profile serves");
}

#[tokio::test]
async fn each_defect_of_a_module_is_named() {
    let mut site = with_key().await;
    for (defect, words) in [
        ("ecdsa", &["ECDSA", "no SM2 signature"][..]),
        ("swapped", &["exchanged"]),
        ("little-endian", &["reverse order"]),
    ] {
        let spoken = format!("{INPUT}\ndefect = {defect:?}");
        let message = problem(&mut site, (INPUT, &spoken), (INPUT, INPUT)).await;
        for word in words {
            assert!(message.contains(word), "{defect}: {message}");
        }
    }
    let message_form = INPUT.replace("\"e\"", "\"message-with-z\"");
    let spoken = format!("{message_form}\ndefect = \"empty-id\"");
    let message = problem(&mut site, (INPUT, &spoken), (INPUT, &message_form)).await;
    assert!(message.contains("empty distinguishing id"), "{message}");
}

#[tokio::test]
async fn integers_without_their_zero_octet_are_no_der() {
    let mut site = with_key().await;
    let lax = INPUT.replace("\"raw\"", "\"der-lax\"");
    let strict = INPUT.replace("\"raw\"", "\"der\"");
    // About three signatures of four show it.
    for _ in 0..20 {
        site.speak(&dialect("softtoken").replacen(INPUT, &lax, 1));
        site.use_profile("softtoken");
        site.change_profile(INPUT, &strict);
        let _worker = site.start();
        if let Some(problem) = &site.client().list_keys().await.unwrap()[0].problem {
            assert!(problem.contains("sign.encoding should be \"der-lax\""), "{problem}");
            return;
        }
    }
    panic!("twenty signatures in DER by chance");
}

#[tokio::test]
async fn a_signature_that_goes_bad_leaves_the_worker_never_and_costs_the_key_its_standing() {
    let site = Site::faulty();
    let _worker = site.start();
    let client = site.client();
    client.generate_key("sign").await.unwrap();
    let key = client.public_key("sign").await.unwrap();
    let e = digest(&key, b"m");
    // Once: another try, after another proof.
    site.order("C_Sign corrupt 1");
    assert!(verifies(&key, &e, &client.sign("sign", &e, None).await.unwrap()));
    let status = client.status().await.unwrap();
    assert_eq!((status.defective_signatures_total, status.self_proofs_total), (1, 2));
    // For good: refused by name.
    site.order("C_Sign corrupt");
    let refused = client.sign("sign", &e, None).await.unwrap_err();
    assert!(matches!(&refused, WorkerError::Refused { code, .. } if code == codes::SELF_PROOF), "{refused}");
}

#[tokio::test]
async fn a_certificate_of_another_key_beside_a_key_keeps_it_from_serving() {
    let site = with_key().await;
    let worker = site.start();
    let client = site.client();
    let pki = yanqian_devpki::generate(&site.path("pki"), &yanqian_devpki::Options::default()).unwrap();
    let request = client.csr("sign", "C=CN, O=Bank One, CN=Bank One Signing").await.unwrap();
    let now = time::OffsetDateTime::now_utc();
    let certificate = yanqian_devpki::issue_entity_signing(&pki, &request, now, 30).unwrap();
    let id = hex::encode(client.generate_key("other").await.unwrap().id);
    drop(worker);
    // As a vendor's tool may do it: under the other key's id, this key's certificate.
    std::fs::write(site.path("cert.der"), crate::encryption::der(&certificate)).unwrap();
    let output = std::process::Command::new("pkcs11-tool")
        .env("YANQIAN_SOFTTOKEN_DIR", site.path("token"))
        .args(["--module", softtoken().to_str().unwrap(), "--login", "--pin", PIN, "--type", "cert", "--id", &id])
        .args(["-w", site.path("cert.der").to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let _worker = site.start();
    let listed = site.client().list_keys().await.unwrap();
    let problems: Vec<_> = listed.iter().map(|key| (key.label.as_str(), key.problem.is_some())).collect();
    assert_eq!(problems, [("other", true), ("sign", false)]);
    assert!(listed[0].problem.as_ref().unwrap().contains("is for another key"), "{:?}", listed[0].problem);
}
