//! How a profile writes times, days, nonces and digests.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};
use yanqian_vocabulary::{CivilDate, Nonce, Timestamp};

const COMPACT: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day][hour][minute][second][subsecond digits:3]");
const RFC3339_MILLIS: &[BorrowedFormatItem<'_>] = format_description!(
    "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3][offset_hour sign:mandatory]:[offset_minute]"
);

/// How times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum TimeForm {
    /// 17 digits in the profile's offset.
    #[serde(rename = "yyyyMMddHHmmssSSS")]
    Compact,
    /// RFC 3339 with milliseconds; written in the profile's offset, read in any.
    #[serde(rename = "rfc3339-millis")]
    Rfc3339,
}

impl TimeForm {
    pub(crate) fn write(self, instant: Timestamp, offset: UtcOffset) -> Option<String> {
        let local = instant.to_utc().to_offset(offset);
        let form = match self {
            Self::Compact => COMPACT,
            Self::Rfc3339 => RFC3339_MILLIS,
        };
        local.format(form).ok()
    }

    pub(crate) fn read(self, text: &str, offset: UtcOffset) -> Option<Timestamp> {
        let instant: OffsetDateTime = match self {
            Self::Compact if text.len() == 17 => PrimitiveDateTime::parse(text, COMPACT).ok()?.assume_offset(offset),
            Self::Compact => return None,
            Self::Rfc3339 => OffsetDateTime::parse(text, &Rfc3339).ok()?,
        };
        Timestamp::from_utc(instant).ok()
    }
}

/// How days are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum DayForm {
    #[serde(rename = "yyyyMMdd")]
    Compact,
    #[serde(rename = "yyyy-MM-dd")]
    Dashed,
}

impl DayForm {
    pub(crate) fn write(self, day: CivilDate) -> String {
        let (year, month, day) = (day.year(), day.month(), day.day());
        match self {
            Self::Compact => format!("{year:04}{month:02}{day:02}"),
            Self::Dashed => format!("{year:04}-{month:02}-{day:02}"),
        }
    }

    pub(crate) fn read(self, text: &str) -> Option<CivilDate> {
        match self {
            Self::Dashed => CivilDate::parse_iso(text).ok(),
            Self::Compact if text.len() == 8 && text.is_ascii() => {
                let dashed = zeroize::Zeroizing::new(format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]));
                CivilDate::parse_iso(&dashed).ok()
            }
            Self::Compact => None,
        }
    }
}

/// How 16-octet nonces are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NonceForm {
    Hex,
    Base64url,
}

impl NonceForm {
    pub(crate) fn write(self, nonce: Nonce) -> String {
        match self {
            Self::Hex => nonce.to_string(),
            Self::Base64url => URL_SAFE_NO_PAD.encode(nonce.as_bytes()),
        }
    }
}

/// How 32-octet digests are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DigestForm {
    Hex,
    Base64,
}

impl DigestForm {
    pub(crate) fn write(self, digest: &[u8; 32]) -> String {
        match self {
            Self::Hex => hex::encode(digest),
            Self::Base64 => STANDARD.encode(digest),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_written_in_the_profiles_offset_and_read_back() {
        let offset = UtcOffset::from_hms(8, 0, 0).unwrap();
        let instant = Timestamp::from_unix_millis(1_795_392_000_123);
        assert_eq!(TimeForm::Compact.write(instant, offset).unwrap(), "20261123080000123");
        assert_eq!(TimeForm::Rfc3339.write(instant, offset).unwrap(), "2026-11-23T08:00:00.123+08:00");
        for form in [TimeForm::Compact, TimeForm::Rfc3339] {
            assert_eq!(form.read(&form.write(instant, offset).unwrap(), offset), Some(instant));
        }
    }

    #[test]
    fn days_are_read_back_and_nothing_else_is_a_day() {
        let day = CivilDate::new(1987, 6, 5).unwrap();
        for form in [DayForm::Compact, DayForm::Dashed] {
            assert_eq!(form.read(&form.write(day)), Some(day));
        }
        for text in ["1987-06-05", "1987065", "19870631", "198706050", "１９８７", "+9870605"] {
            assert_eq!(DayForm::Compact.read(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn reading_any_text_as_a_time_or_day_never_panics(text: String) {
            let _ = DayForm::Compact.read(&text);
            let _ = DayForm::Dashed.read(&text);
            let _ = TimeForm::Compact.read(&text, UtcOffset::UTC);
            let _ = TimeForm::Rfc3339.read(&text, UtcOffset::UTC);
        }
    }
}
