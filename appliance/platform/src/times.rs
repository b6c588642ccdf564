//! How a profile writes instants, and which moments a written one stands for.

use serde::Deserialize;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};
use yanqian_vocabulary::Timestamp;

use crate::json::quote;

type Format = [BorrowedFormatItem<'static>];

const COMPACT_MILLIS: &Format = format_description!("[year][month][day][hour][minute][second][subsecond digits:3]");
const COMPACT: &Format = format_description!("[year][month][day][hour][minute][second]");
const DASHED: &Format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
const RFC3339_MILLIS: &Format = format_description!(
    "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3][offset_hour sign:mandatory]:[offset_minute]"
);
const RFC3339: &Format =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory]:[offset_minute]");

/// The words of a profile for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum TimeForm {
    /// 17 digits in the profile's zone.
    #[serde(rename = "yyyyMMddHHmmssSSS")]
    CompactMillis,
    /// 14 digits in the profile's zone.
    #[serde(rename = "yyyyMMddHHmmss")]
    Compact,
    /// 19 characters in the profile's zone.
    #[serde(rename = "yyyy-MM-dd HH:mm:ss")]
    Dashed,
    /// RFC 3339 with milliseconds; written in the profile's zone, read in any and with any fraction.
    #[serde(rename = "rfc3339-millis")]
    Rfc3339Millis,
    /// RFC 3339 with whole seconds; written in the profile's zone, read in any and with any fraction.
    #[serde(rename = "rfc3339")]
    Rfc3339,
    /// Whole seconds since 1970-01-01T00:00:00Z, decimal.
    #[serde(rename = "epoch-seconds")]
    EpochSeconds,
    /// Milliseconds since 1970-01-01T00:00:00Z, decimal.
    #[serde(rename = "epoch-millis")]
    EpochMillis,
}

/// How a time stands in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TimeAs {
    #[default]
    Text,
    Number,
}

/// A profile's times: the form, the zone that it needs, and how they stand in JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) form: TimeForm,
    pub(crate) offset: UtcOffset,
    pub(crate) written_as: TimeAs,
}

/// A time as somebody wrote it. One of whole seconds stands for each moment of its second: whoever writes it has dropped what
/// came after the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenTime {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

impl WrittenTime {
    /// Whether it stands for a moment at most so long before or after `now`.
    pub(crate) fn is_within(self, millis: i64, now: Timestamp) -> bool {
        self.last.millis_since(now) >= -millis && self.first.millis_since(now) <= millis
    }
}

impl TimeForm {
    /// Whether a text of this form leaves its zone open or is written in one.
    pub(crate) const fn has_zone(self) -> bool {
        !matches!(self, Self::EpochSeconds | Self::EpochMillis)
    }

    /// Milliseconds after the written one for which a time of this form still stands.
    pub(crate) const fn span_millis(self) -> i64 {
        match self {
            Self::CompactMillis | Self::Rfc3339Millis | Self::EpochMillis => 0,
            Self::Compact | Self::Dashed | Self::Rfc3339 | Self::EpochSeconds => 999,
        }
    }
}

impl Times {
    /// JSON.
    pub(crate) fn write(self, instant: Timestamp) -> Option<String> {
        let local = instant.to_utc().to_offset(self.offset);
        let text = match self.form {
            TimeForm::CompactMillis => local.format(COMPACT_MILLIS).ok()?,
            TimeForm::Compact => local.format(COMPACT).ok()?,
            TimeForm::Dashed => local.format(DASHED).ok()?,
            TimeForm::Rfc3339Millis => local.format(RFC3339_MILLIS).ok()?,
            TimeForm::Rfc3339 => local.format(RFC3339).ok()?,
            TimeForm::EpochSeconds => instant.unix_seconds().to_string(),
            TimeForm::EpochMillis => instant.unix_millis().to_string(),
        };
        Some(if self.written_as == TimeAs::Number { text } else { quote(&text) })
    }

    /// `json`: the member's value as it stands in the object.
    pub(crate) fn read(self, json: &str) -> Option<WrittenTime> {
        match self.written_as {
            TimeAs::Number => self.read_text(json),
            TimeAs::Text => self.read_text(&serde_json::from_str::<String>(json).ok()?),
        }
    }

    fn read_text(self, text: &str) -> Option<WrittenTime> {
        let local = |length: usize, format: &Format| {
            let parsed = if text.len() == length { PrimitiveDateTime::parse(text, format).ok() } else { None };
            Timestamp::from_utc(parsed?.assume_offset(self.offset)).ok()
        };
        let first = match self.form {
            TimeForm::CompactMillis => local(17, COMPACT_MILLIS)?,
            TimeForm::Compact => local(14, COMPACT)?,
            TimeForm::Dashed => local(19, DASHED)?,
            TimeForm::Rfc3339Millis | TimeForm::Rfc3339 => {
                Timestamp::from_utc(OffsetDateTime::parse(text, &Rfc3339).ok()?).ok()?
            }
            TimeForm::EpochSeconds => Timestamp::try_from_unix_millis(decimal(text)?.checked_mul(1000)?).ok()?,
            TimeForm::EpochMillis => Timestamp::try_from_unix_millis(decimal(text)?).ok()?,
        };
        let span = match self.form {
            TimeForm::Rfc3339Millis | TimeForm::Rfc3339 => span_of_rfc3339(text),
            form => form.span_millis(),
        };
        Some(WrittenTime { first, last: first.plus_millis(span) })
    }
}

/// One number has one text: digits, and no zero before others.
fn decimal(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    if digits && (text == "0" || !text.starts_with('0')) { text.parse().ok() } else { None }
}

/// What the digits after the point leave open.
fn span_of_rfc3339(text: &str) -> i64 {
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    match fraction.bytes().take_while(u8::is_ascii_digit).count() {
        0 => 999,
        1 => 99,
        2 => 9,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ALL: [(TimeForm, &str); 7] = [
        (TimeForm::CompactMillis, "20261123080000123"),
        (TimeForm::Compact, "20261123080000"),
        (TimeForm::Dashed, "2026-11-23 08:00:00"),
        (TimeForm::Rfc3339Millis, "2026-11-23T08:00:00.123+08:00"),
        (TimeForm::Rfc3339, "2026-11-23T08:00:00+08:00"),
        (TimeForm::EpochSeconds, "1795392000"),
        (TimeForm::EpochMillis, "1795392000123"),
    ];
    const INSTANT: i64 = 1_795_392_000_123;

    fn times(form: TimeForm) -> Times {
        Times { form, offset: UtcOffset::from_hms(8, 0, 0).unwrap(), written_as: TimeAs::Text }
    }

    fn read(form: TimeForm, text: &str) -> Option<WrittenTime> {
        times(form).read(&quote(text))
    }

    #[test]
    fn times_are_written_in_the_profiles_zone_and_stand_for_what_was_written() {
        let instant = Timestamp::from_unix_millis(INSTANT);
        for (form, text) in ALL {
            assert_eq!(times(form).write(instant).unwrap(), quote(text));
            let told = read(form, text).unwrap();
            assert!(told.first <= instant && instant <= told.last, "{form:?}: {told:?}");
            assert_eq!(told.last.millis_since(told.first), form.span_millis(), "{form:?}");
        }
        let millis = Timestamp::from_unix_millis(INSTANT);
        assert_eq!(read(TimeForm::EpochMillis, "1795392000123").unwrap().first, millis);
        assert_eq!(read(TimeForm::Compact, "20261123080000").unwrap().first, millis.plus_millis(-123));
    }

    #[test]
    fn a_time_of_whole_seconds_is_fresh_while_any_moment_of_its_second_is() {
        let now = Timestamp::from_unix_millis(INSTANT);
        let second = |millis: i64| {
            let first = Timestamp::from_unix_millis(millis);
            WrittenTime { first, last: first.plus_millis(999) }
        };
        let window = 300_000;
        // The second's last moment is the window's first one, and then one before it.
        assert!(second(INSTANT - window - 999).is_within(window, now));
        assert!(!second(INSTANT - window - 1000).is_within(window, now));
        // The second's first moment is the window's last one, and then one after it.
        assert!(second(INSTANT + window).is_within(window, now));
        assert!(!second(INSTANT + window + 1).is_within(window, now));
        let moment = |millis| WrittenTime { first: second(millis).first, last: second(millis).first };
        assert!(moment(INSTANT - window).is_within(window, now) && moment(INSTANT + window).is_within(window, now));
        assert!(!moment(INSTANT - window - 1).is_within(window, now));
        assert!(!moment(INSTANT + window + 1).is_within(window, now));
    }

    #[test]
    fn a_fraction_says_how_much_of_its_second_is_meant() {
        for (text, span) in [
            ("2026-11-23T08:00:00Z", 999),
            ("2026-11-23T08:00:00.1Z", 99),
            ("2026-11-23T08:00:00.12+08:00", 9),
            ("2026-11-23T08:00:00.123+08:00", 0),
            ("2026-11-23T08:00:00.123456789-01:00", 0),
        ] {
            for form in [TimeForm::Rfc3339, TimeForm::Rfc3339Millis] {
                let told = read(form, text).unwrap();
                assert_eq!(told.last.millis_since(told.first), span, "{text}");
            }
        }
    }

    #[test]
    fn a_number_is_read_where_numbers_are_declared_and_a_text_where_texts_are() {
        for form in [TimeForm::EpochSeconds, TimeForm::EpochMillis] {
            let as_number = Times { written_as: TimeAs::Number, ..times(form) };
            let instant = Timestamp::from_unix_millis(INSTANT);
            let (number, text) = (as_number.write(instant).unwrap(), times(form).write(instant).unwrap());
            assert_eq!(quote(&number), text);
            assert!(as_number.read(&number).is_some() && times(form).read(&text).is_some());
            assert!(as_number.read(&text).is_none() && times(form).read(&number).is_none());
            for other in ["1.7e9", "1795392000.0", "-1795392000", "null", "true", ""] {
                assert!(as_number.read(other).is_none(), "{other}");
            }
        }
    }

    #[test]
    fn nothing_but_the_form_is_a_time() {
        for (form, good) in ALL {
            for (other, text) in ALL {
                let alike = [TimeForm::Rfc3339, TimeForm::Rfc3339Millis];
                let digits = |form| matches!(form, TimeForm::EpochSeconds | TimeForm::EpochMillis);
                if form != other && !(alike.contains(&form) && alike.contains(&other)) && !digits(form) {
                    assert!(read(form, text).is_none(), "{form:?} from {text}");
                }
            }
            let shorter = &good[..good.len() - 1];
            let wide: String = good.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c)).collect();
            let spoilt = [format!("{good} "), format!(" {good}"), format!("+{good}"), format!("-{shorter}"), wide];
            for text in spoilt.iter().map(String::as_str).chain(["", "just now"]) {
                assert!(read(form, text).is_none(), "{form:?} from {text:?}");
            }
        }
        for text in ["20261131000000", "20260023080000", "20261123240000", "20261123086000", "20261123080061"] {
            assert!(read(TimeForm::Compact, text).is_none(), "{text}");
        }
        for text in ["2026-11-23T08:00:00", "2026/11/23 08:00:00", "2026-11-23 8:00:00 ", "2026-11-23  8:00:00"] {
            assert!(read(TimeForm::Dashed, text).is_none(), "{text}");
        }
        for text in ["01795392000", "1 795392000", "0x6b03", "9223372036854775807", "99999999999999999999"] {
            assert!(read(TimeForm::EpochSeconds, text).is_none(), "{text}");
        }
        // Milliseconds where seconds are due are a day far beyond the calendar.
        assert!(read(TimeForm::EpochSeconds, "1795392000123").is_none());
    }

    proptest::proptest! {
        #[test]
        fn reading_any_text_as_a_time_never_panics(text: String) {
            for (form, _) in ALL {
                let _ = times(form).read(&text);
                let _ = read(form, &text);
                let _ = Times { written_as: TimeAs::Number, ..times(form) }.read(&text);
            }
        }
    }
}
