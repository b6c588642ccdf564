//! The platform's written times: Asia/Shanghai, which has been UTC+8 without summer time since 1992.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

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

/// `yyyyMMddHHmmssSSS`
pub(super) fn read_compact(text: &str) -> Option<OffsetDateTime> {
    if text.len() != 17 || !text.is_ascii() {
        return None;
    }
    moment(read_compact_date(&text[..8])?, &text[8..10], &text[10..12], &text[12..14], &text[14..])
}

/// `yyyyMMddHHmmssSSS`
pub(super) fn write_compact(at: OffsetDateTime) -> String {
    let at = at.to_offset(shanghai());
    let (month, milli) = (u8::from(at.month()), at.millisecond());
    let (hour, minute, second) = at.to_hms();
    format!("{:04}{month:02}{:02}{hour:02}{minute:02}{second:02}{milli:03}", at.year(), at.day())
}

/// `yyyy-MM-ddTHH:mm:ss.SSS+08:00`
pub(super) fn read_rfc3339(text: &str) -> Option<OffsetDateTime> {
    let inner = text.strip_suffix("+08:00")?;
    if inner.len() != 23 || !inner.is_ascii() {
        return None;
    }
    let separators = [(10, "T"), (13, ":"), (16, ":"), (19, ".")];
    if !separators.iter().all(|(at, separator)| &inner[*at..=*at] == *separator) {
        return None;
    }
    moment(read_dashed_date(&inner[..10])?, &inner[11..13], &inner[14..16], &inner[17..19], &inner[20..])
}

/// `yyyy-MM-ddTHH:mm:ss.SSS+08:00`
pub(super) fn write_rfc3339(at: OffsetDateTime) -> String {
    let at = at.to_offset(shanghai());
    let (month, milli) = (u8::from(at.month()), at.millisecond());
    let (hour, minute, second) = at.to_hms();
    format!("{:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}+08:00", at.year(), at.day())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_are_shanghai_time() {
        let at = OffsetDateTime::from_unix_timestamp(1_795_449_600).unwrap() + time::Duration::milliseconds(7);
        assert_eq!(write_compact(at), "20261124000000007");
        assert_eq!(write_rfc3339(at), "2026-11-24T00:00:00.007+08:00");
    }

    proptest! {
        #[test]
        fn times_are_read_back(milliseconds in 0i64..4_000_000_000_000) {
            let at = OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(milliseconds);
            prop_assert_eq!(read_compact(&write_compact(at)), Some(at));
            prop_assert_eq!(read_rfc3339(&write_rfc3339(at)), Some(at));
        }

        #[test]
        fn no_text_makes_them_panic(text in "\\PC{0,30}|[0-9T:.+-]{8,30}") {
            let _ = (read_compact(&text), read_rfc3339(&text), read_compact_date(&text), read_dashed_date(&text));
        }
    }
}
