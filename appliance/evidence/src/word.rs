//! Texts and octets that a record may hold. There is no way from a request's text into any of them: labels come from
//! the program itself, DER values are checked to be DER, and the two platform texts come from a verified answer.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A text or an encoding that a record cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    #[error("expected 1 to 64 characters of a-z, 0-9, '-', '_', '.', beginning with a letter or digit")]
    Label,
    #[error("expected a version of 1 to 64 characters of A-Z, a-z, 0-9, '.', '-', '+'")]
    Version,
    #[error("expected 1 to 128 printable ASCII characters without spaces")]
    Serial,
    #[error("expected 1 to 255 printable ASCII characters without spaces and '+'")]
    Origin,
    #[error("expected one DER value with nothing after it")]
    Der,
}

const fn is_label(text: &[u8]) -> bool {
    if text.is_empty() || text.len() > 64 || !text[0].is_ascii_alphanumeric() {
        return false;
    }
    let mut at = 0;
    while at < text.len() {
        if !matches!(text[at], b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.') {
            return false;
        }
        at += 1;
    }
    true
}

/// A name that the program gives to a step, a cause or a field of its API. Never text from a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Cow<'static, str>);

impl Label {
    /// # Panics
    /// On a name that is not 1 to 64 characters of `a-z 0-9 - _ .`; at compile time when used in a constant.
    pub const fn new(name: &'static str) -> Self {
        assert!(is_label(name.as_bytes()), "a label is 1 to 64 characters of a-z, 0-9, '-', '_', '.'");
        Self(Cow::Borrowed(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of a name that the configuration or another program of ours gives; never of text from a request.
    pub fn of_name(name: &str) -> Result<Self, WordError> {
        Self::decoded(name)
    }

    /// Only a decoder makes labels from foreign text.
    pub(crate) fn decoded(text: &str) -> Result<Self, WordError> {
        if is_label(text.as_bytes()) { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(WordError::Label) }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident, $error:ident, $max:literal, $allowed:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Result<Self, WordError> {
                let text = text.into();
                let allowed: fn(u8) -> bool = $allowed;
                let well_formed = (1..=$max).contains(&text.len()) && text.bytes().all(allowed);
                if well_formed { Ok(Self(text)) } else { Err(WordError::$error) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = WordError;

            fn from_str(text: &str) -> Result<Self, WordError> {
                Self::new(text)
            }
        }
    )*};
}

texts! {
    /// Version of the software that wrote a record: 1 to 64 characters of `A-Z a-z 0-9 . - +`.
    SoftwareVersion, Version, 64, |c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'+');
    /// The platform's own serial for a check, from a verified answer: 1 to 128 printable ASCII characters.
    PlatformSerial, Serial, 128, |c| c.is_ascii_graphic();
    /// The name of a ledger in checkpoints and receipts; each node has its own. 1 to 255 printable ASCII characters
    /// without `+` (the rule for key names in signed notes).
    Origin, Origin, 255, |c| c.is_ascii_graphic() && c != b'+';
}

/// One DER value: tag, definite minimal length, and exactly that many octets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Der(Vec<u8>);

impl Der {
    pub fn new(octets: impl Into<Vec<u8>>) -> Result<Self, WordError> {
        let octets = octets.into();
        if is_one_der_value(&octets) { Ok(Self(octets)) } else { Err(WordError::Der) }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Der {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Der({} octets)", self.0.len())
    }
}

/// Outer tag and length only: what is inside is for the reader of that structure.
fn is_one_der_value(octets: &[u8]) -> bool {
    let Some((&tag, rest)) = octets.split_first() else { return false };
    if tag & 0x1f == 0x1f {
        return false; // no structure in a record has a tag number above 30
    }
    let Some((&first, rest)) = rest.split_first() else { return false };
    if first < 0x80 {
        return rest.len() == usize::from(first);
    }
    let count = usize::from(first & 0x7f);
    if !(1..=4).contains(&count) || rest.len() < count {
        return false;
    }
    let (digits, content) = rest.split_at(count);
    let length = digits.iter().fold(0u64, |n, digit| n << 8 | u64::from(*digit));
    let minimal = digits[0] != 0 && length >= 0x80;
    minimal && u64::try_from(content.len()) == Ok(length)
}

/// Octets kept exactly as they were received. Printed only as their count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Octets(Vec<u8>);

impl Octets {
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        Self(octets.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Octets({} octets)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_whole_der_value_is_der() {
        let long = |length: &[u8], content: usize| [&[0x30][..], length, &vec![0; content]].concat();
        for good in [vec![0x30, 0], vec![0x31, 2, 1, 2], long(&[0x81, 0x80], 128), long(&[0x82, 1, 0], 256)] {
            assert!(Der::new(good.clone()).is_ok(), "{good:02x?}");
        }
        let bad = [
            vec![],
            vec![0x30],
            vec![0x30, 1],
            vec![0x30, 0, 0],
            vec![0x30, 0x80, 0, 0],
            long(&[0x81, 0x7f], 127),
            long(&[0x82, 0, 0x80], 128),
            vec![0x1f, 0x20, 0],
            vec![0x30, 0x85, 0, 0, 0, 0, 0],
            vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        ];
        for bad in bad {
            assert_eq!(Der::new(bad.clone()), Err(WordError::Der), "{bad:02x?}");
        }
    }

    #[test]
    fn labels_and_texts_hold_only_their_alphabets() {
        assert_eq!(Label::decoded("crl"), Ok(Label::new("crl")));
        for bad in ["", "A", "a b", "-a", "张", &"a".repeat(65)] {
            assert_eq!(Label::decoded(bad), Err(WordError::Label), "{bad}");
        }
        assert!(SoftwareVersion::new("0.1.0-rc.1+g991d82d").is_ok());
        assert_eq!(SoftwareVersion::new("0.1 beta"), Err(WordError::Version));
        assert_eq!(PlatformSerial::new("serial 1"), Err(WordError::Serial));
        assert_eq!(Origin::new("a+b"), Err(WordError::Origin));
    }
}
