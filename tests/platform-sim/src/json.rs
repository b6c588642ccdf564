//! Reading a JSON object member by member with the octets of every value as they were sent, and no member twice.

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::Refusal;

/// The members of one object; values are slices of the input.
#[derive(Debug)]
pub(crate) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &'de RawValue)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("member twice"));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl<'a> Members<'a> {
    /// Parses `input`, which must be one object with exactly these members (`optional` ones may be missing).
    pub(crate) fn parse(
        input: &'a [u8],
        required: &[&str],
        optional: &[&str],
        refusal: Refusal,
    ) -> Result<Self, Refusal> {
        let members: Self = serde_json::from_slice(input).map_err(|_| refusal)?;
        let known = |name: &str| required.contains(&name) || optional.contains(&name);
        let complete = required.iter().all(|name| members.raw(name).is_some());
        if complete && members.0.iter().all(|(name, _)| known(name)) { Ok(members) } else { Err(refusal) }
    }

    /// The octets of a member's value exactly as sent.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.get())
    }

    /// A string member.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.raw(name)?).ok()
    }
}
