use std::fmt;
use std::str::FromStr;

use crate::Timestamp;

/// An id in configuration or a request was not well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("expected 1 to 64 characters of a-z, 0-9, '-', '_', '.', beginning with a letter or digit")]
    Word,
    #[error("expected a UUID of version 7 in lowercase with hyphens")]
    Uuid,
}

fn check_word(text: &str) -> Result<(), IdError> {
    let well_formed = (1..=64).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_' | b'.'));
    if well_formed { Ok(()) } else { Err(IdError::Word) }
}

macro_rules! word_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// 1 to 64 characters of `a-z 0-9 - _ .`, beginning with a letter or digit.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check_word(&text).map(|()| Self(text))
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
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

word_ids! {
    /// The using entity: the legal person that holds the agreement (Measures art. 3).
    EntityId;
    /// One appliance of an entity; ledgers are per node.
    NodeId;
    /// A platform that checks are sent to.
    PlatformId;
    /// An internal system, as the agreement names it.
    CallerId;
    /// A purpose of use within the agreed scope of business (Measures art. 9(1)).
    PurposeCode;
    /// The rule of the agreement that decided.
    RuleId;
}

/// Names one verification: UUID version 7 (RFC 9562 §5.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerificationId(uuid::Uuid);

impl VerificationId {
    /// `now` gives the leading 48 bits; `random` the other 74, of which six bits are overwritten by version and variant.
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.unix_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The moment that its leading 48 bits name.
    pub fn made(&self) -> Timestamp {
        let millis = self.0.as_bytes()[..6].iter().fold(0, |millis, octet| millis << 8 | i64::from(*octet));
        Timestamp::from_unix_millis(millis)
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Refuses anything that is not version 7.
    pub fn from_bytes(octets: [u8; 16]) -> Result<Self, IdError> {
        let id = uuid::Uuid::from_bytes(octets);
        if id.get_version_num() == 7 { Ok(Self(id)) } else { Err(IdError::Uuid) }
    }
}

impl fmt::Display for VerificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for VerificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerificationId({self})")
    }
}

impl FromStr for VerificationId {
    type Err = IdError;

    /// Only the canonical text is an id: 36 lowercase characters.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let id = uuid::Uuid::try_parse(text).map_err(|_| IdError::Uuid)?;
        let id = Self::from_bytes(id.into_bytes())?;
        if id.to_string() == text { Ok(id) } else { Err(IdError::Uuid) }
    }
}

/// A request's 128-bit nonce: made fresh for each request, echoed by the answer, accepted once (I3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce([u8; 16]);

impl Nonce {
    pub const fn new(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_verification_id_carries_its_time_and_is_version_7() {
        let id = VerificationId::new(Timestamp::from_unix_millis(0x0123_4567_89ab), [0xff; 10]);
        assert_eq!(id.to_string(), "01234567-89ab-7fff-bfff-ffffffffffff");
        assert_eq!(id.to_string().parse::<VerificationId>().unwrap(), id);
    }

    #[test]
    fn other_uuids_and_other_spellings_are_not_verification_ids() {
        for text in [
            "01234567-89ab-4fff-bfff-ffffffffffff",
            "01234567-89AB-7fff-bfff-ffffffffffff",
            "0123456789ab7fffbfffffffffffffff",
            "{01234567-89ab-7fff-bfff-ffffffffffff}",
            "",
        ] {
            assert_eq!(text.parse::<VerificationId>(), Err(IdError::Uuid), "{text}");
        }
    }

    #[test]
    fn words_refuse_what_a_path_or_a_label_could_misread() {
        for text in ["", "-a", "A", "a b", "a/b", "é", "a\n", &"a".repeat(65)] {
            assert_eq!(CallerId::new(text), Err(IdError::Word), "{text:?}");
        }
        assert!(CallerId::new("core-banking.v2").is_ok());
    }
}
