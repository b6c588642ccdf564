//! Messages made by foreign implementations; see `golden/README.md`.

use openssl::bn::BigNum;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::hash::MessageDigest;
use openssl::sign::Signer;
use openssl::x509::{X509, X509NameBuilder};

use crate::support::{annex_key, golden, unseal};
use yanqian_messages::{
    Certificate, CipherEncoding, Encodings, EnvelopedData, MessageError, PlainVerifier, SignatureEncoding,
    SignedAndEnvelopedData, SignedData, sm2_cipher_from_der, sm2_cipher_to_der,
};
use yanqian_sm::{DistinguishingId, E, Signature, verify};

fn signer() -> Certificate {
    Certificate::from_der(&golden("gmssl-certificate.der")).unwrap()
}

#[test]
fn signed_messages_of_gmssl_verify_with_and_without_attributes() {
    let id = DistinguishingId::default();
    let content = golden("gmssl-content.txt");
    for (file, with_attributes) in
        [("gmssl-signed-attributes.der", true), ("gmssl-signed-plain-null.der", false), ("gmssl-signed-501.der", true)]
    {
        let message = SignedData::parse(&golden(file)).unwrap();
        let certificate = message.signer_certificate().unwrap().clone();
        assert_eq!(certificate, signer(), "{file}");
        let verified = message.verify_detached(&certificate, &id, &content, &PlainVerifier).unwrap();
        assert_eq!(verified.signing_time.is_some(), with_attributes, "{file}");
        let expected = if with_attributes { MessageError::ContentDigest } else { MessageError::Signature };
        let other = message.verify_detached(&certificate, &id, b"other", &PlainVerifier).err();
        assert_eq!(other, Some(expected), "{file}");
    }
}

#[test]
fn the_self_signed_certificate_of_gmssl_reads_as_what_it_says() {
    let certificate = signer();
    assert_eq!(certificate.serial(), hex::decode("00a1b2c3d4e5f60718").unwrap());
    assert!(certificate.subject().contains("golden signer"));
    let usage = certificate.key_usage().unwrap();
    assert!(usage.digital_signature && usage.non_repudiation && !usage.key_encipherment);
}

#[test]
fn enveloped_messages_of_gmssl_open_with_their_key() {
    let old_order = Encodings { signature: SignatureEncoding::Der, cipher: CipherEncoding::C1C2C3 };
    for (file, encodings) in [
        ("gmssl-enveloped.der", Encodings::default()),
        ("gmssl-enveloped-ecb.der", Encodings::default()),
        ("gmssl-enveloped-old-order.der", old_order),
    ] {
        let message = EnvelopedData::parse_with(&golden(file), encodings).unwrap();
        let sealed = message.encrypted_key_for(&signer()).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(&sm2_cipher_from_der(&sm2_cipher_to_der(sealed)).unwrap(), sealed, "{file}");
        let content = message.open(&unseal(&annex_key(), sealed).unwrap()).unwrap();
        assert_eq!(content.as_slice(), golden("gmssl-content.txt"), "{file}");
    }
}

#[test]
fn a_signed_envelope_of_gmssl_opens_and_verifies() {
    let message = SignedAndEnvelopedData::parse(&golden("gmssl-signed-enveloped.der")).unwrap();
    let session = unseal(&annex_key(), message.encrypted_key_for(&signer()).unwrap()).unwrap();
    let content = message.open(&session, &signer(), &DistinguishingId::default(), &PlainVerifier).unwrap();
    assert_eq!(content.as_slice(), golden("gmssl-content.txt"));
}

#[test]
fn a_raw_signature_of_openssl_verifies() {
    let certificate = Certificate::from_der(&golden("openssl-certificate.der")).unwrap();
    let key = certificate.public_key().unwrap();
    let signature = Signature::from_der(&golden("openssl-raw-signature.der")).unwrap();
    let content = golden("gmssl-content.txt");
    verify(key, &E::of_message(key, &DistinguishingId::default(), &[&content]), &signature).unwrap();
}

#[test]
fn a_cms_message_of_openssl_is_read_where_the_forms_meet() {
    let message = SignedData::parse(&golden("openssl-cms-signed.der")).unwrap();
    let certificate = Certificate::from_der(&golden("openssl-certificate.der")).unwrap();
    assert_eq!(message.signer_certificate().unwrap(), &certificate);
    message
        .verify_detached(&certificate, &DistinguishingId::default(), &golden("gmssl-content.txt"), &PlainVerifier)
        .unwrap();
}

/// Writes the OpenSSL files anew; run by hand.
#[test]
#[ignore = "writes the checked-in files"]
fn write_openssl_goldens() {
    let write = |name: &str, octets: &[u8]| {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        std::fs::write(file, octets).unwrap();
    };
    let key = annex_key();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "openssl golden signer").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(77).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&openssl::asn1::Asn1Time::from_unix(1_735_689_600).unwrap()).unwrap();
    builder.set_not_after(&openssl::asn1::Asn1Time::from_unix(2_366_841_600).unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sm3()).unwrap();
    let certificate = builder.build();
    write("openssl-certificate.der", &certificate.to_der().unwrap());
    let content = golden("gmssl-content.txt");
    let mut raw = Signer::new(MessageDigest::sm3(), &key).unwrap();
    raw.update(&content).unwrap();
    write("openssl-raw-signature.der", &raw.sign_to_vec().unwrap());
    let options = CMSOptions::DETACHED | CMSOptions::BINARY | CMSOptions::NOSMIMECAP;
    let cms = CmsContentInfo::sign(Some(&certificate), Some(&key), None, Some(&content), options).unwrap();
    write("openssl-cms-signed.der", &cms.to_der().unwrap());
}
