//! GB/T 35275 `EnvelopedData`: SM2 for the key (1.2.156.10197.1.301.3), SM4-CBC (1.2.156.10197.1.104.2) for the content.

use crate::der::{self, INTEGER, OCTET_STRING, OID, SEQUENCE, SET};
use crate::pki::{Identity, issuer_and_serial};
use crate::{SimError, oids, sm};

/// Seals `plain` to the owner of `recipient` (certificate in DER).
pub fn seal(plain: &[u8], recipient: &[u8]) -> Result<Vec<u8>, SimError> {
    Ok(Envelope::new(plain, recipient, &sm::random::<16>()?)?.to_der())
}

/// An envelope before it is put together. Every part but the content is DER.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) content_type: Vec<u8>,
    pub(crate) version: Vec<u8>,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) inner_type: Vec<u8>,
    pub(crate) algorithm: Vec<u8>,
    pub(crate) content: Vec<u8>,
}

/// Who may open an [`Envelope`].
#[derive(Debug, Clone)]
pub(crate) struct Recipient {
    pub(crate) version: Vec<u8>,
    pub(crate) names: Vec<u8>,
    pub(crate) algorithm: Vec<u8>,
    /// `SM2Cipher` of the content's key.
    pub(crate) key: Vec<u8>,
}

impl Envelope {
    pub(crate) fn new(plain: &[u8], recipient: &[u8], content_key: &[u8; 16]) -> Result<Self, SimError> {
        let key = openssl::x509::X509::from_der(recipient)?.public_key()?;
        let iv = sm::random::<16>()?;
        let recipient = Recipient {
            version: der::small_integer(1),
            names: issuer_and_serial(recipient)?,
            algorithm: der::join(SEQUENCE, &[&oids::sm2_encryption(), &der::null()]),
            key: sm::encrypt_key(&key, content_key)?,
        };
        Ok(Self {
            content_type: oids::enveloped_data(),
            version: der::small_integer(1),
            recipients: vec![recipient],
            inner_type: oids::data(),
            algorithm: der::join(SEQUENCE, &[&oids::sm4_cbc(), &der::tlv(OCTET_STRING, &iv)]),
            content: sm::encrypt_content(content_key, &iv, plain)?,
        })
    }

    pub(crate) fn to_der(&self) -> Vec<u8> {
        let recipients: Vec<_> = self.recipients.iter().map(Recipient::to_der).collect();
        let content = der::tlv(der::context_primitive(0), &self.content);
        let content = der::join(SEQUENCE, &[&self.inner_type, &self.algorithm, &content]);
        let enveloped = der::join(SEQUENCE, &[&self.version, &der::tlv(SET, &recipients.concat()), &content]);
        der::join(SEQUENCE, &[&self.content_type, &der::tlv(der::context(0), &enveloped)])
    }
}

impl Recipient {
    fn to_der(&self) -> Vec<u8> {
        der::join(SEQUENCE, &[&self.version, &self.names, &self.algorithm, &der::tlv(OCTET_STRING, &self.key)])
    }
}

struct Sealed<'a> {
    recipient: &'a [u8],
    key: &'a [u8],
    iv: &'a [u8],
    content: &'a [u8],
}

fn read(input: &[u8]) -> Result<Sealed<'_>, der::DerError> {
    let wrong = |name| Err(der::DerError(name));
    let mut outer = der::single(input, SEQUENCE, "ContentInfo")?.reader();
    if outer.expect(OID, "contentType")?.whole != oids::enveloped_data() {
        return wrong("contentType is not envelopedData");
    }
    let explicit = outer.expect(der::context(0), "content")?;
    outer.end()?;
    let mut enveloped = der::single(explicit.content, SEQUENCE, "EnvelopedData")?.reader();
    if enveloped.expect(INTEGER, "version")?.content != [1] {
        return wrong("EnvelopedData version");
    }
    let mut recipients = enveloped.expect(SET, "recipientInfos")?.reader();
    let mut recipient_info = recipients.expect(SEQUENCE, "RecipientInfo")?.reader();
    if recipients.end().is_err() {
        return wrong("more than one recipient");
    }
    if recipient_info.expect(INTEGER, "version")?.content != [1] {
        return wrong("RecipientInfo version");
    }
    let recipient = recipient_info.expect(SEQUENCE, "issuerAndSerialNumber")?.whole;
    let mut algorithm = recipient_info.expect(SEQUENCE, "keyEncryptionAlgorithm")?.reader();
    if algorithm.expect(OID, "keyEncryptionAlgorithm")?.whole != oids::sm2_encryption() {
        return wrong("key is not encrypted with SM2");
    }
    algorithm.optional(5)?;
    algorithm.end()?;
    let key = recipient_info.expect(OCTET_STRING, "encryptedKey")?.content;
    recipient_info.end()?;
    let mut content_info = enveloped.expect(SEQUENCE, "encryptedContentInfo")?.reader();
    enveloped.end()?;
    if content_info.expect(OID, "content type")?.whole != oids::data() {
        return wrong("sealed content is not data");
    }
    let mut algorithm = content_info.expect(SEQUENCE, "contentEncryptionAlgorithm")?.reader();
    if algorithm.expect(OID, "contentEncryptionAlgorithm")?.whole != oids::sm4_cbc() {
        return wrong("content is not encrypted with SM4-CBC");
    }
    let iv = algorithm.expect(OCTET_STRING, "iv")?.content;
    algorithm.end()?;
    let content = content_info.expect(der::context_primitive(0), "encryptedContent")?.content;
    content_info.end()?;
    Ok(Sealed { recipient, key, iv, content })
}

/// Opens an envelope made to `recipient`.
pub fn open(input: &[u8], recipient: &Identity) -> Result<Vec<u8>, &'static str> {
    let sealed = read(input).map_err(|e| e.0)?;
    if issuer_and_serial(&recipient.der).map_err(|e| e.0)? != sealed.recipient {
        return Err("not made to the platform's encryption certificate");
    }
    let key = sm::decrypt_key(&recipient.key, sealed.key).map_err(|_| "the content key does not decrypt")?;
    sm::decrypt_content(&key, sealed.iv, sealed.content).ok_or("the content does not decrypt")
}
