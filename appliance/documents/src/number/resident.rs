//! Citizen identification numbers (GB 11643-1999) of resident identity cards, and those of the same form that residence permits
//! carry: 6 digits of area, 8 of birth, 3 of sequence, 1 check character.

use yanqian_vocabulary::{CivilDate, Timestamp};

use super::{Carried, Fault, digits, full_date};
use crate::check::mod_11_2;
use crate::claim::today;

const FORM: &str = "Expected 18 characters: 6 digits of area, 8 of birth (yyyyMMdd), 3 of sequence and 1 check character (GB 11643-1999).";
const CHECK: &str = "The last character is not the check character of the other 17 digits (ISO 7064 MOD 11-2).";
const AREA: &str =
    "Expected the area of a resident identity card: 11 to 71. Those of residence permits begin with 81, 82 or 83.";
const PERMIT_AREA: &str =
    "Expected area 810000 (Hong Kong), 820000 (Macao) or 830000 (Taiwan) in a residence permit's number.";

/// ISO 3166-1 numeric code of China.
const CHINA: u16 = 156;

/// Areas are judged by their first digit alone: lists of them change, and a number outlives its area.
pub(super) fn identity_card(octets: &[u8], now: Timestamp) -> Result<Carried, Fault> {
    let carried = citizen_number(octets, now)?;
    if !matches!(octets[0], b'1'..=b'7') {
        return Err(Fault::malformed(AREA));
    }
    Ok(Carried { nationality_numeric: Some(CHINA), ..carried })
}

pub(super) fn residence_permit(octets: &[u8], now: Timestamp) -> Result<Carried, Fault> {
    let carried = citizen_number(octets, now)?;
    match &octets[..6] {
        b"810000" | b"820000" | b"830000" => Ok(carried),
        _ => Err(Fault::malformed(PERMIT_AREA)),
    }
}

fn citizen_number(octets: &[u8], now: Timestamp) -> Result<Carried, Fault> {
    let (body, check) = octets.split_at_checked(17).ok_or(Fault::malformed(FORM))?;
    if !digits(body) || !matches!(check, [b'0'..=b'9' | b'X']) {
        return Err(Fault::malformed(FORM));
    }
    if mod_11_2(body) != check[0] {
        return Err(Fault::check_digit(CHECK));
    }
    let (year, month, day) = full_date(&body[6..14]);
    if CivilDate::new(year, month, day).is_err() || !(1800..=today(now).0).contains(&year) {
        return Err(Fault::malformed(FORM));
    }
    Ok(Carried { birth: Some((Some(year), month, day)), ..Carried::default() })
}
