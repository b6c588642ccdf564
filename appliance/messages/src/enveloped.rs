use der::Tag;
use rand_core::TryCryptoRng;
use yanqian_sm::{EncryptionKey, Sm2Ciphertext, Sm4CbcEncryptor, Sm4Key, sm2_encrypt, sm4_cbc_decrypt};
use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::error::MessageError;
use crate::oid;
use crate::sm2cipher::{sm2_cipher_from_der, sm2_cipher_to_der};
use crate::tlv::{self, Elements, context};

/// A GB/T 35275-2017 `EnvelopedData` for one recipient, with SM2 and SM4-CBC, as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopedData {
    /// DER `Name` of the recipient certificate's issuer.
    pub issuer: Vec<u8>,
    /// The recipient certificate's serial number: INTEGER value octets.
    pub serial: Vec<u8>,
    /// The session key, encrypted to the recipient; for the token to open.
    pub encrypted_key: Sm2Ciphertext,
    pub iv: [u8; 16],
    pub ciphertext: Vec<u8>,
}

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

    fn encrypt<R: TryCryptoRng>(&self, secret: &[u8], rng: &mut R) -> Result<Sm2Ciphertext, MessageError> {
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
    let version = tlv::unsigned_integer(&[1]);
    let recipient_info = tlv::sequence(&[
        &version,
        &tlv::sequence(&[recipient.issuer_der(), &tlv::write(Tag::Integer, &[recipient.serial()])]),
        &tlv::algorithm(&oid::SM2_ENCRYPT, &[]),
        &tlv::octet_string(&sm2_cipher_to_der(encrypted_key)),
    ]);
    let recipients = tlv::write(Tag::Set, &[&recipient_info]);
    let content_type = tlv::oid(&oid::DATA);
    let algorithm = tlv::algorithm(&oid::SM4_CBC, &tlv::octet_string(iv));
    let outer_type = tlv::oid(&oid::ENVELOPED_DATA);

    // From the inside outwards: each header says how much follows it.
    let mut parts = vec![tlv::header(context(der::TagNumber(0), false), ciphertext), algorithm, content_type];
    let length = |parts: &[Vec<u8>]| parts.iter().map(Vec::len).sum::<usize>() + ciphertext;
    parts.push(tlv::header(Tag::Sequence, length(&parts)));
    parts.extend([recipients, version]);
    parts.push(tlv::header(Tag::Sequence, length(&parts)));
    parts.push(tlv::header(context(der::TagNumber(0), true), length(&parts)));
    parts.push(outer_type);
    parts.push(tlv::header(Tag::Sequence, length(&parts)));
    parts.reverse();
    parts.concat()
}

impl EnvelopedData {
    pub fn parse(octets: &[u8]) -> Result<Self, MessageError> {
        const WHAT: &str = "EnvelopedData";
        let mut outer = Elements::new(octets, "ContentInfo")?;
        let mut content_info = outer.sequence()?;
        outer.finish()?;
        if !matches!(content_info.oid()?, oid::ENVELOPED_DATA | oid::PKCS7_ENVELOPED_DATA) {
            return Err(MessageError::ContentType("envelopedData"));
        }
        let mut explicit = Elements::new(content_info.expect(context(der::TagNumber(0), true))?.value, WHAT)?;
        content_info.finish()?;
        let mut body = explicit.sequence()?;
        explicit.finish()?;
        // The standard says 1; 0 is seen in the field.
        if body.small_integer()? > 1 {
            return Err(MessageError::Version(WHAT));
        }
        let mut recipients = Elements::new(body.expect(Tag::Set)?.value, "recipientInfos")?;
        let mut recipient = recipients.sequence().map_err(|_| MessageError::NotExactlyOne("recipient"))?;
        if !recipients.is_empty() {
            return Err(MessageError::NotExactlyOne("recipient"));
        }
        if recipient.small_integer()? > 1 {
            return Err(MessageError::Version("RecipientInfo"));
        }
        let mut issuer_and_serial = recipient.sequence()?;
        let issuer = issuer_and_serial.expect(Tag::Sequence)?.whole.to_vec();
        let serial = issuer_and_serial.expect(Tag::Integer)?.value.to_vec();
        issuer_and_serial.finish()?;
        let (algorithm, parameters) = recipient.algorithm()?;
        if algorithm != oid::SM2_ENCRYPT || parameters.is_some() {
            return Err(MessageError::Algorithm("key encryption"));
        }
        let encrypted_key = sm2_cipher_from_der(recipient.expect(Tag::OctetString)?.value)?;
        recipient.finish()?;

        let mut content = body.sequence()?;
        body.finish()?;
        if !matches!(content.oid()?, oid::DATA | oid::PKCS7_DATA) {
            return Err(MessageError::ContentType("data"));
        }
        let (algorithm, parameters) = content.algorithm()?;
        let iv = match (algorithm, parameters) {
            (oid::SM4_CBC, Some(iv)) if iv.tag == Tag::OctetString => iv.value.try_into().ok(),
            _ => None,
        };
        let iv = iv.ok_or(MessageError::Algorithm("content encryption"))?;
        let ciphertext = content.expect(context(der::TagNumber(0), false))?.value.to_vec();
        content.finish()?;
        Ok(Self { issuer, serial, encrypted_key, iv, ciphertext })
    }

    /// Whether this message is for the holder of `certificate`.
    pub fn is_for(&self, certificate: &Certificate) -> bool {
        self.issuer == certificate.issuer_der() && self.serial == certificate.serial()
    }

    /// Opens the content with the session key that the token has recovered. CBC does not authenticate: verify the
    /// signature around the message first.
    pub fn open(&self, session: &Sm4Key) -> Result<Zeroizing<Vec<u8>>, MessageError> {
        sm4_cbc_decrypt(session, &self.iv, &self.ciphertext).map_err(|_| MessageError::Seal)
    }
}
