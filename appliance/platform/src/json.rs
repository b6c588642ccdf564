//! JSON objects as the octets that arrived: member values are substrings of the input, so a signature is verified over
//! what was received and never over what we would have written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of one object in order. Duplicate keys are refused, escapes in keys included.
pub(crate) struct Members<'a>(Vec<(String, &'a RawValue)>);

/// Not one JSON object, or a key twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAnObject;

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
            return Err(serde::de::Error::custom("duplicate key"));
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
    pub(crate) fn parse(octets: &'a [u8]) -> Result<Self, NotAnObject> {
        // `from_slice` checks UTF-8 for the strings it reads; raw values need it for the whole.
        let text = std::str::from_utf8(octets).map_err(|_| NotAnObject)?;
        serde_json::from_str(text).map_err(|_| NotAnObject)
    }

    /// A member's octets exactly as received.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.get())
    }

    /// A member that is a string, unescaped.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.raw(key).and_then(|raw| serde_json::from_str(raw).ok())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A JSON string with quotes and escapes.
pub(crate) fn quote(text: &str) -> String {
    // Strings always serialise.
    serde_json::to_string(text).unwrap_or_default()
}
