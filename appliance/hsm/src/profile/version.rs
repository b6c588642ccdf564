use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A `CK_VERSION`: major and minor, compared as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Version {
    pub major: u8,
    pub minor: u8,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            // `parse` would take a sign.
            digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        let parsed =
            text.split_once('.').and_then(|(major, minor)| Some(Self { major: number(major)?, minor: number(minor)? }));
        parsed.ok_or_else(|| format!("{text:?} is no version such as \"2.6\", two numbers from 0 to 255"))
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<cryptoki::types::Version> for Version {
    fn from(version: cryptoki::types::Version) -> Self {
        Self { major: version.major(), minor: version.minor() }
    }
}

/// Both ends belong to it; one that is left out sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VersionRange {
    pub min: Option<Version>,
    pub max: Option<Version>,
}
