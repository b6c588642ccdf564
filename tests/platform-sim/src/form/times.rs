//! The platform's written times: Asia/Shanghai, which has been UTC+8 without summer time since 1992.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use super::quoted;

fn shanghai() -> UtcOffset {
    UtcOffset::from_hms(8, 0, 0).unwrap_or(UtcOffset::UTC)
}

fn number<T: TryFrom<u32>>(text: &str) -> Option<T> {
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    T::try_from(text.parse().ok()?).ok()
}

fn date(year: &str, month: &str, day: &str) -> Option<Date> {
    Date::from_calendar_date(number(year)?, Month::try_from(number::<u8>(month)?).ok()?, number(day)?).ok()
}

fn moment(date: Date, hour: &str, minute: &str, second: &str, milli: &str) -> Option<OffsetDateTime> {
    let time = Time::from_hms_milli(number(hour)?, number(minute)?, number(second)?, number(milli)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_offset(shanghai()))
}

/// `yyyyMMdd`
pub(super) fn read_compact_date(text: &str) -> Option<Date> {
    if text.len() != 8 || !text.is_ascii() {
        return None;
    }
    date(&text[..4], &text[4..6], &text[6..])
}

/// `yyyy-MM-dd`
pub(super) fn read_dashed_date(text: &str) -> Option<Date> {
    if text.len() != 10 || !text.is_ascii() || &text[4..5] != "-" || &text[7..8] != "-" {
        return None;
    }
    date(&text[..4], &text[5..7], &text[8..])
}

/// How a form writes times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// `yyyyMMddHHmmssSSS`
    CompactMillis,
    /// `yyyyMMddHHmmss`
    Compact,
    /// `yyyy-MM-dd HH:mm:ss`
    Dashed,
    /// `yyyy-MM-ddTHH:mm:ss.SSS+08:00`
    Rfc3339Millis,
    /// `yyyy-MM-ddTHH:mm:ss+08:00`
    Rfc3339,
    /// Seconds since 1970, in a text.
    EpochSeconds,
    /// Milliseconds since 1970, as a number.
    EpochMillis,
}

impl Times {
    /// JSON; what the form has no room for is cut off.
    pub(super) fn write(self, at: OffsetDateTime) -> String {
        let at = at.to_offset(shanghai());
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute, second) = at.to_hms();
        let milli = at.millisecond();
        match self {
            Self::CompactMillis => {
                quoted(&format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{milli:03}"))
            }
            Self::Compact => quoted(&format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")),
            Self::Dashed => quoted(&format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")),
            Self::Rfc3339Millis => {
                quoted(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}+08:00"))
            }
            Self::Rfc3339 => quoted(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+08:00")),
            Self::EpochSeconds => quoted(&at.unix_timestamp().to_string()),
            Self::EpochMillis => (at.unix_timestamp() * 1000 + i64::from(milli)).to_string(),
        }
    }

    /// `json`: the member's value as sent.
    pub(super) fn read(self, json: &str) -> Option<OffsetDateTime> {
        if self == Self::EpochMillis {
            let millis: u64 = json.parse().ok()?;
            let at = OffsetDateTime::from_unix_timestamp((millis / 1000).try_into().ok()?).ok()?;
            return at.checked_add(time::Duration::milliseconds((millis % 1000).try_into().ok()?));
        }
        let text: String = serde_json::from_str(json).ok()?;
        let text = text.as_str();
        if !text.is_ascii() {
            return None;
        }
        match (self, text.len()) {
            (Self::CompactMillis, 17) => compact(text, &text[14..]),
            (Self::Compact, 14) => compact(text, "0"),
            (Self::Dashed, 19) if &text[10..11] == " " => spaced(text, "0"),
            (Self::Rfc3339Millis, 29) if &text[10..11] == "T" && &text[19..20] == "." && &text[23..] == "+08:00" => {
                spaced(&text[..19], &text[20..23])
            }
            (Self::Rfc3339, 25) if &text[10..11] == "T" && &text[19..] == "+08:00" => spaced(&text[..19], "0"),
            (Self::EpochSeconds, 1..=10) => OffsetDateTime::from_unix_timestamp(number::<u32>(text)?.into()).ok(),
            _ => None,
        }
    }
}

/// `yyyyMMddHHmmss`
fn compact(text: &str, milli: &str) -> Option<OffsetDateTime> {
    moment(read_compact_date(&text[..8])?, &text[8..10], &text[10..12], &text[12..14], milli)
}

/// `yyyy-MM-dd`, something, `HH:mm:ss`
fn spaced(text: &str, milli: &str) -> Option<OffsetDateTime> {
    if &text[13..14] != ":" || &text[16..17] != ":" {
        return None;
    }
    moment(read_dashed_date(&text[..10])?, &text[11..13], &text[14..16], &text[17..19], milli)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const ALL: [Times; 7] = [
        Times::CompactMillis,
        Times::Compact,
        Times::Dashed,
        Times::Rfc3339Millis,
        Times::Rfc3339,
        Times::EpochSeconds,
        Times::EpochMillis,
    ];

    #[test]
    fn every_form_is_shanghai_time_or_none() {
        let at = OffsetDateTime::from_unix_timestamp(1_795_449_600).unwrap() + time::Duration::milliseconds(7);
        let written: Vec<_> = ALL.iter().map(|times| times.write(at)).collect();
        assert_eq!(
            written,
            [
                "\"20261124000000007\"",
                "\"20261124000000\"",
                "\"2026-11-24 00:00:00\"",
                "\"2026-11-24T00:00:00.007+08:00\"",
                "\"2026-11-24T00:00:00+08:00\"",
                "\"1795449600\"",
                "1795449600007",
            ]
        );
    }

    proptest! {
        #[test]
        fn times_are_read_back(milliseconds in 0i64..4_000_000_000_000) {
            let at = OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(milliseconds);
            for times in ALL {
                let found = times.read(&times.write(at)).unwrap();
                let whole = matches!(times, Times::CompactMillis | Times::Rfc3339Millis | Times::EpochMillis);
                let cut = if whole { 0 } else { i64::from(at.millisecond()) };
                prop_assert_eq!(found + time::Duration::milliseconds(cut), at);
            }
        }

        #[test]
        fn no_text_makes_them_panic(text in "\\PC{0,30}|[0-9T:.+-]{8,30}") {
            for times in ALL {
                let _ = (times.read(&text), times.read(&quoted(&text)));
            }
            let _ = (read_compact_date(&text), read_dashed_date(&text));
        }
    }
}
