//! GB/T 35275 `EnvelopedData`: SM2 for the key (1.2.156.10197.1.301.3), SM4-CBC (1.2.156.10197.1.104.2) for the content.

use crate::der::{self, INTEGER, OCTET_STRING, OID, SEQUENCE, SET};
use crate::pki::{Identity, issuer_and_serial};
use crate::{SimError, oids, sm};

/// Seals `plain` to the owner of `recipient` (certificate in DER). The platform itself never seals; its tests do.
pub fn seal(plain: &[u8], recipient: &[u8]) -> Result<Vec<u8>, SimError> {
    let key = openssl::x509::X509::from_der(recipient)?.public_key()?;
    let (content_key, iv) = (sm::random::<16>()?, sm::random::<16>()?);
    let recipient_info = der::join(
        SEQUENCE,
        &[
            &der::small_integer(1),
            &issuer_and_serial(recipient)?,
            &der::join(SEQUENCE, &[&oids::sm2_encryption(), &der::null()]),
            &der::tlv(OCTET_STRING, &sm::encrypt_key(&key, &content_key)?),
        ],
    );
    let content = der::join(
        SEQUENCE,
        &[
            &oids::data(),
            &der::join(SEQUENCE, &[&oids::sm4_cbc(), &der::tlv(OCTET_STRING, &iv)]),
            &der::tlv(der::context_primitive(0), &sm::encrypt_content(&content_key, &iv, plain)?),
        ],
    );
    let enveloped = der::join(SEQUENCE, &[&der::small_integer(1), &der::tlv(SET, &recipient_info), &content]);
    Ok(der::join(SEQUENCE, &[&oids::enveloped_data(), &der::tlv(der::context(0), &enveloped)]))
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
