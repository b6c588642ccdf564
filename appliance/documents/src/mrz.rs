//! The machine-readable zone (ICAO Doc 9303-3 to 9303-6), as far as it names a document: code, issuing state, number, and the
//! check digits over everything that has one.

use std::fmt;

use zeroize::Zeroizing;

/// What a zone says of its document. Unprintable.
pub(crate) struct Zone {
    /// Two characters, such as `P<` or `CR`.
    pub(crate) code: [u8; 2],
    /// Three characters, such as `CHN`.
    pub(crate) state: [u8; 3],
    /// Without filler.
    pub(crate) number: Zeroizing<String>,
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Zone(..)")
    }
}

/// Reads a zone as a chip holds it: the lines one after the other without separator. TD3 (passports, 2 × 44) or TD1 (cards,
/// 3 × 30); none when a character, a length or a check digit is wrong.
pub(crate) fn read(zone: &[u8]) -> Option<Zone> {
    if !zone.iter().all(|c| matches!(c, b'A'..=b'Z' | b'0'..=b'9' | b'<')) {
        return None;
    }
    match zone.len() {
        88 => read_td3(zone),
        90 => read_td1(zone),
        _ => None,
    }
}

fn read_td3(zone: &[u8]) -> Option<Zone> {
    let (first, second) = zone.split_at(44);
    // An empty personal number may have a filler for its check digit.
    let optional = &second[28..42];
    let optional_holds = holds(&[optional], second[42]) || second[42] == b'<' && optional.iter().all(|c| *c == b'<');
    let composite = [&second[..10], &second[13..20], &second[21..43]];
    let all = holds(&[&second[..9]], second[9])
        && holds(&[&second[13..19]], second[19])
        && holds(&[&second[21..27]], second[27])
        && optional_holds
        && holds(&composite, second[43]);
    if all { zone_of(first, number_of(&second[..9], &[])?) } else { None }
}

fn read_td1(zone: &[u8]) -> Option<Zone> {
    let (first, second) = (&zone[..30], &zone[30..60]);
    let composite = [&first[5..30], &second[..7], &second[8..15], &second[18..29]];
    let dates = holds(&[&second[..6]], second[6]) && holds(&[&second[8..14]], second[14]);
    if !dates || !holds(&composite, second[29]) {
        return None;
    }
    let number = if first[14] == b'<' {
        // Longer than nine characters: it goes on in the optional data, and its check digit is the last character there.
        let optional = &first[15..30];
        let length = optional.iter().position(|c| *c == b'<').unwrap_or(optional.len());
        let (rest, check) = optional[..length].split_at_checked(length.checked_sub(1)?)?;
        if rest.is_empty() || !holds(&[&first[5..14], rest], check[0]) {
            return None;
        }
        number_of(&first[5..14], rest)?
    } else {
        if !holds(&[&first[5..14]], first[14]) {
            return None;
        }
        number_of(&first[5..14], &[])?
    };
    zone_of(first, number)
}

fn zone_of(first: &[u8], number: Zeroizing<String>) -> Option<Zone> {
    Some(Zone { code: first[..2].try_into().ok()?, state: first[2..5].try_into().ok()?, number })
}

/// The number without the filler behind it; filler inside is no number.
fn number_of(start: &[u8], rest: &[u8]) -> Option<Zeroizing<String>> {
    let mut number = Zeroizing::new(String::with_capacity(start.len() + rest.len()));
    number.extend(start.iter().chain(rest).map(|c| char::from(*c)));
    let length = number.trim_end_matches('<').len();
    number.truncate(length);
    (!number.is_empty() && !number.contains('<')).then_some(number)
}

/// Whether a check digit is that of the characters (Doc 9303-3 §4.9): weights 7, 3, 1; digits count as themselves, letters as 10 to
/// 35, filler as 0; modulo 10.
fn holds(parts: &[&[u8]], check: u8) -> bool {
    let sum: u32 = parts
        .iter()
        .flat_map(|part| part.iter())
        .zip([7, 3, 1].into_iter().cycle())
        .map(|(c, weight)| {
            let value = match c {
                b'0'..=b'9' => c - b'0',
                b'A'..=b'Z' => c - b'A' + 10,
                _ => 0,
            };
            u32::from(value) * weight
        })
        .sum();
    u32::from(check) == u32::from(b'0') + sum % 10
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The specimens of Doc 9303-4 appendix B and 9303-5 appendix B.
    const TD3: &str = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<L898902C36UTO7408122F1204159ZE184226B<<<<<10";
    const TD1: &str = "I<UTOD231458907<<<<<<<<<<<<<<<7408122F1204159UTO<<<<<<<<<<<6ERIKSSON<<ANNA<MARIA<<<<<<<<<<";
    /// The long number of Doc 9303-5 §4.2.2.1, note j.
    const LONG: &str = "I<UTOD23145890<7349<<<<<<<<<<<3407127M9507122UTO<<<<<<<<<<<2STEVENSON<<PETER<JOHN<<<<<<<<<";

    fn number(zone: &str) -> Option<String> {
        read(zone.as_bytes()).map(|zone| zone.number.to_string())
    }

    #[test]
    fn the_specimens_of_doc_9303_are_read() {
        assert_eq!(number(TD3).as_deref(), Some("L898902C3"));
        assert_eq!(number(TD1).as_deref(), Some("D23145890"));
        assert_eq!(number(LONG).as_deref(), Some("D23145890734"));
        let zone = read(TD3.as_bytes()).unwrap();
        assert_eq!((&zone.code, &zone.state), (b"P<", b"UTO"));
    }

    #[test]
    fn a_wrong_character_where_a_check_digit_watches_is_found() {
        for (zone, watched) in [(TD3, 44..88), (TD1, 5..45)] {
            for place in watched {
                let mut altered = zone.as_bytes().to_vec();
                altered[place] = if altered[place] == b'8' { b'9' } else { b'8' };
                // Sex and nationality have no check digit.
                let unwatched = zone.len() == 88 && matches!(place, 54..=56 | 64) || zone.len() == 90 && place == 37;
                assert_eq!(read(&altered).is_some(), unwatched, "{place}");
            }
        }
        assert_eq!(number(&TD3.to_lowercase()), None);
        assert_eq!(number(&TD3[..87]), None);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_zones_never_panic(octets: Vec<u8>, zone in "[A-Z0-9<]{88}|[A-Z0-9<]{90}") {
            let _ = read(&octets);
            let _ = read(zone.as_bytes());
        }
    }
}
