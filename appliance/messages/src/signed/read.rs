use der::Tag;
use der::asn1::ObjectIdentifier;
use yanqian_sm::Signature;

use super::{SignedData, SignerInfo};
use crate::attributes::SignedAttributes;
use crate::certificate::Certificate;
use crate::error::MessageError;
use crate::oid;
use crate::tlv::{Element, Elements, context};

const WHAT: &str = "SignedData";
/// Certificates that a message may embed; a chain has three or four.
const MAX_CERTIFICATES: usize = 16;

impl SignedData {
    /// Reads `ContentInfo` with `SignedData` inside; PKCS #7 content types with SM algorithms are taken too.
    pub fn parse(octets: &[u8]) -> Result<Self, MessageError> {
        let mut outer = Elements::new(octets, "ContentInfo")?;
        let mut content_info = outer.sequence()?;
        outer.finish()?;
        if !matches!(content_info.oid()?, oid::SIGNED_DATA | oid::PKCS7_SIGNED_DATA) {
            return Err(MessageError::ContentType("signedData"));
        }
        let explicit = content_info.expect(context(der::TagNumber(0), true))?;
        content_info.finish()?;
        let mut explicit = Elements::new(explicit.value, WHAT)?;
        let mut body = explicit.sequence()?;
        explicit.finish()?;

        if !(1..=4).contains(&body.small_integer()?) {
            return Err(MessageError::Version("SignedData"));
        }
        read_digest_algorithms(body.expect(Tag::Set)?)?;
        let content = read_content(body.sequence()?)?;
        let certificates = match body.optional(context(der::TagNumber(0), true))? {
            Some(element) => read_certificates(element)?,
            None => Vec::new(),
        };
        // Revocation lists come from the trust store only; those a signer sends along prove nothing.
        body.optional(context(der::TagNumber(1), true))?;
        let mut signers = Elements::new(body.expect(Tag::Set)?.value, "signerInfos")?;
        body.finish()?;
        let signer = read_signer(signers.sequence().map_err(|_| MessageError::NotExactlyOne("signer"))?)?;
        if !signers.is_empty() {
            return Err(MessageError::NotExactlyOne("signer"));
        }
        Ok(Self { content, certificates, signer })
    }
}

fn is_sm3(oid: &ObjectIdentifier) -> bool {
    matches!(*oid, oid::SM3 | oid::SM3_UNKEYED)
}

fn read_digest_algorithms(set: Element<'_>) -> Result<(), MessageError> {
    let mut algorithms = Elements::new(set.value, "digestAlgorithms")?;
    while !algorithms.is_empty() {
        let (algorithm, parameters) = algorithms.algorithm()?;
        if !is_sm3(&algorithm) || parameters.is_some() {
            return Err(MessageError::Algorithm("digest"));
        }
    }
    Ok(())
}

/// PKCS #7 `ContentInfo` with data inside, or RFC 5652 `EncapsulatedContentInfo`: the two look alike.
fn read_content(mut content_info: Elements<'_>) -> Result<Option<Vec<u8>>, MessageError> {
    if !matches!(content_info.oid()?, oid::DATA | oid::PKCS7_DATA) {
        return Err(MessageError::ContentType("data"));
    }
    let content = match content_info.optional(context(der::TagNumber(0), true))? {
        None => None,
        Some(explicit) => {
            let mut explicit = Elements::new(explicit.value, "content")?;
            let octets = explicit.expect(Tag::OctetString)?.value.to_vec();
            explicit.finish()?;
            Some(octets)
        }
    };
    content_info.finish()?;
    Ok(content)
}

fn read_certificates(element: Element<'_>) -> Result<Vec<Certificate>, MessageError> {
    let mut elements = Elements::new(element.value, "certificates")?;
    let mut certificates = Vec::new();
    while !elements.is_empty() {
        if certificates.len() == MAX_CERTIFICATES {
            return Err(MessageError::Certificate("too many in the message"));
        }
        certificates.push(Certificate::from_der(elements.expect(Tag::Sequence)?.whole)?);
    }
    Ok(certificates)
}

fn read_signer(mut signer: Elements<'_>) -> Result<SignerInfo, MessageError> {
    if signer.small_integer()? != 1 {
        return Err(MessageError::Version("SignerInfo"));
    }
    let mut issuer_and_serial = signer.sequence()?;
    let issuer = issuer_and_serial.expect(Tag::Sequence)?.whole.to_vec();
    let serial = issuer_and_serial.expect(Tag::Integer)?.value.to_vec();
    issuer_and_serial.finish()?;
    let (digest, parameters) = signer.algorithm()?;
    if !is_sm3(&digest) || parameters.is_some() {
        return Err(MessageError::Algorithm("digest"));
    }
    let attributes = signer
        .optional(context(der::TagNumber(0), true))?
        .map(|element| SignedAttributes::from_value(element.value))
        .transpose()?;
    let (algorithm, parameters) = signer.algorithm()?;
    if !matches!(algorithm, oid::SM2_SIGN | oid::SM2_WITH_SM3) || parameters.is_some() {
        return Err(MessageError::Algorithm("signature"));
    }
    let signature =
        Signature::from_der(signer.expect(Tag::OctetString)?.value).map_err(|_| MessageError::Der("SM2Signature"))?;
    // Unauthenticated attributes are not covered by the signature, so nothing is read from them.
    signer.optional(context(der::TagNumber(1), true))?;
    signer.finish()?;
    Ok(SignerInfo { issuer, serial, attributes, signature })
}
