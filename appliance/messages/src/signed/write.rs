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
    let digest = tlv::algorithm(&oid::SM3, &[]);
    let version = tlv::unsigned_integer(&[1]);
    let attributes = match attributes {
        Some(attributes) => tlv::write(CONTEXT_0, &[attributes.value()?]),
        None => Vec::new(),
    };
    let signer = tlv::sequence(&[
        &version,
        &tlv::sequence(&[certificate.issuer_der(), &tlv::write(Tag::Integer, &[certificate.serial()])]),
        &digest,
        &attributes,
        &tlv::algorithm(&oid::SM2_SIGN, &[]),
        &tlv::octet_string(&signature.to_der()),
    ]);
    let body = tlv::sequence(&[
        &version,
        &tlv::write(Tag::Set, &[&digest]),
        &tlv::sequence(&[&tlv::oid(&oid::DATA), content]),
        &tlv::write(CONTEXT_0, &[certificate.as_der()]),
        &tlv::write(Tag::Set, &[&signer]),
    ]);
    Ok(tlv::sequence(&[&tlv::oid(&oid::SIGNED_DATA), &tlv::write(CONTEXT_0, &[&body])]))
}
