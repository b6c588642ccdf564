//! Objects: their attributes, their key material, and what may be read of them.

use std::sync::Arc;

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CKA_CLASS, CKA_DESTROYABLE, CKA_EC_POINT, CKA_EXTRACTABLE, CKA_ID, CKA_LABEL, CKA_MODIFIABLE,
    CKA_PRIVATE, CKA_SENSITIVE, CKA_SUBJECT, CKA_TOKEN, CKA_VALUE, CKO_CERTIFICATE, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY,
    CKO_SECRET_KEY, CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_ATTRIBUTE_VALUE_INVALID,
};
use zeroize::Zeroizing;

use crate::attribute::{Attributes, MAX_VALUE, Template, Value};
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

    /// An attribute in its C form.
    ///
    /// A private key's value is always sensitive; a secret key's unless its attributes allow it to leave.
    pub(crate) fn read(&self, kind: CK_ATTRIBUTE_TYPE) -> Outcome<Zeroizing<Vec<u8>>> {
        match (kind, &self.material) {
            (CKA_VALUE, Material::Private(_)) => Err(Rv(CKR_ATTRIBUTE_SENSITIVE)),
            (CKA_VALUE, Material::Secret(value)) => {
                if self.is(CKA_SENSITIVE) || !self.is(CKA_EXTRACTABLE) {
                    return Err(Rv(CKR_ATTRIBUTE_SENSITIVE));
                }
                Ok(Zeroizing::new(value.to_vec()))
            }
            _ => self
                .attributes
                .get(&kind)
                .map(|value| Zeroizing::new(value.to_native()))
                .ok_or(Rv(CKR_ATTRIBUTE_TYPE_INVALID)),
        }
    }

    /// Whether every attribute of the template has exactly this value. A secret value never matches.
    pub(crate) fn matches(&self, template: &Template) -> bool {
        template.iter().all(|(kind, asked)| self.attributes.get(&kind).is_some_and(|value| value.to_native() == asked))
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
