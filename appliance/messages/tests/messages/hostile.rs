//! Round trips, and octets that nobody meant well.

use openssl::nid::Nid;
use proptest::prelude::*;
use yanqian_messages::{
    Certificate, CertificationRequestInfo, EnvelopedData, MessageError, PlainVerifier, Recipient,
    SignedAndEnvelopedData, SignedAttributes, SignedData, Subject, certificates_from_pem_or_der, encode_attached,
    encode_detached, seal, sm2_cipher_from_der,
};
use yanqian_sm::{DistinguishingId, EncryptionKey, PublicKey, Sm4Key, sm3};

use crate::support::{Party, golden};

#[test]
fn what_is_written_is_read_and_verified() {
    let party = Party::new(0x80);
    let certificate = &party.certificate;
    let content = b"content";
    for time in [1_700_000_000, 2_600_000_000] {
        let attributes = SignedAttributes::new(sm3(&[content]), time).unwrap();
        let message = encode_detached(certificate, Some(&attributes), &party.sign(attributes.as_der())).unwrap();
        let read = SignedData::parse(&message).unwrap();
        assert_eq!(read.signer().attributes(), Some(&attributes));
        let verified =
            read.verify_detached(certificate, &DistinguishingId::default(), content, &PlainVerifier).unwrap();
        assert_eq!(verified.signing_time, Some(time));
    }
    let plain = encode_detached(certificate, None, &party.sign(content)).unwrap();
    SignedData::parse(&plain)
        .unwrap()
        .verify_detached(certificate, &DistinguishingId::default(), content, &PlainVerifier)
        .unwrap();
}

#[test]
fn attached_content_is_what_is_verified_and_a_detached_one_is_not_taken_for_it() {
    let party = Party::new(0x80);
    let certificate = &party.certificate;
    let id = DistinguishingId::default();
    for content in [b"".as_slice(), b"content", &vec![7; 70_000]] {
        let attributes = SignedAttributes::new(sm3(&[content]), 1_700_000_000).unwrap();
        for attributes in [None, Some(&attributes)] {
            let signature = party.sign(attributes.map_or(content, SignedAttributes::as_der));
            let read =
                SignedData::parse(&encode_attached(certificate, content, attributes, &signature).unwrap()).unwrap();
            assert_eq!(read.content(), Some(content));
            read.verify_attached(certificate, &id, &PlainVerifier).unwrap();
            let detached = read.verify_detached(certificate, &id, content, &PlainVerifier).err();
            assert_eq!(detached, Some(MessageError::NotDetached));

            let other = encode_attached(certificate, b"other", attributes, &signature).unwrap();
            let error = SignedData::parse(&other).unwrap().verify_attached(certificate, &id, &PlainVerifier).err();
            let expected = if attributes.is_some() { MessageError::ContentDigest } else { MessageError::Signature };
            assert_eq!(error, Some(expected));
            let detached = encode_detached(certificate, attributes, &signature).unwrap();
            let error = SignedData::parse(&detached).unwrap().verify_attached(certificate, &id, &PlainVerifier).err();
            assert_eq!(error, Some(MessageError::NotAttached));
        }
    }
}

#[test]
fn a_signature_verifies_only_with_the_certificate_that_the_signer_names() {
    let (party, other) = (Party::new(0x80), Party::new(0x80));
    let (certificate, stranger) = (&party.certificate, &other.certificate);
    let message = encode_detached(certificate, None, &party.sign(b"x")).unwrap();
    let read = SignedData::parse(&message).unwrap();
    // Same issuer and serial, other key.
    let error = read.verify_detached(stranger, &DistinguishingId::default(), b"x", &PlainVerifier).err();
    assert_eq!(error, Some(MessageError::Signature));
    let foreign = Certificate::from_der(&golden("gmssl-certificate.der")).unwrap();
    let error = read.verify_detached(&foreign, &DistinguishingId::default(), b"x", &PlainVerifier).err();
    assert_eq!(error, Some(MessageError::SignerCertificateMissing));
}

#[test]
fn an_envelope_is_for_its_recipient_and_holds_no_plaintext() {
    let party = Party::new(0x80);
    let certificate = &party.certificate;
    let sealed = seal(certificate, "机密 secret".as_bytes(), &mut getrandom::SysRng).unwrap();
    assert!(!sealed.windows(6).any(|window| window == b"secret"));
    let read = EnvelopedData::parse(&sealed).unwrap();
    assert!(read.encrypted_key_for(certificate).is_ok());
    assert!(
        read.open(&Sm4Key::new([0; 16])).is_err()
            || read.open(&Sm4Key::new([0; 16])).unwrap().as_slice() != "机密 secret".as_bytes()
    );
}

/// Opens an envelope to `certificate` with the key of whoever tries.
fn opened(party: &Party, certificate: &Certificate, envelope: &[u8]) -> Option<Vec<u8>> {
    let read = EnvelopedData::parse(envelope).unwrap();
    let session = party.unseal(read.encrypted_key_for(certificate).unwrap())?;
    Some(read.open(&session).unwrap().to_vec())
}

#[test]
fn a_table_is_used_for_its_own_recipient_only() {
    let (party, other) = (Party::new(0x80), Party::new(0x80));
    let (certificate, stranger) = (&party.certificate, &other.certificate);
    for owner in [certificate, stranger] {
        let table = EncryptionKey::new(owner.public_key().unwrap());
        let recipient = Recipient::new(certificate, Some(&table));
        let sealed = seal(recipient, b"secret", &mut getrandom::SysRng).unwrap();
        assert_eq!(opened(&party, certificate, &sealed).as_deref(), Some(b"secret".as_slice()));
        assert_eq!(opened(&other, certificate, &sealed), None);
    }
}

#[test]
fn a_certification_request_is_accepted_by_openssl() {
    let party = Party::new(1);
    let key = &party.key;
    let public = PublicKey::from_spki_der(&key.public_key_to_der().unwrap()).unwrap();
    let subject = Subject::parse("C=CN, O=Example\\, Bank, CN=Signing").unwrap();
    let info = CertificationRequestInfo::new(&subject, &public);
    let signature = party.sign(info.to_be_signed());
    let request = openssl::x509::X509Req::from_der(&info.finish(&signature)).unwrap();
    assert!(request.verify(key).unwrap());
    let organization = request.subject_name().entries_by_nid(Nid::ORGANIZATIONNAME).next().unwrap();
    assert_eq!(organization.data().to_string().unwrap(), "Example, Bank");
}

#[test]
fn malformed_subjects_are_refused() {
    for text in ["", "CN", "CN=", "X=1", "C=cn", "C=CHN", "CN=a\\", "CN=a\nb", &format!("CN={}", "a".repeat(65))] {
        assert!(matches!(Subject::parse(text), Err(MessageError::Subject(_))), "{text:?}");
    }
}

#[test]
fn octets_after_a_message_are_refused() {
    for file in ["gmssl-signed-attributes.der", "gmssl-signed-plain-null.der"] {
        let mut octets = golden(file);
        octets.push(0);
        assert!(SignedData::parse(&octets).is_err(), "{file}");
    }
    let mut octets = golden("gmssl-enveloped.der");
    octets.push(0);
    assert!(EnvelopedData::parse(&octets).is_err());
}

proptest! {
    #[test]
    fn readers_never_panic_on_arbitrary_octets(octets: Vec<u8>) {
        let _ = SignedData::parse(&octets);
        let _ = EnvelopedData::parse(&octets);
        let _ = SignedAndEnvelopedData::parse(&octets);
        let _ = Certificate::from_der(&octets);
        let _ = certificates_from_pem_or_der(&octets);
        let _ = sm2_cipher_from_der(&octets);
    }

    #[test]
    fn readers_never_panic_on_damaged_messages(
        file in proptest::sample::select(&["gmssl-signed-attributes.der", "gmssl-signed-plain-null.der", "gmssl-enveloped.der", "gmssl-certificate.der", "openssl-cms-signed.der"][..]),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut octets = golden(file);
        for (place, value) in damage {
            let place = place.index(octets.len());
            octets[place] = value;
        }
        let shorter = octets[..cut.index(octets.len())].to_vec();
        for octets in [&octets, &shorter] {
            let _ = SignedData::parse(octets);
            let _ = EnvelopedData::parse(octets);
            let _ = SignedAndEnvelopedData::parse(octets);
            let _ = Certificate::from_der(octets);
        }
    }

    #[test]
    fn subjects_of_any_text_never_panic(text: String) {
        let _ = Subject::parse(&text);
    }
}

#[test]
fn signed_attributes_read_back_from_their_own_octets_and_from_nothing_else() {
    let attributes = SignedAttributes::new([7; 32], 1_764_000_000).unwrap();
    let octets = attributes.as_der().to_vec();
    assert_eq!(SignedAttributes::from_der(&octets), Ok(attributes));
    assert!(SignedAttributes::from_der(&[&octets[..], &[0]].concat()).is_err());
    assert!(SignedAttributes::from_der(&octets[..octets.len() - 1]).is_err());
    assert!(SignedAttributes::from_der(&[&[0x30], &octets[1..]].concat()).is_err());
}

#[test]
fn what_no_signature_of_a_certificate_covers_has_one_form() {
    let der = Party::new(7).certificate.as_der().to_vec();
    // The last algorithm identifier, and the BIT STRING's count of unused bits behind it.
    let algorithm = crate::support::oid("1.2.156.10197.1.501");
    let outside = der.windows(algorithm.len()).rposition(|window| window == algorithm).unwrap();
    let unused = outside + algorithm.len() + 2;
    assert_eq!((der[unused - 2], der[unused]), (3, 0), "a BIT STRING of whole octets");
    for place in [outside, outside + algorithm.len() - 1] {
        let mut changed = der.clone();
        changed[place] ^= 1;
        let refused = Some(MessageError::Certificate("two signature algorithms"));
        assert_eq!(Certificate::from_der(&changed).err(), refused, "octet {place}");
    }
    let mut changed = der;
    changed[unused] ^= 1;
    // By the parser, when the last bit is set.
    assert!(matches!(Certificate::from_der(&changed), Err(MessageError::Certificate(_))));
}
