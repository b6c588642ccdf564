//! Reading and writing of single elements, on crate `der`: definite minimal lengths only, nothing left over.

use der::asn1::ObjectIdentifier;
use der::{AnyRef, Decode, Encode, Header, Reader, SliceReader, Tag, TagNumber, Tagged};

use crate::certificate::Certificate;
use crate::error::MessageError;

/// Octets that a message may have at most; profiles set tighter limits for their platform.
pub(crate) const MAX_MESSAGE: usize = 4 * 1024 * 1024;

const NULL: &[u8] = &[5, 0];

/// The elements of a constructed value, taken one by one. `what` names it in errors.
pub(crate) struct Elements<'a> {
    reader: SliceReader<'a>,
    what: &'static str,
}

/// One element: tag, value octets, and the whole as received.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: Tag,
    pub(crate) value: &'a [u8],
    pub(crate) whole: &'a [u8],
}

impl<'a> Elements<'a> {
    pub(crate) fn new(octets: &'a [u8], what: &'static str) -> Result<Self, MessageError> {
        if octets.len() > MAX_MESSAGE {
            return Err(MessageError::TooLarge(MAX_MESSAGE));
        }
        SliceReader::new(octets).map(|reader| Self { reader, what }).map_err(|_| MessageError::Der(what))
    }

    /// The next element.
    pub(crate) fn next(&mut self) -> Result<Element<'a>, MessageError> {
        let error = |_| MessageError::Der(self.what);
        let whole = self.reader.tlv_bytes().map_err(error)?;
        let any = AnyRef::from_der(whole).map_err(error)?;
        Ok(Element { tag: any.tag(), value: any.value(), whole })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reader.is_finished()
    }

    pub(crate) fn expect(&mut self, tag: Tag) -> Result<Element<'a>, MessageError> {
        let element = self.next()?;
        if element.tag == tag { Ok(element) } else { Err(MessageError::Der(self.what)) }
    }

    /// The next element if it has this tag; otherwise nothing is taken.
    pub(crate) fn optional(&mut self, tag: Tag) -> Result<Option<Element<'a>>, MessageError> {
        if self.is_empty() {
            return Ok(None);
        }
        let header = Header::peek(&self.reader).map_err(|_| MessageError::Der(self.what))?;
        if header.tag() == tag { self.next().map(Some) } else { Ok(None) }
    }

    /// The elements inside the next one, which must be a SEQUENCE.
    pub(crate) fn sequence(&mut self) -> Result<Elements<'a>, MessageError> {
        Elements::new(self.expect(Tag::Sequence)?.value, self.what)
    }

    pub(crate) fn oid(&mut self) -> Result<ObjectIdentifier, MessageError> {
        let element = self.expect(Tag::ObjectIdentifier)?;
        ObjectIdentifier::from_der(element.whole).map_err(|_| MessageError::Der(self.what))
    }

    /// A non-negative INTEGER of one octet, as versions are.
    pub(crate) fn small_integer(&mut self) -> Result<u8, MessageError> {
        let element = self.expect(Tag::Integer)?;
        u8::from_der(element.whole).map_err(|_| MessageError::Der(self.what))
    }

    /// `IssuerAndSerialNumber`: the DER `Name` and the serial number's INTEGER value octets.
    pub(crate) fn issuer_and_serial(&mut self) -> Result<(Vec<u8>, Vec<u8>), MessageError> {
        let mut inner = self.sequence()?;
        let issuer = inner.expect(Tag::Sequence)?.whole.to_vec();
        let serial = inner.expect(Tag::Integer)?.value.to_vec();
        inner.finish()?;
        Ok((issuer, serial))
    }

    /// `AlgorithmIdentifier`: the object identifier and the parameters, where absent and NULL are the same.
    pub(crate) fn algorithm(&mut self) -> Result<(ObjectIdentifier, Option<Element<'a>>), MessageError> {
        let mut inner = self.sequence()?;
        let oid = inner.oid()?;
        let parameters = if inner.is_empty() { None } else { Some(inner.next()?) };
        inner.finish()?;
        Ok((oid, parameters.filter(|parameters| parameters.whole != NULL)))
    }

    /// Refuses anything left over.
    pub(crate) fn finish(self) -> Result<(), MessageError> {
        if self.is_empty() { Ok(()) } else { Err(MessageError::Der(self.what)) }
    }
}

/// Reads `ContentInfo` of one of these content types, and gives what is in the SEQUENCE inside.
pub(crate) fn content_info<'a>(
    octets: &'a [u8],
    kinds: &[ObjectIdentifier],
    kind: &'static str,
    what: &'static str,
) -> Result<Elements<'a>, MessageError> {
    let mut outer = Elements::new(octets, "ContentInfo")?;
    let mut content_info = outer.sequence()?;
    outer.finish()?;
    if !kinds.contains(&content_info.oid()?) {
        return Err(MessageError::ContentType(kind));
    }
    let mut explicit = Elements::new(content_info.expect(context(TagNumber(0), true))?.value, what)?;
    content_info.finish()?;
    let body = explicit.sequence()?;
    explicit.finish()?;
    Ok(body)
}

pub(crate) const fn context(number: TagNumber, constructed: bool) -> Tag {
    Tag::ContextSpecific { constructed, number }
}

/// Tag and length of an element. Lengths beyond what DER can say (256 MiB) cannot arise from bounded inputs.
pub(crate) fn header(tag: Tag, length: usize) -> Vec<u8> {
    der::Length::try_from(length)
        .map(|length| Header::new(tag, length))
        .and_then(|header| header.to_der())
        .unwrap_or_default()
}

/// Writes one element.
pub(crate) fn write(tag: Tag, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let header = header(tag, length);
    let mut out = Vec::with_capacity(header.len() + length);
    out.extend_from_slice(&header);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    write(Tag::Sequence, parts)
}

/// Writes `IssuerAndSerialNumber`.
pub(crate) fn issuer_and_serial(certificate: &Certificate) -> Vec<u8> {
    sequence(&[certificate.issuer_der(), &write(Tag::Integer, &[certificate.serial()])])
}

pub(crate) fn octet_string(octets: &[u8]) -> Vec<u8> {
    write(Tag::OctetString, &[octets])
}

/// A non-negative INTEGER from big-endian magnitude octets, minimal.
pub(crate) fn unsigned_integer(magnitude: &[u8]) -> Vec<u8> {
    let start = magnitude.iter().position(|octet| *octet != 0).unwrap_or(magnitude.len());
    match &magnitude[start..] {
        [] => write(Tag::Integer, &[&[0]]),
        trimmed @ [0x80..=0xff, ..] => write(Tag::Integer, &[&[0], trimmed]),
        trimmed => write(Tag::Integer, &[trimmed]),
    }
}

pub(crate) fn oid(oid: &ObjectIdentifier) -> Vec<u8> {
    write(Tag::ObjectIdentifier, &[oid.as_bytes()])
}

/// `AlgorithmIdentifier` with the given parameters, absent when empty.
pub(crate) fn algorithm(algorithm: &ObjectIdentifier, parameters: &[u8]) -> Vec<u8> {
    sequence(&[&oid(algorithm), parameters])
}
