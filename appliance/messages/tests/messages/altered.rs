//! Every octet of every message of an exchange, changed to every other value; in a certificate, which must stay as it was in
//! any case, to a few.

use yanqian_messages::{
    Certificate, MessageError, SignatureVerifier, SignedAndEnvelopedData, SignedAttributes, SignedData,
    encode_attached, encode_detached, seal_signed,
};
use yanqian_sm::{DistinguishingId, E, FixedKey, PublicKey, Signature, VerifyError, sm3};

use crate::support::{Party, golden};

const CONTENT: &[u8] = br#"{"bizPackage":"content"}"#;

/// All that a message says and a reader of ours goes by.
#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    content: Vec<u8>,
    attributes: Option<SignedAttributes>,
    signature: [u8; 64],
    signing_time: Option<i64>,
}

/// With a table of the one key that is trusted, or this would take minutes.
struct Tabled(PublicKey, FixedKey);

impl Tabled {
    fn new(trusted: &Certificate) -> Self {
        let key = *trusted.public_key().unwrap();
        Self(key, FixedKey::new(&key))
    }
}

impl SignatureVerifier for Tabled {
    fn verify(&self, key: &PublicKey, e: &E, signature: &Signature) -> Result<(), VerifyError> {
        assert_eq!(key, &self.0);
        self.1.verify(e, signature)
    }
}

/// The message as a reader takes it who trusts this one certificate.
fn meaning(octets: &[u8], trusted: &Certificate, detached: &[u8], tabled: &Tabled) -> Result<Meaning, MessageError> {
    let id = DistinguishingId::default();
    let message = SignedData::parse(octets)?;
    if message.signer_certificate()? != trusted {
        return Err(MessageError::SignerCertificateMissing);
    }
    let (content, verified) = match message.content() {
        None => (detached, message.verify_detached(trusted, &id, detached, tabled)?),
        Some(content) => (content, message.verify_attached(trusted, &id, tabled)?),
    };
    let signer = message.signer();
    Ok(Meaning {
        content: content.to_vec(),
        attributes: signer.attributes().cloned(),
        signature: signer.signature().to_raw(),
        signing_time: verified.signing_time,
    })
}

/// Where `part` stands in `whole`, which it does once.
fn place(whole: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    let mut places =
        whole.windows(part.len()).enumerate().filter(|(_, window)| *window == part).map(|(place, _)| place);
    let start = places.next().unwrap();
    assert_eq!(places.next(), None);
    start..start + part.len()
}

/// Every other value of every octet: `holds` says whether the message then still means what it meant.
fn every_change(
    octets: &[u8],
    trusted: &Certificate,
    signed: &[std::ops::Range<usize>],
    holds: impl Fn(&[u8]) -> Option<bool>,
) {
    let certificate = place(octets, trusted.as_der());
    let mut harmless = 0;
    for index in 0..octets.len() {
        let step = if certificate.contains(&index) { 63 } else { 1 };
        for change in (1..=255).step_by(step) {
            let mut changed = octets.to_vec();
            changed[index] ^= change;
            if let Some(same) = holds(&changed) {
                assert!(same, "octet {index} ^ {change:#x} means something else");
                assert!(!signed.iter().any(|part| part.contains(&index)), "octet {index} ^ {change:#x} is signed");
                harmless += 1;
            }
        }
    }
    // There are such: versions, for one.
    assert!(harmless > 0);
}

fn every_change_of_signed_data(octets: &[u8], trusted: &Certificate, detached: &[u8]) {
    let verifier = Tabled::new(trusted);
    let before = meaning(octets, trusted, detached, &verifier).unwrap();
    let message = SignedData::parse(octets).unwrap();
    let mut signed = vec![place(octets, &message.signer().signature().to_der())];
    if let Some(attributes) = message.signer().attributes() {
        // In the message their tag is another; the octets after it are the same.
        signed.push(place(octets, &attributes.as_der()[1..]));
    }
    if let Some(content) = message.content() {
        signed.push(place(octets, content));
    }
    every_change(octets, trusted, &signed, |changed| {
        meaning(changed, trusted, detached, &verifier).ok().map(|after| after == before)
    });
}

#[test]
fn a_changed_octet_of_a_detached_message_is_refused_or_changes_nothing_of_what_it_says() {
    let party = Party::new(1);
    let attributes = SignedAttributes::new(sm3(&[CONTENT]), 1_700_000_000).unwrap();
    for attributes in [None, Some(&attributes)] {
        let signature = party.sign(attributes.map_or(CONTENT, SignedAttributes::as_der));
        let octets = encode_detached(&party.certificate, attributes, &signature).unwrap();
        every_change_of_signed_data(&octets, &party.certificate, CONTENT);
    }
}

#[test]
fn a_changed_octet_of_an_attached_message_is_refused_or_changes_nothing_of_what_it_says() {
    let party = Party::new(1);
    let attributes = SignedAttributes::new(sm3(&[CONTENT]), 1_700_000_000).unwrap();
    for attributes in [None, Some(&attributes)] {
        let signature = party.sign(attributes.map_or(CONTENT, SignedAttributes::as_der));
        let octets = encode_attached(&party.certificate, CONTENT, attributes, &signature).unwrap();
        every_change_of_signed_data(&octets, &party.certificate, &[]);
    }
}

#[test]
fn a_changed_octet_of_a_foreign_message_is_refused_or_changes_nothing_of_what_it_says() {
    let trusted = Certificate::from_der(&golden("gmssl-certificate.der")).unwrap();
    for file in ["gmssl-signed-attributes.der", "gmssl-signed-plain-null.der"] {
        every_change_of_signed_data(&golden(file), &trusted, &golden("gmssl-content.txt"));
    }
}

#[test]
fn a_changed_octet_of_a_signed_envelope_is_refused_or_changes_nothing_of_what_it_says() {
    let (party, recipient) = (Party::new(1), Party::new(2));
    let id = DistinguishingId::default();
    let octets =
        seal_signed(&recipient.certificate, CONTENT, &party.certificate, &party.sign(CONTENT), &mut getrandom::SysRng)
            .unwrap();
    let message = SignedAndEnvelopedData::parse(&octets).unwrap();
    let sealed = message.encrypted_key_for(&recipient.certificate).unwrap();
    let session = recipient.unseal(sealed).unwrap();
    let verifier = Tabled::new(&party.certificate);
    let open = |octets: &[u8]| {
        let message = SignedAndEnvelopedData::parse(octets).ok()?;
        // A token asked the same again says the same.
        let session = match message.encrypted_key_for(&recipient.certificate).ok()? {
            same if same == sealed => session.clone(),
            other => recipient.unseal(other)?,
        };
        if message.signer_certificate().ok()? != &party.certificate {
            return None;
        }
        message.open(&session, &party.certificate, &id, &verifier).ok().map(|content| content.to_vec())
    };
    assert_eq!(open(&octets).as_deref(), Some(CONTENT));
    let signed = [place(&octets, &message.signer().signature().to_der()), place(&octets, &sealed.ciphertext)];
    every_change(&octets, &party.certificate, &signed, |changed| open(changed).map(|content| content == CONTENT));
}
