mod read;
mod write;

use yanqian_sm::{DistinguishingId, E, Signature};

pub(crate) use self::read::{read_digest_algorithms, read_tail};
pub(crate) use self::write::{digest_algorithms, tail as write_tail};
pub use self::write::{encode_attached, encode_detached};
use crate::attributes::SignedAttributes;
use crate::certificate::Certificate;
use crate::error::MessageError;
use crate::verifier::SignatureVerifier;

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
        self.signer.find(&self.certificates)
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

    /// As [`SignedData::verify_detached`], over the content that the message itself carries.
    pub fn verify_attached(
        &self,
        certificate: &Certificate,
        id: &DistinguishingId,
        verifier: &dyn SignatureVerifier,
    ) -> Result<VerifiedSignature, MessageError> {
        let content = self.content.as_deref().ok_or(MessageError::NotAttached)?;
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

    pub(crate) fn find<'a>(&self, certificates: &'a [Certificate]) -> Result<&'a Certificate, MessageError> {
        certificates.iter().find(|certificate| self.names(certificate)).ok_or(MessageError::SignerCertificateMissing)
    }

    pub(crate) fn verify(
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
