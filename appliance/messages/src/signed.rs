use der::Tag;
use der::asn1::ObjectIdentifier;
use yanqian_sm::{DistinguishingId, E, Signature};

use crate::attributes::SignedAttributes;
use crate::certificate::Certificate;
use crate::error::MessageError;
use crate::oid;
use crate::tlv::{self, Element, Elements, context};
use crate::verifier::SignatureVerifier;

const WHAT: &str = "SignedData";
/// Certificates that a message may embed; a chain has three or four.
const MAX_CERTIFICATES: usize = 16;

/// A GB/T 35275-2017 `SignedData` with exactly one signer, as read. Nothing of it is trusted yet.
#[derive(Debug, Clone)]
pub struct SignedData {
    content: Option<Vec<u8>>,
    certificates: Vec<Certificate>,
    signer: SignerInfo,
}

/// The signer's part of a [`SignedData`].
#[derive(Debug, Clone)]
pub struct SignerInfo {
    issuer: Vec<u8>,
    serial: Vec<u8>,
    attributes: Option<SignedAttributes>,
    signature: Signature,
}

/// A signature that verified with the key of the certificate it was verified against.
#[derive(Debug, Clone)]
pub struct VerifiedSignature {
    /// Seconds since 1970, if the signer states a time in its authenticated attributes.
    pub signing_time: Option<i64>,
}

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

    /// The content octets, if the message carries them.
    pub fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }

    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    pub const fn signer(&self) -> &SignerInfo {
        &self.signer
    }

    /// The embedded certificate that issuer and serial of the signer name.
    pub fn signer_certificate(&self) -> Result<&Certificate, MessageError> {
        self.certificates
            .iter()
            .find(|certificate| self.signer.names(certificate))
            .ok_or(MessageError::SignerCertificateMissing)
    }

    /// Lets `verifier` verify a detached signature over `content` with the key of `certificate`, which must be the one the
    /// signer names. Whether that certificate is to be trusted is another question.
    pub fn verify_detached(
        &self,
        certificate: &Certificate,
        id: &DistinguishingId,
        content: &[u8],
        verifier: &dyn SignatureVerifier,
    ) -> Result<VerifiedSignature, MessageError> {
        if self.content.is_some() {
            return Err(MessageError::NotDetached);
        }
        self.signer.verify(certificate, id, content, verifier)
    }
}

impl SignerInfo {
    /// DER `Name` of the certificate's issuer.
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// The certificate's serial number: the INTEGER's value octets.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    pub const fn attributes(&self) -> Option<&SignedAttributes> {
        self.attributes.as_ref()
    }

    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Whether issuer and serial name this certificate, octet by octet.
    pub fn names(&self, certificate: &Certificate) -> bool {
        self.issuer == certificate.issuer_der() && self.serial == certificate.serial()
    }

    fn verify(
        &self,
        certificate: &Certificate,
        id: &DistinguishingId,
        content: &[u8],
        verifier: &dyn SignatureVerifier,
    ) -> Result<VerifiedSignature, MessageError> {
        if !self.names(certificate) {
            return Err(MessageError::SignerCertificateMissing);
        }
        let key = certificate.public_key().ok_or(MessageError::NotSm2)?;
        let signed = match &self.attributes {
            Some(attributes) if !attributes.covers(content) => return Err(MessageError::ContentDigest),
            Some(attributes) => attributes.as_der(),
            None => content,
        };
        let e = E::of_message(key, id, &[signed]);
        verifier.verify(key, &e, &self.signature).map_err(|_| MessageError::Signature)?;
        Ok(VerifiedSignature { signing_time: self.attributes.as_ref().and_then(SignedAttributes::signing_time) })
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

/// Writes a detached `SignedData` with one signer and its certificate: version 1, SM3, 301.1, no parameters.
///
/// `signature` is over the DER of `attributes` where given, else over the content octets.
pub fn encode_detached(
    certificate: &Certificate,
    attributes: Option<&SignedAttributes>,
    signature: &Signature,
) -> Result<Vec<u8>, MessageError> {
    let digest = tlv::algorithm(&oid::SM3, &[]);
    let version = tlv::unsigned_integer(&[1]);
    let attributes = match attributes {
        Some(attributes) => tlv::write(context(der::TagNumber(0), true), &[attributes.value()?]),
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
        &tlv::sequence(&[&tlv::oid(&oid::DATA)]),
        &tlv::write(context(der::TagNumber(0), true), &[certificate.as_der()]),
        &tlv::write(Tag::Set, &[&signer]),
    ]);
    Ok(tlv::sequence(&[&tlv::oid(&oid::SIGNED_DATA), &tlv::write(context(der::TagNumber(0), true), &[&body])]))
}
