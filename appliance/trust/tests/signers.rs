//! Signers of the development PKI against its trust store: each way to be refused, by its reason.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use yanqian_devpki::{Authority, Layout, Options, generate, reissue_crl};
use yanqian_messages::{Certificate, certificates_from_pem_or_der};
use yanqian_trust::{SharedTrust, SignerError, TrustStore, openssl_self_test};

struct Site {
    _directory: tempfile::TempDir,
    layout: Layout,
    now: i64,
}

fn site() -> Site {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::default();
    let now = options.now.unix_timestamp();
    let layout = generate(&directory.path().join("pki"), &options).unwrap();
    Site { _directory: directory, layout, now }
}

fn certificate(file: &Path) -> Certificate {
    certificates_from_pem_or_der(&std::fs::read(file).unwrap()).unwrap().remove(0)
}

impl Site {
    fn store(&self, grace: u32) -> TrustStore {
        TrustStore::load(&self.layout.trust(), grace).unwrap()
    }

    fn signer(&self, name: &str) -> Certificate {
        certificate(&self.layout.platform(name).certificate)
    }

    fn verdict(&self, name: &str, later: i64) -> Result<usize, SignerError> {
        self.store(0).verify_signer(&self.signer(name), &[], self.now + later).map(|verdict| verdict.crls.len())
    }
}

#[test]
fn the_linked_openssl_verifies_sm2_with_the_default_id() {
    openssl_self_test().unwrap();
}

#[test]
fn the_pinned_signer_is_believed_with_a_list_for_each_certificate_but_the_anchor() {
    let site = site();
    let verdict = site.store(0).verify_signer(&site.signer("signing"), &[], site.now + 60).unwrap();
    assert_eq!(verdict.chain.len(), 2, "issuing authority and root");
    assert_eq!(verdict.crls.len(), 2);
}

#[test]
fn every_other_signer_is_refused_for_its_own_reason() {
    let site = site();
    assert_eq!(site.verdict("signing-revoked", 60), Err(SignerError::Revoked));
    assert_eq!(site.verdict("signing-unpinned", 60), Err(SignerError::NotPinned));
    assert_eq!(site.verdict("signing-other-ca", 60), Err(SignerError::NotPinned));
    assert_eq!(site.verdict("signing", 366 * 86_400), Err(SignerError::Validity));
    assert_eq!(site.verdict("signing", -400 * 86_400), Err(SignerError::Validity));
}

#[test]
fn an_encryption_certificate_cannot_sign_even_when_pinned() {
    let site = site();
    let encryption = site.signer("encryption");
    let signers = site.layout.trust().join("signers.toml");
    let pin = format!(
        "{}\n[[signer]]\nname = \"e\"\nrole = \"signing\"\nkey_id = \"{}\"\n",
        std::fs::read_to_string(&signers).unwrap(),
        hex::encode(encryption.key_id())
    );
    std::fs::write(&signers, pin).unwrap();
    let error = site.store(0).verify_signer(&encryption, &[], site.now + 60).expect_err("cannot sign");
    assert_eq!(error, SignerError::KeyUsage);
}

#[test]
fn a_pinned_signer_of_another_authority_does_not_chain() {
    let site = site();
    let other = site.signer("signing-other-ca");
    let signers = site.layout.trust().join("signers.toml");
    let pin = format!(
        "{}\n[[signer]]\nname = \"o\"\nrole = \"signing\"\nkey_id = \"{}\"\n",
        std::fs::read_to_string(&signers).unwrap(),
        hex::encode(other.key_id())
    );
    std::fs::write(&signers, pin).unwrap();
    let embedded = [site.signer("other-ca")];
    let error = site.store(0).verify_signer(&other, &embedded, site.now + 60).expect_err("no chain");
    assert_eq!(error, SignerError::Chain, "an embedded certificate is no anchor");
}

#[test]
fn revocation_data_serves_until_its_grace_ends_and_then_refuses() {
    let site = site();
    let day = time::Duration::days(1);
    let start = time::OffsetDateTime::from_unix_timestamp(site.now).unwrap();
    for authority in [Authority::Root, Authority::Issuing] {
        reissue_crl(&site.layout, authority, &[], start, start + day).unwrap();
    }
    let ask =
        |grace, later| site.store(grace).verify_signer(&site.signer("signing"), &[], site.now + later).map(|_| ());
    assert_eq!(ask(0, 86_400), Ok(()));
    assert_eq!(ask(0, 86_401), Err(SignerError::RevocationStale));
    assert_eq!(ask(3_600, 86_400 + 3_600), Ok(()));
    assert_eq!(ask(3_600, 86_400 + 3_601), Err(SignerError::RevocationStale));
    assert_eq!(ask(0, -1), Err(SignerError::RevocationStale), "a list from the future is no list");
}

#[test]
fn a_missing_list_refuses() {
    let site = site();
    std::fs::remove_file(site.layout.trust_crl(Authority::Root)).unwrap();
    assert_eq!(site.verdict("signing", 60), Err(SignerError::RevocationStale));
}

#[test]
fn a_store_that_loses_its_anchor_trusts_nothing_and_heals_without_restart() {
    let site = site();
    let trust = SharedTrust::open(&site.layout.trust(), 0).unwrap();
    assert!(!trust.refresh_if_changed());
    let anchor = site.layout.trust().join("anchors/root.pem");
    let aside = site.layout.directory().join("root.aside");
    std::fs::rename(&anchor, &aside).unwrap();
    assert!(trust.refresh_if_changed());
    let error = trust.current().expect_err("no anchor").to_string();
    assert!(error.contains("anchors"), "{error}");
    std::fs::rename(&aside, &anchor).unwrap();
    assert!(trust.refresh_if_changed());
    assert!(trust.current().is_ok());
}

#[test]
fn a_faulty_store_is_refused_by_file() {
    for (file, content) in [
        ("signers.toml", "format_version = 1\nsigner = []\ncolour = 1"),
        ("anchors/x.pem", "not a certificate"),
        ("crls/x.pem", "not a list"),
        ("encryption.pem", ""),
    ] {
        let site = site();
        std::fs::write(site.layout.trust().join(file), content).unwrap();
        let error = TrustStore::load(&site.layout.trust(), 0).expect_err(file).to_string();
        assert!(error.contains(file), "{file}: {error}");
    }
}
