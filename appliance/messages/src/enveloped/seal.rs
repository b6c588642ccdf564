use der::Tag;
use rand_core::TryCryptoRng;
use yanqian_sm::{EncryptionKey, Sm2Ciphertext, Sm4CbcEncryptor, Sm4Key, sm2_encrypt};

use super::{content, recipients};
use crate::certificate::Certificate;
use crate::error::MessageError;
use crate::oid;
use crate::tlv::{self, context};

/// To whom a message is sealed: an encryption certificate, and the table of its key where there is one.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    certificate: &'a Certificate,
    table: Option<&'a EncryptionKey>,
}

impl<'a> Recipient<'a> {
    /// A table of another key than the certificate's is left aside: with it the message would be somebody else's.
    pub fn new(certificate: &'a Certificate, table: Option<&'a EncryptionKey>) -> Self {
        let table = table.filter(|table| certificate.public_key() == Some(table.public_key()));
        Self { certificate, table }
    }

    pub(crate) const fn certificate(&self) -> &'a Certificate {
        self.certificate
    }

    pub(crate) fn encrypt<R: TryCryptoRng>(&self, secret: &[u8], rng: &mut R) -> Result<Sm2Ciphertext, MessageError> {
        let key = self.certificate.public_key().ok_or(MessageError::NotSm2)?;
        let sealed = match self.table {
            Some(table) => table.encrypt(secret, rng),
            None => sm2_encrypt(key, secret, rng),
        };
        sealed.map_err(|_| MessageError::Seal)
    }
}

impl<'a> From<&'a Certificate> for Recipient<'a> {
    fn from(certificate: &'a Certificate) -> Self {
        Self { certificate, table: None }
    }
}

/// Seals a message to a recipient's encryption certificate: fresh SM4 key and IV, version 1, no parameters but the IV.
pub fn seal<'a, R: TryCryptoRng>(
    recipient: impl Into<Recipient<'a>>,
    message: &[u8],
    rng: &mut R,
) -> Result<Vec<u8>, MessageError> {
    let mut out = Vec::new();
    let mut sealer = Sealer::new(recipient, message.len(), rng, |octets: &[u8]| out.extend_from_slice(octets))?;
    sealer.push(message)?;
    sealer.finish()?;
    Ok(out)
}

/// Seals a message piece by piece, so that neither a large message nor its envelope need ever stand in memory whole. The
/// octets of the envelope go to `sink` in order.
///
/// The length of the message must be known beforehand, because DER says every length before its content.
pub struct Sealer<S: FnMut(&[u8])> {
    encryptor: Sm4CbcEncryptor,
    owed: usize,
    sink: S,
}

impl<S: FnMut(&[u8])> std::fmt::Debug for Sealer<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(..)")
    }
}

impl<S: FnMut(&[u8])> Sealer<S> {
    /// Begins an envelope for a message of `length` octets.
    pub fn new<'a, R: TryCryptoRng>(
        recipient: impl Into<Recipient<'a>>,
        length: usize,
        rng: &mut R,
        mut sink: S,
    ) -> Result<Self, MessageError> {
        if length > tlv::MAX_MESSAGE {
            return Err(MessageError::TooLarge(tlv::MAX_MESSAGE));
        }
        let recipient = recipient.into();
        let session = Sm4Key::generate(rng).map_err(|_| MessageError::Seal)?;
        let mut iv = [0; 16];
        rng.try_fill_bytes(&mut iv).map_err(|_| MessageError::Seal)?;
        let encrypted_key = recipient.encrypt(session.expose(), rng)?;
        sink(&head(recipient.certificate, &encrypted_key, &iv, Sm4CbcEncryptor::ciphertext_length(length)));
        Ok(Self { encryptor: Sm4CbcEncryptor::new(&session, &iv), owed: length, sink })
    }

    /// The next piece of the message.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), MessageError> {
        self.owed = self.owed.checked_sub(piece.len()).ok_or(MessageError::Seal)?;
        self.encryptor.update(piece, &mut self.sink);
        Ok(())
    }

    /// Ends the envelope. The pieces must have come to the length that was said at the beginning.
    pub fn finish(mut self) -> Result<(), MessageError> {
        if self.owed > 0 {
            return Err(MessageError::Seal);
        }
        self.encryptor.finish(&mut self.sink);
        Ok(())
    }
}

/// Octets of an envelope around a message of `length` octets at most: for capacities.
pub fn sealed_length(recipient: Recipient<'_>, length: usize) -> usize {
    let recipient = recipient.certificate;
    // Object identifiers, the wrapped key and headers come to less than 400 octets.
    Sm4CbcEncryptor::ciphertext_length(length) + recipient.issuer_der().len() + recipient.serial().len() + 512
}

/// Everything of an `EnvelopedData` before the ciphertext, which is its last part.
fn head(recipient: &Certificate, encrypted_key: &Sm2Ciphertext, iv: &[u8; 16], ciphertext: usize) -> Vec<u8> {
    // From the inside outwards: each header says how much follows it.
    let mut parts = vec![content::head(iv, ciphertext), recipients::write(recipient, encrypted_key)];
    let length = |parts: &[Vec<u8>]| parts.iter().map(Vec::len).sum::<usize>() + ciphertext;
    parts.push(tlv::unsigned_integer(&[1]));
    parts.push(tlv::header(Tag::Sequence, length(&parts)));
    parts.push(tlv::header(context(der::TagNumber(0), true), length(&parts)));
    parts.push(tlv::oid(&oid::ENVELOPED_DATA));
    parts.push(tlv::header(Tag::Sequence, length(&parts)));
    parts.reverse();
    parts.concat()
}
