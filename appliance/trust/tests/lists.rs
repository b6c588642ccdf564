//! Revocation lists: whose counts, and which of several.
#![allow(clippy::unwrap_used)]

mod pki;

use std::num::NonZeroU32;
use std::path::Path;

use pki::{Algorithm, DAY, Identity, NOW, Spec};
use yanqian_trust::{FetchError, RevocationKind, SignerError, TrustStore, Verifier, VerifierSettings};

const SM2: Algorithm = Algorithm::Sm2;
const HOUR: i64 = 3_600;

fn verifier() -> Verifier {
    Verifier::new(VerifierSettings { table_octets: 0, shadow_every: NonZeroU32::MIN })
}

fn judge(directory: &Path, signer: &Identity) -> Result<usize, SignerError> {
    let store = TrustStore::load(directory, 0).unwrap();
    store.verify_signer(&signer.certificate(), &[], NOW, &verifier()).map(|verdict| verdict.revocation.len())
}

#[test]
fn a_list_counts_only_when_its_authority_may_sign_lists() {
    for (usage, counts) in [(vec!["keyCertSign", "cRLSign"], true), (vec!["keyCertSign"], false), (vec![], true)] {
        let directory = tempfile::tempdir().unwrap();
        let root = Spec::authority("root", SM2).issue(None);
        let issuing = Spec { usage: usage.clone(), ..Spec::authority("issuing", SM2) }.issue(Some(&root));
        let signer = Spec::end("signer", SM2).issue(Some(&issuing));
        pki::store(directory.path(), &[&root], &[&issuing], &pki::pins(&[&signer]));
        pki::write(directory.path(), "crls/root.pem", &pki::crl(&root, &[], NOW - DAY, NOW + DAY));
        let list = pki::crl(&issuing, &[], NOW - HOUR, NOW + HOUR);
        let taken = TrustStore::load(directory.path(), 0).unwrap().take_list(&list, NOW, &verifier());
        assert_eq!(taken.is_ok(), counts, "{usage:?}");
        assert!(counts || taken == Err(FetchError::Signature));
        pki::write(directory.path(), "crls/issuing.pem", &list);
        let expected = if counts { Ok(2) } else { Err(SignerError::RevocationStale) };
        assert_eq!(judge(directory.path(), &signer), expected, "{usage:?}");
    }
}

#[test]
fn of_two_lists_of_one_second_the_one_that_revokes_counts() {
    let directory = tempfile::tempdir().unwrap();
    let root = Spec::authority("root", SM2).issue(None);
    let signer = Spec::end("signer", SM2).issue(Some(&root));
    pki::store(directory.path(), &[&root], &[], &pki::pins(&[&signer]));
    let empty = pki::crl(&root, &[], NOW - HOUR, NOW + HOUR);
    let revoking = pki::crl(&root, &[&signer], NOW - HOUR, NOW + HOUR);
    for [a, b] in [[&empty, &revoking], [&revoking, &empty]] {
        pki::write(directory.path(), "crls/a.pem", a);
        pki::write(directory.path(), "crls/b.pem", b);
        assert_eq!(judge(directory.path(), &signer), Err(SignerError::Revoked));
    }
}

#[test]
fn a_list_that_stayed_of_an_authority_that_left_alarms_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let (here, left) = (Spec::authority("here", SM2).issue(None), Spec::authority("left", SM2).issue(None));
    pki::store(directory.path(), &[&here], &[], &pki::pins(&[&here]));
    let load = || TrustStore::load(directory.path(), 60).unwrap();
    let times = |store: &TrustStore| (store.revocation_deadline(), store.oldest_update(RevocationKind::Crl));
    assert_eq!(times(&load()), (None, None));
    pki::write(directory.path(), "crls/left.pem", &pki::crl(&left, &[], NOW - 9 * DAY, NOW - 8 * DAY));
    assert_eq!(times(&load()), (Some(NOW - 8 * DAY + 60), Some(NOW - 9 * DAY)), "there is no other");
    pki::write(directory.path(), "crls/here.pem", &pki::crl(&here, &[], NOW - HOUR, NOW + HOUR));
    assert_eq!(times(&load()), (Some(NOW + HOUR + 60), Some(NOW - HOUR)));
    pki::write(directory.path(), "crls/older.pem", &pki::crl(&here, &[], NOW - DAY, NOW - HOUR));
    assert_eq!(times(&load()), (Some(NOW + HOUR + 60), Some(NOW - HOUR)), "the newest of each authority");
}
