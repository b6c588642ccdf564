use der::Tag;
use rand_core::TryCryptoRng;
use yanqian_sm::{DistinguishingId, Signature, Sm2Ciphertext, Sm4CbcEncryptor, Sm4Key};
use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::encodings::Encodings;
use crate::enveloped::{
    EncryptedContent, Recipient, RecipientInfo, content_head, key_for, read_recipients, write_recipients,
};
use crate::error::MessageError;
use crate::oid;
use crate::signed::{SignerInfo, digest_algorithms, read_digest_algorithms, read_tail, write_tail};
use crate::tlv::{self, content_info, context};
use crate::verifier::SignatureVerifier;

/// A GB/T 35275-2017 `SignedAndEnvelopedData` with exactly one signer, as read: content signed as it stands, without
/// attributes, then sealed. The signature itself is outside the envelope, as implementations in the field have it; PKCS #7
/// once had it encrypted a second time.
#[derive(Debug, Clone)]
pub struct SignedAndEnvelopedData {
    recipients: Vec<RecipientInfo>,
    content: EncryptedContent,
    certificates: Vec<Certificate>,
    signer: SignerInfo,
}

impl SignedAndEnvelopedData {
    /// Reads `ContentInfo` with `SignedAndEnvelopedData` inside; PKCS #7 content types with SM algorithms are taken too.
    pub fn parse(octets: &[u8]) -> Result<Self, MessageError> {
        Self::parse_with(octets, Encodings::default())
    }

    /// As [`Self::parse`], from a peer with encodings of its own.
    pub fn parse_with(octets: &[u8], encodings: Encodings) -> Result<Self, MessageError> {
        const WHAT: &str = "SignedAndEnvelopedData";
        let kinds = [oid::SIGNED_AND_ENVELOPED_DATA, oid::PKCS7_SIGNED_AND_ENVELOPED_DATA];
        let mut body = content_info(octets, &kinds, "signedAndEnvelopedData", WHAT)?;
        if body.small_integer()? > 1 {
            return Err(MessageError::Version(WHAT));
        }
        let recipients = read_recipients(body.expect(Tag::Set)?, encodings.cipher)?;
        read_digest_algorithms(body.expect(Tag::Set)?)?;
        let content = EncryptedContent::read(body.sequence()?)?;
        let (certificates, signer) = read_tail(body, encodings)?;
        if signer.attributes().is_some() {
            return Err(MessageError::Attribute("there may be none"));
        }
        Ok(Self { recipients, content, certificates, signer })
    }

    /// The session key sealed to the holder of `certificate`, as [`crate::EnvelopedData::encrypted_key_for`].
    pub fn encrypted_key_for(&self, certificate: &Certificate) -> Result<&Sm2Ciphertext, MessageError> {
        key_for(&self.recipients, certificate)
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

    /// Opens the content with the session key that the token has recovered, and lets `verifier` verify the signature over
    /// it with the key of `certificate`, which must be the one the signer names.
    ///
    /// What is inside is given only where both succeed. A wrong session key, bad padding and a signature that does not
    /// verify are one error, so that nobody learns about the content from what is refused.
    pub fn open(
        &self,
        session: &Sm4Key,
        certificate: &Certificate,
        id: &DistinguishingId,
        verifier: &dyn SignatureVerifier,
    ) -> Result<Zeroizing<Vec<u8>>, MessageError> {
        if !self.signer.names(certificate) {
            return Err(MessageError::SignerCertificateMissing);
        }
        if certificate.public_key().is_none() {
            return Err(MessageError::NotSm2);
        }
        let content = self.content.open(session)?;
        self.signer.verify(certificate, id, &content, verifier).map_err(|_| MessageError::Seal)?;
        Ok(content)
    }
}

/// Seals signed content to a recipient's encryption certificate: fresh SM4 key and IV, version 1, no parameters but the IV.
///
/// `signature` is over the content octets with Z, by the key of `signer`.
pub fn seal_signed<'a, R: TryCryptoRng>(
    recipient: impl Into<Recipient<'a>>,
    content: &[u8],
    signer: &Certificate,
    signature: &Signature,
    rng: &mut R,
) -> Result<Vec<u8>, MessageError> {
    if content.len() > tlv::MAX_MESSAGE {
        return Err(MessageError::TooLarge(tlv::MAX_MESSAGE));
    }
    let recipient = recipient.into();
    let session = Sm4Key::generate(rng).map_err(|_| MessageError::Seal)?;
    let mut iv = [0; 16];
    rng.try_fill_bytes(&mut iv).map_err(|_| MessageError::Seal)?;
    let encrypted_key = recipient.encrypt(session.expose(), rng)?;

    let length = Sm4CbcEncryptor::ciphertext_length(content.len());
    let mut encrypted = content_head(&iv, length);
    encrypted.reserve(length);
    let mut encryptor = Sm4CbcEncryptor::new(&session, &iv);
    encryptor.update(content, &mut |block| encrypted.extend_from_slice(block));
    encryptor.finish(&mut |block| encrypted.extend_from_slice(block));

    let body = tlv::sequence(&[
        &tlv::unsigned_integer(&[1]),
        &write_recipients(recipient.certificate(), &encrypted_key),
        &digest_algorithms(),
        &encrypted,
        &write_tail(signer, None, signature)?,
    ]);
    let explicit = tlv::write(context(der::TagNumber(0), true), &[&body]);
    Ok(tlv::sequence(&[&tlv::oid(&oid::SIGNED_AND_ENVELOPED_DATA), &explicit]))
}
