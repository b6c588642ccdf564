use der::Tag;
use yanqian_sm::Sm2Ciphertext;

use crate::certificate::Certificate;
use crate::encodings::CipherEncoding;
use crate::error::MessageError;
use crate::oid;
use crate::sm2cipher::sm2_cipher_to_der;
use crate::tlv::{self, Element, Elements, context};

/// Recipients that a message may name.
const MAX_RECIPIENTS: usize = 16;

/// One `RecipientInfo` as read: whose it is, and the session key sealed to that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecipientInfo {
    id: RecipientId,
    /// What is wrong with another's is no reason to refuse ours.
    encrypted_key: Result<Sm2Ciphertext, MessageError>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum RecipientId {
    /// DER `Name`, and the serial number's INTEGER value octets.
    IssuerAndSerial {
        issuer: Vec<u8>,
        serial: Vec<u8>,
    },
    SubjectKeyId(Vec<u8>),
}

impl RecipientInfo {
    /// Whether this names the certificate: by issuer and serial, or by its subject key identifier, octet by octet.
    fn names(&self, certificate: &Certificate) -> bool {
        match &self.id {
            RecipientId::IssuerAndSerial { issuer, serial } => {
                issuer == certificate.issuer_der() && serial == certificate.serial()
            }
            RecipientId::SubjectKeyId(id) => certificate.subject_key_id() == Some(id.as_slice()),
        }
    }
}

/// The session key for the holder of `certificate`, whom exactly one of the recipients must name.
pub(crate) fn key_for<'a>(
    recipients: &'a [RecipientInfo],
    certificate: &Certificate,
) -> Result<&'a Sm2Ciphertext, MessageError> {
    let mut ours = recipients.iter().filter(|recipient| recipient.names(certificate));
    match (ours.next(), ours.next()) {
        (Some(recipient), None) => recipient.encrypted_key.as_ref().map_err(|error| *error),
        _ => Err(MessageError::NotExactlyOne("recipient that is this certificate")),
    }
}

pub(crate) fn read(set: Element<'_>, encoding: CipherEncoding) -> Result<Vec<RecipientInfo>, MessageError> {
    let mut elements = Elements::new(set.value, "recipientInfos")?;
    let mut recipients = Vec::new();
    while !elements.is_empty() {
        if recipients.len() == MAX_RECIPIENTS {
            return Err(MessageError::TooMany("recipients", MAX_RECIPIENTS));
        }
        recipients.push(read_one(elements.sequence()?, encoding)?);
    }
    if recipients.is_empty() { Err(MessageError::Der("recipientInfos")) } else { Ok(recipients) }
}

fn read_one(mut recipient: Elements<'_>, encoding: CipherEncoding) -> Result<RecipientInfo, MessageError> {
    // The standard says 1; 0 is seen, and CMS has 2 where it names a key.
    let version = recipient.small_integer()?;
    let by_key = recipient.optional(context(der::TagNumber(0), false))?;
    if version > 1 + u8::from(by_key.is_some()) {
        return Err(MessageError::Version("RecipientInfo"));
    }
    let id = if let Some(id) = by_key {
        RecipientId::SubjectKeyId(id.value.to_vec())
    } else {
        let (issuer, serial) = recipient.issuer_and_serial()?;
        RecipientId::IssuerAndSerial { issuer, serial }
    };
    let (algorithm, parameters) = recipient.algorithm()?;
    let encrypted_key = recipient.expect(Tag::OctetString)?.value;
    recipient.finish()?;
    let encrypted_key = if algorithm == oid::SM2_ENCRYPT && parameters.is_none() {
        encoding.read(encrypted_key)
    } else {
        Err(MessageError::Algorithm("key encryption"))
    };
    Ok(RecipientInfo { id, encrypted_key })
}

/// `RecipientInfos` of one: version 1, issuer and serial, no parameters.
pub(crate) fn write(recipient: &Certificate, encrypted_key: &Sm2Ciphertext) -> Vec<u8> {
    let info = tlv::sequence(&[
        &tlv::unsigned_integer(&[1]),
        &tlv::issuer_and_serial(recipient),
        &tlv::algorithm(&oid::SM2_ENCRYPT, &[]),
        &tlv::octet_string(&sm2_cipher_to_der(encrypted_key)),
    ]);
    tlv::write(Tag::Set, &[&info])
}
