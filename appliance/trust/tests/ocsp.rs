//! OCSP: whose word counts, about what, and for how long.
#![allow(clippy::unwrap_used)]

mod pki;

use std::num::NonZeroU32;

use openssl::hash::MessageDigest;
use pki::{Algorithm, DAY, Identity, NOW, Spec};
use yanqian_devpki::{OcspResponder, OcspSingle, OcspStatus, cert_id};
use yanqian_trust::{
    Asked, Decides, FetchError, Nonce, RevocationKind, RevocationPolicy, SignerError, Subject, TrustSettings,
    TrustStore, Verifier, VerifierSettings,
};

const HOUR: i64 = 3_600;
const NOCHECK: (&str, bool, &[u8]) = ("1.3.6.1.5.5.7.48.1.5", false, &[5, 0]);

struct Site {
    directory: tempfile::TempDir,
    root: Identity,
    issuing: Identity,
    signer: Identity,
    policy: RevocationPolicy,
}

fn site(algorithm: Algorithm) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let root = Spec::authority("root", algorithm).issue(None);
    let issuing = Spec::authority("issuing", algorithm).issue(Some(&root));
    let signer = Spec::end("signer", algorithm).issue(Some(&issuing));
    pki::store(directory.path(), &[&root], &[&issuing], &pki::pins(&[&signer]));
    pki::write(directory.path(), "crls/root.pem", &pki::crl(&root, &[], NOW - DAY, NOW + DAY));
    std::fs::create_dir(directory.path().join("ocsp")).unwrap();
    let policy = RevocationPolicy { signer: Decides::Ocsp, ..RevocationPolicy::default() };
    Site { directory, root, issuing, signer, policy }
}

fn verifier() -> Verifier {
    Verifier::new(VerifierSettings { table_octets: 0, shadow_every: NonZeroU32::MIN })
}

fn responder(identity: &Identity) -> OcspResponder {
    OcspResponder::of(&identity.x509, &identity.key)
}

impl Site {
    fn says(&self, status: OcspStatus, this_update: i64, next_update: i64) -> OcspSingle {
        let cert_id = cert_id(sm3(), &self.signer.x509, &self.issuing.x509).unwrap();
        OcspSingle { cert_id, status, this_update, next_update: Some(next_update) }
    }

    fn good(&self) -> OcspSingle {
        self.says(OcspStatus::Good, NOW - HOUR, NOW + HOUR)
    }

    fn put(&self, response: &[u8]) {
        pki::write(self.directory.path(), "ocsp/response.der", response);
    }

    fn store(&self) -> TrustStore {
        let settings = TrustSettings { revocation: self.policy, fetched: None };
        TrustStore::open(self.directory.path(), &settings).unwrap()
    }

    /// What the signer's verdict rests on.
    fn ask_at(&self, now: i64) -> Result<Vec<RevocationKind>, SignerError> {
        let verdict = self.store().verify_signer(&self.signer.certificate(), &[], now, &verifier())?;
        Ok(verdict.revocation.iter().map(|evidence| evidence.kind).collect())
    }

    fn ask_with(&self, response: &[u8]) -> Result<Vec<RevocationKind>, SignerError> {
        self.put(response);
        self.ask_at(NOW)
    }

    fn delegate(&self, spec: impl FnOnce(&mut Spec), issuer: &Identity) -> OcspResponder {
        let mut wanted = Spec::end("responder", self.issuing.algorithm);
        wanted.extended = vec!["OCSPSigning"];
        wanted.extensions = vec![(NOCHECK.0, NOCHECK.1, NOCHECK.2.to_vec())];
        spec(&mut wanted);
        let identity = wanted.issue(Some(issuer));
        OcspResponder { include: vec![identity.x509.clone()], ..responder(&identity) }
    }
}

fn sm3() -> MessageDigest {
    MessageDigest::sm3()
}

const BELIEVED: Result<[RevocationKind; 2], SignerError> = Ok([RevocationKind::Ocsp, RevocationKind::Crl]);

fn believed() -> Result<Vec<RevocationKind>, SignerError> {
    BELIEVED.map(|kinds| kinds.to_vec())
}

#[test]
fn the_issuers_word_counts_in_every_algorithm_naming_and_hash() {
    for algorithm in [Algorithm::Sm2, Algorithm::P256, Algorithm::Rsa(2048)] {
        let site = site(algorithm);
        assert_eq!(site.ask_at(NOW), Err(SignerError::RevocationStale), "nothing said yet");
        for hash in [sm3(), MessageDigest::sha256(), MessageDigest::sha1()] {
            for (by_name, null_parameters) in [(true, false), (false, true)] {
                let responder = OcspResponder { by_name, null_parameters, ..responder(&site.issuing) };
                let cert_id = cert_id(hash, &site.signer.x509, &site.issuing.x509).unwrap();
                let single = OcspSingle { cert_id, ..site.good() };
                let response = responder.answer(&[single], None, NOW).unwrap();
                assert_eq!(site.ask_with(&response), believed(), "{algorithm:?} {by_name}");
            }
        }
    }
}

#[test]
fn a_responder_that_the_issuer_did_not_let_answer_is_not_heard() {
    let site = site(Algorithm::Sm2);
    let answer = |responder: &OcspResponder| responder.answer(&[site.good()], None, NOW).unwrap();
    assert_eq!(site.ask_with(&answer(&site.delegate(|_| {}, &site.issuing))), believed());
    let stale = Err(SignerError::RevocationStale);
    let other = Spec::authority("issuing", Algorithm::Sm2).issue(Some(&site.root));
    let foreign = Spec::authority("issuing", Algorithm::Sm2).issue(None);
    let refused = [
        ("not for OCSP", site.delegate(|spec| spec.extended.clear(), &site.issuing)),
        ("for TLS", site.delegate(|spec| spec.extended = vec!["serverAuth"], &site.issuing)),
        ("encrypts", site.delegate(|spec| spec.usage = vec!["keyEncipherment"], &site.issuing)),
        ("over", site.delegate(|spec| spec.not_after = NOW - 1, &site.issuing)),
        ("not yet", site.delegate(|spec| spec.not_before = NOW + 2, &site.issuing)),
        ("an authority", site.delegate(|spec| spec.authority = true, &site.issuing)),
        ("the root's", site.delegate(|_| {}, &site.root)),
        ("another key of the same name", site.delegate(|_| {}, &other)),
        ("another root", site.delegate(|_| {}, &foreign)),
        ("the root itself", responder(&site.root)),
        ("the signer itself", OcspResponder { include: vec![site.signer.x509.clone()], ..responder(&site.signer) }),
        ("a stranger", OcspResponder { include: Vec::new(), ..site.delegate(|_| {}, &site.issuing) }),
    ];
    for (who, responder) in refused {
        assert_eq!(site.ask_with(&answer(&responder)), stale, "{who}");
    }
}

#[test]
fn a_responder_without_nocheck_needs_its_issuers_list() {
    let site = site(Algorithm::Sm2);
    let delegate = site.delegate(|spec| spec.extensions.clear(), &site.issuing);
    let identity =
        Identity { algorithm: Algorithm::Sm2, key: delegate.key.clone(), x509: delegate.certificate.clone() };
    let response = delegate.answer(&[site.good()], None, NOW).unwrap();
    assert_eq!(site.ask_with(&response), Err(SignerError::RevocationStale));
    let by_list = vec![RevocationKind::Ocsp, RevocationKind::Crl, RevocationKind::Crl];
    for (revoked, expected) in [(&[][..], Ok(by_list)), (&[&identity], Err(SignerError::RevocationStale))] {
        let list = pki::crl(&site.issuing, revoked, NOW - HOUR, NOW + HOUR);
        pki::write(site.directory.path(), "crls/issuing.pem", &list);
        assert_eq!(site.ask_at(NOW), expected);
    }
}

#[test]
fn a_response_speaks_for_its_own_certificate_of_its_own_issuer_only() {
    let site = site(Algorithm::Sm2);
    let responder = responder(&site.issuing);
    let sibling = Spec::end("sibling", Algorithm::Sm2).issue(Some(&site.issuing));
    let other = cert_id(sm3(), &sibling.x509, &site.issuing.x509).unwrap();
    // The same serial number below another authority.
    let elsewhere = cert_id(sm3(), &site.signer.x509, &site.root.x509).unwrap();
    for cert_id in [other, elsewhere] {
        let single = OcspSingle { cert_id, ..site.good() };
        let response = responder.answer(&[single], None, NOW).unwrap();
        assert_eq!(site.ask_with(&response), Err(SignerError::RevocationStale));
    }
    let both = [site.good(), site.says(OcspStatus::Revoked, NOW - HOUR, NOW + HOUR)];
    let response = responder.answer(&both, None, NOW).unwrap();
    assert_eq!(site.ask_with(&response), Err(SignerError::RevocationStale), "two words are none");
}

#[test]
fn a_response_with_any_octet_changed_says_nothing_good() {
    let site = site(Algorithm::Sm2);
    let response = site.delegate(|_| {}, &site.issuing).answer(&[site.good()], None, NOW).unwrap();
    assert_eq!(site.ask_with(&response), believed());
    for place in 0..response.len() {
        let mut changed = response.clone();
        changed[place] ^= 1;
        site.put(&changed);
        let settings = TrustSettings { revocation: site.policy, fetched: None };
        let Ok(store) = TrustStore::open(site.directory.path(), &settings) else { continue };
        let by = verifier();
        let verdict = store.verify_signer(&site.signer.certificate(), &[], NOW, &by).map(|_| ());
        assert_eq!(verdict, Err(SignerError::RevocationStale), "octet {place}");
        assert_eq!(by.stats().disputed[Subject::OcspResponse as usize], 0, "octet {place}");
    }
}

#[test]
fn responses_serve_until_their_grace_ends_and_revoked_is_believed_for_ever() {
    let mut site = site(Algorithm::Sm2);
    let responder = responder(&site.issuing);
    site.put(&responder.answer(&[site.good()], None, NOW).unwrap());
    let stale = Err(SignerError::RevocationStale);
    assert_eq!(site.ask_at(NOW + HOUR), believed());
    assert_eq!(site.ask_at(NOW + HOUR + 1), stale);
    assert_eq!(site.ask_at(NOW - HOUR), believed());
    assert_eq!(site.ask_at(NOW - HOUR - 1), stale, "a response from the future is no response");
    site.policy.grace_seconds = 60;
    assert_eq!(site.ask_at(NOW + HOUR + 60), believed());
    assert_eq!(site.ask_at(NOW + HOUR + 61), stale);
    let revoked = site.says(OcspStatus::Revoked, NOW - HOUR, NOW + HOUR);
    site.put(&responder.answer(&[revoked], None, NOW).unwrap());
    for now in [NOW, NOW + 2 * HOUR] {
        assert_eq!(site.ask_at(now), Err(SignerError::Revoked));
    }
    let unknown = site.says(OcspStatus::Unknown, NOW - HOUR, NOW + HOUR);
    assert_eq!(site.ask_with(&responder.answer(&[unknown], None, NOW).unwrap()), stale);
}

#[test]
fn of_two_words_of_one_second_the_one_that_revokes_counts() {
    let site = site(Algorithm::Sm2);
    let responder = responder(&site.issuing);
    let good = responder.answer(&[site.good()], None, NOW).unwrap();
    let revoked = responder.answer(&[site.says(OcspStatus::Revoked, NOW - HOUR, NOW + HOUR)], None, NOW).unwrap();
    for files in [["a", "b"], ["b", "a"]] {
        for (file, response) in files.into_iter().zip([&good, &revoked]) {
            pki::write(site.directory.path(), &format!("ocsp/{file}.der"), response);
        }
        assert_eq!(site.ask_at(NOW), Err(SignerError::Revoked));
    }
    let above = vec![site.issuing.certificate(), site.root.certificate()];
    let asked = Asked { subject: site.signer.certificate(), above };
    let taken = site.store().take_response(&good, &asked, None, NOW, &verifier());
    assert_eq!(taken, Err(FetchError::Older), "nor does the other take its place");
}

#[test]
fn a_response_or_list_with_a_weak_signature_is_refused_by_name() {
    let site = site(Algorithm::Rsa(2048));
    let strong = responder(&site.issuing);
    let weak = OcspResponder { sha1: true, ..strong.clone() };
    site.put(&weak.answer(&[site.good()], None, NOW).unwrap());
    let settings = TrustSettings { revocation: site.policy, fetched: None };
    let opened = || TrustStore::open(site.directory.path(), &settings).map(|_| ()).map_err(|error| error.to_string());
    let told = opened().expect_err("SHA-1");
    assert!(told.contains("ocsp/response.der") && told.contains("1.2.840.113549.1.1.5"), "{told}");
    site.put(&strong.answer(&[site.good()], None, NOW).unwrap());
    assert_eq!(opened(), Ok(()));
    for (digest, expected) in
        [(MessageDigest::sha1(), false), (MessageDigest::md5(), false), (MessageDigest::sha384(), true)]
    {
        let list = pki::crl_signed_with(digest, &site.issuing, NOW - HOUR, NOW + HOUR);
        pki::write(site.directory.path(), "crls/issuing.pem", &list);
        assert_eq!(opened().is_ok(), expected, "{:?}", opened());
        assert!(expected || opened().is_err_and(|told| told.contains("crls/issuing.pem") && told.contains("too weak")));
    }
}

/// What the list says (some: whether it revokes) and the responder; then the verdict by list, by response, by either, by both.
type Row = (Option<bool>, Option<OcspStatus>, [Result<&'static [RevocationKind], SignerError>; 4]);

#[test]
fn what_decides_is_what_the_policy_says() {
    use Decides::{Both, Crl, Either, Ocsp};
    use OcspStatus::{Good, Revoked, Unknown};
    use RevocationKind::{Crl as List, Ocsp as Response};
    let mut site = site(Algorithm::Sm2);
    let stale: Result<&'static [RevocationKind], _> = Err(SignerError::RevocationStale);
    let revoked = Err(SignerError::Revoked);
    let table: [Row; 9] = [
        (None, None, [stale, stale, stale, stale]),
        (Some(false), None, [Ok(&[List]), stale, Ok(&[List]), stale]),
        (None, Some(Good), [stale, Ok(&[Response]), Ok(&[Response]), stale]),
        (Some(false), Some(Good), [Ok(&[List]), Ok(&[Response]), Ok(&[Response]), Ok(&[Response, List])]),
        (Some(true), Some(Good), [revoked, Ok(&[Response]), revoked, revoked]),
        (Some(false), Some(Revoked), [Ok(&[List]), revoked, revoked, revoked]),
        (Some(false), Some(Unknown), [Ok(&[List]), stale, Ok(&[List]), stale]),
        (Some(true), None, [revoked, stale, revoked, revoked]),
        (None, Some(Unknown), [stale, stale, stale, stale]),
    ];
    for (list, status, expected) in table {
        let path = site.directory.path();
        let _ = std::fs::remove_file(path.join("crls/issuing.pem"));
        let _ = std::fs::remove_file(path.join("ocsp/response.der"));
        if let Some(revokes) = list {
            let revoked: &[&Identity] = if revokes { &[&site.signer] } else { &[] };
            pki::write(path, "crls/issuing.pem", &pki::crl(&site.issuing, revoked, NOW - HOUR, NOW + HOUR));
        }
        if let Some(status) = status {
            let single = site.says(status, NOW - HOUR, NOW + HOUR);
            site.put(&responder(&site.issuing).answer(&[single], None, NOW).unwrap());
        }
        for (decides, expected) in [Crl, Ocsp, Either, Both].into_iter().zip(expected) {
            site.policy.signer = decides;
            let expected = expected.map(|kinds| kinds.iter().copied().chain([List]).collect());
            assert_eq!(site.ask_at(NOW), expected, "list {list:?}, response {status:?}, decides {decides:?}");
        }
    }
}

#[test]
fn our_engine_must_agree_to_every_sm2_signature_of_a_response() {
    let site = site(Algorithm::Sm2);
    site.put(&site.delegate(|_| {}, &site.issuing).answer(&[site.good()], None, NOW).unwrap());
    let by = verifier();
    site.store().verify_signer(&site.signer.certificate(), &[], NOW, &by).unwrap();
    let agreed = |subject: Subject| by.stats().agreed[subject as usize];
    assert_eq!(agreed(Subject::OcspResponse), 1);
    assert_eq!(agreed(Subject::Certificate), 3, "signer, issuing authority, responder");
}

#[test]
fn a_request_is_read_by_another_hand_and_by_openssl() {
    use yanqian_messages::ocsp::{CertIdHash, ocsp_request};
    let site = site(Algorithm::Sm2);
    let hashes = [sm3(), MessageDigest::sha256(), MessageDigest::sha1()];
    for (ours, theirs) in CertIdHash::ALL.into_iter().zip(hashes) {
        for nonce in [&[][..], &[7; 32]] {
            let request = ocsp_request(ours, &site.signer.certificate(), &site.issuing.certificate(), nonce).unwrap();
            let (id, back) = yanqian_devpki::ocsp_asked(&request).unwrap();
            assert_eq!(id, cert_id(theirs, &site.signer.x509, &site.issuing.x509).unwrap());
            assert_eq!(back.unwrap_or_default(), nonce);
            let read = openssl::ocsp::OcspRequest::from_der(&request).unwrap();
            assert_eq!(read.to_der().unwrap(), request);
        }
    }
}

#[test]
fn only_a_newer_and_proven_response_to_our_own_question_is_taken() {
    let site = site(Algorithm::Sm2);
    let (store, by) = (site.store(), verifier());
    let above = vec![site.issuing.certificate(), site.root.certificate()];
    let asked = Asked { subject: site.signer.certificate(), above };
    let honest = responder(&site.issuing);
    let take = |store: &TrustStore, response: &[u8], nonce: Option<(&[u8], Nonce)>| {
        store.take_response(response, &asked, nonce, NOW, &by).map(|taken| taken.this_update)
    };
    let answer = |single: OcspSingle, nonce: Option<&[u8]>| honest.answer(&[single], nonce, NOW).unwrap();
    let ours: &[u8] = b"0123456789abcdef";
    let plain = answer(site.good(), None);
    assert_eq!(take(&store, &answer(site.good(), Some(ours)), Some((ours, Nonce::Require))), Ok(NOW - HOUR));
    assert_eq!(take(&store, &plain, Some((ours, Nonce::Require))), Err(FetchError::Nonce));
    assert_eq!(take(&store, &plain, Some((ours, Nonce::Offer))), Ok(NOW - HOUR));
    assert_eq!(take(&store, &answer(site.good(), Some(b"other")), Some((ours, Nonce::Offer))), Err(FetchError::Nonce));
    let says = |status, from, to| answer(site.says(status, from, to), None);
    assert_eq!(take(&store, &says(OcspStatus::Good, NOW + 301, NOW + HOUR), None), Err(FetchError::Future));
    assert_eq!(take(&store, &says(OcspStatus::Good, NOW - HOUR, NOW - 1), None), Err(FetchError::Ended));
    assert_eq!(take(&store, &says(OcspStatus::Unknown, NOW - HOUR, NOW + 1), None), Err(FetchError::Unknown));
    assert_eq!(take(&store, &says(OcspStatus::Revoked, NOW, NOW + HOUR), None), Ok(NOW));
    let cert_id = cert_id(sm3(), &site.issuing.x509, &site.root.x509).unwrap();
    assert_eq!(take(&store, &answer(OcspSingle { cert_id, ..site.good() }, None), None), Err(FetchError::NotAbout));
    let stranger = responder(&site.root).answer(&[site.good()], None, NOW).unwrap();
    assert_eq!(take(&store, &stranger, None), Err(FetchError::Signature));
    for status in [1, 2, 3, 5, 6] {
        let error = take(&store, &yanqian_devpki::ocsp_error(status), None).expect_err("an error");
        assert_eq!(error, FetchError::Unreadable(format!("the responder answers with error {status}")));
    }
    let endless = OcspSingle { next_update: None, ..site.good() };
    assert_eq!(take(&store, &answer(endless, None), None), Err(FetchError::Unreadable("has no nextUpdate".into())));

    site.put(&plain);
    let store = site.store();
    assert_eq!(take(&store, &plain, None), Ok(NOW - HOUR), "the same once more");
    let older = says(OcspStatus::Good, NOW - HOUR - 1, NOW + HOUR);
    assert_eq!(take(&store, &older, None), Err(FetchError::Older));
}

#[test]
fn distribution_points_are_told_as_the_certificates_of_the_store_say_them() {
    let site = site(Algorithm::Sm2);
    assert!(site.store().distribution_points().is_empty());
    let point = |uri: &str| {
        let wrap = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()][..], content].concat();
        let name = wrap(0xa0, &wrap(0xa0, &wrap(0x86, uri.as_bytes())));
        ("2.5.29.31", false, wrap(0x30, &wrap(0x30, &name)))
    };
    let with = |uri: &str| Spec { extensions: vec![point(uri)], ..Spec::end("signer", Algorithm::Sm2) };
    for (file, uri) in [("a", "http://crl.example/a.crl"), ("b", "ldap://crl.example/cn=b")] {
        let certificate = with(uri).issue(Some(&site.issuing));
        let file = format!("signing/{file}.pem");
        pki::write(site.directory.path(), &file, &certificate.x509.to_pem().unwrap());
    }
    assert_eq!(site.store().distribution_points(), ["http://crl.example/a.crl", "ldap://crl.example/cn=b"]);
    assert_eq!(site.store().subjects(NOW, &verifier()).len(), 3, "two signers and the intermediate");
}

#[test]
fn only_a_newer_complete_list_of_an_authority_of_the_store_is_taken() {
    let site = site(Algorithm::Sm2);
    let (store, by) = (site.store(), verifier());
    let take = |octets: &[u8]| store.take_list(octets, NOW, &by).map(|taken| taken.this_update);
    assert_eq!(take(&pki::crl(&site.issuing, &[], NOW - HOUR, NOW + HOUR)), Ok(NOW - HOUR));
    assert_eq!(take(&pki::crl(&site.root, &[], NOW - DAY, NOW + DAY)), Ok(NOW - DAY), "the same once more");
    assert_eq!(take(&pki::crl(&site.root, &[], NOW - DAY - 1, NOW + DAY)), Err(FetchError::Older));
    assert_eq!(take(&pki::crl(&site.root, &[], NOW + 301, NOW + DAY)), Err(FetchError::Future));
    assert_eq!(take(&pki::crl(&site.root, &[], NOW - HOUR, NOW - 1)), Err(FetchError::Ended));
    let other = Spec::authority("root", Algorithm::Sm2).issue(None);
    assert_eq!(take(&pki::crl(&other, &[], NOW - HOUR, NOW + HOUR)), Err(FetchError::Signature));
    assert_eq!(take(&pki::crl(&site.signer, &[], NOW - HOUR, NOW + HOUR)), Err(FetchError::Signature));
    let delta = pki::crl_with(&site.root, &[], NOW - HOUR, NOW + HOUR, &[("2.5.29.27", true, vec![2, 1, 1])]);
    let error = take(&delta).expect_err("a delta list").to_string();
    assert!(error.contains("delta list"), "{error}");
    assert!(matches!(take(b"<html>"), Err(FetchError::Unreadable(_))));
}
