//! Pins as a store keeps them: a second lock, never a first.
#![allow(clippy::unwrap_used)]

mod pki;

use std::num::NonZeroU32;

use pki::{Algorithm, DAY, Identity, NOW, Spec};
use yanqian_trust::{SignerError, TrustStore, Verifier, VerifierSettings};

/// Pins by subject, for these roles.
fn named(pins: &[(&str, &str)]) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("format_version = 1\n");
    for (role, name) in pins {
        let subject = format!("[\"C=CN\", \"O=Test\", \"CN={name}\"]");
        let _ = write!(text, "\n[[signer]]\nname = \"{name}\"\nrole = \"{role}\"\nsubject = {subject}\n");
    }
    text
}

fn ask(signers: &str, root: &Identity, signer: &Identity) -> Result<(), SignerError> {
    let directory = tempfile::tempdir().unwrap();
    pki::store(directory.path(), &[root], &[], signers);
    pki::write(directory.path(), "crls/root.pem", &pki::crl(root, &[], NOW - DAY, NOW + DAY));
    let verifier = Verifier::new(VerifierSettings { table_octets: 0, shadow_every: NonZeroU32::MIN });
    let store = TrustStore::load(directory.path(), 0).unwrap();
    store.verify_signer(&signer.certificate(), &[], NOW, &verifier).map(|_| ())
}

#[test]
fn a_pinned_name_is_believed_below_the_stores_anchors_only() {
    let root = Spec::authority("root", Algorithm::Sm2).issue(None);
    let other = Spec::authority("root", Algorithm::Sm2).issue(None);
    let pins = named(&[("signing", "signer")]);
    for number in 0..2 {
        let next = Spec { serial: 7 + number, ..Spec::end("signer", Algorithm::Sm2) };
        assert_eq!(ask(&pins, &root, &next.issue(Some(&root))), Ok(()), "whatever its key");
    }
    let foreign = Spec::end("signer", Algorithm::Sm2).issue(Some(&other));
    assert_eq!(ask(&pins, &root, &foreign), Err(SignerError::Chain), "a name is nothing without its authority");
    let stranger = Spec::end("stranger", Algorithm::Sm2).issue(Some(&root));
    assert_eq!(ask(&pins, &root, &stranger), Err(SignerError::NotPinned));
    let signer = Spec::end("signer", Algorithm::Sm2).issue(Some(&root));
    for role in ["tls", "encryption"] {
        let name = if role == "encryption" { "encryption" } else { "signer" };
        assert_eq!(ask(&named(&[(role, name)]), &root, &signer), Err(SignerError::NotPinned), "{role}");
    }
}

#[test]
fn pins_of_tls_and_encryption_restrict_once_there_are_any() {
    let root = Spec::authority("root", Algorithm::P256).issue(None);
    let [this, other] = ["this", "other"].map(|name| Spec::end(name, Algorithm::P256).issue(Some(&root)).certificate());
    let directory = tempfile::tempdir().unwrap();
    let load = |signers: &str| {
        pki::store(directory.path(), &[&root], &[], signers);
        TrustStore::load(directory.path(), 0)
    };
    let store = load(&named(&[("signing", "signer")])).unwrap();
    assert!(store.allows_tls(&this) && store.allows_tls(&other) && !store.judges_tls());
    let store = load(&named(&[("tls", "this"), ("signing", "other")])).unwrap();
    assert!(store.allows_tls(&this) && !store.allows_tls(&other) && store.judges_tls());

    assert!(load(&named(&[("encryption", "encryption")])).is_ok());
    let error = load(&named(&[("encryption", "somebody else")])).expect_err("not pinned").to_string();
    assert!(error.contains("encryption.pem: is not pinned for encryption"), "{error}");
}
