//! Number forms and check digits per document type. Sources: GB 11643-1999 (MOD 11-2), ICAO Doc 9303-3 §4.9 (weights
//! 7-3-1), the National Immigration Administration's notices on permits (1999, 2013, 2008, 2024) and on the 2023 edition
//! of the foreign permanent resident identity card.

use yanqian_vocabulary::{CivilDate, DocumentType, Reason, Timestamp};
use zeroize::Zeroizing;

use crate::claim::today;
use crate::countries;

/// What a number says of its holder, to be held against the stated fields.
#[derive(Default)]
pub(crate) struct Carried {
    /// Year (when written in full), month, day.
    pub(crate) birth: Option<(Option<u16>, u8, u8)>,
    pub(crate) birth_year_in_century: Option<u8>,
    pub(crate) nationality_alpha3: Option<Zeroizing<String>>,
    pub(crate) nationality_numeric: Option<u16>,
}

const MALFORMED: Reason = Reason::DocumentNumberMalformed;

/// Judges a number by the forms of its document type.
pub(crate) fn judge(document_type: DocumentType, number: &str, now: Timestamp) -> Result<Carried, Reason> {
    let octets = number.as_bytes();
    if octets.len() > 18 || !octets.iter().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()) {
        return Err(MALFORMED);
    }
    let plain = |matches: bool| if matches { Ok(Carried::default()) } else { Err(MALFORMED) };
    match document_type {
        DocumentType::PrcPassport => plain(is_passport(octets)),
        DocumentType::HongKongMacaoPermit => plain(is_hong_kong_macao_permit(octets)),
        DocumentType::TaiwanPermit => plain(matches!(octets.len(), 8 | 10) && digits(octets)),
        DocumentType::ForeignPermanentResidentCard => match octets.len() {
            15 => card_of_2017(octets),
            18 => card_of_2023(octets, now),
            _ => Err(MALFORMED),
        },
    }
}

fn digits(octets: &[u8]) -> bool {
    octets.iter().all(u8::is_ascii_digit)
}

/// Ordinary: E + 8 digits, E + letter (no I, O) + 7, G + 8, 14 or 15 + 7. Public affairs, service, diplomatic: PE, SE or
/// DE + 7, and P, S or D + 7 or 8. Special administrative regions: K or H + 8, KJ or HJ + 7, MA or MB + 7.
fn is_passport(octets: &[u8]) -> bool {
    match octets {
        [b'E' | b'G' | b'K' | b'H', rest @ ..] if rest.len() == 8 && digits(rest) => true,
        [b'E', letter, rest @ ..] if rest.len() == 7 && digits(rest) => {
            letter.is_ascii_uppercase() && !matches!(letter, b'I' | b'O')
        }
        [b'1', b'4' | b'5', rest @ ..] if rest.len() == 7 && digits(rest) => true,
        [b'P' | b'S' | b'D', b'E', rest @ ..] if rest.len() == 7 && digits(rest) => true,
        [b'K' | b'H', b'J', rest @ ..] | [b'M', b'A' | b'B', rest @ ..] if rest.len() == 7 => digits(rest),
        [b'P' | b'S' | b'D', rest @ ..] => matches!(rest.len(), 7 | 8) && digits(rest),
        _ => false,
    }
}

/// H or M + 8 digits, on cards of 1999 followed by two re-issue digits; since 2024-07-01 HA or MA + 7 digits for
/// non-Chinese permanent residents.
fn is_hong_kong_macao_permit(octets: &[u8]) -> bool {
    match octets {
        [b'H' | b'M', b'A', rest @ ..] => rest.len() == 7 && digits(rest),
        [b'H' | b'M', rest @ ..] => matches!(rest.len(), 8 | 10) && digits(rest),
        _ => false,
    }
}

/// 3 letters of nationality, 4 digits of area, 6 of birth (YYMMDD), 1 of sequence, 1 check digit.
fn card_of_2017(octets: &[u8]) -> Result<Carried, Reason> {
    let (letters, numerals) = octets.split_at(3);
    if !letters.iter().all(u8::is_ascii_uppercase) || !digits(numerals) {
        return Err(MALFORMED);
    }
    if icao_check_digit(&octets[..14]) != octets[14] {
        return Err(Reason::DocumentCheckDigit);
    }
    let alpha3 = std::str::from_utf8(letters).map_err(|_| MALFORMED)?;
    if countries::by_alpha3(alpha3).is_none() {
        return Err(MALFORMED);
    }
    let (year, month, day) = (two(&numerals[4..6]), two(&numerals[6..8]), two(&numerals[8..10]));
    // The century is not written; a leap year decides only 29 February, and 2000 has one.
    CivilDate::new(2000, month, day).map_err(|_| MALFORMED)?;
    Ok(Carried {
        birth: Some((None, month, day)),
        birth_year_in_century: Some(year),
        nationality_alpha3: Some(Zeroizing::new(alpha3.to_owned())),
        nationality_numeric: None,
    })
}

/// `9`, 2 digits of province, 3 of nationality (ISO 3166-1 numeric), 8 of birth, 3 of sequence, 1 check character.
fn card_of_2023(octets: &[u8], now: Timestamp) -> Result<Carried, Reason> {
    if octets[0] != b'9' || !digits(&octets[..17]) || !(octets[17].is_ascii_digit() || octets[17] == b'X') {
        return Err(MALFORMED);
    }
    if mod_11_2(&octets[..17]) != octets[17] {
        return Err(Reason::DocumentCheckDigit);
    }
    let year = u16::from(two(&octets[6..8])) * 100 + u16::from(two(&octets[8..10]));
    let (month, day) = (two(&octets[10..12]), two(&octets[12..14]));
    CivilDate::new(year, month, day).map_err(|_| MALFORMED)?;
    let numeric = octets[3..6].iter().fold(0u16, |n, c| n * 10 + u16::from(c - b'0'));
    if !countries::has_numeric(numeric) || !(1900..=today(now).0).contains(&year) {
        return Err(MALFORMED);
    }
    Ok(Carried { birth: Some((Some(year), month, day)), nationality_numeric: Some(numeric), ..Carried::default() })
}

fn two(octets: &[u8]) -> u8 {
    octets.iter().fold(0, |n, c| n * 10 + (c - b'0'))
}

/// ICAO Doc 9303-3 §4.9: weights 7, 3, 1; letters count from A = 10; sum modulo 10.
pub(crate) fn icao_check_digit(octets: &[u8]) -> u8 {
    let value = |c: u8| if c.is_ascii_digit() { u32::from(c - b'0') } else { u32::from(c - b'A') + 10 };
    let sum: u32 = octets.iter().zip([7, 3, 1].into_iter().cycle()).map(|(c, weight)| value(*c) * weight).sum();
    b'0' + u8::try_from(sum % 10).unwrap_or(0)
}

/// GB 11643-1999, ISO 7064 MOD 11-2 over 17 digits.
pub(crate) fn mod_11_2(octets: &[u8]) -> u8 {
    let remainder = octets.iter().fold(0u32, |m, c| (m + u32::from(c - b'0')) * 2 % 11);
    b"10X98765432"[usize::try_from(remainder).unwrap_or(0)]
}
