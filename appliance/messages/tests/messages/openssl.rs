//! CMS of OpenSSL, where it and GB/T 35275 meet.

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::stack::Stack;
use openssl::symm::Cipher;
use openssl::x509::store::X509StoreBuilder;
use yanqian_messages::{
    MessageError, PlainVerifier, SignedAttributes, SignedData, encode_attached, encode_detached, seal,
};
use yanqian_sm::{DistinguishingId, sm3};

use crate::support::{GM, PKCS7, Party, oid, tlv};

const CONTENT: &[u8] = "给另一个实现".as_bytes();

fn made_by_openssl(party: &Party, options: CMSOptions) -> Vec<u8> {
    let options = options | CMSOptions::BINARY;
    CmsContentInfo::sign(Some(&party.x509), Some(&party.key), None, Some(CONTENT), options).unwrap().to_der().unwrap()
}

#[test]
fn signed_messages_of_openssl_are_read_attached_and_detached() {
    let party = Party::new(1);
    let id = DistinguishingId::default();
    let attached = SignedData::parse(&made_by_openssl(&party, CMSOptions::empty())).unwrap();
    assert_eq!(attached.content(), Some(CONTENT));
    assert_eq!(attached.signer_certificate().unwrap(), &party.certificate);
    attached.verify_attached(&party.certificate, &id, &PlainVerifier).unwrap();
    let detached = SignedData::parse(&made_by_openssl(&party, CMSOptions::DETACHED)).unwrap();
    assert!(detached.verify_detached(&party.certificate, &id, CONTENT, &PlainVerifier).unwrap().signing_time.is_some());
    let other = detached.verify_detached(&party.certificate, &id, b"other", &PlainVerifier).err();
    assert_eq!(other, Some(MessageError::ContentDigest));
    let bare = SignedData::parse(&made_by_openssl(&party, CMSOptions::DETACHED | CMSOptions::CMS_NOCERTS)).unwrap();
    assert_eq!(bare.signer_certificate().err(), Some(MessageError::SignerCertificateMissing));
    bare.verify_detached(&party.certificate, &id, CONTENT, &PlainVerifier).unwrap();
}

#[test]
fn where_cms_and_the_standard_differ_a_message_of_openssl_is_refused() {
    let party = Party::with_key_id(1);
    // Without attributes CMS signs the digest of the content, GB/T 35275 the content with Z.
    let plain = SignedData::parse(&made_by_openssl(&party, CMSOptions::DETACHED | CMSOptions::NOATTR)).unwrap();
    let refused = plain.verify_detached(&party.certificate, &DistinguishingId::default(), CONTENT, &PlainVerifier);
    assert_eq!(refused.err(), Some(MessageError::Signature));
    // A signer named by its key.
    assert!(SignedData::parse(&made_by_openssl(&party, CMSOptions::DETACHED | CMSOptions::USE_KEYID)).is_err());
}

/// The message with the content types and the signature's name that CMS has, the lengths around them corrected.
fn renamed(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = octets;
    while let [tag, length, ..] = rest {
        let (header, length) = match length {
            0x80.. => {
                let width = usize::from(length & 0x7f);
                (2 + width, rest[2..2 + width].iter().fold(0, |length, octet| length << 8 | usize::from(*octet)))
            }
            short => (2, usize::from(*short)),
        };
        let (element, after) = rest.split_at(header + length);
        let content = &element[header..];
        let kinds = (1..=3).map(|kind| (format!("{GM}.{kind}"), format!("{PKCS7}.{kind}")));
        let sm2 = ("1.2.156.10197.1.301.1".to_owned(), "1.2.156.10197.1.501".to_owned());
        if let Some((_, to)) = kinds.chain([sm2]).find(|(from, _)| oid(from) == element) {
            out.extend(oid(&to));
        } else if tag & 0x20 != 0 {
            out.extend(tlv(*tag, &[&renamed(content)]));
        } else {
            out.extend(element);
        }
        rest = after;
    }
    out
}

#[test]
fn openssl_verifies_what_we_write_once_it_is_renamed() {
    let party = Party::new(1);
    // Attributes that say the content is data by CMS's name; ours say it by the standard's.
    let attribute = |kind: &str, value: &[u8]| tlv(0x30, &[&oid(kind), &tlv(0x31, &[value])]);
    let kind = attribute("1.2.840.113549.1.9.3", &oid("1.2.840.113549.1.7.1"));
    let digest = attribute("1.2.840.113549.1.9.4", &tlv(4, &[&sm3(&[CONTENT])]));
    let attributes = SignedAttributes::from_der(&tlv(0x31, &[&kind, &digest])).unwrap();
    let signature = party.sign(attributes.as_der());
    let detached = encode_detached(&party.certificate, Some(&attributes), &signature).unwrap();
    let attached = encode_attached(&party.certificate, CONTENT, Some(&attributes), &signature).unwrap();
    let verifies = |octets: &[u8], detached: Option<&[u8]>| {
        let mut content = Vec::new();
        let options = CMSOptions::BINARY | CMSOptions::NO_SIGNER_CERT_VERIFY;
        let store = X509StoreBuilder::new().unwrap().build();
        let mut message = CmsContentInfo::from_der(&renamed(octets)).unwrap();
        let verified = message.verify(None, Some(&store), detached, Some(&mut content), options);
        verified.map(|()| content)
    };
    assert_eq!(verifies(&attached, None).unwrap(), CONTENT);
    assert_eq!(verifies(&detached, Some(CONTENT)).unwrap(), CONTENT);
    assert!(verifies(&detached, Some(b"other")).is_err());
}

#[test]
fn openssl_opens_what_we_seal_once_it_is_renamed() {
    let (party, other) = (Party::new(1), Party::new(1));
    for content in [&[][..], CONTENT, &[7; 16], &vec![8; 30_000]] {
        let sealed = renamed(&seal(&party.certificate, content, &mut getrandom::SysRng).unwrap());
        let message = CmsContentInfo::from_der(&sealed).unwrap();
        assert_eq!(message.decrypt(&party.key, &party.x509).unwrap(), content);
        // OpenSSL gives octets that it made up where the key is another's, as no oracle either.
        assert_ne!(message.decrypt(&other.key, &party.x509).ok().as_deref(), Some(content));
    }
}

/// It seals session keys to SM2 keys but has no name for how, so its message cannot be encoded. Should that change, the test
/// says so, and we have one more form to read.
#[test]
fn openssl_cannot_write_an_envelope_with_sm2() {
    let party = Party::new(1);
    let mut recipients = Stack::new().unwrap();
    recipients.push(party.x509).unwrap();
    let message = CmsContentInfo::encrypt(&recipients, CONTENT, Cipher::sm4_cbc(), CMSOptions::BINARY).unwrap();
    assert!(message.to_der().is_err());
}
