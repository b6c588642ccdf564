//! The second of the dual certificates: a pair that an authority made, wrapped to the token's own signing key.

use time::OffsetDateTime;
use yanqian_devpki::{EntityEncryption, Layout, Options};
use yanqian_hsm::protocol::{KeyUsage, codes};
use yanqian_hsm::{WorkerClient, WorkerError};
use yanqian_messages::{PlainVerifier, certificates_from_pem_or_der};
use yanqian_sm::{PublicKey, Sm2Ciphertext, sm2_encrypt};

use crate::support::{Site, digest};

/// An authority, and a token whose signing key it has certified.
pub(crate) struct Enrolled {
    pub(crate) site: Site,
    pki: Layout,
    signing: Vec<u8>,
}

impl Enrolled {
    pub(crate) async fn new(site: Site, client: &WorkerClient) -> Self {
        let pki = yanqian_devpki::generate(&site.path("pki"), &Options::default()).unwrap();
        client.generate_key("sign").await.unwrap();
        let request = client.csr("sign", "C=CN, O=Bank One, CN=Bank One Signing").await.unwrap();
        let signing = yanqian_devpki::issue_entity_signing(&pki, &request, OffsetDateTime::now_utc(), 30).unwrap();
        Self { site, pki, signing }
    }

    pub(crate) fn issue(&self) -> EntityEncryption {
        yanqian_devpki::issue_entity_encryption(&self.pki, &self.signing, OffsetDateTime::now_utc(), 30).unwrap()
    }
}

pub(crate) fn der(pem: &[u8]) -> Vec<u8> {
    certificates_from_pem_or_der(pem).unwrap()[0].as_der().to_vec()
}

pub(crate) fn key_of(pem: &[u8]) -> PublicKey {
    *certificates_from_pem_or_der(pem).unwrap()[0].public_key().unwrap()
}

pub(crate) fn sealed(key: &PublicKey, secret: &[u8]) -> Sm2Ciphertext {
    sm2_encrypt(key, secret, &mut getrandom::SysRng).unwrap()
}

#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(result: Result<T, WorkerError>, expected: &str) {
    match result {
        Err(WorkerError::Refused { code, .. }) => assert_eq!(code, expected),
        other => panic!("not refused as {expected}: {other:?}"),
    }
}

#[tokio::test]
async fn an_imported_pair_proves_itself_opens_what_is_sealed_to_it_and_survives_a_restart() {
    let site = Site::new();
    let worker = site.start();
    let client = site.client();
    let enrolled = Enrolled::new(site, &client).await;
    let issued = enrolled.issue();
    let (certificate, key) = (der(&issued.certificate), key_of(&issued.certificate));

    let entry = client.import_encryption_key("open", "sign", &issued.enveloped_key, &certificate).await.unwrap();
    assert!(entry.proven && entry.usage == KeyUsage::Encrypt && entry.public_key == Some(key.to_sec1()));
    let opened = client.unseal("open", &sealed(&key, b"0123456789abcdef")).await.unwrap();
    assert_eq!(opened.expose(), b"0123456789abcdef");

    drop(worker);
    let _worker = enrolled.site.start();
    let client = enrolled.site.client();
    let opened = client.unseal("open", &sealed(&key, &[7; 16])).await.unwrap();
    assert_eq!(opened.expose(), [7; 16]);
    let listed = client.list_keys().await.unwrap();
    let uses: Vec<_> = listed.iter().map(|key| (key.label.as_str(), key.usage, key.proven)).collect();
    assert_eq!(uses, [("open", KeyUsage::Encrypt, true), ("sign", KeyUsage::Sign, true)]);
    assert!(listed[0].certificate_hash.is_some());
    let status = client.status().await.unwrap();
    // The proof at start, and the one that was asked for.
    assert_eq!((status.unseals_total, status.unseal_failures_total), (2, 0));
}

/// The blob is written by the development PKI's own code, on OpenSSL.
#[tokio::test]
async fn a_pair_in_the_form_of_smart_keys_is_imported_as_the_same_pair() {
    let site = Site::new();
    let _worker = site.start();
    let client = site.client();
    let enrolled = Enrolled::new(site, &client).await;
    let issued = enrolled.issue();
    let (certificate, key) = (der(&issued.certificate), key_of(&issued.certificate));
    let envelope = yanqian_messages::enveloped_key_from_blob(&issued.enveloped_key_blob).unwrap();
    assert_eq!(envelope.to_der(), issued.enveloped_key, "both forms say the same");
    client.import_encryption_key("open", "sign", &envelope.to_der(), &certificate).await.unwrap();
    assert_eq!(client.unseal("open", &sealed(&key, &[7; 16])).await.unwrap().expose(), [7; 16]);
}

#[tokio::test]
async fn each_key_does_only_what_it_is_for() {
    let site = Site::new();
    let _worker = site.start();
    let client = site.client();
    let enrolled = Enrolled::new(site, &client).await;
    let issued = enrolled.issue();
    client.import_encryption_key("open", "sign", &issued.enveloped_key, &der(&issued.certificate)).await.unwrap();
    let (signing, encryption) = (key_of(&enrolled.signing), key_of(&issued.certificate));

    assert_refused(client.unseal("sign", &sealed(&signing, &[1; 16])).await, codes::KEY_USAGE);
    assert_refused(client.sign("open", &digest(&encryption, b"m"), None).await, codes::KEY_USAGE);
    assert_refused(client.csr("open", "CN=x").await, codes::KEY_USAGE);
    assert_refused(client.self_proof("open", &encryption, &PlainVerifier).await, codes::KEY_USAGE);
}

#[tokio::test]
async fn what_cannot_be_opened_is_refused_and_the_key_serves_on() {
    let site = Site::new();
    let _worker = site.start();
    let client = site.client();
    let enrolled = Enrolled::new(site, &client).await;
    let issued = enrolled.issue();
    client.import_encryption_key("open", "sign", &issued.enveloped_key, &der(&issued.certificate)).await.unwrap();
    let key = key_of(&issued.certificate);

    let good = sealed(&key, &[9; 16]);
    let altered = |change: fn(&mut Sm2Ciphertext)| {
        let mut cipher = good.clone();
        change(&mut cipher);
        cipher
    };
    let hostile = [
        sealed(&key_of(&enrolled.signing), &[9; 16]),
        altered(|cipher| cipher.hash[0] ^= 1),
        altered(|cipher| cipher.ciphertext[0] ^= 1),
        altered(|cipher| cipher.ciphertext.push(0)),
        altered(|cipher| cipher.x[0] ^= 1),
        altered(|cipher| (cipher.x, cipher.y) = ([0; 32], [0; 32])),
        altered(|cipher| (cipher.x, cipher.y) = ([0xff; 32], [0xff; 32])),
        sealed(&key, &[9; 65]),
    ];
    for cipher in &hostile {
        assert_refused(client.unseal("open", cipher).await, codes::NOT_OPENED);
        assert_eq!(client.unseal("open", &good).await.unwrap().expose(), [9; 16]);
    }
    assert_refused(client.unseal("nobody", &good).await, codes::UNKNOWN_KEY);
}

#[tokio::test]
async fn an_envelope_is_imported_only_whole_for_its_own_key_and_under_a_free_label() {
    let site = Site::new();
    let _worker = site.start();
    let client = site.client();
    let enrolled = Enrolled::new(site, &client).await;
    let (issued, other) = (enrolled.issue(), enrolled.issue());
    let certificate = der(&issued.certificate);
    let import = async |label: &str, wrapping: &str, envelope: &[u8], certificate: &[u8]| {
        client.import_encryption_key(label, wrapping, envelope, certificate).await
    };

    let signing = der(&enrolled.signing);
    assert_refused(import("open", "sign", &issued.enveloped_key, &signing).await, codes::CERTIFICATE);
    assert_refused(import("open", "sign", &issued.enveloped_key, &der(&other.certificate)).await, codes::CERTIFICATE);
    assert_refused(import("open", "nobody", &issued.enveloped_key, &certificate).await, codes::UNKNOWN_KEY);
    assert_refused(import("sign", "sign", &issued.enveloped_key, &certificate).await, codes::BAD_REQUEST);
    client.generate_key("another").await.unwrap();
    assert_refused(import("open", "another", &issued.enveloped_key, &certificate).await, codes::NOT_OPENED);
    for place in (0..issued.enveloped_key.len()).step_by(23) {
        let mut altered = issued.enveloped_key.clone();
        altered[place] ^= 0x10;
        import("open", "sign", &altered, &certificate).await.expect_err("an altered envelope");
    }
    let labels = async || client.list_keys().await.unwrap().into_iter().map(|key| key.label).collect::<Vec<_>>();
    assert_eq!(labels().await, ["another", "sign"], "nothing is left of what was refused");

    import("open", "sign", &issued.enveloped_key, &certificate).await.unwrap();
    assert_refused(import("open", "sign", &issued.enveloped_key, &certificate).await, codes::LABEL_IN_USE);
    assert_refused(import("other", "sign", &issued.enveloped_key, &certificate).await, codes::KEY_PRESENT);
    assert_refused(
        import("another", "sign", &other.enveloped_key, &der(&other.certificate)).await,
        codes::LABEL_IN_USE,
    );
    assert_refused(import("next", "open", &other.enveloped_key, &der(&other.certificate)).await, codes::KEY_USAGE);
    import("next", "sign", &other.enveloped_key, &der(&other.certificate)).await.unwrap();
}

#[tokio::test]
async fn a_signing_key_from_before_the_import_table_is_refused_by_what_it_lacks() {
    const IMPORT: &str = "[import]\nmechanism = 0x80008200\nform = \"sm2-enveloped-key\"\n";
    let site = Site::new();
    site.change_profile(IMPORT, "");
    let worker = site.start();
    let client = site.client();
    let enrolled = Enrolled::new(site, &client).await;
    drop(worker);
    enrolled.site.change_profile("[session]", &format!("{IMPORT}\n[session]"));
    let _worker = enrolled.site.start();
    let issued = enrolled.issue();
    let imported = enrolled
        .site
        .client()
        .import_encryption_key("open", "sign", &issued.enveloped_key, &der(&issued.certificate))
        .await;
    let Err(WorkerError::Refused { code, message }) = imported else { panic!("{imported:?}") };
    assert!(code == codes::KEY_USAGE && message.contains("CKA_UNWRAP"), "{code}: {message}");
}

#[tokio::test]
async fn a_profile_without_the_tables_says_so() {
    let site = Site::new();
    site.change_profile("[import]\nmechanism = 0x80008200\nform = \"sm2-enveloped-key\"\n", "");
    let _worker = site.start();
    let client = site.client();
    let enrolled = Enrolled::new(site, &client).await;
    let issued = enrolled.issue();
    let imported = client.import_encryption_key("open", "sign", &issued.enveloped_key, &der(&issued.certificate)).await;
    let Err(WorkerError::Refused { code, message }) = imported else { panic!("{imported:?}") };
    assert!(code == codes::PROFILE && message.contains("[import]"), "{code}: {message}");
}
