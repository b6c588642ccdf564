//! Foreign permanent resident identity cards: the edition of 2017 has 15 characters, that of 2023 has 18.

use yanqian_vocabulary::{CivilDate, Timestamp};
use zeroize::Zeroizing;

use super::{Carried, Fault, digits, full_date, two};
use crate::check::{icao_7_3_1, mod_11_2};
use crate::claim::today;
use crate::countries;

const LENGTH: &str = "Expected the 18 characters of a card of 2023 or the 15 of a card of 2017.";
const FORM_2017: &str = "Expected 3 letters of nationality (ISO 3166-1), 4 digits of area, 6 of birth (yyMMdd), 1 of sequence and 1 check digit.";
const CHECK_2017: &str =
    "The last digit is not the check digit of the other 14 characters (ICAO Doc 9303-3, weights 7-3-1).";
const FORM_2023: &str = "Expected 9, 2 digits of province, 3 of nationality (ISO 3166-1), 8 of birth (yyyyMMdd), 3 of sequence and 1 check \
                         character.";
const CHECK_2023: &str = "The last character is not the check character of the other 17 digits (ISO 7064 MOD 11-2).";

pub(super) fn judge(octets: &[u8], now: Timestamp) -> Result<Carried, Fault> {
    match octets.len() {
        15 => card_of_2017(octets),
        18 => card_of_2023(octets, now),
        _ => Err(Fault::malformed(LENGTH)),
    }
}

fn card_of_2017(octets: &[u8]) -> Result<Carried, Fault> {
    let (letters, numerals) = octets.split_at(3);
    if !letters.iter().all(u8::is_ascii_uppercase) || !digits(numerals) {
        return Err(Fault::malformed(FORM_2017));
    }
    if icao_7_3_1(&octets[..14]) != octets[14] {
        return Err(Fault::check_digit(CHECK_2017));
    }
    let alpha3 = std::str::from_utf8(letters).map_err(|_| Fault::malformed(FORM_2017))?;
    if countries::by_alpha3(alpha3).is_none() {
        return Err(Fault::malformed(FORM_2017));
    }
    let (year, month, day) = (two(&numerals[4..6]), two(&numerals[6..8]), two(&numerals[8..10]));
    // The century is not written; a leap year decides only 29 February, and 2000 has one.
    CivilDate::new(2000, month, day).map_err(|_| Fault::malformed(FORM_2017))?;
    Ok(Carried {
        birth: Some((None, month, day)),
        birth_year_in_century: Some(year),
        nationality_alpha3: Some(Zeroizing::new(alpha3.to_owned())),
        nationality_numeric: None,
    })
}

fn card_of_2023(octets: &[u8], now: Timestamp) -> Result<Carried, Fault> {
    if octets[0] != b'9' || !digits(&octets[..17]) || !(octets[17].is_ascii_digit() || octets[17] == b'X') {
        return Err(Fault::malformed(FORM_2023));
    }
    if mod_11_2(&octets[..17]) != octets[17] {
        return Err(Fault::check_digit(CHECK_2023));
    }
    let (year, month, day) = full_date(&octets[6..14]);
    CivilDate::new(year, month, day).map_err(|_| Fault::malformed(FORM_2023))?;
    let numeric = octets[3..6].iter().fold(0u16, |n, c| n * 10 + u16::from(c - b'0'));
    if !countries::has_numeric(numeric) || !(1900..=today(now).0).contains(&year) {
        return Err(Fault::malformed(FORM_2023));
    }
    Ok(Carried { birth: Some((Some(year), month, day)), nationality_numeric: Some(numeric), ..Carried::default() })
}
