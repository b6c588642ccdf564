//! The machine-readable zone (ICAO Doc 9303-3 to 9303-6), read as it stands: nothing is repaired, completed or guessed, and a
//! zone with a wrong character, length or check digit is no zone.
//!
//! The libraries for zones are made for what optical recognition brings: they try other readings of what does not hold, and they
//! keep what they read as printable text. So this is our own, and one of them is asked for a second opinion in tests.

mod name;

use std::fmt;

use zeroize::Zeroizing;

use crate::check::icao_7_3_1;

/// What a zone says of its document and holder. Unprintable.
pub(crate) struct Zone {
    /// Two characters, such as `P<` or `CR`.
    pub(crate) code: [u8; 2],
    /// Three characters, such as `CHN`.
    pub(crate) state: [u8; 3],
    /// Without filler.
    pub(crate) number: Zeroizing<String>,
    /// Three characters, with filler, such as `D<<`.
    pub(crate) nationality: [u8; 3],
    /// `yyMMdd`; filler where the issuer does not know.
    pub(crate) birth: Zeroizing<[u8; 6]>,
    /// `yyMMdd`
    pub(crate) expiry: Zeroizing<[u8; 6]>,
    /// The whole field, with filler.
    names: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Zone(..)")
    }
}

/// Where the fields lie in the lines, one after the other: `number` with its check digit behind it, `optional` directly behind
/// that where the number may go on there.
struct Layout {
    number: usize,
    nationality: usize,
    birth: usize,
    sex: usize,
    expiry: usize,
    /// Where a number of more than nine characters goes on.
    overflow: Option<std::ops::Range<usize>>,
    names: std::ops::Range<usize>,
}

/// Passports: 2 × 44.
const TD3: Layout =
    Layout { number: 44, nationality: 54, birth: 57, sex: 64, expiry: 65, overflow: None, names: 5..44 };
/// Official documents of the middle size: 2 × 36.
const TD2: Layout =
    Layout { number: 36, nationality: 46, birth: 49, sex: 56, expiry: 57, overflow: Some(64..71), names: 5..36 };
/// Cards: 3 × 30.
const TD1: Layout =
    Layout { number: 5, nationality: 45, birth: 30, sex: 37, expiry: 38, overflow: Some(15..30), names: 60..90 };

/// Reads a zone as a chip holds it: the lines one after the other without separator.
pub(crate) fn read(zone: &[u8]) -> Option<Zone> {
    if !zone.iter().all(|c| matches!(c, b'A'..=b'Z' | b'0'..=b'9' | b'<')) {
        return None;
    }
    let (layout, rest_holds) = match zone.len() {
        88 => (TD3, td3_holds(zone)),
        72 => (TD2, holds(&[&zone[36..46], &zone[49..56], &zone[57..71]], zone[71])),
        90 => (TD1, holds(&[&zone[5..30], &zone[30..37], &zone[38..45], &zone[48..59]], zone[59])),
        _ => return None,
    };
    let dates = [layout.birth, layout.expiry].into_iter().all(|at| holds(&[&zone[at..at + 6]], zone[at + 6]));
    let first_of_name = zone[layout.names.start];
    let code: &[u8] = if zone.len() == 88 { b"P" } else { b"ACI" };
    let well_formed = code.contains(&zone[0])
        && matches!(zone[layout.sex], b'F' | b'M' | b'<')
        && !zone[1..5].iter().chain(&zone[layout.nationality..layout.nationality + 3]).any(u8::is_ascii_digit)
        && first_of_name.is_ascii_uppercase()
        && !zone[layout.names.clone()].iter().any(u8::is_ascii_digit)
        && is_date(&zone[layout.expiry..layout.expiry + 6], false)
        && is_date(&zone[layout.birth..layout.birth + 6], true);
    if !rest_holds || !dates || !well_formed {
        return None;
    }
    Some(Zone {
        code: zone[..2].try_into().ok()?,
        state: zone[2..5].try_into().ok()?,
        number: number(zone, &layout)?,
        nationality: zone[layout.nationality..layout.nationality + 3].try_into().ok()?,
        birth: Zeroizing::new(zone[layout.birth..layout.birth + 6].try_into().ok()?),
        expiry: Zeroizing::new(zone[layout.expiry..layout.expiry + 6].try_into().ok()?),
        names: Zeroizing::new(zone[layout.names].to_vec()),
    })
}

/// The personal number and the composite. An empty personal number may have a filler for its check digit (Doc 9303-4 §4.2.2.2).
fn td3_holds(zone: &[u8]) -> bool {
    let optional = &zone[72..86];
    let optional_holds = holds(&[optional], zone[86]) || zone[86] == b'<' && optional.iter().all(|c| *c == b'<');
    optional_holds && holds(&[&zone[44..54], &zone[57..64], &zone[65..87]], zone[87])
}

/// The number without the filler behind it. On TD1 and TD2 a filler in the place of the check digit says that it goes on in the
/// optional data, with its check digit as the last character there (Doc 9303-5 §4.2.2.1 note j, -6 §4.2.2.1 note j).
fn number(zone: &[u8], layout: &Layout) -> Option<Zeroizing<String>> {
    let field = &zone[layout.number..layout.number + 9];
    let check = zone[layout.number + 9];
    let rest = match &layout.overflow {
        Some(place) if check == b'<' => {
            let optional = &zone[place.clone()];
            let length = optional.iter().position(|c| *c == b'<').unwrap_or(optional.len());
            let (rest, check) = optional[..length].split_at_checked(length.checked_sub(1)?)?;
            if rest.is_empty() || !holds(&[field, rest], check[0]) {
                return None;
            }
            rest
        }
        _ if holds(&[field], check) => &[],
        _ => return None,
    };
    let mut number = Zeroizing::new(String::with_capacity(field.len() + rest.len()));
    number.extend(field.iter().chain(rest).map(|c| char::from(*c)));
    let length = number.trim_end_matches('<').len();
    number.truncate(length);
    // Filler inside is no number.
    (!number.is_empty() && !number.contains('<')).then_some(number)
}

fn holds(parts: &[&[u8]], check: u8) -> bool {
    icao_7_3_1(parts.iter().flat_map(|part| part.iter())) == check
}

/// `yyMMdd` of some century; parts of a birth date may be unknown (Doc 9303-3 §4.8).
fn is_date(octets: &[u8], may_be_unknown: bool) -> bool {
    let part = |at: usize, known: std::ops::RangeInclusive<u8>| match (octets[at], octets[at + 1]) {
        (b'<', b'<') => may_be_unknown,
        (tens @ b'0'..=b'9', ones @ b'0'..=b'9') => known.contains(&((tens - b'0') * 10 + ones - b'0')),
        _ => false,
    };
    part(0, 0..=99) && part(2, 1..=12) && part(4, 1..=31)
}

#[cfg(test)]
#[path = "mrz/tests.rs"]
mod tests;
