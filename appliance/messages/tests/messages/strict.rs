//! What is written is the standard's form and no other, octet for octet: held against a DER writer that is not ours.

use crate::support::{EnvelopedParts, GM, Party, RecipientParts, SM3, SignedParts, SignerParts, algorithm, oid, tlv};
use yanqian_messages::{
    EnvelopedData, SignedAndEnvelopedData, SignedAttributes, encode_attached, encode_detached, seal, seal_signed,
};
use yanqian_sm::sm3;

const CONTENT: &[u8] = b"content of more than one block";

/// contentType, messageDigest and signingTime (`time`: UTCTime or GeneralizedTime) as DER orders a SET OF, without its head.
fn attributes(content: &[u8], time: &[u8]) -> Vec<u8> {
    let attribute = |kind: &str, value: &[u8]| tlv(0x30, &[&oid(kind), &tlv(0x31, &[value])]);
    let mut all = [
        attribute("1.2.840.113549.1.9.3", &oid(&format!("{GM}.1"))),
        attribute("1.2.840.113549.1.9.4", &tlv(4, &[&sm3(&[content])])),
        attribute("1.2.840.113549.1.9.5", time),
    ];
    all.sort();
    all.concat()
}

#[test]
fn a_signed_message_is_written_in_the_standards_form_octet_for_octet() {
    // With a serial number that needs a leading zero.
    let party = Party::new(0x80);
    for (seconds, time) in
        [(1_700_000_000, tlv(0x17, &[b"231114221320Z"])), (2_600_000_000, tlv(0x18, &[b"20520522141320Z"]))]
    {
        let ours = SignedAttributes::new(sm3(&[CONTENT]), seconds).unwrap();
        let theirs = attributes(CONTENT, &time);
        assert_eq!(ours.as_der(), tlv(0x31, &[&theirs]));
        for signs_attributes in [true, false] {
            let signature = party.sign(if signs_attributes { ours.as_der() } else { CONTENT });
            let mut signer = SignerParts::new(&party, &signature);
            if signs_attributes {
                signer.attributes = tlv(0xa0, &[&theirs]);
            }
            let given = signs_attributes.then_some(&ours);
            let mut message = SignedParts::new(&party, &signer);
            assert_eq!(encode_detached(&party.certificate, given, &signature).unwrap(), message.der());
            message.content = tlv(0xa0, &[&tlv(4, &[CONTENT])]);
            assert_eq!(encode_attached(&party.certificate, CONTENT, given, &signature).unwrap(), message.der());
        }
    }
}

/// The initial vector and the ciphertext of a message of ours: its last OCTET STRING of 16 octets, and what follows under `[0]`.
fn vector_and_ciphertext(message: &[u8], ciphertext: usize) -> ([u8; 16], Vec<u8>) {
    let head = tlv(0x80, &[&vec![0; ciphertext]]);
    let head = &head[..head.len() - ciphertext];
    let at = (18..message.len() - ciphertext)
        .find(|at| message[*at..].starts_with(head) && message[at - 18..].starts_with(&[4, 16]))
        .expect("an initial vector before a ciphertext of that length");
    let start = at + head.len();
    (message[at - 16..at].try_into().unwrap(), message[start..start + ciphertext].to_vec())
}

#[test]
fn an_envelope_is_written_in_the_standards_form_octet_for_octet() {
    let party = Party::new(0x80);
    for content in [&[][..], CONTENT, &[7; 300]] {
        let message = seal(&party.certificate, content, &mut getrandom::SysRng).unwrap();
        let key = EnvelopedData::parse(&message).unwrap().encrypted_key_for(&party.certificate).unwrap().clone();
        let (iv, ciphertext) = vector_and_ciphertext(&message, content.len() / 16 * 16 + 16);
        let recipient = RecipientParts::new(&party, &key);
        assert_eq!(message, EnvelopedParts::new(&recipient, &iv, ciphertext).der());
    }
}

#[test]
fn a_signed_envelope_is_written_in_the_standards_form_octet_for_octet() {
    let (signer, recipient) = (Party::new(0x80), Party::new(2));
    let signature = signer.sign(CONTENT);
    let message =
        seal_signed(&recipient.certificate, CONTENT, &signer.certificate, &signature, &mut getrandom::SysRng).unwrap();
    let read = SignedAndEnvelopedData::parse(&message).unwrap();
    let key = read.encrypted_key_for(&recipient.certificate).unwrap();
    let (iv, ciphertext) = vector_and_ciphertext(&message, CONTENT.len() / 16 * 16 + 16);
    let envelope = EnvelopedParts::new(&RecipientParts::new(&recipient, key), &iv, ciphertext);
    let body = tlv(
        0x30,
        &[
            &[2, 1, 1],
            &tlv(0x31, &[&envelope.recipients.concat()]),
            &tlv(0x31, &[&algorithm(SM3, &[])]),
            &envelope.content(),
            &tlv(0xa0, &[signer.certificate.as_der()]),
            &tlv(0x31, &[&SignerParts::new(&signer, &signature).der()]),
        ],
    );
    assert_eq!(message, tlv(0x30, &[&oid(&format!("{GM}.4")), &tlv(0xa0, &[&body])]));
}
