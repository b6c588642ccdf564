//! Single elements of DER, on crate `der`: definite minimal lengths only, nothing left over.

use der::asn1::ObjectIdentifier;
use der::{AnyRef, Decode as _, Reader as _, SliceReader, Tag, TagNumber, Tagged as _};

/// One element: tag, value octets, and the whole as received.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: Tag,
    pub(crate) value: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// The elements of a constructed value, taken one by one.
pub(crate) struct Elements<'a>(Vec<Element<'a>>);

/// `[number]`, constructed.
pub(crate) const fn context(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(number) }
}

impl<'a> Elements<'a> {
    /// None where the octets are no row of elements.
    pub(crate) fn read(octets: &'a [u8]) -> Option<Self> {
        let mut reader = SliceReader::new(octets).ok()?;
        let mut elements = Vec::new();
        while !reader.is_finished() {
            let whole = reader.tlv_bytes().ok()?;
            let any = AnyRef::from_der(whole).ok()?;
            elements.push(Element { tag: any.tag(), value: any.value(), whole });
        }
        elements.reverse();
        Some(Self(elements))
    }

    /// The elements inside the one element with this tag that the octets are.
    pub(crate) fn inside(octets: &'a [u8], tag: Tag) -> Option<Self> {
        let mut outer = Self::read(octets)?;
        let element = outer.take(tag)?;
        outer.end()?;
        Self::read(element.value)
    }

    pub(crate) fn take(&mut self, tag: Tag) -> Option<Element<'a>> {
        self.0.pop().filter(|element| element.tag == tag)
    }

    pub(crate) fn take_inside(&mut self, tag: Tag) -> Option<Self> {
        Self::read(self.take(tag)?.value)
    }

    /// The next element if it has this tag; otherwise nothing is taken.
    pub(crate) fn take_if(&mut self, tag: Tag) -> Option<Element<'a>> {
        let next = self.0.last().is_some_and(|element| element.tag == tag);
        if next { self.0.pop() } else { None }
    }

    pub(crate) fn oid(&mut self) -> Option<ObjectIdentifier> {
        ObjectIdentifier::from_der(self.take(Tag::ObjectIdentifier)?.whole).ok()
    }

    /// A non-negative INTEGER of one octet.
    pub(crate) fn small_integer(&mut self) -> Option<u8> {
        u8::from_der(self.take(Tag::Integer)?.whole).ok()
    }

    /// An INTEGER that is not negative, without leading zeros.
    pub(crate) fn unsigned(&mut self) -> Option<&'a [u8]> {
        let value = self.take(Tag::Integer)?.value;
        match value {
            [0] => Some(&[]),
            [0, rest @ ..] if rest[0] & 0x80 != 0 => Some(rest),
            [first, ..] if first & 0x80 == 0 && *first != 0 => Some(value),
            _ => None,
        }
    }

    /// `AlgorithmIdentifier`: the object identifier and the parameters, where absent and NULL are the same.
    pub(crate) fn algorithm(&mut self) -> Option<(ObjectIdentifier, Option<Element<'a>>)> {
        let mut inner = self.take_inside(Tag::Sequence)?;
        let oid = inner.oid()?;
        let parameters = inner.any().filter(|parameters| parameters.whole != [5, 0]);
        inner.end()?;
        Some((oid, parameters))
    }

    /// The next one, if there is one.
    pub(crate) fn any(&mut self) -> Option<Element<'a>> {
        self.0.pop()
    }

    pub(crate) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The `AlgorithmIdentifier` by which a certificate is signed, which must be the same outside what is signed and inside it.
pub(crate) fn algorithm_of_certificate(der: &[u8]) -> Option<&[u8]> {
    let mut certificate = Elements::inside(der, Tag::Sequence)?;
    let mut tbs = certificate.take_inside(Tag::Sequence)?;
    let outside = certificate.take(Tag::Sequence)?.whole;
    tbs.take_if(context(0));
    tbs.take(Tag::Integer)?;
    (tbs.take(Tag::Sequence)?.whole == outside).then_some(outside)
}
