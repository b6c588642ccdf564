use std::fmt;

use yanqian_vocabulary::{
    BirthDate, CivilDate, DocumentClaim, DocumentNumber, DocumentType, ExpiryDate, Field, Nationality, PersonalName,
    Reason, Timestamp,
};
use zeroize::Zeroizing;

use crate::countries;
use crate::name::is_name;
use crate::number::{self, Carried, Fault};

/// A document as the request states it. Borrowed; nothing of it is kept on refusal.
#[derive(Clone, Copy)]
pub struct RawDocument<'a> {
    pub document_type: DocumentType,
    /// Upper-case ASCII, as printed in the machine-readable zone; other spellings are refused, never guessed.
    pub number: &'a str,
    pub name: &'a str,
    /// `yyyy-MM-dd`
    pub birth_date: &'a str,
    /// ISO 3166-1 alpha-3
    pub nationality: Option<&'a str>,
    /// `yyyy-MM-dd`, the last day of validity
    pub expiry: Option<&'a str>,
}

impl fmt::Debug for RawDocument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawDocument({}, ..)", self.document_type)
    }
}

/// A field was refused. Says which and by what rule, never what it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}: {rule}")]
pub struct DocumentError {
    pub field: Field,
    pub reason: Reason,
    /// The rule that does not hold, in a sentence.
    pub rule: &'static str,
}

impl DocumentError {
    const fn new(field: Field, reason: Reason, rule: &'static str) -> Self {
        Self { field, reason, rule }
    }

    fn number(Fault { reason, rule }: Fault) -> Self {
        Self::new(Field::Number, reason, rule)
    }
}

const NAME: DocumentError = DocumentError::new(
    Field::Name,
    Reason::NameMalformed,
    "Expected 1 to 64 characters in Unicode NFC: Han or Latin letters, between them single spaces, hyphens, apostrophes, full stops, \
     commas and middle dots.",
);
const BIRTH_DATE: DocumentError = DocumentError::new(
    Field::BirthDate,
    Reason::BirthDateInvalid,
    "Expected a day from 1900-01-01 to today in Asia/Shanghai, written yyyy-MM-dd.",
);
const BIRTH_DATE_IN_NUMBER: DocumentError = DocumentError::new(
    Field::BirthDate,
    Reason::BirthDateContradictsNumber,
    "The number carries another date of birth.",
);
const NATIONALITY: DocumentError = DocumentError::new(
    Field::Nationality,
    Reason::NationalityUnknown,
    "Expected an ISO 3166-1 alpha-3 code in upper case.",
);
const NATIONALITY_IN_NUMBER: DocumentError = DocumentError::new(
    Field::Nationality,
    Reason::NationalityContradictsNumber,
    "The number, or the document's kind, carries another nationality.",
);
const EXPIRY: DocumentError = DocumentError::new(
    Field::Expiry,
    Reason::ExpiryInvalid,
    "Expected a day after the birth date, written yyyy-MM-dd.",
);

/// Judges every field; the first fault in the order number, name, birth date, nationality, expiry is told.
pub fn validate(raw: &RawDocument<'_>, now: Timestamp) -> Result<DocumentClaim, DocumentError> {
    let carried = number::judge(raw.document_type, raw.number, now).map_err(DocumentError::number)?;
    check_name(raw.name)?;
    let birth_date = birth_date(raw.birth_date, now)?;
    agree(&carried, birth_date)?;
    let nationality = raw.nationality.map(|code| nationality(code, &carried)).transpose()?;
    let expiry = raw.expiry.map(|text| expiry(text, birth_date)).transpose()?;
    Ok(DocumentClaim {
        document_type: raw.document_type,
        number: DocumentNumber::new(raw.number),
        name: PersonalName::new(raw.name),
        birth_date: BirthDate(birth_date),
        nationality,
        expiry,
    })
}

/// Today in Asia/Shanghai, where documents are issued: UTC+8 without summer time.
pub(crate) fn today(now: Timestamp) -> (u16, u8, u8) {
    let local = now.plus_millis(8 * 3_600_000).to_utc();
    (u16::try_from(local.year()).unwrap_or(0), local.month().into(), local.day())
}

fn ordinal(date: CivilDate) -> (u16, u8, u8) {
    (date.year(), date.month(), date.day())
}

pub(crate) fn check_name(name: &str) -> Result<(), DocumentError> {
    if is_name(name) { Ok(()) } else { Err(NAME) }
}

pub(crate) fn birth_date(text: &str, now: Timestamp) -> Result<CivilDate, DocumentError> {
    CivilDate::parse_iso(text).ok().filter(|date| date.year() >= 1900 && ordinal(*date) <= today(now)).ok_or(BIRTH_DATE)
}

/// As [`birth_date`] and [`expiry`] do, without the other field.
pub(crate) fn any_expiry(text: &str) -> Result<CivilDate, DocumentError> {
    CivilDate::parse_iso(text).map_err(|_| EXPIRY)
}

fn agree(carried: &Carried, stated: CivilDate) -> Result<(), DocumentError> {
    let agrees = match carried.birth {
        None => true,
        Some((None, month, day)) => (month, day) == (stated.month(), stated.day()),
        Some((Some(year), month, day)) => (year, month, day) == ordinal(stated),
    };
    let year_agrees = carried.birth_year_in_century.is_none_or(|year| u16::from(year) == stated.year() % 100);
    if agrees && year_agrees { Ok(()) } else { Err(BIRTH_DATE_IN_NUMBER) }
}

fn nationality(code: &str, carried: &Carried) -> Result<Nationality, DocumentError> {
    let known = country(code)?;
    let agrees = carried.nationality_alpha3.as_ref().is_none_or(|alpha3| alpha3.as_str() == known.alpha3)
        && carried.nationality_numeric.is_none_or(|numeric| numeric == known.numeric);
    if agrees { Ok(Nationality::new(code)) } else { Err(NATIONALITY_IN_NUMBER) }
}

pub(crate) fn country(code: &str) -> Result<&'static countries::Country, DocumentError> {
    countries::by_alpha3(code).ok_or(NATIONALITY)
}

fn expiry(text: &str, birth: CivilDate) -> Result<ExpiryDate, DocumentError> {
    CivilDate::parse_iso(text).ok().filter(|date| ordinal(*date) > ordinal(birth)).map(ExpiryDate).ok_or(EXPIRY)
}

/// Judges a number alone, as somebody types who looks for its records.
pub fn read_number(document_type: DocumentType, number: &str, now: Timestamp) -> Result<DocumentNumber, DocumentError> {
    let judged = number::judge(document_type, number, now);
    judged.map(|_| DocumentNumber::new(number)).map_err(DocumentError::number)
}

/// The number that stays with the holder: a permit's number without its re-issue digits, any other number as it is.
/// Search tags are made over it, so that old and new forms of one permit are found together.
pub fn lifetime_number(document_type: DocumentType, number: &DocumentNumber) -> Zeroizing<String> {
    let number = number.expose();
    let length = match (document_type, number.len()) {
        (DocumentType::HongKongMacaoPermit, 11) => 9,
        (DocumentType::TaiwanPermit, 10) => 8,
        (_, length) => length,
    };
    Zeroizing::new(number.get(..length).unwrap_or(number).to_owned())
}
