//! Attribute values and templates as the core sees them: owned, bounded, typed on request.

use std::collections::BTreeMap;

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_BBOOL, CK_ULONG, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT,
};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::rv::{Outcome, Rv};

/// Longest attribute value taken from a caller; certificates are far smaller.
pub(crate) const MAX_VALUE: usize = 64 * 1024;
/// Most attributes in one template.
pub(crate) const MAX_ATTRIBUTES: usize = 128;

/// A public attribute value. Secret values never take this form.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Value {
    /// `CK_BBOOL`.
    #[n(0)]
    Bool(#[n(0)] bool),
    /// `CK_ULONG`, stored as 64 bits.
    #[n(1)]
    Ulong(#[n(0)] u64),
    /// Octets.
    #[n(2)]
    Octets(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
}

impl Value {
    /// In the C form: a native-endian `CK_ULONG`, a one-byte `CK_BBOOL`, or the octets.
    pub(crate) fn to_native(&self) -> Vec<u8> {
        match self {
            Self::Bool(value) => vec![CK_BBOOL::from(*value)],
            Self::Ulong(value) => CK_ULONG::try_from(*value).unwrap_or(CK_ULONG::MAX).to_ne_bytes().to_vec(),
            Self::Octets(value) => value.clone(),
        }
    }
}

/// The attributes of an object.
pub(crate) type Attributes = BTreeMap<CK_ATTRIBUTE_TYPE, Value>;

/// A template received from a caller. Values are wiped on drop: one may be a private key.
pub(crate) struct Template {
    values: BTreeMap<CK_ATTRIBUTE_TYPE, Zeroizing<Vec<u8>>>,
}

impl Template {
    /// Refuses an attribute that comes twice (`CKR_TEMPLATE_INCONSISTENT`).
    pub(crate) fn new(list: Vec<(CK_ATTRIBUTE_TYPE, Zeroizing<Vec<u8>>)>) -> Outcome<Self> {
        let mut values = BTreeMap::new();
        for (kind, value) in list {
            if values.insert(kind, value).is_some() {
                return Err(Rv(CKR_TEMPLATE_INCONSISTENT));
            }
        }
        Ok(Self { values })
    }

    /// What is left, in order of attribute type.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CK_ATTRIBUTE_TYPE, &[u8])> {
        self.values.iter().map(|(kind, value)| (*kind, value.as_slice()))
    }

    /// Whether the caller named this attribute.
    pub(crate) fn has(&self, kind: CK_ATTRIBUTE_TYPE) -> bool {
        self.values.contains_key(&kind)
    }

    /// Removes and returns the raw octets.
    pub(crate) fn take(&mut self, kind: CK_ATTRIBUTE_TYPE) -> Option<Zeroizing<Vec<u8>>> {
        self.values.remove(&kind)
    }

    /// Removes and returns a value that must be there.
    pub(crate) fn require(&mut self, kind: CK_ATTRIBUTE_TYPE) -> Outcome<Zeroizing<Vec<u8>>> {
        self.take(kind).ok_or(Rv(CKR_TEMPLATE_INCOMPLETE))
    }

    /// Removes and returns a `CK_BBOOL`; anything but 0 or 1 in one octet is refused.
    pub(crate) fn take_bool(&mut self, kind: CK_ATTRIBUTE_TYPE) -> Outcome<Option<bool>> {
        self.take(kind).map(|value| boolean(&value)).transpose()
    }

    /// Looks at a `CK_BBOOL` and leaves it.
    pub(crate) fn peek_bool(&self, kind: CK_ATTRIBUTE_TYPE) -> Outcome<Option<bool>> {
        self.values.get(&kind).map(|value| boolean(value)).transpose()
    }

    /// Removes and returns a `CK_ULONG` of native size.
    pub(crate) fn take_ulong(&mut self, kind: CK_ATTRIBUTE_TYPE) -> Outcome<Option<u64>> {
        self.take(kind).map(|value| ulong(&value)).transpose()
    }

    /// Looks at a `CK_ULONG` and leaves it.
    pub(crate) fn peek_ulong(&self, kind: CK_ATTRIBUTE_TYPE) -> Outcome<Option<u64>> {
        self.values.get(&kind).map(|value| ulong(value)).transpose()
    }

    /// Every attribute must have been understood.
    pub(crate) fn finish(self) -> Outcome<()> {
        if self.values.is_empty() { Ok(()) } else { Err(Rv(CKR_ATTRIBUTE_TYPE_INVALID)) }
    }
}

fn boolean(value: &[u8]) -> Outcome<bool> {
    match value {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)),
    }
}

fn ulong(value: &[u8]) -> Outcome<u64> {
    let native = value.try_into().map_err(|_| Rv(CKR_ATTRIBUTE_VALUE_INVALID))?;
    Ok(CK_ULONG::from_ne_bytes(native))
}

/// Collects the attributes of a new object while consuming its template.
pub(crate) struct Draft {
    /// What has been settled so far.
    pub(crate) attributes: Attributes,
    /// What the caller asked for and has not been looked at yet.
    pub(crate) template: Template,
}

impl Draft {
    pub(crate) fn new(template: Template) -> Self {
        Self { attributes: Attributes::new(), template }
    }

    /// The caller's choice, or `default`.
    pub(crate) fn boolean(&mut self, kind: CK_ATTRIBUTE_TYPE, default: bool) -> Outcome<bool> {
        let value = self.template.take_bool(kind)?.unwrap_or(default);
        self.attributes.insert(kind, Value::Bool(value));
        Ok(value)
    }

    /// A boolean the caller may repeat but not change; `refusal` otherwise.
    pub(crate) fn fixed_boolean(&mut self, kind: CK_ATTRIBUTE_TYPE, value: bool) -> Outcome<()> {
        if self.template.take_bool(kind)?.is_some_and(|asked| asked != value) {
            return Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID));
        }
        self.attributes.insert(kind, Value::Bool(value));
        Ok(())
    }

    /// A number the caller may repeat but not change.
    pub(crate) fn fixed_ulong(&mut self, kind: CK_ATTRIBUTE_TYPE, value: u64) -> Outcome<()> {
        if self.template.take_ulong(kind)?.is_some_and(|asked| asked != value) {
            return Err(Rv(CKR_TEMPLATE_INCONSISTENT));
        }
        self.attributes.insert(kind, Value::Ulong(value));
        Ok(())
    }

    /// Octets of the caller's choice, empty by default.
    pub(crate) fn octets(&mut self, kind: CK_ATTRIBUTE_TYPE) -> Outcome<()> {
        let value = self.template.take(kind).map(|value| value.to_vec()).unwrap_or_default();
        if value.len() > MAX_VALUE {
            return Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID));
        }
        self.attributes.insert(kind, Value::Octets(value));
        Ok(())
    }

    /// A date: empty, or a `CK_DATE` of eight digits.
    pub(crate) fn date(&mut self, kind: CK_ATTRIBUTE_TYPE) -> Outcome<()> {
        self.octets(kind)?;
        match self.attributes.get(&kind) {
            Some(Value::Octets(value))
                if value.is_empty() || (value.len() == 8 && value.iter().all(u8::is_ascii_digit)) =>
            {
                Ok(())
            }
            _ => Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)),
        }
    }
}
