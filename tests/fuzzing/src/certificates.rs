use std::cell::RefCell;
use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;

use openssl::asn1::Asn1Time;
use openssl::x509::{X509, X509Crl};
use yanqian_messages::{Certificate, certificates_from_pem_or_der};
use yanqian_trust::{SignerError, TrustStore, Verifier, VerifierSettings};

use crate::party::fixture;

/// Certificates: what is read is kept as it was, and where OpenSSL reads it too, it says the same of all that decides.
pub fn certificates(octets: &[u8]) {
    for certificate in certificates_from_pem_or_der(octets).iter().flatten() {
        assert_eq!(Certificate::from_der(certificate.as_der()).as_ref(), Ok(certificate));
    }
    let Ok(ours) = Certificate::from_der(octets) else { return };
    assert_eq!(ours.as_der(), octets);
    let Ok(theirs) = X509::from_der(octets) else { return };
    assert_eq!(theirs.to_der().ok().as_deref(), Some(octets), "OpenSSL would write it otherwise");
    assert_eq!(theirs.issuer_name().to_der().ok().as_deref(), Some(ours.issuer_der()));
    assert_eq!(theirs.subject_name().to_der().ok().as_deref(), Some(ours.subject_der()));
    for (theirs, ours) in [(theirs.not_before(), ours.not_before()), (theirs.not_after(), ours.not_after())] {
        // Before 1970 and after 9999 OpenSSL has no such times.
        if let Ok(ours) = Asn1Time::from_unix(ours) {
            assert!(*theirs == *ours);
        }
    }
    if let (Some(theirs), Some(ours)) = (theirs.subject_key_id(), ours.subject_key_id()) {
        assert_eq!(theirs.as_slice(), ours);
    }
    if let (Some(key), Ok(theirs)) = (ours.public_key(), theirs.public_key()) {
        assert_eq!(theirs.public_key_to_der().ok(), Some(key.to_spki_der()));
    }
}

/// A trust store of the development PKI in a directory of its own, whose list of the issuing authority may be replaced.
struct Store {
    directory: tempfile::TempDir,
    signer: Certificate,
    original: Vec<u8>,
    now: i64,
    verifier: Verifier,
}

impl Store {
    fn list(&self) -> PathBuf {
        self.directory.path().join("crls/issuing.pem")
    }

    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        copy(&fixture("trust"), directory.path());
        let read = |name: &str| fs::read(fixture(name)).expect("the fixture is there");
        let signer = certificates_from_pem_or_der(&read("signing.pem")).expect("a certificate").remove(0);
        let now = String::from_utf8(read("now")).expect("text").trim().parse().expect("seconds");
        let original = fs::read(directory.path().join("crls/issuing.pem")).expect("the list is there");
        let original = X509Crl::from_pem(&original).and_then(|list| list.to_der()).expect("OpenSSL made it");
        let verifier = Verifier::new(VerifierSettings { table_octets: 1 << 20, shadow_every: NonZeroU32::MIN });
        Self { directory, signer, original, now, verifier }
    }

    fn judge(&self, list: &[u8]) -> Option<Result<(), SignerError>> {
        fs::write(self.list(), list).expect("the directory is ours");
        let store = TrustStore::load(self.directory.path(), 0).ok()?;
        Some(store.verify_signer(&self.signer, &[], self.now, &self.verifier).map(|_| ()))
    }
}

pub(crate) fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in fs::read_dir(from).expect("the fixture is there") {
        let from = entry.expect("it can be listed").path();
        let to = to.join(from.file_name().expect("an entry has a name"));
        if from.is_dir() {
            fs::create_dir(&to).expect("the directory is ours");
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("the directory is ours");
        }
    }
}

thread_local! {
    static STORE: RefCell<Option<Store>> = const { RefCell::new(None) };
}

/// Revocation lists: one in the place of the authority's own is refused, or serves nobody, unless it says what the authority
/// signed; OpenSSL and our engine are never of two opinions about it.
pub fn lists(octets: &[u8]) {
    STORE.with_borrow_mut(|store| {
        let store = store.get_or_insert_with(Store::new);
        let verdict = store.judge(octets);
        let der = if octets.first() == Some(&0x30) { X509Crl::from_der(octets) } else { X509Crl::from_pem(octets) };
        let der = der.and_then(|list| list.to_der()).ok();
        match verdict {
            None => assert_ne!(der.as_ref(), Some(&store.original), "the authority's own list is refused"),
            Some(Ok(())) => assert_eq!(der.as_ref(), Some(&store.original), "a list that nobody signed serves"),
            Some(Err(error)) => {
                assert_ne!(der.as_ref(), Some(&store.original));
                assert_eq!(error, SignerError::RevocationStale);
            }
        }
    });
}
