//! Personal data as types that cannot be printed: `Debug` shows the type's name only, there is no `Display`, and the
//! text is reachable through one method whose name can be searched for: `expose`.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

macro_rules! unprintable {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// Unprintable; wiped from memory when dropped.
        #[derive(Clone, PartialEq, Eq, Hash, Zeroize, ZeroizeOnDrop)]
        pub struct $name(String);

        impl $name {
            /// Takes text that the documents room has accepted.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text itself, for an encoder or a keyed hash. Never for a log, metric, error or URL (I8).
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

unprintable! {
    /// A document's number in canonical form: upper-case ASCII letters and digits.
    DocumentNumber;
    /// A holder's name as printed on the document, in Unicode NFC.
    PersonalName;
    /// A holder's nationality, ISO 3166-1 alpha-3.
    Nationality;
    /// The caller's own reference for a check. Callers put account numbers there, so it counts as personal data.
    CallerReference;
}

/// A calendar date did not exist or was not written `yyyy-MM-dd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DateError {
    #[error("expected a date written yyyy-MM-dd")]
    Form,
    #[error("no such day in the calendar")]
    NoSuchDay,
}

/// A day of the proleptic Gregorian calendar, years 0001 to 9999. Unprintable, because birth dates are made of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilDate(time::Date);

impl CivilDate {
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, DateError> {
        if year == 0 {
            return Err(DateError::NoSuchDay);
        }
        let month = time::Month::try_from(month).map_err(|_| DateError::NoSuchDay)?;
        time::Date::from_calendar_date(i32::from(year), month, day).map(Self).map_err(|_| DateError::NoSuchDay)
    }

    /// Parses exactly `yyyy-MM-dd` in ASCII digits.
    pub fn parse_iso(text: &str) -> Result<Self, DateError> {
        let octets = text.as_bytes();
        let shape = octets.len() == 10
            && octets.iter().enumerate().all(|(i, c)| if matches!(i, 4 | 7) { *c == b'-' } else { c.is_ascii_digit() });
        if !shape {
            return Err(DateError::Form);
        }
        let number =
            |range: std::ops::Range<usize>| octets[range].iter().fold(0u16, |n, c| n * 10 + u16::from(c - b'0'));
        let small = |n: u16| u8::try_from(n).map_err(|_| DateError::NoSuchDay);
        Self::new(number(0..4), small(number(5..7))?, small(number(8..10))?)
    }

    /// The day written `yyyy-MM-dd`. Wipe it: birth dates are written so.
    pub fn to_iso(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year(), self.month(), self.day())
    }

    /// The instant at which this day begins in Asia/Shanghai (UTC+8, no summer time).
    pub fn start_in_shanghai(self) -> crate::Timestamp {
        let utc = self.0.midnight().assume_utc().unix_timestamp();
        crate::Timestamp::from_unix_millis((utc - 8 * 3600) * 1000)
    }

    pub fn year(self) -> u16 {
        u16::try_from(self.0.year()).unwrap_or(0)
    }

    pub fn month(self) -> u8 {
        self.0.month().into()
    }

    pub fn day(self) -> u8 {
        self.0.day()
    }
}

impl fmt::Debug for CivilDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CivilDate(..)")
    }
}

/// The holder's date of birth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BirthDate(pub CivilDate);

/// The last day on which the document is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExpiryDate(pub CivilDate);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn personal_data_does_not_print() {
        let date = CivilDate::parse_iso("1987-06-05").unwrap();
        let printed = format!(
            "{:?} {:?} {:?} {:?}",
            DocumentNumber::new("E12345678"),
            PersonalName::new("张伟"),
            BirthDate(date),
            CallerReference::new("acct-42")
        );
        for secret in ["E12345678", "张伟", "1987", "acct-42"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }

    #[test]
    fn only_real_days_in_iso_form_are_dates() {
        assert!(CivilDate::parse_iso("2024-02-29").is_ok());
        assert_eq!(CivilDate::parse_iso("2023-02-29"), Err(DateError::NoSuchDay));
        assert_eq!(CivilDate::parse_iso("0000-01-01"), Err(DateError::NoSuchDay));
        for text in ["2023-2-29", "20230229", "2023/02/28", "2023-02-28 ", "２０２３-02-28"] {
            assert_eq!(CivilDate::parse_iso(text), Err(DateError::Form), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn date_parsing_never_panics(text in ".{0,16}") {
            let _ = CivilDate::parse_iso(&text);
        }
    }
}
