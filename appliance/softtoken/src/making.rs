//! From a caller's template to a new object: what each class needs, what it may choose and what is fixed.
//!
//! Private keys are always private, sensitive and non-extractable; asking for less is an error, not a silent upgrade.

use std::sync::Arc;

use cryptoki_sys::{
    CK_UNAVAILABLE_INFORMATION, CKA_ALWAYS_AUTHENTICATE, CKA_ALWAYS_SENSITIVE, CKA_CERTIFICATE_CATEGORY,
    CKA_CERTIFICATE_TYPE, CKA_CHECK_VALUE, CKA_CLASS, CKA_COPYABLE, CKA_DECRYPT, CKA_DERIVE, CKA_DESTROYABLE,
    CKA_EC_PARAMS, CKA_EC_POINT, CKA_ENCRYPT, CKA_END_DATE, CKA_EXTRACTABLE, CKA_ID, CKA_ISSUER, CKA_KEY_GEN_MECHANISM,
    CKA_KEY_TYPE, CKA_LABEL, CKA_LOCAL, CKA_MODIFIABLE, CKA_NEVER_EXTRACTABLE, CKA_PRIVATE, CKA_SENSITIVE,
    CKA_SERIAL_NUMBER, CKA_SIGN, CKA_SIGN_RECOVER, CKA_START_DATE, CKA_SUBJECT, CKA_TOKEN, CKA_TRUSTED, CKA_UNWRAP,
    CKA_VALUE, CKA_VALUE_LEN, CKA_VERIFY, CKA_VERIFY_RECOVER, CKA_WRAP, CKA_WRAP_WITH_TRUSTED, CKC_X_509,
    CKK_GENERIC_SECRET, CKK_VENDOR_DEFINED, CKO_CERTIFICATE, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY,
    CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID, CKR_CURVE_NOT_SUPPORTED,
    CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT,
};
use zeroize::Zeroizing;

use crate::attribute::{Draft, Template, Value};
use crate::dialect::{Dialect, EcParams, SM2_CURVE_OID, STORED_KEY_TYPE, STORED_KEYGEN};
use crate::key::{Point, PrivateKey, PublicKey};
use crate::object::{Material, Object};
use crate::rv::{Outcome, Rv};

/// How a key came to be; decides `CKA_LOCAL` and the history attributes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Generated inside.
    Generated,
    /// Imported or unwrapped: it was outside once.
    Imported,
}

/// `C_CreateObject`: a certificate, or an SM2 key imported in the clear.
pub(crate) fn create(dialect: &Dialect, mut template: Template) -> Outcome<Object> {
    acceptable(dialect, &template)?;
    match template.take_ulong(CKA_CLASS)? {
        Some(CKO_CERTIFICATE) => certificate(template),
        Some(CKO_PUBLIC_KEY) => {
            let point = template.require(CKA_EC_POINT)?;
            let key = public_from_octets(&point).ok_or(Rv(CKR_ATTRIBUTE_VALUE_INVALID))?;
            require_curve(&template)?;
            public_key(dialect, template, key, Origin::Imported)
        }
        Some(CKO_PRIVATE_KEY) => {
            let value = template.require(CKA_VALUE)?;
            let scalar: Zeroizing<[u8; 32]> =
                Zeroizing::new(value.as_slice().try_into().map_err(|_| Rv(CKR_ATTRIBUTE_VALUE_INVALID))?);
            let key = PrivateKey::from_scalar(&scalar).ok_or(Rv(CKR_ATTRIBUTE_VALUE_INVALID))?;
            require_curve(&template)?;
            private_key(dialect, template, key, Origin::Imported)
        }
        // Secret keys arrive by C_UnwrapKey only: in the clear they have no use here.
        Some(_) => Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID)),
        None => Err(Rv(CKR_TEMPLATE_INCOMPLETE)),
    }
}

/// A private key object around `key`.
pub(crate) fn private_key(dialect: &Dialect, template: Template, key: PrivateKey, origin: Origin) -> Outcome<Object> {
    acceptable(dialect, &template)?;
    let generated = origin == Origin::Generated;
    // A template that names no use makes a signing key; one that names any use gets exactly what it names.
    let uses_named = [CKA_SIGN, CKA_DECRYPT, CKA_UNWRAP].iter().any(|kind| template.has(*kind));
    let mut draft = Draft::new(template);
    draft.fixed_ulong(CKA_CLASS, CKO_PRIVATE_KEY)?;
    storage(&mut draft)?;
    draft.fixed_boolean(CKA_PRIVATE, true)?;
    sm2_key(dialect, &mut draft, &key.public().point(), origin)?;
    draft.octets(CKA_SUBJECT)?;
    draft.fixed_boolean(CKA_SENSITIVE, true)?;
    draft.fixed_boolean(CKA_EXTRACTABLE, false)?;
    draft.fixed_boolean(CKA_WRAP_WITH_TRUSTED, false)?;
    draft.fixed_boolean(CKA_ALWAYS_AUTHENTICATE, false)?;
    draft.fixed_boolean(CKA_SIGN_RECOVER, false)?;
    draft.boolean(CKA_SIGN, !uses_named)?;
    draft.boolean(CKA_DECRYPT, false)?;
    draft.boolean(CKA_UNWRAP, false)?;
    read_only(&mut draft, CKA_ALWAYS_SENSITIVE, Value::Bool(generated))?;
    read_only(&mut draft, CKA_NEVER_EXTRACTABLE, Value::Bool(generated))?;
    finish(draft, Material::Private(Arc::new(key)))
}

/// A public key object around `key`.
pub(crate) fn public_key(dialect: &Dialect, template: Template, key: PublicKey, origin: Origin) -> Outcome<Object> {
    acceptable(dialect, &template)?;
    if origin == Origin::Generated && dialect.key.ec_params == EcParams::Required && !template.has(CKA_EC_PARAMS) {
        return Err(Rv(CKR_TEMPLATE_INCOMPLETE));
    }
    let mut draft = Draft::new(template);
    draft.fixed_ulong(CKA_CLASS, CKO_PUBLIC_KEY)?;
    storage(&mut draft)?;
    draft.boolean(CKA_PRIVATE, false)?;
    sm2_key(dialect, &mut draft, &key.point(), origin)?;
    draft.octets(CKA_SUBJECT)?;
    draft.boolean(CKA_VERIFY, true)?;
    // Encryption needs no token: callers do it with the point. The attributes are kept for those who look.
    draft.boolean(CKA_ENCRYPT, false)?;
    draft.boolean(CKA_WRAP, false)?;
    draft.fixed_boolean(CKA_VERIFY_RECOVER, false)?;
    draft.fixed_boolean(CKA_TRUSTED, false)?;
    finish(draft, Material::Public(Arc::new(key)))
}

/// A secret key that `C_UnwrapKey` found inside a ciphertext. Its only use is to be read, if its template allows.
pub(crate) fn secret_key(mut template: Template, value: Zeroizing<Vec<u8>>) -> Outcome<Object> {
    let key_type = template.take_ulong(CKA_KEY_TYPE)?.unwrap_or(CKK_GENERIC_SECRET);
    if key_type != CKK_GENERIC_SECRET && key_type < CKK_VENDOR_DEFINED {
        return Err(Rv(CKR_TEMPLATE_INCONSISTENT));
    }
    let mut draft = Draft::new(template);
    draft.fixed_ulong(CKA_CLASS, CKO_SECRET_KEY)?;
    storage(&mut draft)?;
    draft.fixed_boolean(CKA_PRIVATE, true)?;
    draft.fixed_ulong(CKA_KEY_TYPE, key_type)?;
    draft.fixed_ulong(CKA_VALUE_LEN, value.len() as u64)?;
    identity(&mut draft, Origin::Imported)?;
    draft.boolean(CKA_SENSITIVE, true)?;
    draft.boolean(CKA_EXTRACTABLE, false)?;
    for unused in
        [CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY, CKA_WRAP, CKA_UNWRAP, CKA_WRAP_WITH_TRUSTED, CKA_TRUSTED]
    {
        draft.fixed_boolean(unused, false)?;
    }
    read_only(&mut draft, CKA_ALWAYS_SENSITIVE, Value::Bool(false))?;
    read_only(&mut draft, CKA_NEVER_EXTRACTABLE, Value::Bool(false))?;
    finish(draft, Material::Secret(Arc::new(value)))
}

fn certificate(template: Template) -> Outcome<Object> {
    let mut draft = Draft::new(template);
    draft.attributes.insert(CKA_CLASS, Value::Ulong(CKO_CERTIFICATE));
    storage(&mut draft)?;
    draft.fixed_boolean(CKA_PRIVATE, false)?;
    if !draft.template.has(CKA_CERTIFICATE_TYPE) {
        return Err(Rv(CKR_TEMPLATE_INCOMPLETE));
    }
    draft.fixed_ulong(CKA_CERTIFICATE_TYPE, CKC_X_509)?;
    let category = draft.template.take_ulong(CKA_CERTIFICATE_CATEGORY)?.unwrap_or(0);
    draft.attributes.insert(CKA_CERTIFICATE_CATEGORY, Value::Ulong(category));
    draft.fixed_boolean(CKA_TRUSTED, false)?;
    for kind in [CKA_SUBJECT, CKA_ID, CKA_ISSUER, CKA_SERIAL_NUMBER, CKA_CHECK_VALUE] {
        draft.octets(kind)?;
    }
    draft.date(CKA_START_DATE)?;
    draft.date(CKA_END_DATE)?;
    let value = draft.template.require(CKA_VALUE)?;
    if !is_der_sequence(&value) {
        return Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID));
    }
    draft.attributes.insert(CKA_VALUE, Value::Octets(value.to_vec()));
    finish(draft, Material::Certificate)
}

/// Attributes of every object that can be stored.
fn storage(draft: &mut Draft) -> Outcome<()> {
    draft.boolean(CKA_TOKEN, false)?;
    draft.boolean(CKA_MODIFIABLE, true)?;
    draft.boolean(CKA_DESTROYABLE, true)?;
    draft.fixed_boolean(CKA_COPYABLE, false)?;
    draft.octets(CKA_LABEL)
}

/// Attributes of every key.
fn identity(draft: &mut Draft, origin: Origin) -> Outcome<()> {
    draft.octets(CKA_ID)?;
    draft.date(CKA_START_DATE)?;
    draft.date(CKA_END_DATE)?;
    draft.fixed_boolean(CKA_DERIVE, false)?;
    let (local, mechanism) = match origin {
        Origin::Generated => (true, STORED_KEYGEN),
        Origin::Imported => (false, CK_UNAVAILABLE_INFORMATION),
    };
    read_only(draft, CKA_LOCAL, Value::Bool(local))?;
    read_only(draft, CKA_KEY_GEN_MECHANISM, Value::Ulong(mechanism))
}

fn sm2_key(dialect: &Dialect, draft: &mut Draft, point: &Point, origin: Origin) -> Outcome<()> {
    draft.fixed_ulong(CKA_KEY_TYPE, dialect.key.key_type)?;
    draft.attributes.insert(CKA_KEY_TYPE, Value::Ulong(STORED_KEY_TYPE));
    identity(draft, origin)?;
    if draft.template.take(CKA_EC_PARAMS).is_some_and(|asked| asked.as_slice() != SM2_CURVE_OID) {
        return Err(Rv(CKR_CURVE_NOT_SUPPORTED));
    }
    draft.attributes.insert(CKA_EC_PARAMS, Value::Octets(SM2_CURVE_OID.to_vec()));
    if let Some(asked) = draft.template.take(CKA_EC_POINT) {
        if origin == Origin::Generated {
            return Err(Rv(CKR_ATTRIBUTE_READ_ONLY));
        }
        if public_from_octets(&asked).is_none_or(|asked| asked.point() != *point) {
            return Err(Rv(CKR_ATTRIBUTE_VALUE_INVALID));
        }
    }
    // The point is public, and many Chinese tokens show it on the private key too, where callers look for it.
    let mut octet_string = vec![0x04, 65];
    octet_string.extend_from_slice(point);
    draft.attributes.insert(CKA_EC_POINT, Value::Octets(octet_string));
    Ok(())
}

/// A dialect refuses a whole template for an attribute that it does not know.
fn acceptable(dialect: &Dialect, template: &Template) -> Outcome<()> {
    let unknown = |kind| dialect.refuses(kind) || (kind == CKA_EC_PARAMS && dialect.key.ec_params == EcParams::Absent);
    if template.iter().any(|(kind, _)| unknown(kind)) { Err(Rv(CKR_ATTRIBUTE_TYPE_INVALID)) } else { Ok(()) }
}

fn read_only(draft: &mut Draft, kind: cryptoki_sys::CK_ATTRIBUTE_TYPE, value: Value) -> Outcome<()> {
    if draft.template.has(kind) {
        return Err(Rv(CKR_ATTRIBUTE_READ_ONLY));
    }
    draft.attributes.insert(kind, value);
    Ok(())
}

fn finish(draft: Draft, material: Material) -> Outcome<Object> {
    draft.template.finish()?;
    Ok(Object { attributes: draft.attributes, material })
}

/// An import must name its key type: other vendors' keys have other shapes.
fn require_curve(template: &Template) -> Outcome<()> {
    if template.has(CKA_KEY_TYPE) { Ok(()) } else { Err(Rv(CKR_TEMPLATE_INCOMPLETE)) }
}

/// An imported point: `OCTET STRING` (67 bytes), `04‖x‖y` (65) or `x‖y` (64); all are in use.
fn public_from_octets(octets: &[u8]) -> Option<PublicKey> {
    match octets.len() {
        67 => PublicKey::from_point(octets.strip_prefix(&[0x04, 65])?),
        65 => PublicKey::from_point(octets),
        64 => {
            let mut point = [4; 65];
            point[1..].copy_from_slice(octets);
            PublicKey::from_point(&point)
        }
        _ => None,
    }
}

/// One DER SEQUENCE with exact length: keeps text files and truncated copies out.
fn is_der_sequence(value: &[u8]) -> bool {
    let Some((&0x30, rest)) = value.split_first() else { return false };
    let Some((&first, rest)) = rest.split_first() else { return false };
    if first < 0x80 {
        return rest.len() == usize::from(first);
    }
    let width = usize::from(first & 0x7F);
    if !(1..=3).contains(&width) || rest.len() < width {
        return false;
    }
    let (length, body) = rest.split_at(width);
    length.iter().fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet)) == body.len()
}
