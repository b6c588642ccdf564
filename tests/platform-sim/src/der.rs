//! A small DER reader and writer (ITU-T X.690), the simulator's own on purpose: it must not share a mistake with the
//! appliance's codec. The reader is strict (definite minimal lengths, low tag numbers) and never panics.

/// `INTEGER`
pub const INTEGER: u8 = 0x02;
/// `BIT STRING`
pub const BIT_STRING: u8 = 0x03;
/// `OCTET STRING`
pub const OCTET_STRING: u8 = 0x04;
/// `OBJECT IDENTIFIER`
pub const OID: u8 = 0x06;
/// `UTCTime`
pub const UTC_TIME: u8 = 0x17;
/// `SEQUENCE`
pub const SEQUENCE: u8 = 0x30;
/// `SET`
pub const SET: u8 = 0x31;

/// The octets are not the DER that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("DER: {0}")]
pub struct DerError(pub &'static str);

/// `[n]` constructed, `n` < 31.
pub fn context(n: u8) -> u8 {
    0xa0 | n
}

/// `[n]` primitive, `n` < 31.
pub fn context_primitive(n: u8) -> u8 {
    0x80 | n
}

/// One tag-length-value.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|octet| **octet == 0).count()..];
    match significant {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            // At most eight octets of length on any machine.
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A constructed value from its parts.
pub fn join(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    tlv(tag, &parts.concat())
}

/// A `SET OF`: its elements sorted by their encodings.
pub fn set_of(mut elements: Vec<Vec<u8>>) -> Vec<u8> {
    elements.sort();
    tlv(SET, &elements.concat())
}

/// A small non-negative `INTEGER` (0..=127).
pub fn small_integer(value: u8) -> Vec<u8> {
    vec![INTEGER, 1, value & 0x7f]
}

/// `NULL`
pub fn null() -> Vec<u8> {
    vec![5, 0]
}

/// An `OBJECT IDENTIFIER` from its arcs: at least two, the first two as X.660 allows.
pub fn oid(arcs: &[u32]) -> Vec<u8> {
    let mut content = Vec::new();
    let (first, rest) = match arcs {
        [a, b, rest @ ..] => (a * 40 + b, rest),
        _ => (0, &[][..]),
    };
    for arc in std::iter::once(&first).chain(rest) {
        let mut septets = vec![u8::try_from(arc & 0x7f).unwrap_or(0)];
        let mut remaining = arc >> 7;
        while remaining > 0 {
            septets.push(0x80 | u8::try_from(remaining & 0x7f).unwrap_or(0));
            remaining >>= 7;
        }
        content.extend(septets.iter().rev());
    }
    tlv(OID, &content)
}

/// One element as it stands in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// Identifier octet.
    pub tag: u8,
    /// Value octets.
    pub content: &'a [u8],
    /// Identifier, length and value octets.
    pub whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// Reads the parts of a constructed element.
    pub fn reader(&self) -> Reader<'a> {
        Reader { input: self.content }
    }
}

/// Reads one element after another.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    input: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Over `input`; call [`Reader::end`] after the last element.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input }
    }

    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// The next element's tag, if there is one.
    pub fn peek(&self) -> Option<u8> {
        self.input.first().copied()
    }

    /// The next element, whatever it is.
    pub fn any(&mut self) -> Result<Element<'a>, DerError> {
        let (&tag, rest) = self.input.split_first().ok_or(DerError("element missing"))?;
        if tag & 0x1f == 0x1f {
            return Err(DerError("high tag number"));
        }
        let (&first, rest) = rest.split_first().ok_or(DerError("length missing"))?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 || rest.len() < count {
                return Err(DerError("length form"));
            }
            let (octets, rest) = rest.split_at(count);
            let length = octets.iter().fold(0usize, |sum, octet| (sum << 8) | usize::from(*octet));
            if octets[0] == 0 || length < 0x80 {
                return Err(DerError("length not minimal"));
            }
            (length, rest)
        };
        if rest.len() < length {
            return Err(DerError("truncated"));
        }
        let (content, after) = rest.split_at(length);
        let whole = &self.input[..self.input.len() - after.len()];
        self.input = after;
        Ok(Element { tag, content, whole })
    }

    /// The next element, which must have this tag.
    pub fn expect(&mut self, tag: u8, name: &'static str) -> Result<Element<'a>, DerError> {
        let element = self.any()?;
        if element.tag == tag { Ok(element) } else { Err(DerError(name)) }
    }

    /// The next element if it has this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, DerError> {
        if self.peek() == Some(tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// There must be nothing left.
    pub fn end(&self) -> Result<(), DerError> {
        if self.input.is_empty() { Ok(()) } else { Err(DerError("trailing octets")) }
    }
}

/// The only element of `input`, with this tag.
pub fn single<'a>(input: &'a [u8], tag: u8, name: &'static str) -> Result<Element<'a>, DerError> {
    let mut reader = Reader::new(input);
    let element = reader.expect(tag, name)?;
    reader.end()?;
    Ok(element)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn object_identifiers_are_written_as_openssl_writes_them() {
        let ours = oid(&[1, 2, 156, 10197, 6, 1, 4, 2, 2]);
        let theirs = openssl::asn1::Asn1Object::from_str("1.2.156.10197.6.1.4.2.2").unwrap();
        assert_eq!(&ours[2..], theirs.as_slice());
        assert_eq!(oid(&[2, 5, 29, 35]), [6, 3, 0x55, 0x1d, 0x23]);
    }

    #[test]
    fn lengths_that_are_not_minimal_are_refused() {
        for bad in [&[0x30, 0x80, 0, 0][..], &[4, 0x81, 1, 0], &[4, 0x82, 0, 0x80], &[4, 2, 0], &[0x1f, 0x81, 0]] {
            assert!(Reader::new(bad).any().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(tag in 0u8..0x1f, content in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let der = tlv(tag, &content);
            let element = single(&der, tag, "tag").unwrap();
            prop_assert_eq!(element.content, &content[..]);
            prop_assert_eq!(element.whole, &der[..]);
        }

        #[test]
        fn no_octets_make_the_reader_panic(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&input);
            while reader.any().is_ok() {}
        }
    }
}
