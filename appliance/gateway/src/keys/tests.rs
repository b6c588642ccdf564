#![allow(clippy::unwrap_used)]

use yanqian_vocabulary::{AgreementHash, EntityId, NodeId, PlatformId, ProfileHash, TokenGrade};

use super::*;

/// Certificates of SM2 keys, each another.
pub(crate) fn certificates() -> Vec<Certificate> {
    let directory = tempfile::tempdir().unwrap();
    let layout = yanqian_devpki::generate(directory.path(), &yanqian_devpki::Options::default()).unwrap();
    ["signing", "signing-unpinned", "signing-revoked", "encryption"]
        .map(|name| {
            let pem = std::fs::read(layout.platform(name).certificate).unwrap();
            yanqian_messages::certificates_from_pem_or_der(&pem).unwrap().remove(0)
        })
        .to_vec()
}

fn base() -> Context {
    let signing = &certificates()[0];
    Context {
        entity: EntityId::new("example-bank").unwrap(),
        node: NodeId::new("node-1").unwrap(),
        software: yanqian_evidence::SoftwareVersion::new("1").unwrap(),
        agreement: AgreementHash::new([1; 32]),
        platform: PlatformId::new("reference").unwrap(),
        platform_profile: ProfileHash::new([2; 32]),
        key: KeyId::new(signing.key_id()),
        certificate: CertificateHash::new(signing.hash()),
        grade: TokenGrade::Development,
        encryption_key: None,
        encryption_certificate: None,
    }
}

fn agreement() -> Arc<Agreement> {
    let text = include_str!("../../../../samples/agreement.toml");
    Arc::new(Agreement::parse(text, std::path::Path::new("agreement.toml")).unwrap())
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn pair(label: &str, certificate: &Certificate, from: Option<i64>, until: Option<i64>) -> Arc<KeyPair> {
    let pair = KeyPair::new(label.to_owned(), certificate.clone(), from.map(at), until.map(at));
    Arc::new(pair.unwrap())
}

fn pairs() -> Pairs {
    let of = certificates();
    let signing = vec![pair("s1", &of[0], None, None), pair("s2", &of[1], Some(2000), None)];
    let encryption = vec![pair("e1", &of[2], Some(500), Some(3000)), pair("e2", &of[3], Some(2500), None)];
    Pairs::new(&base(), &agreement(), signing, encryption).unwrap()
}

#[test]
fn each_pair_is_in_use_from_its_own_moment_on_and_records_name_it() {
    let pairs = pairs();
    for (now, signing, encryption) in [
        (0, "s1", "e1"),
        (1999, "s1", "e1"),
        (2000, "s2", "e1"),
        (2499, "s2", "e1"),
        (2500, "s2", "e2"),
        (i64::MAX, "s2", "e2"),
    ] {
        let in_force = pairs.at(at(now));
        let used = in_force.encryption.as_ref().unwrap();
        assert_eq!((in_force.signing.label.as_str(), used.label.as_str()), (signing, encryption), "{now}");
        let context = &in_force.context;
        assert_eq!(
            (context.key, context.certificate),
            (in_force.signing.key_id(), in_force.signing.certificate_hash())
        );
        assert_eq!(context.encryption_key, Some(used.key_id()));
        assert_eq!(context.encryption_certificate, Some(used.certificate_hash()));
    }
    let next = &pairs.of(PairUsage::Signing)[1];
    assert_eq!(pairs.context_of(next).unwrap().key, next.key_id(), "a proof ahead of its time names the proven key");
}

#[test]
fn what_is_sealed_to_a_pair_is_opened_from_its_loading_until_its_end() {
    let pairs = pairs();
    for (now, expected) in [(0, vec!["e1", "e2"]), (2999, vec!["e1", "e2"]), (3000, vec!["e2"])] {
        let labels: Vec<_> = pairs.at(at(now)).openers.iter().map(|pair| pair.label.as_str()).collect();
        assert_eq!(labels, expected, "{now}");
    }
}

#[test]
fn whoever_took_what_is_in_force_keeps_it_when_other_pairs_are_loaded() {
    let loaded = LoadedPairs::new(pairs());
    let taken = Arc::clone(loaded.load().at(at(0)));
    let only = pair("s3", &certificates()[1], None, None);
    loaded.replace(Arc::new(Pairs::new(&base(), &agreement(), vec![only], Vec::new()).unwrap()));
    assert_eq!((taken.signing.label.as_str(), taken.openers.len()), ("s1", 2));
    let now = loaded.load();
    assert_eq!(now.at(at(0)).signing.label, "s3");
    assert_eq!(now.at(at(0)).context.encryption_certificate, None);
}

#[test]
fn every_pair_is_former_in_use_or_next() {
    use PairState::{Former, InUse, Next};
    let pairs = pairs();
    let told = |now| pairs.told(at(now)).map(|(_, pair, state)| (pair.label.as_str(), state)).collect::<Vec<_>>();
    assert_eq!(told(1999), [("s1", InUse), ("s2", Next), ("e1", InUse), ("e2", Next)]);
    assert_eq!(told(2500), [("s1", Former), ("s2", InUse), ("e1", Former), ("e2", InUse)]);
}

#[test]
fn lists_without_an_order_or_without_a_signing_pair_are_none() {
    let of = certificates();
    let one = |from| pair("one", &of[0], from, None);
    let two = |from| pair("two", &of[1], from, None);
    let made = |signing| Pairs::new(&base(), &agreement(), signing, Vec::new()).map(|_| ());
    assert_eq!(made(Vec::new()), Err(PairsError::NoSigningPair));
    assert_eq!(made(vec![one(None), two(None)]), Err(PairsError::Order));
    assert_eq!(made(vec![one(Some(5)), two(Some(5))]), Err(PairsError::Order));
    assert_eq!(made(vec![one(Some(5)), two(Some(6))]), Ok(()));
}

#[test]
fn a_renewed_certificate_is_another_pair_and_a_label_of_another_key_too() {
    let of = certificates();
    let one = pair("one", &of[0], None, None);
    assert!(one.is_same_pair(&pair("one", &of[0], Some(7), Some(9))));
    assert!(!one.is_same_pair(&pair("one", &of[1], None, None)));
    assert!(!one.is_same_pair(&pair("two", &of[0], None, None)));
}
