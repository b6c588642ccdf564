mod content;
mod recipients;
mod seal;

use der::Tag;
use yanqian_sm::{Sm2Ciphertext, Sm4Key};
use zeroize::Zeroizing;

pub(crate) use self::content::{EncryptedContent, head as content_head};
pub(crate) use self::recipients::{RecipientInfo, key_for, read as read_recipients, write as write_recipients};
pub use self::seal::{Recipient, Sealer, seal, sealed_length};
use crate::certificate::Certificate;
use crate::encodings::Encodings;
use crate::error::MessageError;
use crate::oid;
use crate::tlv::content_info;

/// A GB/T 35275-2017 `EnvelopedData` with SM2 and SM4, as read. Nothing of it is authentic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopedData {
    recipients: Vec<RecipientInfo>,
    content: EncryptedContent,
}

impl EnvelopedData {
    /// Reads `ContentInfo` with `EnvelopedData` inside; PKCS #7 content types with SM algorithms are taken too.
    pub fn parse(octets: &[u8]) -> Result<Self, MessageError> {
        Self::parse_with(octets, Encodings::default())
    }

    /// As [`Self::parse`], from a peer with encodings of its own.
    pub fn parse_with(octets: &[u8], encodings: Encodings) -> Result<Self, MessageError> {
        const WHAT: &str = "EnvelopedData";
        let kinds = [oid::ENVELOPED_DATA, oid::PKCS7_ENVELOPED_DATA];
        let mut body = content_info(octets, &kinds, "envelopedData", WHAT)?;
        // The standard says 1; 0 is seen, and CMS has 2 where a recipient is named by a key.
        if body.small_integer()? > 2 {
            return Err(MessageError::Version(WHAT));
        }
        let recipients = read_recipients(body.expect(Tag::Set)?, encodings.cipher)?;
        let content = EncryptedContent::read(body.sequence()?)?;
        body.finish()?;
        Ok(Self { recipients, content })
    }

    /// The session key sealed to the holder of `certificate`, for the token to open. Refused unless exactly one recipient
    /// names that certificate.
    pub fn encrypted_key_for(&self, certificate: &Certificate) -> Result<&Sm2Ciphertext, MessageError> {
        key_for(&self.recipients, certificate)
    }

    /// Opens the content with the session key that the token has recovered. Nothing here authenticates: verify the
    /// signature around the message first. One error, whatever is wrong.
    pub fn open(&self, session: &Sm4Key) -> Result<Zeroizing<Vec<u8>>, MessageError> {
        self.content.open(session)
    }
}
