//! BER-TLV as chips hold it (ISO/IEC 7816-4 §5.2.2): tags of one or two octets, definite lengths of up to four.

/// One value: its tag and content.
#[derive(Clone, Copy)]
pub(crate) struct Tlv<'a> {
    pub(crate) tag: u32,
    pub(crate) content: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// The values directly inside; none when the inside is no row of values.
    pub(crate) fn values(&self) -> Option<Vec<Self>> {
        let mut rest = self.content;
        let mut found = Vec::new();
        while !rest.is_empty() {
            let (value, after) = next(rest)?;
            found.push(value);
            rest = after;
        }
        Some(found)
    }

    /// The content of the first value with this tag directly inside; none when the inside is no row of values.
    pub(crate) fn find(&self, tag: u32) -> Option<&'a [u8]> {
        self.values()?.into_iter().find(|value| value.tag == tag).map(|value| value.content)
    }
}

/// Exactly one value with this tag, and nothing after it.
pub(crate) fn read_one(octets: &[u8], tag: u32) -> Option<Tlv<'_>> {
    let (value, rest) = next(octets)?;
    (value.tag == tag && rest.is_empty()).then_some(value)
}

fn next(octets: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let (first, rest) = octets.split_first()?;
    let (tag, rest) = if first & 0x1f == 0x1f {
        let (second, rest) = rest.split_first()?;
        // A third octet of the tag would follow one with the high bit.
        if second & 0x80 != 0 {
            return None;
        }
        (u32::from(*first) << 8 | u32::from(*second), rest)
    } else {
        (u32::from(*first), rest)
    };
    let (length, rest) = length(rest)?;
    let (content, rest) = rest.split_at_checked(length)?;
    Some((Tlv { tag, content }, rest))
}

fn length(octets: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = octets.split_first()?;
    match first {
        0..=0x7f => Some((usize::from(*first), rest)),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            Some((length.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_whole_or_not_at_all() {
        let nested = [0x61, 0x05, 0x5f, 0x1f, 0x02, b'A', b'B'];
        assert_eq!(read_one(&nested, 0x61).and_then(|value| value.find(0x5f1f)), Some(&b"AB"[..]));
        assert!(read_one(&nested, 0x60).is_none(), "another tag");
        assert!(read_one(&[&nested[..], &[0]].concat(), 0x61).is_none(), "octets after it");
        for length in 0..nested.len() {
            assert!(read_one(&nested[..length], 0x61).is_none(), "{length}");
        }
        let long = [&[0x75, 0x82, 0x01, 0x00][..], &[7; 256]].concat();
        assert_eq!(read_one(&long, 0x75).map(|value| value.content.len()), Some(256));
        assert!(read_one(&[0x30, 0x80, 0, 0], 0x30).is_none(), "an indefinite length");
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>) {
            if let Some((value, _)) = next(&octets) {
                let _ = value.find(0x5c);
            }
        }
    }
}
