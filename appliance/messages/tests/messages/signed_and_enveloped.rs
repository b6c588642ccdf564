//! Content that is signed and sealed in one message.

use openssl::symm::{Cipher, encrypt};
use yanqian_messages::{MessageError, PlainVerifier, SignedAndEnvelopedData, seal_signed};
use yanqian_sm::{DistinguishingId, Sm4Key, sm2_encrypt};

use crate::support::{EnvelopedParts, GM, PKCS7, Party, RecipientParts, SM3, SignerParts, algorithm, oid, tlv};

const CONTENT: &[u8] = "机密 content of more than one block".as_bytes();
const SESSION: [u8; 16] = [7; 16];
const IV: [u8; 16] = [9; 16];

fn open(message: &[u8], signer: &Party, recipient: &Party) -> Result<Vec<u8>, MessageError> {
    let message = SignedAndEnvelopedData::parse(message)?;
    let session = recipient.unseal(message.encrypted_key_for(&recipient.certificate)?).unwrap();
    let content = message.open(&session, &signer.certificate, &DistinguishingId::default(), &PlainVerifier)?;
    Ok(content.to_vec())
}

#[test]
fn what_is_signed_and_sealed_is_opened_and_verified() {
    let (signer, recipient) = (Party::new(1), Party::new(2));
    for content in [&[][..], CONTENT, &vec![3; 40_000]] {
        let rng = &mut getrandom::SysRng;
        let sealed =
            seal_signed(&recipient.certificate, content, &signer.certificate, &signer.sign(content), rng).unwrap();
        assert_eq!(open(&sealed, &signer, &recipient).unwrap(), content);
        assert!(content.is_empty() || !sealed.windows(content.len()).any(|window| window == content));
        let read = SignedAndEnvelopedData::parse(&sealed).unwrap();
        assert_eq!(read.signer_certificate().unwrap(), &signer.certificate);
        assert_eq!(read.certificates(), std::slice::from_ref(&signer.certificate));
    }
}

/// The message in parts: everything as written by ours, but for what a test changes.
struct Parts {
    outer: String,
    version: u8,
    envelope: EnvelopedParts,
    signers: Vec<Vec<u8>>,
}

impl Parts {
    fn new(signer: &SignerParts, recipient: &Party) -> Self {
        let key = recipient.certificate.public_key().unwrap();
        let sealed = sm2_encrypt(key, &SESSION, &mut getrandom::SysRng).unwrap();
        let ciphertext = encrypt(Cipher::sm4_cbc(), &SESSION, Some(&IV), CONTENT).unwrap();
        let envelope = EnvelopedParts::new(&RecipientParts::new(recipient, &sealed), &IV, ciphertext);
        Self { outer: format!("{GM}.4"), version: 1, envelope, signers: vec![signer.der()] }
    }

    fn der(&self, certificates: &[u8]) -> Vec<u8> {
        let body = tlv(
            0x30,
            &[
                &[2, 1, self.version],
                &tlv(0x31, &[&self.envelope.recipients.concat()]),
                &tlv(0x31, &[&algorithm(SM3, &[])]),
                &self.envelope.content(),
                &tlv(0xa0, &[certificates]),
                &tlv(0x31, &[&self.signers.concat()]),
            ],
        );
        tlv(0x30, &[&oid(&self.outer), &tlv(0xa0, &[&body])])
    }
}

#[test]
fn the_forms_that_envelopes_and_signed_messages_may_have_are_taken_here_too() {
    let (signer, recipient) = (Party::new(1), Party::new(2));
    let info = SignerParts::new(&signer, &signer.sign(CONTENT));
    let certificates = [signer.certificate.as_der(), recipient.certificate.as_der()].concat();
    for (outer, version, good) in [(GM, 1, true), (GM, 0, true), (PKCS7, 1, true), (GM, 2, false), (PKCS7, 3, false)] {
        let parts = Parts { outer: format!("{outer}.4"), version, ..Parts::new(&info, &recipient) };
        assert_eq!(open(&parts.der(&certificates), &signer, &recipient).is_ok(), good, "{outer} {version}");
    }
    for kind in [2, 3] {
        let parts = Parts { outer: format!("{GM}.{kind}"), ..Parts::new(&info, &recipient) };
        let refused = open(&parts.der(&certificates), &signer, &recipient);
        assert_eq!(refused, Err(MessageError::ContentType("signedAndEnvelopedData")));
    }
    let ecb = encrypt(Cipher::sm4_ecb(), &SESSION, None, CONTENT).unwrap();
    let mut parts = Parts::new(&info, &recipient);
    parts.envelope.ciphertext = ecb;
    parts.envelope.algorithm = algorithm("1.2.156.10197.1.104", &[]);
    assert_eq!(open(&parts.der(&certificates), &signer, &recipient).unwrap(), CONTENT);
    let two = Parts { signers: vec![info.der(); 2], ..Parts::new(&info, &recipient) };
    assert_eq!(open(&two.der(&certificates), &signer, &recipient), Err(MessageError::NotExactlyOne("signer")));
}

#[test]
fn attributes_have_no_place_in_a_signed_envelope() {
    let (signer, recipient) = (Party::new(1), Party::new(2));
    let digest = yanqian_sm::sm3(&[CONTENT]);
    let attributes = tlv(0x30, &[&oid("1.2.840.113549.1.9.4"), &tlv(0x31, &[&tlv(4, &[&digest])])]);
    let info = SignerParts {
        attributes: tlv(0xa0, &[&attributes]),
        ..SignerParts::new(&signer, &signer.sign(&tlv(0x31, &[&attributes])))
    };
    let refused = SignedAndEnvelopedData::parse(&Parts::new(&info, &recipient).der(signer.certificate.as_der()));
    assert!(matches!(refused, Err(MessageError::Attribute(_))));
}

#[test]
fn a_signature_that_was_encrypted_once_more_is_refused() {
    let (signer, recipient) = (Party::new(1), Party::new(2));
    let signature = signer.sign(CONTENT);
    let twice = encrypt(Cipher::sm4_cbc(), &SESSION, Some(&IV), &signature.to_der()).unwrap();
    let info = SignerParts { signature: twice, ..SignerParts::new(&signer, &signature) };
    let refused = SignedAndEnvelopedData::parse(&Parts::new(&info, &recipient).der(signer.certificate.as_der()));
    assert_eq!(refused.err(), Some(MessageError::Der("SM2Signature")));
}

#[test]
fn a_wrong_key_bad_padding_and_a_signature_that_does_not_verify_are_one_error() {
    let (signer, recipient, other) = (Party::new(1), Party::new(2), Party::new(1));
    let id = DistinguishingId::default();
    let info = SignerParts::new(&signer, &signer.sign(CONTENT));
    let parts = Parts::new(&info, &recipient);
    let open = |parts: &Parts, session: [u8; 16], certificate: &Party| {
        let message = SignedAndEnvelopedData::parse(&parts.der(signer.certificate.as_der())).unwrap();
        message
            .open(&Sm4Key::new(session), &certificate.certificate, &id, &PlainVerifier)
            .map(|content| content.to_vec())
    };
    assert_eq!(open(&parts, SESSION, &signer).unwrap(), CONTENT);
    for session in 0..=255 {
        let session = [session; 16];
        assert!(session == SESSION || open(&parts, session, &signer) == Err(MessageError::Seal));
    }
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut parts = Parts::new(&info, &recipient);
        change(&mut parts.envelope.ciphertext);
        parts
    };
    // Good padding around other content, bad padding, no whole blocks, nothing.
    let last = parts.envelope.ciphertext.len() - 1;
    for spoilt in [
        with(&|octets| octets[0] ^= 1),
        with(&|octets| octets[last] ^= 1),
        with(&|octets| octets.truncate(last)),
        with(&Vec::clear),
    ] {
        assert_eq!(open(&spoilt, SESSION, &signer), Err(MessageError::Seal));
    }
    // Same issuer and serial, another key.
    assert_eq!(open(&parts, SESSION, &other), Err(MessageError::Seal));
    // A certificate that the signer does not name is no secret.
    assert_eq!(open(&parts, SESSION, &recipient), Err(MessageError::SignerCertificateMissing));
}
