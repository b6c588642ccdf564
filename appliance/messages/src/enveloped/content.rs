use der::Tag;
use yanqian_sm::{Sm4Key, sm4_cbc_decrypt, sm4_ecb_decrypt};
use zeroize::Zeroizing;

use crate::error::MessageError;
use crate::oid;
use crate::tlv::{self, Elements, context};

/// An `EncryptedContentInfo` as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncryptedContent {
    mode: Mode,
    ciphertext: Vec<u8>,
}

/// How SM4 was used (GB/T 17964); both pad as PKCS #7 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Cbc([u8; 16]),
    Ecb,
}

impl EncryptedContent {
    pub(crate) fn read(mut content: Elements<'_>) -> Result<Self, MessageError> {
        if !matches!(content.oid()?, oid::DATA | oid::PKCS7_DATA) {
            return Err(MessageError::ContentType("data"));
        }
        let mode = match content.algorithm()? {
            // The bare name stands for CBC where an initial vector follows it and, in CTID's messages, for ECB where none does.
            (oid::SM4_CBC | oid::SM4, Some(iv)) if iv.tag == Tag::OctetString => {
                iv.value.try_into().ok().map(Mode::Cbc)
            }
            (oid::SM4_ECB | oid::SM4, None) => Some(Mode::Ecb),
            _ => None,
        };
        let mode = mode.ok_or(MessageError::Algorithm("content encryption"))?;
        let ciphertext = content.expect(context(der::TagNumber(0), false))?.value.to_vec();
        // sharedInfo1 and sharedInfo2 are between the parties; nothing is read from them.
        content.optional(context(der::TagNumber(1), false))?;
        content.optional(context(der::TagNumber(2), false))?;
        content.finish()?;
        Ok(Self { mode, ciphertext })
    }

    /// One error, whatever is wrong: the key, the length or the padding.
    pub(crate) fn open(&self, session: &Sm4Key) -> Result<Zeroizing<Vec<u8>>, MessageError> {
        match &self.mode {
            Mode::Cbc(iv) => sm4_cbc_decrypt(session, iv, &self.ciphertext),
            Mode::Ecb => sm4_ecb_decrypt(session, &self.ciphertext),
        }
        .map_err(|_| MessageError::Seal)
    }
}

/// What stands before the ciphertext of `length` octets in an `EncryptedContentInfo`, its own header included.
pub(crate) fn head(iv: &[u8; 16], length: usize) -> Vec<u8> {
    let content_type = tlv::oid(&oid::DATA);
    let algorithm = tlv::algorithm(&oid::SM4_CBC, &tlv::octet_string(iv));
    let header = tlv::header(context(der::TagNumber(0), false), length);
    let inner = content_type.len() + algorithm.len() + header.len() + length;
    [tlv::header(Tag::Sequence, inner), content_type, algorithm, header].concat()
}
