//! What the recipe promises to those who build on it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::ssl::SslFiletype;
use openssl::stack::Stack;
use openssl::symm::{Cipher, Crypter, Mode};
use openssl::x509::store::{X509Lookup, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509Crl, X509KeyUsage, X509Name, X509ReqBuilder, X509StoreContext, X509VerifyResult};
use time::{Duration, OffsetDateTime};
use yanqian_devpki::{
    Authority, Layout, Options, generate, issue_entity_encryption, issue_entity_signing, reissue_crl, serial,
};

const CRL_HAS_EXPIRED: i32 = 12;
const CERT_REVOKED: i32 = 23;
const SM2_WITH_SM3: &str = "1.2.156.10197.1.501";

fn pki() -> (tempfile::TempDir, Layout) {
    let directory = tempfile::tempdir().unwrap();
    let layout = generate(directory.path(), &Options::default()).unwrap();
    (directory, layout)
}

fn load(path: &Path) -> X509 {
    X509::from_pem(&fs::read(path).unwrap()).unwrap()
}

fn verify(layout: &Layout, name: &str) -> X509VerifyResult {
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(load(&layout.trust().join("anchors/root.pem"))).unwrap();
    store.set_flags(X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL).unwrap();
    let lookup = store.add_lookup(X509Lookup::file()).unwrap();
    for authority in [Authority::Root, Authority::Issuing] {
        lookup.load_crl_file(layout.trust_crl(authority), SslFiletype::PEM).unwrap();
    }
    let store = store.build();
    let mut chain = Stack::new().unwrap();
    chain.push(load(&layout.trust().join("intermediates/issuing.pem"))).unwrap();
    let certificate = load(&layout.platform(name).certificate);
    let mut context = X509StoreContext::new().unwrap();
    context
        .init(&store, &certificate, &chain, |context| {
            context.verify_cert()?;
            Ok(context.error())
        })
        .unwrap()
}

fn sm2_key() -> PKey<Private> {
    PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(Nid::SM2).unwrap()).unwrap()).unwrap()
}

fn request(key: &PKey<Private>, signed_by: &PKey<Private>, digest: MessageDigest) -> Vec<u8> {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "Bank One Signing").unwrap();
    let mut request = X509ReqBuilder::new().unwrap();
    request.set_subject_name(&name.build()).unwrap();
    request.set_pubkey(key).unwrap();
    request.sign(signed_by, digest).unwrap();
    request.build().to_der().unwrap()
}

#[test]
fn every_promised_file_is_there_and_no_key_is_readable_by_others() {
    let (_guard, layout) = pki();
    let mut pairs = Vec::new();
    for name in [
        "root",
        "issuing",
        "signing",
        "encryption",
        "tls",
        "signing-revoked",
        "signing-unpinned",
        "other-ca",
        "signing-other-ca",
    ] {
        pairs.push(layout.platform(name));
    }
    pairs.push(layout.entity("ca"));
    pairs.extend(["ca", "server"].map(|name| layout.internal(name)));
    pairs.extend(yanqian_devpki::CALLERS.map(|name| layout.caller(name)));
    for pair in pairs {
        let key = PKey::private_key_from_pem(&fs::read(&pair.key).unwrap()).unwrap();
        assert!(load(&pair.certificate).public_key().unwrap().public_eq(&key), "{}", pair.key.display());
        assert_eq!(fs::metadata(&pair.key).unwrap().permissions().mode() & 0o777, 0o600, "{}", pair.key.display());
    }
    assert!(layout.trust().join("encryption.pem").exists());
    assert!(layout.trust().join("tls-anchors/root.pem").exists());
}

#[test]
fn sm2_certificates_and_lists_name_sm2_with_sm3() {
    let (_guard, layout) = pki();
    for pair in [layout.platform("root"), layout.platform("signing"), layout.platform("tls"), layout.entity("ca")] {
        let algorithm = load(&pair.certificate).signature_algorithm().object().to_string();
        assert!(algorithm == SM2_WITH_SM3 || algorithm == "SM2-with-SM3", "{algorithm}");
    }
    let crl = X509Crl::from_pem(&fs::read(layout.crl(Authority::Issuing)).unwrap()).unwrap();
    let oid = [0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75];
    let der = crl.to_der().unwrap();
    assert_eq!(der.windows(oid.len()).filter(|w| *w == oid).count(), 2);
    assert!(crl.verify(&load(&layout.platform("issuing").certificate).public_key().unwrap()).unwrap());
}

#[test]
fn the_platform_signer_is_good_and_the_revoked_one_is_revoked() {
    let (_guard, layout) = pki();
    for name in ["signing", "encryption", "tls", "signing-unpinned"] {
        assert_eq!(verify(&layout, name), X509VerifyResult::OK, "{name}");
    }
    assert_eq!(verify(&layout, "signing-revoked").as_raw(), CERT_REVOKED);
    assert_ne!(verify(&layout, "signing-other-ca"), X509VerifyResult::OK);
}

#[test]
fn a_reissued_list_revokes_and_pardons_and_grows_old() {
    let (_guard, layout) = pki();
    let now = OffsetDateTime::now_utc();
    let signing = serial(&fs::read(layout.platform("signing").certificate).unwrap()).unwrap();
    reissue_crl(&layout, Authority::Issuing, &[signing], now - Duration::HOUR, now + Duration::HOUR).unwrap();
    assert_eq!(verify(&layout, "signing").as_raw(), CERT_REVOKED);
    assert_eq!(verify(&layout, "signing-revoked"), X509VerifyResult::OK);
    reissue_crl(&layout, Authority::Issuing, &[], now - Duration::DAY, now - Duration::HOUR).unwrap();
    assert_eq!(verify(&layout, "signing").as_raw(), CRL_HAS_EXPIRED);
}

#[test]
fn an_entity_gets_a_signing_certificate_for_the_key_it_proves() {
    let (_guard, layout) = pki();
    let key = sm2_key();
    let pem = issue_entity_signing(&layout, &request(&key, &key, MessageDigest::sm3()), OffsetDateTime::now_utc(), 30)
        .unwrap();
    let certificate = X509::from_pem(&pem).unwrap();
    assert!(certificate.public_key().unwrap().public_eq(&key));
    assert!(certificate.verify(&load(&layout.entity("ca").certificate).public_key().unwrap()).unwrap());
    let usage = certificate.key_usage().unwrap();
    assert!(usage.contains(openssl::x509::X509KeyUsage::DIGITAL_SIGNATURE));
    assert!(usage.contains(openssl::x509::X509KeyUsage::NON_REPUDIATION));
    assert!(!usage.contains(openssl::x509::X509KeyUsage::KEY_CERT_SIGN));
}

#[test]
fn a_request_signed_by_another_key_or_on_another_curve_is_refused() {
    let (_guard, layout) = pki();
    let now = OffsetDateTime::now_utc();
    let code = |request: &[u8]| issue_entity_signing(&layout, request, now, 30).unwrap_err().code();
    assert_eq!(code(&request(&sm2_key(), &sm2_key(), MessageDigest::sm3())), "request-signature");
    let p256 = PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap());
    let p256 = p256.unwrap();
    assert_eq!(code(&request(&p256, &p256, MessageDigest::sha256())), "request-key-not-sm2");
    assert_eq!(code(b"not a request"), "request-unreadable");
}

/// Length of a DER element with its header, below 64 KiB.
fn element(der: &[u8]) -> usize {
    match der[1] {
        short @ ..=0x7f => 2 + usize::from(short),
        0x81 => 3 + usize::from(der[2]),
        _ => 4 + (usize::from(der[2]) << 8) + usize::from(der[3]),
    }
}

/// What OpenSSL, with this key, finds in an `SM2EnvelopedKey`: public point and private scalar.
fn open_envelope(der: &[u8], key: &PKey<Private>) -> Result<(Vec<u8>, Vec<u8>), ErrorStack> {
    assert_eq!(element(der), der.len(), "one element and nothing after it");
    let mut rest = &der[if der[1] == 0x82 { 4 } else { 3 }..];
    let mut next = || {
        let (part, after) = rest.split_at(element(rest));
        rest = after;
        part
    };
    let (algorithm, cipher, public, sealed) = (next(), next(), next(), next());
    assert!(rest.is_empty());
    assert_eq!(algorithm, [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x68, 0x01]);
    assert!(public.starts_with(&[0x03, 0x42, 0x00, 0x04]) && sealed.starts_with(&[0x03, 0x21, 0x00]));
    let mut content_key = Vec::new();
    let mut context = PkeyCtx::new(key)?;
    context.decrypt_init()?;
    context.decrypt_to_vec(cipher, &mut content_key)?;
    let mut crypter = Crypter::new(Cipher::sm4_ecb(), Mode::Decrypt, &content_key, None)?;
    crypter.pad(false);
    let mut scalar = vec![0; 48];
    let length = crypter.update(&sealed[3..], &mut scalar)?;
    scalar.truncate(length);
    Ok((public[3..].to_vec(), scalar))
}

#[test]
fn an_entity_gets_an_encryption_pair_that_only_its_signing_key_opens() {
    let (_guard, layout) = pki();
    let key = sm2_key();
    let now = OffsetDateTime::now_utc();
    let asked = request(&key, &key, MessageDigest::sm3());
    let signing = issue_entity_signing(&layout, &asked, now, 30).unwrap();
    let signing_der = X509::from_pem(&signing).unwrap().to_der().unwrap();
    let files = fs::read_dir(layout.entity("ca").key.parent().unwrap()).unwrap().count();
    for known_by in [&signing, &signing_der, &asked] {
        let issued = issue_entity_encryption(&layout, known_by, now, 30).unwrap();
        let certificate = X509::from_pem(&issued.certificate).unwrap();
        assert!(certificate.verify(&load(&layout.entity("ca").certificate).public_key().unwrap()).unwrap());
        let subject = certificate.subject_name().entries_by_nid(Nid::COMMONNAME).next().unwrap();
        assert_eq!(subject.data().as_slice(), b"Bank One Signing");
        let usage = certificate.key_usage().unwrap();
        let wanted = [X509KeyUsage::KEY_ENCIPHERMENT, X509KeyUsage::DATA_ENCIPHERMENT, X509KeyUsage::KEY_AGREEMENT];
        assert!(wanted.iter().all(|one| usage.contains(*one)));
        assert!(!usage.contains(X509KeyUsage::DIGITAL_SIGNATURE) && !usage.contains(X509KeyUsage::NON_REPUDIATION));

        let (public, scalar) = open_envelope(&issued.enveloped_key, &key).unwrap();
        assert!(certificate.public_key().unwrap().public_key_to_der().unwrap().ends_with(&public));
        let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
        let mut context = BigNumContext::new().unwrap();
        let point = EcPoint::from_bytes(&group, &public, &mut context).unwrap();
        let opened = EcKey::from_private_components(&group, &BigNum::from_slice(&scalar).unwrap(), &point).unwrap();
        opened.check_key().expect("the scalar is that of the public point");
        assert!(open_envelope(&issued.enveloped_key, &sm2_key()).is_err());
    }
    let after = fs::read_dir(layout.entity("ca").key.parent().unwrap()).unwrap().count();
    assert_eq!(files, after, "nothing of the pair stays here");
}

#[test]
fn an_encryption_pair_is_issued_to_an_entitys_signing_key_only() {
    let (_guard, layout) = pki();
    let now = OffsetDateTime::now_utc();
    let code = |signing: &[u8]| issue_entity_encryption(&layout, signing, now, 30).unwrap_err().code();
    for foreign in [layout.platform("signing"), layout.entity("ca"), layout.caller("stranger")] {
        assert_eq!(code(&fs::read(foreign.certificate).unwrap()), "signing-certificate");
    }
    let key = sm2_key();
    let issued = issue_entity_encryption(&layout, &request(&key, &key, MessageDigest::sm3()), now, 30).unwrap();
    assert_eq!(code(&issued.certificate), "signing-certificate", "an encryption certificate is not one for signing");
    assert_eq!(code(&request(&key, &sm2_key(), MessageDigest::sm3())), "request-signature");
    assert_eq!(code(b"neither"), "request-unreadable");
}

#[test]
fn pins_are_the_sm3_of_the_key_as_it_stands_in_the_certificate() {
    let (_guard, layout) = pki();
    let signers = fs::read_to_string(layout.trust().join("signers.toml")).unwrap();
    for name in ["signing", "signing-revoked"] {
        let certificate = load(&layout.platform(name).certificate);
        let spki = certificate.public_key().unwrap().public_key_to_der().unwrap();
        let der = certificate.to_der().unwrap();
        assert!(der.windows(spki.len()).any(|window| window == spki), "the key is re-encoded differently");
        assert!(signers.contains(&yanqian_devpki::key_id(&certificate.to_pem().unwrap()).unwrap()));
    }
    assert!(!signers.contains(
        &yanqian_devpki::key_id(&fs::read(layout.platform("signing-unpinned").certificate).unwrap()).unwrap()
    ));
}

#[test]
fn a_second_run_does_not_overwrite_keys() {
    let (guard, layout) = pki();
    let before = fs::read(layout.platform("root").key).unwrap();
    assert_eq!(generate(guard.path(), &Options::default()).unwrap_err().code(), "already-exists");
    assert_eq!(fs::read(layout.platform("root").key).unwrap(), before);
}
