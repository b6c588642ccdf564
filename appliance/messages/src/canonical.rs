//! Octets that are signed when a signature stands inside the JSON object that it signs, so that the object's own octets
//! cannot be what it covers.

use serde_json::Value;

use crate::error::MessageError;
use crate::json::Members;

/// How an object becomes the octets that are signed. Two objects with the same octets hold the same members with the same
/// values: what differs is their order, their spelling, and in pairs whether a value is a text or what the text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanonicalForm {
    /// `key=value` of every member, in the order of the keys' octets, joined by `&`. A string stands as its text, any other
    /// value as it is written in the object. `empty`: whether members that are empty strings or null stand there too.
    SortedPairs { empty: bool },
    /// RFC 8785 (JCS).
    Rfc8785,
}

impl CanonicalForm {
    /// Every form, for a reader that is not told which.
    pub const ALL: [Self; 3] = [Self::SortedPairs { empty: true }, Self::SortedPairs { empty: false }, Self::Rfc8785];

    /// The octets for an object without its member `signature`.
    ///
    /// # Errors
    ///
    /// [`MessageError::Json`]; [`MessageError::Ambiguous`] where pairs could be cut in another place: `&` in a key or value, or
    /// `=` in a key.
    pub fn octets(self, object: &[u8], signature: &str) -> Result<Vec<u8>, MessageError> {
        match self {
            Self::SortedPairs { empty } => pairs(&Members::parse(object)?.without(signature), empty),
            Self::Rfc8785 => {
                no_key_twice(object)?;
                let mut value: Value = serde_json::from_slice(object).map_err(|_| MessageError::Json)?;
                value.as_object_mut().ok_or(MessageError::Json)?.remove(signature);
                serde_json_canonicalizer::to_vec(&value).map_err(|_| MessageError::Json)
            }
        }
    }
}

/// At any depth: the canonical form is made from what was understood, so nothing may have been dropped.
fn no_key_twice(octets: &[u8]) -> Result<(), MessageError> {
    let mut open = vec![std::str::from_utf8(octets).map_err(|_| MessageError::Json)?];
    while let Some(text) = open.pop() {
        match text.trim_start().as_bytes().first() {
            Some(b'{') => open.extend(Members::parse(text.as_bytes())?.iter().map(|(_, value)| value)),
            Some(b'[') => {
                let items: Vec<&serde_json::value::RawValue> =
                    serde_json::from_str(text).map_err(|_| MessageError::Json)?;
                open.extend(items.into_iter().map(serde_json::value::RawValue::get));
            }
            _ => {}
        }
    }
    Ok(())
}

fn pairs(members: &Members<'_>, empty: bool) -> Result<Vec<u8>, MessageError> {
    let mut pairs = Vec::with_capacity(members.len());
    for (key, raw) in members.iter() {
        let value = if raw.starts_with('"') {
            serde_json::from_str(raw).map_err(|_| MessageError::Json)?
        } else {
            raw.to_owned()
        };
        if key.contains(['&', '=']) || value.contains('&') {
            return Err(MessageError::Ambiguous);
        }
        if empty || !(value.is_empty() || raw == "null") {
            pairs.push((key, value));
        }
    }
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    Ok(pairs.join("&").into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAIRS: CanonicalForm = CanonicalForm::SortedPairs { empty: false };

    #[test]
    fn pairs_are_sorted_and_joined_and_values_are_as_written() {
        let object = br#"{"b":"2 \u00e9","sign":"x","a":"","Z":1.50,"c":{"y": [1]},"d":null}"#;
        assert_eq!(PAIRS.octets(object, "sign").expect("pairs"), "Z=1.50&b=2 é&c={\"y\": [1]}".as_bytes());
        let all = CanonicalForm::SortedPairs { empty: true }.octets(object, "sign").expect("pairs");
        assert_eq!(all, "Z=1.50&a=&b=2 é&c={\"y\": [1]}&d=null".as_bytes());
    }

    #[test]
    fn what_could_be_cut_elsewhere_is_refused() {
        for object in [r#"{"a":"1&b=2"}"#, r#"{"a&b":"1"}"#, r#"{"a=b":"1"}"#, r#"{"a":["&"]}"#] {
            assert_eq!(PAIRS.octets(object.as_bytes(), "sign"), Err(MessageError::Ambiguous), "{object}");
        }
    }

    /// The object of RFC 8785 §3.2.2 and its canonical form of §3.2.3.
    #[test]
    fn rfc_8785_has_its_own_example() {
        let object = br#"{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"#;
        let canonical = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                         \"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(CanonicalForm::Rfc8785.octets(object, "sign").expect("JSON"), canonical.as_bytes());
    }

    #[test]
    fn a_key_twice_is_refused_at_any_depth() {
        for object in [r#"{"a":1,"a":2}"#, r#"{"b":{"a":1,"\u0061":2}}"#, r#"{"b":[0,[{"a":1,"a":1}]]}"#] {
            assert_eq!(CanonicalForm::Rfc8785.octets(object.as_bytes(), "sign"), Err(MessageError::Json), "{object}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_make_a_form_panic(object in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,60}") {
            for form in CanonicalForm::ALL {
                let _ = form.octets(&object, "sign");
                let _ = form.octets(format!("{{\"a\":{text}}}").as_bytes(), "sign");
            }
        }

        #[test]
        fn other_pairs_have_other_octets(
            one in prop::collection::btree_map("[a-c]{1,2}", "[a-c=]{1,3}", 0..4),
            other in prop::collection::btree_map("[a-c]{1,2}", "[a-c=]{1,3}", 0..4),
        ) {
            let octets = |map: &std::collections::BTreeMap<String, String>| {
                PAIRS.octets(serde_json::to_string(map).expect("a map of strings").as_bytes(), "sign").expect("pairs")
            };
            prop_assert_eq!(octets(&one) == octets(&other), one == other);
        }
    }
}
