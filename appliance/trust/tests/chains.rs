//! A table of chains, good and bad in each way, as three implementations judge them: OpenSSL, which decides; the trust store around
//! it, with its own SM2 engine; and `rustls-webpki` with that engine, which shares neither parser nor path building with either.
//! Where webpki and we differ, the row says so and why.
#![allow(clippy::unwrap_used)]

mod pki;

use std::num::NonZeroU32;

use openssl::hash::MessageDigest;
use pki::{Algorithm, DAY, Identity, NOW, Spec};
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, UnixTime,
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use yanqian_messages::Certificate;
use yanqian_sm::{DistinguishingId, E, PublicKey, Signature};
use yanqian_trust::{SignerError, TrustStore, Verifier, VerifierSettings};

/// SM2 with SM3, by our engine, for one form of the `AlgorithmIdentifier`: parameters absent, or NULL.
#[derive(Debug)]
struct Sm2(&'static [u8]);

const SM2_KEY: &[u8] =
    &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];
const SM2_ABSENT: Sm2 = Sm2(&[0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75]);
const SM2_NULL: Sm2 = Sm2(&[0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75, 0x05, 0x00]);

impl SignatureVerificationAlgorithm for Sm2 {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key = PublicKey::from_sec1(key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        let e = E::of_message(&key, &DistinguishingId::default(), &[message]);
        yanqian_sm::verify(&key, &e, &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(SM2_KEY)
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(self.0)
    }
}

fn webpki_takes(row: &Row) -> bool {
    let algorithms: [&dyn SignatureVerificationAlgorithm; 6] = [
        &SM2_ABSENT,
        &SM2_NULL,
        webpki::ring::ECDSA_P256_SHA256,
        webpki::ring::ECDSA_P384_SHA384,
        webpki::ring::ECDSA_P256_SHA384,
        webpki::ring::RSA_PKCS1_2048_8192_SHA256,
    ];
    let der = |identity: &Identity| CertificateDer::from(identity.x509.to_der().unwrap());
    let (leaf, anchors) = (CertificateDer::from(row.leaf.clone()), row.anchors.iter().map(der).collect::<Vec<_>>());
    let between: Vec<_> = row.between.iter().map(der).collect();
    let Ok(anchors) = anchors.iter().map(anchor_from_trusted_cert).collect::<Result<Vec<_>, _>>() else { return false };
    let Ok(leaf) = EndEntityCert::try_from(&leaf) else { return false };
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(NOW).unwrap()));
    leaf.verify_for_usage(&algorithms, &anchors, &between, now, KeyUsage::client_auth(), None, None).is_ok()
}

/// The store's verdict on usage and chain, with the certificates in between embedded in the message.
fn ours(row: &Row) -> Result<(), SignerError> {
    let directory = tempfile::tempdir().unwrap();
    let anchors: Vec<_> = row.anchors.iter().collect();
    pki::store(directory.path(), &anchors, &[], "format_version = 1\nsigner = []\n");
    let store = TrustStore::load(directory.path(), 0).unwrap();
    let by = Verifier::new(VerifierSettings { table_octets: 0, shadow_every: NonZeroU32::MIN });
    let leaf = Certificate::from_der(&row.leaf).unwrap();
    let embedded: Vec<_> = row.between.iter().map(Identity::certificate).collect();
    store.check_usage(&leaf)?;
    store.build_chain(&leaf, &embedded, NOW, &by).map(|_| ())
}

struct Row {
    name: &'static str,
    leaf: Vec<u8>,
    between: Vec<Identity>,
    anchors: Vec<Identity>,
    ours: Result<(), SignerError>,
    /// Why webpki says otherwise, where it does.
    differs: Option<&'static str>,
}

/// How a chain of root, issuing authority and signer is made otherwise than usual.
#[derive(Default)]
struct Otherwise<'a> {
    root: Option<&'a dyn Fn(&mut Spec)>,
    issuing: Option<&'a dyn Fn(&mut Spec)>,
    signer: Option<&'a dyn Fn(&mut Spec)>,
}

fn chain(algorithm: Algorithm, otherwise: &Otherwise<'_>) -> (Identity, Identity, Identity) {
    let make = |mut spec: Spec, change: Option<&dyn Fn(&mut Spec)>, issuer: Option<&Identity>| {
        if let Some(change) = change {
            change(&mut spec);
        }
        spec.issue(issuer)
    };
    let root = make(Spec::authority("root", algorithm), otherwise.root, None);
    let issuing = make(Spec::authority("issuing", algorithm), otherwise.issuing, Some(&root));
    let signer = make(Spec::end("signer", algorithm), otherwise.signer, Some(&issuing));
    (root, issuing, signer)
}

fn row(
    name: &'static str,
    algorithm: Algorithm,
    otherwise: &Otherwise<'_>,
    ours: Result<(), SignerError>,
    differs: Option<&'static str>,
) -> Row {
    let (root, issuing, signer) = chain(algorithm, otherwise);
    let leaf = signer.x509.to_der().unwrap();
    Row { name, leaf, between: vec![issuing], anchors: vec![root], ours, differs }
}

/// `nameConstraints` that permit DNS names below `example`.
const PERMITS_EXAMPLE: &[u8] =
    &[0x30, 0x0d, 0xa0, 0x0b, 0x30, 0x09, 0x82, 0x07, b'e', b'x', b'a', b'm', b'p', b'l', b'e'];
/// `nameConstraints` that permit the directory `C=US` only.
const PERMITS_US: &[u8] = &[
    0x30, 0x15, 0xa0, 0x13, 0x30, 0x11, 0xa4, 0x0f, 0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x06,
    0x13, 0x02, b'U', b'S',
];
const NO_KEY_USAGE: &str = "webpki does not read keyUsage: the store checks the signer's, OpenSSL the authorities'";

#[allow(clippy::too_many_lines)] // a table
fn spec_rows() -> Vec<Row> {
    use SignerError::{Chain, KeyUsage as Usage, Validity, Weak};
    let sm2 = Algorithm::Sm2;
    let signer = |change: &'static dyn Fn(&mut Spec)| Otherwise { signer: Some(change), ..Otherwise::default() };
    let issuing = |change: &'static dyn Fn(&mut Spec)| Otherwise { issuing: Some(change), ..Otherwise::default() };
    let root = |change: &'static dyn Fn(&mut Spec)| Otherwise { root: Some(change), ..Otherwise::default() };
    let usual = Otherwise::default();
    vec![
        row("SM2", sm2, &usual, Ok(()), None),
        row("P-256", Algorithm::P256, &usual, Ok(()), None),
        row("P-384", Algorithm::P384, &usual, Ok(()), None),
        row("RSA 2048", Algorithm::Rsa(2048), &usual, Ok(()), None),
        row("SM2 below RSA", Algorithm::Rsa(2048), &signer(&|spec| spec.algorithm = Algorithm::Sm2), Ok(()), None),
        row("P-256 below SM2", sm2, &signer(&|spec| spec.algorithm = Algorithm::P256), Ok(()), None),
        row(
            "a signer of RSA 1024",
            Algorithm::Rsa(2048),
            &signer(&|spec| spec.algorithm = Algorithm::Rsa(1024)),
            Err(Weak),
            Some("webpki judges the keys that sign certificates, and this one signs none"),
        ),
        row(
            "an authority of RSA 1024",
            Algorithm::Rsa(2048),
            &issuing(&|spec| spec.algorithm = Algorithm::Rsa(1024)),
            Err(Weak),
            None,
        ),
        row(
            "a signer on P-224",
            Algorithm::P256,
            &signer(&|spec| spec.algorithm = Algorithm::P224),
            Err(Weak),
            Some("webpki judges the keys that sign certificates, and this one signs none"),
        ),
        row(
            "signed with SHA-1",
            Algorithm::Rsa(2048),
            &signer(&|spec| spec.digest = Some(MessageDigest::sha1())),
            Err(Weak),
            None,
        ),
        row("a signer that has ended", sm2, &signer(&|spec| spec.not_after = NOW - 1), Err(Validity), None),
        row("a signer that has not begun", sm2, &signer(&|spec| spec.not_before = NOW + 2), Err(Validity), None),
        row("an authority that has ended", sm2, &issuing(&|spec| spec.not_after = NOW - 1), Err(Validity), None),
        row(
            "an anchor that has ended",
            sm2,
            &root(&|spec| spec.not_after = NOW - DAY),
            Err(Validity),
            Some("for webpki an anchor is a name and a key without an end"),
        ),
        row(
            "an encryption certificate",
            sm2,
            &signer(&|spec| spec.usage = vec!["keyEncipherment", "dataEncipherment", "keyAgreement"]),
            Err(Usage),
            Some(NO_KEY_USAGE),
        ),
        row(
            "a certificate that signs and receives",
            sm2,
            &signer(&|spec| spec.usage = vec!["digitalSignature", "keyEncipherment"]),
            Err(Usage),
            Some(NO_KEY_USAGE),
        ),
        row("a signer without key usage", sm2, &signer(&|spec| spec.usage.clear()), Err(Usage), Some(NO_KEY_USAGE)),
        row("an authority that signs", sm2, &signer(&|spec| spec.authority = true), Err(Usage), None),
        row("an issuer that is no authority", sm2, &issuing(&|spec| spec.authority = false), Err(Chain), None),
        row(
            "an authority that may not sign certificates",
            sm2,
            &issuing(&|spec| spec.usage = vec!["cRLSign"]),
            Err(Chain),
            Some(NO_KEY_USAGE),
        ),
        row(
            "a path that is too long",
            sm2,
            &root(&|spec| spec.path_length = Some(0)),
            Err(Chain),
            Some("for webpki an anchor limits names only"),
        ),
        row(
            "an unknown critical extension",
            sm2,
            &signer(&|spec| spec.extensions.push(("1.3.6.1.4.1.99999.1", true, vec![5, 0]))),
            Err(Chain),
            None,
        ),
        row(
            "an unknown extension",
            sm2,
            &signer(&|spec| spec.extensions.push(("1.3.6.1.4.1.99999.1", false, vec![5, 0]))),
            Ok(()),
            None,
        ),
        row(
            "an authority with an unknown critical extension",
            sm2,
            &issuing(&|spec| spec.extensions.push(("1.3.6.1.4.1.99999.1", true, vec![5, 0]))),
            Err(Chain),
            None,
        ),
        row(
            "names that constraints do not speak of",
            sm2,
            &issuing(&|spec| spec.extensions.push(("2.5.29.30", true, PERMITS_EXAMPLE.to_vec()))),
            Ok(()),
            None,
        ),
        row(
            "a name outside its authority's constraints",
            sm2,
            &issuing(&|spec| spec.extensions.push(("2.5.29.30", true, PERMITS_US.to_vec()))),
            Err(Chain),
            None,
        ),
    ]
}

/// Rows whose certificates do not fit together.
fn shape_rows() -> Vec<Row> {
    let (root, issuing, signer) = chain(Algorithm::Sm2, &Otherwise::default());
    let leaf = signer.x509.to_der().unwrap();
    let with = |name, between: &[&Identity], anchor: &Identity, ours| {
        let between = between.iter().map(|identity| (*identity).clone()).collect();
        Row { name, leaf: leaf.clone(), between, anchors: vec![anchor.clone()], ours, differs: None }
    };
    let chain_error = Err(SignerError::Chain);
    let namesake = Spec::authority("root", Algorithm::Sm2).issue(None);
    let (a_key, b_key) = (pki::key(Algorithm::Sm2), pki::key(Algorithm::Sm2));
    let (a, b) = (Spec::authority("a", Algorithm::Sm2), Spec::authority("b", Algorithm::Sm2));
    let a_by_itself = a.issue_for(&a_key, None);
    let b_by_a = b.issue_for(&b_key, Some(&a_by_itself));
    let a_by_b = a.issue_for(&a_key, Some(&b_by_a));
    let below_loop = Spec::end("signer", Algorithm::Sm2).issue(Some(&a_by_b));
    let mut deep = vec![root.clone()];
    for depth in 0..12 {
        let next = Spec::authority(&format!("depth {depth}"), Algorithm::Sm2).issue(deep.last());
        deep.push(next);
    }
    let too_deep = Spec::end("signer", Algorithm::Sm2).issue(deep.last());
    let mut broken = leaf.clone();
    *broken.last_mut().unwrap() ^= 1;
    let mut rows = vec![
        with("in any order, with others", &[&namesake, &b_by_a, &issuing], &root, Ok(())),
        with("a missing link", &[], &root, chain_error),
        with("another root of the same name", &[&issuing], &namesake, chain_error),
        with("a root that came along", &[&issuing, &root], &namesake, chain_error),
        Row { leaf: broken, ..with("a broken signature", &[&issuing], &root, chain_error) },
    ];
    let row = |name, leaf: &Identity, between, anchors| {
        let leaf = leaf.x509.to_der().unwrap();
        Row { name, leaf, between, anchors, ours: chain_error, differs: None }
    };
    rows.push(row("a loop", &below_loop, vec![a_by_b, b_by_a], vec![root.clone()]));
    rows.push(row("a path without end", &too_deep, deep[1..].to_vec(), vec![root]));
    rows.push(row(
        "a self-signed signer",
        &Spec::end("signer", Algorithm::Sm2).issue(None),
        Vec::new(),
        vec![namesake],
    ));
    rows
}

/// The signature's algorithm written with NULL parameters, in both places, and signed anew.
fn with_null_parameters(identity: &Identity, issuer: &Identity) -> Vec<u8> {
    const ABSENT: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75];
    const NULL: &[u8] = &[0x30, 0x0c, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75, 0x05, 0x00];
    let der = identity.x509.to_der().unwrap();
    let (_, parsed) =
        <x509_parser::prelude::X509Certificate<'_> as x509_parser::prelude::FromDer<_>>::from_der(&der).unwrap();
    let tbs = parsed.tbs_certificate.as_ref();
    let place = tbs.windows(ABSENT.len()).position(|window| window == ABSENT).unwrap();
    let inner = [&tbs[4..place], NULL, &tbs[place + ABSENT.len()..]].concat();
    let wrap = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, content].concat()
    };
    let tbs = wrap(0x30, &inner);
    let mut signer = openssl::sign::Signer::new(MessageDigest::sm3(), &issuer.key).unwrap();
    let signature = signer.sign_oneshot_to_vec(&tbs).unwrap();
    let bits = [&[0x03, u8::try_from(signature.len() + 1).unwrap(), 0][..], &signature].concat();
    wrap(0x30, &[&tbs[..], NULL, &bits].concat())
}

#[test]
fn three_implementations_judge_every_chain_alike_but_where_the_row_says_why() {
    let mut rows = spec_rows();
    rows.extend(shape_rows());
    let (root, issuing, signer) = chain(Algorithm::Sm2, &Otherwise::default());
    let leaf = with_null_parameters(&signer, &issuing);
    rows.push(Row {
        name: "NULL parameters",
        leaf,
        between: vec![issuing],
        anchors: vec![root],
        ours: Ok(()),
        differs: None,
    });
    let mut wrong = Vec::new();
    for row in &rows {
        let (ours, webpki) = (ours(row), webpki_takes(row));
        if ours != row.ours || (webpki == row.ours.is_ok()) == row.differs.is_some() {
            wrong.push(format!("{}: ours {ours:?}, expected {:?}; webpki {webpki}", row.name, row.ours));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(rows.len() >= 30);
}

#[test]
fn a_weak_authority_keeps_the_whole_store_out_of_use_by_its_file() {
    for (algorithm, told) in [(Algorithm::Rsa(1024), "an RSA key of 1024 bits"), (Algorithm::P224, "another curve")] {
        let directory = tempfile::tempdir().unwrap();
        let good = Spec::authority("root", Algorithm::Sm2).issue(None);
        let weak = Spec::authority("weak", algorithm).issue(None);
        pki::store(directory.path(), &[&good, &weak], &[], "format_version = 1\nsigner = []\n");
        let error = TrustStore::load(directory.path(), 0).expect_err("weak").to_string();
        assert!(error.contains("anchors/1.pem") && error.contains(told), "{error}");
    }
}

#[test]
fn a_certificate_that_signs_cannot_receive_and_one_that_receives_cannot_sign() {
    let directory = tempfile::tempdir().unwrap();
    let root = Spec::authority("root", Algorithm::Sm2).issue(None);
    for (usage, encrypts) in [
        (vec!["digitalSignature", "nonRepudiation"], false),
        (vec!["keyEncipherment"], true),
        (vec!["dataEncipherment"], true),
        (vec!["keyAgreement"], true),
        (vec![], false),
        (vec!["digitalSignature", "keyEncipherment"], false),
    ] {
        let identity = Spec { usage: usage.clone(), ..Spec::end("either", Algorithm::Sm2) }.issue(Some(&root));
        pki::store(directory.path(), &[&root], &[], &pki::pins(&[&identity]));
        pki::write(directory.path(), "encryption.pem", &identity.x509.to_pem().unwrap());
        assert_eq!(TrustStore::load(directory.path(), 0).is_ok(), encrypts, "{usage:?}");
    }
}
