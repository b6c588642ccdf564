use std::fmt;
use std::str::FromStr;

use yanqian_vocabulary::Timestamp;

const DAY_MILLIS: i64 = 86_400_000;
/// Asia/Shanghai is UTC+8 all year.
const SHANGHAI_MILLIS: i64 = 8 * 3_600_000;

/// A day of quotas: days since 1970-01-01 in Asia/Shanghai.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaDay(pub i64);

impl QuotaDay {
    pub fn of(now: Timestamp) -> Self {
        Self((now.unix_millis() + SHANGHAI_MILLIS).div_euclid(DAY_MILLIS))
    }

    /// Milliseconds from `now` to the next day.
    pub fn millis_left(now: Timestamp) -> i64 {
        DAY_MILLIS - (now.unix_millis() + SHANGHAI_MILLIS).rem_euclid(DAY_MILLIS)
    }
}

/// A part of every day in Asia/Shanghai, from a minute up to, and without, another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hours {
    /// Minutes after midnight.
    from: u16,
    /// Minutes after midnight, 1440 at most.
    until: u16,
}

/// A text names no part of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a part of one day, such as `08:00-20:00`; it may end at 24:00")]
pub struct HoursError;

impl Hours {
    pub fn contains(&self, now: Timestamp) -> bool {
        let minute = (now.unix_millis() + SHANGHAI_MILLIS).rem_euclid(DAY_MILLIS) / 60_000;
        (i64::from(self.from)..i64::from(self.until)).contains(&minute)
    }
}

/// `hh:mm` as minutes after midnight.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| -> Option<u16> {
        (digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit())).then(|| digits.parse().ok())?
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    (minute < 60).then_some(hour * 60 + minute)
}

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let (from, until) = text.split_once('-').ok_or(HoursError)?;
        let (from, until) = (minutes(from).ok_or(HoursError)?, minutes(until).ok_or(HoursError)?);
        if from < until && until <= 24 * 60 { Ok(Self { from, until }) } else { Err(HoursError) }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, until } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_rfc3339(text).unwrap()
    }

    #[test]
    fn hours_hold_their_first_minute_and_not_their_last() {
        let hours: Hours = "08:00-20:30".parse().unwrap();
        let holds = |time: &str| hours.contains(at(&format!("2026-11-23T{time}+08:00")));
        assert_eq!(
            ["07:59:59.999", "08:00:00.000", "20:29:59.999", "20:30:00.000"].map(holds),
            [false, true, true, false]
        );
        assert!("00:00-24:00".parse::<Hours>().unwrap().contains(at("2026-11-23T15:59:59.999Z")));
    }

    #[test]
    fn a_quota_day_begins_at_midnight_in_shanghai() {
        let (before, after) = (at("2026-11-23T15:59:59.999Z"), at("2026-11-23T16:00:00.000Z"));
        assert_eq!(QuotaDay::of(before).0 + 1, QuotaDay::of(after).0);
        assert_eq!((QuotaDay::millis_left(before), QuotaDay::millis_left(after)), (1, DAY_MILLIS));
    }

    #[test]
    fn what_is_no_part_of_one_day_is_refused() {
        for text in
            ["", "08:00", "8:00-20:00", "20:00-08:00", "08:00-08:00", "08:60-09:00", "23:00-24:01", "+8:00-09:00"]
        {
            assert_eq!(text.parse::<Hours>(), Err(HoursError), "{text}");
        }
    }
}
