//! Objects: their attributes, their key material, and what may be read of them.

use std::sync::Arc;

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CKA_CLASS, CKA_DESTROYABLE, CKA_EC_PARAMS, CKA_EC_POINT, CKA_EXTRACTABLE, CKA_ID,
    CKA_KEY_GEN_MECHANISM, CKA_KEY_TYPE, CKA_LABEL, CKA_MODIFIABLE, CKA_PRIVATE, CKA_SENSITIVE, CKA_SUBJECT, CKA_TOKEN,
    CKA_VALUE, CKO_CERTIFICATE, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY, CKR_ATTRIBUTE_READ_ONLY,
    CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID,
};
use zeroize::Zeroizing;

use crate::attribute::{Attributes, MAX_VALUE, Template, Value};
use crate::dialect::{Dialect, EcParams, EcPoint, STORED_KEYGEN};
use crate::key::{PrivateKey, PublicKey};
use crate::rv::{Outcome, Rv};

/// What an object holds beside its attributes.
#[derive(Clone)]
pub(crate) enum Material {
    /// An SM2 private key.
    Private(Arc<PrivateKey>),
    /// An SM2 public key.
    Public(Arc<PublicKey>),
    /// A secret key's octets.
    Secret(Arc<Zeroizing<Vec<u8>>>),
    /// A certificate: its value is an ordinary attribute.
    Certificate,
}

/// An object. The attribute map never holds a secret value.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) attributes: Attributes,
    pub(crate) material: Material,
}

impl Object {
    /// Rebuilds an object from what a file held; `None` when the parts do not fit together.
    pub(crate) fn assemble(attributes: Attributes, secret: Option<&[u8]>) -> Option<Self> {
        let Some(Value::Ulong(class)) = attributes.get(&CKA_CLASS) else { return None };
        let material = match (*class, secret) {
            (CKO_PRIVATE_KEY, Some(secret)) => {
                Material::Private(Arc::new(PrivateKey::from_scalar(secret.try_into().ok()?)?))
            }
            (CKO_PUBLIC_KEY, None) => {
                let Some(Value::Octets(point)) = attributes.get(&CKA_EC_POINT) else { return None };
                Material::Public(Arc::new(PublicKey::from_point(point.strip_prefix(&[0x04, 65])?)?))
            }
            (CKO_SECRET_KEY, Some(secret)) => Material::Secret(Arc::new(Zeroizing::new(secret.to_vec()))),
            (CKO_CERTIFICATE, None) => Material::Certificate,
            _ => return None,
        };
        Some(Self { attributes, material })
    }

    /// The octets that must be stored encrypted, if the object has any.
    pub(crate) fn secret(&self) -> Option<Zeroizing<Vec<u8>>> {
        match &self.material {
            Material::Private(key) => Some(Zeroizing::new(key.scalar().to_vec())),
            Material::Secret(value) => Some(Zeroizing::new(value.to_vec())),
            Material::Public(_) | Material::Certificate => None,
        }
    }

    /// A boolean attribute; absent means false.
    pub(crate) fn is(&self, kind: CK_ATTRIBUTE_TYPE) -> bool {
        matches!(self.attributes.get(&kind), Some(Value::Bool(true)))
    }

    /// Lives on the token, not only in a session.
    pub(crate) fn on_token(&self) -> bool {
        self.is(CKA_TOKEN)
    }

    /// Visible to the logged-in user only.
    pub(crate) fn private(&self) -> bool {
        self.is(CKA_PRIVATE)
    }

    /// An attribute in its C form, as the dialect shows it.
    ///
    /// A private key's value is always sensitive; a secret key's unless its attributes allow it to leave.
    pub(crate) fn read(&self, dialect: &Dialect, kind: CK_ATTRIBUTE_TYPE) -> Outcome<Zeroizing<Vec<u8>>> {
        match (kind, &self.material) {
            (CKA_VALUE, Material::Private(_)) => Err(Rv(CKR_ATTRIBUTE_SENSITIVE)),
            (CKA_VALUE, Material::Secret(value)) => {
                if self.is(CKA_SENSITIVE) || !self.is(CKA_EXTRACTABLE) {
                    return Err(Rv(CKR_ATTRIBUTE_SENSITIVE));
                }
                Ok(Zeroizing::new(value.to_vec()))
            }
            _ => self.shown(dialect, kind).map(Zeroizing::new).ok_or(Rv(CKR_ATTRIBUTE_TYPE_INVALID)),
        }
    }

    /// Whether every attribute of the template has exactly this value. A secret value never matches.
    pub(crate) fn matches(&self, dialect: &Dialect, template: &Template) -> bool {
        template.iter().all(|(kind, asked)| self.shown(dialect, kind).is_some_and(|value| value == asked))
    }

    /// A public attribute: keys in the dialect's terms, everything else as it is stored.
    fn shown(&self, dialect: &Dialect, kind: CK_ATTRIBUTE_TYPE) -> Option<Vec<u8>> {
        let point = match &self.material {
            Material::Private(key) => key.public().point(),
            Material::Public(key) => key.point(),
            Material::Secret(_) | Material::Certificate => return Some(self.attributes.get(&kind)?.to_native()),
        };
        let key = &dialect.key;
        let coordinates = &point[1..];
        match (kind, key.ec_point) {
            (CKA_EC_POINT, EcPoint::OctetString) => Some([&[0x04, 65], point.as_slice()].concat()),
            (CKA_EC_POINT, EcPoint::Uncompressed) => Some(point.to_vec()),
            (CKA_EC_POINT, EcPoint::StrayOctet) => Some([point.as_slice(), &[0x04]].concat()),
            (CKA_EC_POINT, EcPoint::Raw) => Some(coordinates.to_vec()),
            (CKA_EC_POINT, EcPoint::Coordinates) => None,
            _ if key.x_attribute == Some(kind) => Some(coordinates[..32].to_vec()),
            _ if key.y_attribute == Some(kind) => Some(coordinates[32..].to_vec()),
            (CKA_EC_PARAMS, _) if key.ec_params == EcParams::Absent => None,
            (CKA_KEY_TYPE, _) => Some(Value::Ulong(key.key_type).to_native()),
            (CKA_KEY_GEN_MECHANISM, _) => match self.attributes.get(&kind)? {
                Value::Ulong(STORED_KEYGEN) => Some(Value::Ulong(key.keygen).to_native()),
                other => Some(other.to_native()),
            },
            _ => Some(self.attributes.get(&kind)?.to_native()),
        }
    }

    /// A copy with changed label, id or subject; every other attribute is read-only.
    pub(crate) fn changed(&self, template: &Template) -> Outcome<Self> {
        if !self.is(CKA_MODIFIABLE) {
            return Err(Rv(CKR_ATTRIBUTE_READ_ONLY));
        }
        let mut copy = self.clone();
        for (kind, value) in template.iter() {
            if !copy.attributes.contains_key(&kind) && kind != CKA_VALUE {
                return Err(Rv(CKR_ATTRIBUTE_TYPE_INVALID));
            }
            if !matches!(kind, CKA_LABEL | CKA_ID | CKA_SUBJECT) {
                return Err(Rv(CKR_ATTRIBUTE_READ_ONLY));
            }
            if value.len() > MAX_VALUE {
                return Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID));
            }
            copy.attributes.insert(kind, Value::Octets(value.to_vec()));
        }
        Ok(copy)
    }

    /// Whether `C_DestroyObject` may remove it.
    pub(crate) fn destroyable(&self) -> bool {
        self.is(CKA_DESTROYABLE)
    }
}
