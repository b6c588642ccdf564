//! How a profile writes days, nonces and digests.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use yanqian_vocabulary::{CivilDate, Nonce};

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
        fn reading_any_text_as_a_day_never_panics(text: String) {
            let _ = DayForm::Compact.read(&text);
            let _ = DayForm::Dashed.read(&text);
        }
    }
}
