use der::asn1::{GeneralizedTime, ObjectIdentifier, UtcTime};
use der::{Decode, Encode, Tag};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

use crate::error::MessageError;
use crate::oid;
use crate::tlv::{Elements, octet_string, oid as write_oid, sequence, write};

/// Authenticated attributes (GB/T 35275-2017 §8): what is signed in place of the content.
///
/// `octets` is the DER SET OF with its own tag 0x31, the form that enters the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedAttributes {
    octets: Vec<u8>,
    message_digest: [u8; 32],
    signing_time: Option<i64>,
}

impl SignedAttributes {
    /// Writes contentType (data), messageDigest and signingTime.
    ///
    /// `content_digest` is SM3 of the content octets, without Z; `signing_time` is in seconds since 1970, years before
    /// 2050 as `UTCTime` and later ones as `GeneralizedTime` (RFC 5652 §11.3).
    pub fn new(content_digest: [u8; 32], signing_time: i64) -> Result<Self, MessageError> {
        let time = encode_time(signing_time)?;
        let mut attributes = [
            attribute(&oid::CONTENT_TYPE, &write_oid(&oid::DATA)),
            attribute(&oid::MESSAGE_DIGEST, &octet_string(&content_digest)),
            attribute(&oid::SIGNING_TIME, &time),
        ];
        attributes.sort();
        let octets = write(Tag::Set, &attributes.each_ref().map(Vec::as_slice));
        Ok(Self { octets, message_digest: content_digest, signing_time: Some(signing_time) })
    }

    /// Reads the octets that were signed: DER SET OF, tag 0x31, with nothing after it.
    pub fn from_der(octets: &[u8]) -> Result<Self, MessageError> {
        let mut outer = Elements::new(octets, "attributes")?;
        let value = outer.expect(Tag::Set)?.value;
        outer.finish()?;
        Self::from_value(value)
    }

    /// The octets that SM2 signs: DER SET OF, tag 0x31.
    pub fn as_der(&self) -> &[u8] {
        &self.octets
    }

    /// SM3 of the content, as the signer states it.
    pub const fn message_digest(&self) -> &[u8; 32] {
        &self.message_digest
    }

    /// Seconds since 1970, if the signer states a time.
    pub const fn signing_time(&self) -> Option<i64> {
        self.signing_time
    }

    pub(crate) fn covers(&self, content: &[u8]) -> bool {
        yanqian_sm::sm3(&[content]).ct_eq(&self.message_digest).into()
    }

    /// The value octets, for the `[0] IMPLICIT` of `SignerInfo`.
    pub(crate) fn value(&self) -> Result<&[u8], MessageError> {
        let mut outer = Elements::new(&self.octets, "attributes")?;
        Ok(outer.expect(Tag::Set)?.value)
    }

    /// Reads the value octets of `[0] IMPLICIT SET OF Attribute`.
    pub(crate) fn from_value(value: &[u8]) -> Result<Self, MessageError> {
        let (mut digest, mut time, mut content_type) = (None, None, None);
        let mut attributes = Elements::new(value, "attributes")?;
        while !attributes.is_empty() {
            let mut attribute = attributes.sequence()?;
            let kind = attribute.oid()?;
            let mut values = Elements::new(attribute.expect(Tag::Set)?.value, "attribute")?;
            attribute.finish()?;
            match kind {
                oid::MESSAGE_DIGEST => {
                    let octets = values.expect(Tag::OctetString)?.value;
                    let value = octets.try_into().map_err(|_| MessageError::Attribute("messageDigest"))?;
                    once(&mut digest, value, &values, "messageDigest")?;
                }
                oid::SIGNING_TIME => {
                    let value = decode_time(&values.next()?)?;
                    once(&mut time, value, &values, "signingTime")?;
                }
                oid::CONTENT_TYPE => {
                    let value = values.oid()?;
                    once(&mut content_type, value, &values, "contentType")?;
                }
                _ => {}
            }
        }
        if content_type.is_some_and(|kind: ObjectIdentifier| kind != oid::DATA && kind != oid::PKCS7_DATA) {
            return Err(MessageError::Attribute("contentType"));
        }
        Ok(Self {
            octets: write(Tag::Set, &[value]),
            message_digest: digest.ok_or(MessageError::Attribute("messageDigest"))?,
            signing_time: time,
        })
    }
}

/// Keeps an attribute's only value; a second value or a second attribute of the kind is refused.
fn once<T>(slot: &mut Option<T>, value: T, rest: &Elements<'_>, what: &'static str) -> Result<(), MessageError> {
    if !rest.is_empty() || slot.replace(value).is_some() {
        return Err(MessageError::Attribute(what));
    }
    Ok(())
}

fn attribute(kind: &ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    sequence(&[&write_oid(kind), &write(Tag::Set, &[value])])
}

fn encode_time(seconds: i64) -> Result<Vec<u8>, MessageError> {
    const ERROR: MessageError = MessageError::Attribute("signingTime");
    let since_1970 = std::time::Duration::from_secs(u64::try_from(seconds).map_err(|_| ERROR)?);
    let year = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| ERROR)?.year();
    if year < 2050 {
        UtcTime::from_unix_duration(since_1970).and_then(|time| time.to_der()).map_err(|_| ERROR)
    } else {
        GeneralizedTime::from_unix_duration(since_1970).and_then(|time| time.to_der()).map_err(|_| ERROR)
    }
}

fn decode_time(element: &crate::tlv::Element<'_>) -> Result<i64, MessageError> {
    const ERROR: MessageError = MessageError::Attribute("signingTime");
    let since_1970 = match element.tag {
        Tag::UtcTime => UtcTime::from_der(element.whole).map_err(|_| ERROR)?.to_unix_duration(),
        Tag::GeneralizedTime => GeneralizedTime::from_der(element.whole).map_err(|_| ERROR)?.to_unix_duration(),
        _ => return Err(ERROR),
    };
    i64::try_from(since_1970.as_secs()).map_err(|_| ERROR)
}
