//! DER by the letter, read by other code than the appliance's: tags of one octet, definite lengths in as few octets as they take.

/// Tag and content of each element, or none if something is not DER or is left over.
pub(crate) fn elements(mut octets: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut elements = Vec::new();
    while let [tag, length, rest @ ..] = octets {
        let (width, length) = match *length {
            short @ 0..=0x7f => (0, usize::from(short)),
            long @ 0x81..=0x84 => {
                let width = usize::from(long & 0x7f);
                let length = rest.get(..width)?.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
                let shortest = if width == 1 { 0x80 } else { 1 << (8 * (width - 1)) };
                (width, Some(length).filter(|length| *length >= shortest)?)
            }
            _ => return None,
        };
        let end = width.checked_add(length)?;
        elements.push((*tag, rest.get(width..end)?));
        octets = &rest[end..];
    }
    octets.is_empty().then_some(elements)
}

/// The contents of elements with exactly these tags.
pub(crate) fn with_tags<const N: usize>(octets: &[u8], tags: [u8; N]) -> Option<[&[u8]; N]> {
    let elements = elements(octets)?;
    let same = elements.len() == N && elements.iter().zip(tags).all(|((tag, _), expected)| *tag == expected);
    same.then(|| std::array::from_fn(|at| elements[at].1))
}

/// What is inside `ContentInfo`.
pub(crate) fn content_info(octets: &[u8]) -> Option<&[u8]> {
    let [info] = with_tags(octets, [0x30])?;
    let [_, explicit] = with_tags(info, [6, 0xa0])?;
    let [body] = with_tags(explicit, [0x30])?;
    Some(body)
}
