//! JSON objects as the octets that are there: a signature covers a member's octets, so they are never written again.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of one object in order. A key twice is refused, escapes in keys included.
pub(crate) struct Members<'a>(Vec<(String, &'a RawValue)>);

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
    /// `None` when the octets are not one JSON object, or hold a key twice.
    pub(crate) fn parse(octets: &'a [u8]) -> Option<Self> {
        serde_json::from_str(std::str::from_utf8(octets).ok()?).ok()
    }

    /// Every value as it stands there.
    pub(crate) fn values(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(_, value)| value.get())
    }

    /// Every value that is a string, unescaped.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.values().filter_map(|value| serde_json::from_str(value).ok()).collect()
    }
}
