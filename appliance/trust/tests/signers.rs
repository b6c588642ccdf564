//! Signers of the development PKI against its trust store: each way to be refused, by its reason.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroU32;
use std::path::Path;

use yanqian_devpki::{Authority, Compressed, Layout, Options, generate, reissue_crl, with_compressed_key};
use yanqian_messages::{Certificate, certificates_from_pem_or_der};
use yanqian_trust::{
    Change, SharedTrust, SignerError, Subject, TrustSettings, TrustStore, Verifier, VerifierSettings, openssl_self_test,
};

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

fn verifier() -> Verifier {
    Verifier::new(VerifierSettings { table_octets: 4 << 20, shadow_every: NonZeroU32::MIN })
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
        self.store(0)
            .verify_signer(&self.signer(name), &[], self.now + later, &verifier())
            .map(|verdict| verdict.revocation.len())
    }
}

#[test]
fn the_linked_openssl_verifies_sm2_with_the_default_id() {
    openssl_self_test().unwrap();
}

#[test]
fn the_pinned_signer_is_believed_with_a_list_for_each_certificate_but_the_anchor() {
    let site = site();
    let verdict = site.store(0).verify_signer(&site.signer("signing"), &[], site.now + 60, &verifier()).unwrap();
    assert_eq!(verdict.chain.len(), 2, "issuing authority and root");
    assert_eq!(verdict.revocation.len(), 2);
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
    let error = site.store(0).verify_signer(&encryption, &[], site.now + 60, &verifier()).expect_err("cannot sign");
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
    let error = site.store(0).verify_signer(&other, &embedded, site.now + 60, &verifier()).expect_err("no chain");
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
    let ask = |grace, later| {
        site.store(grace).verify_signer(&site.signer("signing"), &[], site.now + later, &verifier()).map(|_| ())
    };
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
    let trust = SharedTrust::open(&site.layout.trust(), TrustSettings::default()).unwrap();
    assert_eq!(trust.refresh(), Change::Nothing);
    let anchor = site.layout.trust().join("anchors/root.pem");
    let aside = site.layout.directory().join("root.aside");
    std::fs::rename(&anchor, &aside).unwrap();
    assert_eq!(trust.refresh(), Change::Store);
    let error = trust.current().expect_err("no anchor").to_string();
    assert!(error.contains("anchors"), "{error}");
    std::fs::rename(&aside, &anchor).unwrap();
    assert_eq!(trust.refresh(), Change::Store);
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

fn count(verifier: &Verifier, subject: Subject) -> (u64, u64) {
    let stats = verifier.stats();
    (stats.agreed[subject as usize], stats.disputed[subject as usize])
}

#[test]
fn our_engine_must_agree_to_every_sm2_signature_of_a_chain_and_its_lists() {
    let site = site();
    let (store, verifier) = (site.store(0), verifier());
    let ask = || store.verify_signer(&site.signer("signing"), &[], site.now + 60, &verifier).map(|_| ());
    assert_eq!(ask(), Ok(()));
    assert_eq!(count(&verifier, Subject::Certificate), (2, 0), "the signer's and the issuing authority's");
    assert_eq!(count(&verifier, Subject::RevocationList), (2, 0));
    assert_eq!(ask(), Ok(()));
    assert_eq!(count(&verifier, Subject::Certificate), (2, 0), "and believed from memory");
    assert_eq!(count(&verifier, Subject::RevocationList), (2, 0), "a list is judged once for an issuer");
}

#[test]
fn a_chain_that_openssl_takes_and_our_engine_does_not_is_disputed() {
    let site = site();
    let start = time::OffsetDateTime::from_unix_timestamp(site.now).unwrap();
    // In order, but with a key that our engine does not read.
    let reissued = with_compressed_key(&site.layout, Compressed::Issuing, start).unwrap();
    let [issuing, signer] =
        [&reissued.issuing, &reissued.signing].map(|pem| certificates_from_pem_or_der(pem).unwrap().remove(0));
    std::fs::write(site.layout.trust().join("intermediates/issuing.pem"), &reissued.issuing).unwrap();
    let (store, verifier) = (site.store(0), verifier());
    let error = store.verify_signer(&signer, &[], site.now + 60, &verifier).expect_err("disputed");
    assert_eq!(error, SignerError::Disputed);
    assert_eq!(count(&verifier, Subject::Certificate), (0, 1));

    let chain = [issuing, certificate(&site.layout.platform("root").certificate)];
    for _ in 0..2 {
        let error = store.check_revocation(&signer, &chain, site.now + 60, &verifier).expect_err("disputed");
        assert_eq!(error, SignerError::Disputed);
    }
    assert_eq!(count(&verifier, Subject::RevocationList), (0, 1), "and it stays so");
}

#[test]
fn a_broken_signature_of_a_chain_is_broken_for_both_and_no_dispute() {
    let site = site();
    let good = site.signer("signing");
    let (store, verifier) = (site.store(0), verifier());
    for from_end in [1, 40] {
        let mut der = good.as_der().to_vec();
        let place = der.len() - from_end;
        der[place] ^= 1;
        let broken = Certificate::from_der(&der).unwrap();
        let error = store.build_chain(&broken, &[], site.now + 60, &verifier).expect_err("broken");
        assert_eq!(error, SignerError::Chain);
    }
    assert_eq!(count(&verifier, Subject::Certificate), (2, 0));
}
