//! JSON objects as the octets that are there. A signature covers octets, so member values are substrings of the input and are
//! never written again before it is verified.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::MessageError;

/// The members of one object, in order. No key stands there twice, escapes in keys included.
#[derive(Debug, Clone)]
pub struct Members<'a>(Vec<(String, &'a RawValue)>);

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members: Vec<(String, &'de RawValue)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
            members.push((key, value));
        }
        // Sorted, not each against all: the peer decides how many there are.
        let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::custom("a key twice"));
        }
        Ok(Members(members))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

impl<'a> Members<'a> {
    /// Fails when the octets are not one JSON object (RFC 8259) in UTF-8, or hold a key twice.
    pub fn parse(octets: &'a [u8]) -> Result<Self, MessageError> {
        // `from_slice` checks UTF-8 for the strings it reads; raw values need it for the whole.
        let text = std::str::from_utf8(octets).map_err(|_| MessageError::Json)?;
        serde_json::from_str(text).map_err(|_| MessageError::Json)
    }

    /// A member's octets exactly as received.
    pub fn raw(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.get())
    }

    /// A member that is a string, unescaped.
    pub fn text(&self, key: &str) -> Option<String> {
        self.raw(key).and_then(|raw| serde_json::from_str(raw).ok())
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// Keys with their values as they stand there.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.get()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The others: all but the member of this name.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.0.retain(|(name, _)| name != key);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_as_received_and_a_key_twice_is_refused() {
        let members = Members::parse(br#" {"a" : {"x": 1.50 } ,"b":"\u0041"} "#).expect("an object");
        assert_eq!(members.raw("a"), Some(r#"{"x": 1.50 }"#));
        assert_eq!((members.text("b").as_deref(), members.text("a"), members.len()), (Some("A"), None, 2));
        assert_eq!(members.without("a").keys().collect::<Vec<_>>(), ["b"]);
        for bad in [&br#"{"a":1,"\u0061":2}"#[..], b"[]", b"{}{}", b"{\"a\":\"\xff\"}", b""] {
            assert_eq!(Members::parse(bad).err(), Some(MessageError::Json), "{bad:?}");
        }
    }
}
