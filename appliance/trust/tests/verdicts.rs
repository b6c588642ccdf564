//! Verdicts from memory: the same as those judged anew, at every second.
#![allow(clippy::unwrap_used)]

mod pki;

use std::num::NonZeroU32;

use pki::{Algorithm, DAY, Identity, NOW, Spec};
use proptest::prelude::*;
use yanqian_devpki::{OcspResponder, OcspSingle, OcspStatus, cert_id};
use yanqian_messages::Certificate;
use yanqian_trust::{
    Change, Decides, RevocationPolicy, SharedTrust, SignerError, TrustSettings, TrustStore, Verifier, VerifierSettings,
};

const GRACE: i64 = 40;

fn verifier() -> Verifier {
    Verifier::new(VerifierSettings { table_octets: 0, shadow_every: NonZeroU32::MIN })
}

/// Hashes of chain and revocation data, or the reason.
type Said = Result<(Vec<[u8; 32]>, Vec<[u8; 32]>), SignerError>;

fn remembered(store: &TrustStore, signer: &Certificate, embedded: &[Certificate], now: i64, by: &Verifier) -> Said {
    let chained = store.judge(signer, embedded, now, by)?;
    let lists = chained.revocation?.iter().map(|list| list.hash).collect();
    Ok((chained.chain.iter().map(Certificate::hash).collect(), lists))
}

fn anew(store: &TrustStore, signer: &Certificate, embedded: &[Certificate], now: i64, by: &Verifier) -> Said {
    let chain = store.build_chain(signer, embedded, now, by)?;
    let lists = store.check_revocation(signer, &chain, now, by)?;
    Ok((chain.iter().map(Certificate::hash).collect(), lists.iter().map(|list| list.hash).collect()))
}

/// One root, two certificates of one intermediate authority that overlap, a signer, and lists that follow each other, a response: all of them
/// begin and end at seconds of their own.
struct Site {
    _directory: tempfile::TempDir,
    store: TrustStore,
    signer: Certificate,
    embedded: Vec<Certificate>,
    edges: Vec<i64>,
}

fn site(times: &[i64; 12], revoked_later: bool) -> Site {
    let [
        signer_from,
        signer_to,
        first_from,
        first_to,
        second_from,
        second_to,
        list_from,
        list_to,
        next_from,
        next_to,
        said_from,
        said_to,
    ] = times.map(|time| NOW + time);
    let root = Spec::authority("root", Algorithm::Sm2).issue(None);
    let key = pki::key(Algorithm::Sm2);
    let middle = |from, to| Spec::authority("middle", Algorithm::Sm2).valid(from, to).issue_for(&key, Some(&root));
    let (first, second) = (middle(first_from, first_to), middle(second_from, second_to));
    let signer = Spec::end("signer", Algorithm::Sm2).valid(signer_from, signer_to).issue(Some(&first));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    pki::store(path, &[&root], &[&first], &pki::pins(&[&signer]));
    let revoked: &[&Identity] = if revoked_later { &[&signer] } else { &[] };
    pki::write(path, "crls/root.pem", &pki::crl(&root, &[], NOW - DAY, NOW + DAY));
    pki::write(path, "crls/first.pem", &pki::crl(&first, &[], list_from, list_to));
    pki::write(path, "crls/next.pem", &pki::crl(&first, revoked, next_from, next_to));
    let single = OcspSingle {
        cert_id: cert_id(openssl::hash::MessageDigest::sm3(), &signer.x509, &first.x509).unwrap(),
        status: OcspStatus::Good,
        this_update: said_from,
        next_update: Some(said_to),
    };
    let response = OcspResponder::of(&first.x509, &first.key).answer(&[single], None, said_from).unwrap();
    pki::write(path, "ocsp/first.der", &response);
    let ends = [list_to + GRACE, next_to + GRACE, said_to + GRACE];
    let revocation = RevocationPolicy {
        signer: Decides::Either,
        grace_seconds: u32::try_from(GRACE).unwrap(),
        ..Default::default()
    };
    Site {
        store: TrustStore::open(path, &TrustSettings { revocation, fetched: None }).unwrap(),
        signer: signer.certificate(),
        embedded: vec![second.certificate()],
        edges: times.iter().map(|time| NOW + time).chain(ends).collect(),
        _directory: directory,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn a_remembered_verdict_is_that_of_the_same_second_judged_anew(
        starts in prop::array::uniform6(-300i64..200),
        lengths in prop::array::uniform6(0i64..400),
        revoked_later: bool,
        order in prop::collection::vec(any::<prop::sample::Index>(), 60),
        anywhere in prop::collection::vec(-500i64..700, 20),
    ) {
        let mut times = [0; 12];
        for (pair, (start, length)) in times.chunks_mut(2).zip(starts.iter().zip(lengths)) {
            pair.copy_from_slice(&[*start, start + length]);
        }
        let Site { store, signer, embedded, edges, .. } = site(&times, revoked_later);
        let by = verifier();
        let near: Vec<i64> = edges.iter().flat_map(|edge| edge - 2..=edge + 2).collect();
        // In any order, as a clock that is set back would have it; what is remembered at one second meets every other.
        let moments = order.iter().map(|index| *index.get(&near)).chain(anywhere.iter().map(|later| NOW + later));
        for now in moments.chain(near.iter().copied()) {
            for embedded in [&embedded[..], &[]] {
                prop_assert_eq!(
                    remembered(&store, &signer, embedded, now, &by),
                    anew(&store, &signer, embedded, now, &by),
                    "at {}", now - NOW
                );
            }
        }
    }
}

#[test]
fn certificates_are_judged_once_until_something_that_the_verdict_rests_on_begins_or_ends() {
    let times = [-100, 100, -200, 200, -200, 200, -50, 300, 50, 300, -400, -300];
    let Site { store, signer, embedded, .. } = site(&times, false);
    let by = verifier();
    let ask = |now: i64| remembered(&store, &signer, &embedded, NOW + now, &by).map(|_| ());
    let counts = || (by.stats().verdicts_new, by.stats().verdicts_known);
    for now in [0, 0, 49, -49] {
        assert_eq!(ask(now), Ok(()));
    }
    assert_eq!(counts(), (1, 3));
    assert_eq!(ask(51), Ok(()), "a newer list counts from here");
    assert_eq!(counts(), (2, 3));
    assert_eq!(ask(0), Ok(()));
    assert_eq!(counts(), (3, 3), "one verdict is remembered, the last");
    assert_eq!(ask(101), Err(SignerError::Validity));
    assert_eq!(ask(101), Err(SignerError::Validity));
    assert_eq!(counts(), (5, 3), "a refusal is never remembered");
    assert_eq!(remembered(&store, &signer, &[], NOW, &by).map(|_| ()), Ok(()));
    assert_eq!(counts(), (6, 3), "other certificates are another case");
}

#[test]
fn no_verdict_outlives_its_store() {
    let directory = tempfile::tempdir().unwrap();
    let root = Spec::authority("root", Algorithm::Sm2).issue(None);
    let signer = Spec::end("signer", Algorithm::Sm2).issue(Some(&root));
    pki::store(directory.path(), &[&root], &[], &pki::pins(&[&signer]));
    pki::write(directory.path(), "crls/root.pem", &pki::crl(&root, &[], NOW - DAY, NOW + DAY));
    let trust = SharedTrust::open(directory.path(), TrustSettings::default()).unwrap();
    let by = verifier();
    let ask = || remembered(&trust.current().unwrap(), &signer.certificate(), &[], NOW, &by).map(|_| ());
    assert_eq!((ask(), ask()), (Ok(()), Ok(())));
    assert_eq!(by.stats().verdicts_known, 1);
    pki::write(directory.path(), "crls/root-2.pem", &pki::crl(&root, &[&signer], NOW - 60, NOW + DAY));
    assert_eq!(trust.refresh(), Change::Store);
    assert_eq!(ask(), Err(SignerError::Revoked));
    std::fs::remove_file(directory.path().join("crls/root-2.pem")).unwrap();
    assert_eq!(trust.refresh(), Change::Store);
    assert_eq!(ask(), Ok(()));
    assert_eq!(by.stats().verdicts_known, 1, "judged anew");
}
