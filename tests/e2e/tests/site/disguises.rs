//! The forms in which a text or a file could slip into a place where it must not be.

use std::collections::HashMap;

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// A text in the encodings in which it could slip through.
pub(crate) fn disguises(text: &str) -> Vec<Vec<u8>> {
    let mut all = disguises_of(text.as_bytes());
    all.extend([
        text.bytes().map(|octet| format!("%{octet:02X}")).collect::<Vec<_>>().concat().into_bytes(),
        text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat().into_bytes(),
        text.chars().map(|c| format!("\\u{{{:x}}}", u32::from(c))).collect::<Vec<_>>().concat().into_bytes(),
        text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    ]);
    // Two characters in UTF-16 are too few octets to be told from chance.
    all.retain(|needle| needle.len() >= 6);
    all
}

/// The same of octets that are no text.
pub(crate) fn disguises_of(octets: &[u8]) -> Vec<Vec<u8>> {
    let listed = format!("{octets:?}");
    let mut all = vec![
        octets.to_vec(),
        hex::encode(octets).into_bytes(),
        hex::encode_upper(octets).into_bytes(),
        listed.trim_matches(['[', ']']).as_bytes().to_vec(),
    ];
    // As base64 would hold it at each of the three alignments, without the characters that depend on its neighbours.
    for before in 0..3 {
        for engine in [&STANDARD as &dyn Fn64, &URL_SAFE_NO_PAD] {
            let mut padded = vec![b'x'; before];
            padded.extend_from_slice(octets);
            let encoded = engine.encode64(&padded);
            let from = if before == 0 { 0 } else { before + 1 };
            let to = padded.len() / 3 * 4;
            if to > from + 6 {
                all.push(encoded.as_bytes()[from..to].to_vec());
            }
        }
    }
    all
}

trait Fn64 {
    fn encode64(&self, octets: &[u8]) -> String;
}

impl<E: base64::Engine> Fn64 for E {
    fn encode64(&self, octets: &[u8]) -> String {
        self.encode(octets)
    }
}

pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The first of many needles, in one pass.
pub(crate) fn first_of<'a>(needles: &'a [Vec<u8>], octets: &[u8]) -> Option<&'a [u8]> {
    const HEAD: usize = 6;
    let mut by_head: HashMap<&[u8], Vec<&'a [u8]>> = HashMap::new();
    for needle in needles {
        by_head.entry(&needle[..HEAD]).or_default().push(needle);
    }
    let mut at_each = octets.windows(HEAD).enumerate();
    at_each.find_map(|(at, head)| by_head.get(head)?.iter().find(|needle| octets[at..].starts_with(needle))).copied()
}
