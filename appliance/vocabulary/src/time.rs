use std::fmt;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

const RFC3339_MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// An instant: UTC milliseconds since 1970-01-01T00:00:00Z, the ledger's unit of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an instant in RFC 3339 with its offset, such as \"2027-01-01T00:00:00+08:00\"")]
pub struct TimestampParseError;

/// An instant lay outside the years 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("time outside the years 1970 to 9999")]
pub struct TimestampRange;

impl Timestamp {
    /// 9999-12-31T23:59:59.999Z.
    const MAX_MILLIS: i64 = 253_402_300_799_999;
    /// The last instant that can be told.
    pub const MAX: Self = Self(Self::MAX_MILLIS);

    /// Instants before 1970 or after 9999 are clamped to those ends.
    pub fn from_unix_millis(millis: i64) -> Self {
        Self(millis.clamp(0, Self::MAX_MILLIS))
    }

    /// Refuses what [`Self::from_unix_millis`] would clamp.
    pub fn try_from_unix_millis(millis: i64) -> Result<Self, TimestampRange> {
        if (0..=Self::MAX_MILLIS).contains(&millis) { Ok(Self(millis)) } else { Err(TimestampRange) }
    }

    /// Reads RFC 3339, whose offset may be any.
    pub fn from_rfc3339(text: &str) -> Result<Self, TimestampParseError> {
        let instant = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimestampParseError)?;
        Self::from_utc(instant).map_err(|_| TimestampParseError)
    }

    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    pub const fn unix_seconds(self) -> i64 {
        self.0 / 1000
    }

    /// `self` moved by `millis`, clamped to the years 1970 to 9999.
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Self::from_unix_millis(self.0.saturating_add(millis))
    }

    /// `self - earlier` in milliseconds; negative when `earlier` is later.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// The same instant for the calendar arithmetic of crate `time`, in UTC.
    pub fn to_utc(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Truncates to milliseconds.
    pub fn from_utc(instant: OffsetDateTime) -> Result<Self, TimestampRange> {
        let millis = instant.unix_timestamp_nanos().div_euclid(1_000_000);
        i64::try_from(millis).map_err(|_| TimestampRange).and_then(Self::try_from_unix_millis)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds: `2026-11-23T10:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_utc().format(RFC3339_MILLIS).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_prints_as_rfc_3339_in_utc() {
        assert_eq!(Timestamp::from_unix_millis(1_700_000_000_123).to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(Timestamp::from_unix_millis(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::from_unix_millis(-1).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn an_instant_is_read_with_its_offset_and_not_without() {
        let read = |text| Timestamp::from_rfc3339(text).map(|instant| instant.to_string());
        assert_eq!(read("2027-01-01T00:00:00+08:00").as_deref(), Ok("2026-12-31T16:00:00.000Z"));
        for text in ["2027-01-01T00:00:00", "2027-01-01", "1969-12-31T23:59:59Z", "2027-02-29T00:00:00Z", ""] {
            assert_eq!(read(text), Err(TimestampParseError), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn utc_conversion_round_trips(millis in 0..=Timestamp::MAX_MILLIS) {
            let instant = Timestamp::from_unix_millis(millis);
            proptest::prop_assert_eq!(Timestamp::from_utc(instant.to_utc()), Ok(instant));
        }
    }
}
