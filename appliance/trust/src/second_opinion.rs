use openssl::hash::MessageDigest;
use openssl::sign::Verifier;
use openssl::x509::X509;
use x509_parser::asn1_rs::{Any, FromDer as _, Tag};

/// Two implementations judge one signature differently: one of them, or this machine, is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("two implementations disagree about an SM2 signature")]
pub struct Disputed;

/// A detached signature with all that it is over, as received.
#[derive(Debug, Clone, Copy)]
pub struct SignedContent<'a> {
    /// DER of the signer's certificate.
    pub certificate: &'a [u8],
    pub content: &'a [u8],
    /// DER `SET OF` the signed attributes, where there are any.
    pub attributes: Option<&'a [u8]>,
    /// DER `SEQUENCE { r, s }`.
    pub signature: &'a [u8],
}

/// Another implementation of SM2 than ours.
pub trait SecondOpinion: Send + Sync {
    /// Whether the signature holds, with the default distinguishing id. What cannot be read does not hold.
    fn holds(&self, signed: &SignedContent<'_>) -> bool;
}

/// OpenSSL, which reads key and signature itself. Of our own code nothing is used, nor the DER reader that it uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenSsl;

impl SecondOpinion for OpenSsl {
    fn holds(&self, signed: &SignedContent<'_>) -> bool {
        let octets = match signed.attributes {
            None => signed.content,
            Some(attributes) => {
                let digest = openssl::hash::hash(MessageDigest::sm3(), signed.content);
                if !digest.is_ok_and(|digest| message_digest(attributes) == Some(&*digest)) {
                    return false;
                }
                attributes
            }
        };
        let verified = || {
            let key = X509::from_der(signed.certificate)?.public_key()?;
            Verifier::new(MessageDigest::sm3(), &key)?.verify_oneshot(signed.signature, octets)
        };
        verified().unwrap_or(false)
    }
}

/// The one value of the attribute `messageDigest` (PKCS #9, 1.2.840.113549.1.9.4).
fn message_digest(attributes: &[u8]) -> Option<&[u8]> {
    const OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
    let (mut octets, mut found) = (only(attributes, Tag::Set)?, None);
    while !octets.is_empty() {
        let (after, attribute) = first(octets, Tag::Sequence)?;
        let (values, name) = first(attribute, Tag::Oid)?;
        if name == OID {
            let value = only(only(values, Tag::Set)?, Tag::OctetString)?;
            if found.replace(value).is_some() {
                return None;
            }
        }
        octets = after;
    }
    found
}

/// What is behind an element of this tag, and its content.
fn first(octets: &[u8], tag: Tag) -> Option<(&[u8], &[u8])> {
    let (rest, any) = Any::from_der(octets).ok()?;
    (any.header.tag() == tag).then_some((rest, any.data))
}

fn only(octets: &[u8], tag: Tag) -> Option<&[u8]> {
    first(octets, tag).and_then(|(rest, content)| rest.is_empty().then_some(content))
}
