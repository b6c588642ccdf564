//! A receipt as JSON. Order of members and white space are free, so that a receipt may live in any JSON store; everything
//! else has one spelling.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use yanqian_vocabulary::{ContentDigest, VerificationId};

use super::anchor::WireAnchor;
use super::{Entry, MAX_RECEIPT, Receipt, ReceiptError, State, ders};
use crate::hash::LeafHash;
use crate::word::Der;

/// The members in the order in which they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u64,
    state: String,
    verification: String,
    records: Vec<String>,
    leaf_hashes: Vec<String>,
    certificates: Vec<String>,
    revocation: Vec<String>,
    #[serde(deserialize_with = "present")]
    salt: Option<String>,
    #[serde(deserialize_with = "present")]
    anchor: Option<Object<WireAnchor>>,
}

/// What stands as a JSON object; a derived struct would be read from an array as well.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// As any option, except that the member must be there.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

pub(super) fn hash(text: &str, name: &'static str) -> Result<[u8; 32], ReceiptError> {
    text.parse::<ContentDigest>().map(|digest| *digest.as_bytes()).map_err(|_| ReceiptError::Value(name))
}

pub(super) fn octets(text: &str, name: &'static str) -> Result<Vec<u8>, ReceiptError> {
    STANDARD.decode(text).map_err(|_| ReceiptError::Value(name))
}

impl Receipt {
    /// The receipt as JSON, compact, without a line end.
    pub fn to_json(&self) -> String {
        let ders = |list: &[Der]| list.iter().map(|der| STANDARD.encode(der.as_bytes())).collect();
        let wire = Wire {
            v: 1,
            state: self.state().as_str().to_owned(),
            verification: self.verification.to_string(),
            records: self.records.iter().map(|entry| STANDARD.encode(&entry.octets)).collect(),
            leaf_hashes: self.records.iter().map(|entry| entry.leaf.to_string()).collect(),
            certificates: ders(&self.certificates),
            revocation: ders(&self.revocation),
            salt: self.salt.map(|salt| ContentDigest::new(salt).to_string()),
            anchor: self.anchor.as_ref().map(|anchor| Object(anchor.into())),
        };
        serde_json::to_string(&wire).unwrap_or_default() // texts and numbers alone: writing them into memory does not fail
    }

    /// Reads one receipt and nothing after it. Proves its form; the records may be any octets yet.
    pub fn from_json(json: &[u8]) -> Result<Self, ReceiptError> {
        if json.len() > MAX_RECEIPT {
            return Err(ReceiptError::TooLarge);
        }
        let read = serde_json::from_slice(json).map_err(|error| ReceiptError::Json(error.to_string()));
        let Object(wire): Object<Wire> = read?;
        if wire.v != 1 {
            return Err(ReceiptError::Version(wire.v));
        }
        let state = State::ALL.into_iter().find(|state| state.as_str() == wire.state);
        let state = state.ok_or(ReceiptError::State(wire.state))?;
        let anchor = wire.anchor.map(|Object(anchor)| anchor.try_into()).transpose()?;
        if wire.records.len() != wire.leaf_hashes.len() {
            return Err(ReceiptError::Count("leaf_hashes"));
        }
        let verification: VerificationId =
            wire.verification.parse().map_err(|_| ReceiptError::Value("verification"))?;
        let entry = |(record, leaf): (&String, &String)| {
            let leaf = LeafHash::new(hash(leaf, "leaf_hashes")?);
            Ok(Entry { octets: octets(record, "records")?, leaf })
        };
        let list =
            |texts: &[String], name| ders(texts.iter().map(|text| octets(text, name)).collect::<Result<_, _>>()?, name);
        let receipt = Self {
            verification,
            records: wire.records.iter().zip(&wire.leaf_hashes).map(entry).collect::<Result<_, _>>()?,
            certificates: list(&wire.certificates, "certificates")?,
            revocation: list(&wire.revocation, "revocation")?,
            salt: wire.salt.map(|salt| hash(&salt, "salt")).transpose()?,
            anchor,
        };
        if receipt.state() != state {
            return Err(ReceiptError::Anchor);
        }
        receipt.check_counts()?;
        Ok(receipt)
    }
}
