use der::Tag;
use yanqian_sm::Signature;

use crate::attributes::SignedAttributes;
use crate::certificate::Certificate;
use crate::error::MessageError;
use crate::oid;
use crate::tlv::{self, context};

const CONTEXT_0: Tag = context(der::TagNumber(0), true);

/// Writes a `SignedData` without its content: one signer with its certificate, version 1, SM3, 301.1, no parameters.
///
/// `signature` is over the DER of `attributes` where given, else over the content octets.
pub fn encode_detached(
    certificate: &Certificate,
    attributes: Option<&SignedAttributes>,
    signature: &Signature,
) -> Result<Vec<u8>, MessageError> {
    encode(certificate, &[], attributes, signature)
}

/// As [`encode_detached`], with the content in the message.
pub fn encode_attached(
    certificate: &Certificate,
    content: &[u8],
    attributes: Option<&SignedAttributes>,
    signature: &Signature,
) -> Result<Vec<u8>, MessageError> {
    if content.len() > tlv::MAX_MESSAGE {
        return Err(MessageError::TooLarge(tlv::MAX_MESSAGE));
    }
    encode(certificate, &tlv::write(CONTEXT_0, &[&tlv::octet_string(content)]), attributes, signature)
}

fn encode(
    certificate: &Certificate,
    content: &[u8],
    attributes: Option<&SignedAttributes>,
    signature: &Signature,
) -> Result<Vec<u8>, MessageError> {
    let body = tlv::sequence(&[
        &tlv::unsigned_integer(&[1]),
        &digest_algorithms(),
        &tlv::sequence(&[&tlv::oid(&oid::DATA), content]),
        &tail(certificate, attributes, signature)?,
    ]);
    Ok(tlv::sequence(&[&tlv::oid(&oid::SIGNED_DATA), &tlv::write(CONTEXT_0, &[&body])]))
}

pub(crate) fn digest_algorithms() -> Vec<u8> {
    tlv::write(Tag::Set, &[&tlv::algorithm(&oid::SM3, &[])])
}

/// Certificates and signer, with which `SignedData` and `SignedAndEnvelopedData` end.
pub(crate) fn tail(
    certificate: &Certificate,
    attributes: Option<&SignedAttributes>,
    signature: &Signature,
) -> Result<Vec<u8>, MessageError> {
    let attributes = match attributes {
        Some(attributes) => tlv::write(CONTEXT_0, &[attributes.value()?]),
        None => Vec::new(),
    };
    let signer = tlv::sequence(&[
        &tlv::unsigned_integer(&[1]),
        &tlv::issuer_and_serial(certificate),
        &tlv::algorithm(&oid::SM3, &[]),
        &attributes,
        &tlv::algorithm(&oid::SM2_SIGN, &[]),
        &tlv::octet_string(&signature.to_der()),
    ]);
    Ok([tlv::write(CONTEXT_0, &[certificate.as_der()]), tlv::write(Tag::Set, &[&signer])].concat())
}
