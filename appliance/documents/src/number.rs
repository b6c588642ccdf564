//! Number forms and check digits per document type; docs/documents.md has each with its source.

mod cards;
mod resident;

use yanqian_vocabulary::{DocumentType, Reason, Timestamp};
use zeroize::Zeroizing;

/// What a number says of its holder, to be held against the stated fields.
#[derive(Default)]
pub(crate) struct Carried {
    /// Year (when written in full), month, day.
    pub(crate) birth: Option<(Option<u16>, u8, u8)>,
    pub(crate) birth_year_in_century: Option<u8>,
    pub(crate) nationality_alpha3: Option<Zeroizing<String>>,
    pub(crate) nationality_numeric: Option<u16>,
}

/// Why a number was refused: the code, and the rule in words that hold nothing of the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) rule: &'static str,
}

impl Fault {
    const fn malformed(rule: &'static str) -> Self {
        Self { reason: Reason::DocumentNumberMalformed, rule }
    }

    const fn check_digit(rule: &'static str) -> Self {
        Self { reason: Reason::DocumentCheckDigit, rule }
    }
}

const ALPHABET: &str = "Expected digits and upper-case ASCII letters only, as printed, without spaces.";
const PASSPORT: &str = "Expected a passport's number: E, G, K or H and 8 digits, E, a letter (no I, O) and 7 digits, 14 or 15 and 7 \
                        digits, P, S or D and 7 or 8 digits, PE, SE, DE, KJ, HJ, MA or MB and 7 digits.";
const HONG_KONG_MACAO: &str =
    "Expected H or M and 8 digits, on cards of 1999 with 2 re-issue digits behind them, or HA or MA and 7 digits.";
const TAIWAN: &str = "Expected 8 digits, on permits from before 2008-09-25 with 2 issue digits behind them.";
const EXIT_PERMIT: &str = "Expected C and 8 digits, or C, a letter (no I, O) and 7 digits.";

/// Judges a number by the forms of its document type.
pub(crate) fn judge(document_type: DocumentType, number: &str, now: Timestamp) -> Result<Carried, Fault> {
    let octets = number.as_bytes();
    if !octets.iter().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()) {
        return Err(Fault::malformed(ALPHABET));
    }
    let plain = |matches: bool, rule| if matches { Ok(Carried::default()) } else { Err(Fault::malformed(rule)) };
    match document_type {
        DocumentType::PrcPassport => plain(is_passport(octets), PASSPORT),
        DocumentType::HongKongMacaoPermit => plain(is_hong_kong_macao_permit(octets), HONG_KONG_MACAO),
        DocumentType::TaiwanPermit => plain(matches!(octets.len(), 8 | 10) && digits(octets), TAIWAN),
        DocumentType::ExitPermitToHongKongMacao => plain(is_exit_permit(octets), EXIT_PERMIT),
        DocumentType::ForeignPermanentResidentCard => cards::judge(octets, now),
        DocumentType::ResidentIdentityCard => resident::identity_card(octets, now),
        DocumentType::ResidencePermit => resident::residence_permit(octets, now),
    }
}

fn digits(octets: &[u8]) -> bool {
    octets.iter().all(u8::is_ascii_digit)
}

/// A letter that serial numbers use: I and O are left out, because they look like digits.
const fn serial_letter(c: u8) -> bool {
    c.is_ascii_uppercase() && !matches!(c, b'I' | b'O')
}

/// Ordinary: E + 8 digits, E + letter (no I, O) + 7, G + 8, 14 or 15 + 7. Public affairs, service, diplomatic: PE, SE or
/// DE + 7, and P, S or D + 7 or 8. Special administrative regions: K or H + 8, KJ or HJ + 7, MA or MB + 7.
fn is_passport(octets: &[u8]) -> bool {
    match octets {
        [b'E' | b'G' | b'K' | b'H', rest @ ..] if rest.len() == 8 && digits(rest) => true,
        [b'E', letter, rest @ ..] if rest.len() == 7 && digits(rest) => serial_letter(*letter),
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

/// C + 8 digits, then C + letter + 7.
fn is_exit_permit(octets: &[u8]) -> bool {
    match octets {
        [b'C', rest @ ..] if rest.len() == 8 && digits(rest) => true,
        [b'C', letter, rest @ ..] => serial_letter(*letter) && rest.len() == 7 && digits(rest),
        _ => false,
    }
}

fn two(octets: &[u8]) -> u8 {
    octets.iter().fold(0, |n, c| n * 10 + (c - b'0'))
}

/// Eight digits `yyyyMMdd`: year, month, day.
fn full_date(octets: &[u8]) -> (u16, u8, u8) {
    (u16::from(two(&octets[..2])) * 100 + u16::from(two(&octets[2..4])), two(&octets[4..6]), two(&octets[6..8]))
}
