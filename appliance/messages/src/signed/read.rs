use der::Tag;
use der::asn1::ObjectIdentifier;

use super::{SignedData, SignerInfo};
use crate::attributes::SignedAttributes;
use crate::certificate::Certificate;
use crate::encodings::{Encodings, SignatureEncoding};
use crate::error::MessageError;
use crate::oid;
use crate::tlv::{Element, Elements, content_info, context};

const WHAT: &str = "SignedData";
/// Certificates that a message may embed; a chain has three or four.
const MAX_CERTIFICATES: usize = 16;

impl SignedData {
    /// Reads `ContentInfo` with `SignedData` inside; PKCS #7 content types with SM algorithms are taken too.
    pub fn parse(octets: &[u8]) -> Result<Self, MessageError> {
        Self::parse_with(octets, Encodings::default())
    }

    /// As [`Self::parse`], from a peer with encodings of its own.
    pub fn parse_with(octets: &[u8], encodings: Encodings) -> Result<Self, MessageError> {
        let mut body = content_info(octets, &[oid::SIGNED_DATA, oid::PKCS7_SIGNED_DATA], "signedData", WHAT)?;
        // The standard says 1; CMS has up to 4 for certificates of other kinds.
        if !(1..=4).contains(&body.small_integer()?) {
            return Err(MessageError::Version(WHAT));
        }
        read_digest_algorithms(body.expect(Tag::Set)?)?;
        let content = read_content(body.sequence()?)?;
        let (certificates, signer) = read_tail(body, encodings)?;
        Ok(Self { content, certificates, signer })
    }
}

/// What `SignedData` and `SignedAndEnvelopedData` end in: certificates, revocation lists, one signer.
pub(crate) fn read_tail(
    mut body: Elements<'_>,
    encodings: Encodings,
) -> Result<(Vec<Certificate>, SignerInfo), MessageError> {
    let certificates = match body.optional(context(der::TagNumber(0), true))? {
        Some(element) => read_certificates(element)?,
        None => Vec::new(),
    };
    // Revocation lists come from the trust store only; those a signer sends along prove nothing.
    body.optional(context(der::TagNumber(1), true))?;
    let mut signers = Elements::new(body.expect(Tag::Set)?.value, "signerInfos")?;
    body.finish()?;
    let signer = signers.sequence().map_err(|_| MessageError::NotExactlyOne("signer"))?;
    if !signers.is_empty() {
        return Err(MessageError::NotExactlyOne("signer"));
    }
    Ok((certificates, read_signer(signer, encodings.signature)?))
}

fn is_sm3(oid: &ObjectIdentifier) -> bool {
    matches!(*oid, oid::SM3 | oid::SM3_UNKEYED)
}

/// SM2 by any of its names: the signature, the signature with its digest, or the kind of key. There is nothing else to
/// take it for: the digest is SM3, and the certificate must hold an SM2 key.
fn is_sm2((algorithm, parameters): (ObjectIdentifier, Option<Element<'_>>)) -> bool {
    match (algorithm, parameters) {
        (oid::SM2_SIGN | oid::SM2_WITH_SM3 | oid::EC_PUBLIC_KEY, None) => true,
        (oid::EC_PUBLIC_KEY, Some(curve)) => {
            curve.tag == Tag::ObjectIdentifier && curve.value == oid::SM2_CURVE.as_bytes()
        }
        _ => false,
    }
}

pub(crate) fn read_digest_algorithms(set: Element<'_>) -> Result<(), MessageError> {
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
            return Err(MessageError::TooMany("certificates", MAX_CERTIFICATES));
        }
        certificates.push(Certificate::from_der(elements.expect(Tag::Sequence)?.whole)?);
    }
    Ok(certificates)
}

fn read_signer(mut signer: Elements<'_>, encoding: SignatureEncoding) -> Result<SignerInfo, MessageError> {
    if signer.small_integer()? != 1 {
        return Err(MessageError::Version("SignerInfo"));
    }
    let (issuer, serial) = signer.issuer_and_serial()?;
    let (digest, parameters) = signer.algorithm()?;
    if !is_sm3(&digest) || parameters.is_some() {
        return Err(MessageError::Algorithm("digest"));
    }
    let attributes = signer
        .optional(context(der::TagNumber(0), true))?
        .map(|element| SignedAttributes::from_value(element.value))
        .transpose()?;
    if !is_sm2(signer.algorithm()?) {
        return Err(MessageError::Algorithm("signature"));
    }
    let signature = encoding.read(signer.expect(Tag::OctetString)?.value)?;
    // Unauthenticated attributes are not covered by the signature, so nothing is read from them.
    signer.optional(context(der::TagNumber(1), true))?;
    signer.finish()?;
    Ok(SignerInfo { issuer, serial, attributes, signature })
}
