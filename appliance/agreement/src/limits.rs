//! What the file says of how much, from where and when.

use std::str::FromStr;

use toml::Spanned;

use crate::file::{AgreementError, Check};
use crate::model::Quota;
use crate::rate::Rate;

const MAX_RATE: u32 = 1_000_000;

impl Check<'_> {
    /// `key` makes the name of a key as errors show it.
    pub(crate) fn quota(
        &self,
        key: impl Fn(&str) -> String,
        [per_second, burst]: [&Option<Spanned<u32>>; 2],
        per_day: Option<&Spanned<u64>>,
    ) -> Result<Quota, AgreementError> {
        let number = |name: &str, value: &Option<Spanned<u32>>| match value {
            Some(number) if !(1..=MAX_RATE).contains(number.get_ref()) => {
                Err(self.fail(number.span(), key(name), format!("expected a number from 1 to {MAX_RATE}")))
            }
            value => Ok(value.as_ref().map(|number| *number.get_ref())),
        };
        let rate = match (number("checks_per_second", per_second)?, number("burst", burst)?, burst) {
            (Some(per_second), burst, _) => Some(Rate { per_second, burst: burst.unwrap_or(per_second) }),
            (None, _, Some(burst)) => {
                return Err(self.fail(burst.span(), key("burst"), "means nothing without checks_per_second"));
            }
            (None, ..) => None,
        };
        match per_day {
            Some(number) if *number.get_ref() == 0 || i64::try_from(*number.get_ref()).is_err() => {
                Err(self.fail(number.span(), key("checks_per_day"), "expected a number from 1"))
            }
            number => Ok(Quota { per_day: number.map(|number| *number.get_ref()), rate }),
        }
    }

    /// Every text of a list, read. Nothing where there is no list; a list that is there has to say something.
    pub(crate) fn texts<T: FromStr<Err: std::fmt::Display> + PartialEq>(
        &self,
        key: String,
        list: Option<&Spanned<Vec<String>>>,
    ) -> Result<Vec<T>, AgreementError> {
        let Some(list) = list else { return Ok(Vec::new()) };
        if list.get_ref().is_empty() {
            return Err(self.fail(list.span(), key, "must not be empty"));
        }
        let mut read: Vec<T> = Vec::new();
        for text in list.get_ref() {
            let value = match text.parse() {
                Ok(value) => value,
                Err(problem) => return Err(self.fail(list.span(), key, format!("`{text}`: {problem}"))),
            };
            if read.contains(&value) {
                return Err(self.fail(list.span(), key, format!("holds `{text}` twice")));
            }
            read.push(value);
        }
        Ok(read)
    }
}
