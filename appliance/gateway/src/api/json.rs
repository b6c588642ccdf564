//! A strict reader for request bodies: one JSON object, no unknown keys, no duplicate keys, and every error names its
//! field. `serde`'s derived readers detect the same faults but report them as text; callers get a field path instead.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use yanqian_vocabulary::Reason;
use zeroize::Zeroizing;

/// A fault in a request body. `field` is a dotted path such as `document.number`, of known names only: the caller's own
/// unknown keys are never repeated, because they may hold personal data (I8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyFault {
    pub(crate) reason: Reason,
    pub(crate) field: Option<&'static str>,
}

impl BodyFault {
    pub(crate) const fn new(reason: Reason, field: &'static str) -> Self {
        Self { reason, field: Some(field) }
    }
}

/// A text as it stands in the body, or, where escapes had to be resolved, a copy that is wiped when dropped. A portrait's
/// megabyte is borrowed.
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Owned(Zeroizing<String>),
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(..)")
    }
}

/// A JSON value as read.
pub(crate) enum Node<'a> {
    Text(Text<'a>),
    Object(Members<'a>),
    /// Number, boolean, null or array: no field of the API has these types.
    Other,
}

/// Members of one object that are looked at. More than any object of the API has, so that among so many one must be wrong;
/// and few, because a megabyte of keys, each compared with all before it, would take a core for minutes.
const MAX_MEMBERS: usize = 16;

#[derive(Default)]
pub(crate) struct Members<'a> {
    members: Vec<(Zeroizing<String>, Node<'a>)>,
    duplicate: Option<usize>,
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Text::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Text::Owned(Zeroizing::new(text.to_owned()))))
    }

    fn visit_string<E>(self, text: String) -> Result<Node<'de>, E> {
        Ok(Node::Text(Text::Owned(Zeroizing::new(text))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node<'de>, A::Error> {
        while seq.next_element::<Node>()?.is_some() {}
        Ok(Node::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let mut object = Members::default();
        while let Some(key) = map.next_key::<String>()? {
            // What is kept so far holds an unknown key or one twice already; the rest only has to be JSON.
            if object.members.len() == MAX_MEMBERS {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let key = Zeroizing::new(key);
            let earlier = object.members.iter().position(|(name, _)| *name == key);
            object.duplicate = object.duplicate.or(earlier);
            object.members.push((key, map.next_value()?));
        }
        Ok(Node::Object(object))
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

/// Reads one JSON object. Nesting beyond 128 levels, trailing octets and invalid UTF-8 are refused by `serde_json`.
pub(crate) fn read_object(octets: &[u8]) -> Result<Members<'_>, BodyFault> {
    match serde_json::from_slice(octets) {
        Ok(Node::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(BodyFault { reason: Reason::JsonInvalid, field: None }),
    }
}

impl<'a> Members<'a> {
    /// Refuses keys outside `known` and keys that stand twice. `within` is the object's own path, none for the body.
    ///
    /// `known` holds pairs of key and path.
    pub(crate) fn check(
        &self,
        within: Option<&'static str>,
        known: &[(&'static str, &'static str)],
    ) -> Result<(), BodyFault> {
        debug_assert!(known.len() < MAX_MEMBERS, "an object of {MAX_MEMBERS} known members would be cut short");
        let path_of = |key: &str| known.iter().find(|(name, _)| *name == key).map(|(_, path)| *path);
        if self.members.iter().any(|(key, _)| path_of(key).is_none()) {
            return Err(BodyFault { reason: Reason::FieldUnknown, field: within });
        }
        match self.duplicate.and_then(|index| self.members.get(index)) {
            Some((key, _)) => Err(BodyFault { reason: Reason::FieldDuplicate, field: path_of(key) }),
            None => Ok(()),
        }
    }

    fn take(&mut self, key: &str) -> Option<Node<'a>> {
        let index = self.members.iter().position(|(name, _)| name.as_str() == key)?;
        Some(self.members.swap_remove(index).1)
    }

    /// A text member that must be there.
    pub(crate) fn text(&mut self, key: &str, path: &'static str) -> Result<Text<'a>, BodyFault> {
        self.optional_text(key, path)?.ok_or(BodyFault::new(Reason::FieldMissing, path))
    }

    /// A text member that may be absent; `null` is not absent.
    pub(crate) fn optional_text(&mut self, key: &str, path: &'static str) -> Result<Option<Text<'a>>, BodyFault> {
        match self.take(key) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(Node::Object(_) | Node::Other) => Err(BodyFault::new(Reason::FieldType, path)),
        }
    }

    /// An object member that must be there.
    pub(crate) fn object(&mut self, key: &str, path: &'static str) -> Result<Members<'a>, BodyFault> {
        match self.take(key) {
            None => Err(BodyFault::new(Reason::FieldMissing, path)),
            Some(Node::Object(object)) => Ok(object),
            Some(Node::Text(_) | Node::Other) => Err(BodyFault::new(Reason::FieldType, path)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KNOWN: &[(&str, &str)] = &[("a", "x.a"), ("b", "x.b")];

    fn fault(text: &str) -> BodyFault {
        let object = match read_object(text.as_bytes()) {
            Ok(object) => object,
            Err(fault) => return fault,
        };
        object.check(Some("x"), KNOWN).expect_err("must be refused")
    }

    #[test]
    fn unknown_and_duplicate_keys_are_refused_by_name() {
        assert_eq!(fault(r#"{"a":"1","c":"2"}"#), BodyFault::new(Reason::FieldUnknown, "x"));
        assert_eq!(fault(r#"{"a":"1","b":"2","a":"3"}"#), BodyFault::new(Reason::FieldDuplicate, "x.a"));
        assert_eq!(fault("{\"a\":\"1\",\"\\u0061\":\"3\"}"), BodyFault::new(Reason::FieldDuplicate, "x.a"));
    }

    #[test]
    fn an_object_of_many_members_is_refused_as_one_of_few_and_not_kept_whole() {
        let many = |key: &dyn Fn(usize) -> String| {
            let members: Vec<_> = (0..1000).map(|number| format!("\"{}\":\"1\"", key(number))).collect();
            format!("{{{}}}", members.join(","))
        };
        let distinct = many(&|number| format!("k{number}"));
        assert_eq!(read_object(distinct.as_bytes()).unwrap().members.len(), MAX_MEMBERS);
        assert_eq!(fault(&distinct), BodyFault::new(Reason::FieldUnknown, "x"));
        let known = many(&|number| ["a", "b"][number % 2].to_owned());
        assert_eq!(fault(&known), BodyFault::new(Reason::FieldDuplicate, "x.a"));
        let broken = distinct.replace("\"k999\":\"1\"", "\"k999\":tru");
        assert_eq!(fault_of(&broken), Some(Reason::JsonInvalid), "what is not looked at must be JSON all the same");
    }

    #[test]
    fn what_is_not_one_json_object_is_refused() {
        for text in ["", "[]", "\"a\"", "{", "{}x", "{\"a\":1}{}", "{\"a\":\"\\ud800\"}", "nul"] {
            assert_eq!(fault_of(text), Some(Reason::JsonInvalid), "{text}");
        }
        let deep = "[".repeat(4000) + &"]".repeat(4000);
        assert_eq!(fault_of(&format!("{{\"a\":{deep}}}")), Some(Reason::JsonInvalid));
    }

    fn fault_of(text: &str) -> Option<Reason> {
        read_object(text.as_bytes()).err().map(|fault| fault.reason)
    }

    #[test]
    fn a_member_of_another_type_is_refused_by_its_path() {
        for value in ["1", "null", "true", "[]", "{}"] {
            let body = format!("{{\"a\":{value}}}");
            let mut object = read_object(body.as_bytes()).unwrap();
            let error = object.text("a", "x.a").expect_err("not a text");
            assert_eq!(error, BodyFault::new(Reason::FieldType, "x.a"), "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn reading_arbitrary_octets_never_panics(octets: Vec<u8>) {
            if let Ok(mut object) = read_object(&octets) {
                let _ = object.check(None, KNOWN);
                let _ = object.text("a", "x.a");
            }
        }
    }
}
