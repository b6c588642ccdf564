use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki_sys as ck;
use yanqian_sm::PublicKey;

use crate::binding::{BindingError, TokenSession};
use crate::profile::Profile;

/// Keys looked at, at most.
const MAX_KEYS: usize = 64;

/// How a key shows its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointForm {
    /// `CKA_EC_POINT`, 67 octets: an OCTET STRING.
    OctetString,
    /// 65 octets.
    Uncompressed,
    /// 66 octets: one stray octet behind.
    StrayOctet,
    /// 64 octets.
    Raw,
    /// Two attributes of the vendor's.
    Coordinates(u64, u64),
}

/// A private key, or without a login a public one.
#[derive(Debug, Clone)]
pub struct KeyFound {
    pub label: String,
    pub private: bool,
    /// `CKA_KEY_TYPE`.
    pub key_type: Option<u64>,
    /// Whether it shows `CKA_EC_PARAMS`.
    pub has_params: bool,
    pub point: Option<PointForm>,
    /// When it is on the SM2 curve.
    pub public: Option<PublicKey>,
    /// `CKA_SIGN`.
    pub signs: Option<bool>,
    pub(super) handle: ObjectHandle,
}

impl KeyFound {
    /// Whether a trial would tell something: an SM2 key that may sign.
    pub(super) fn can_be_tried(&self) -> bool {
        self.private && self.public.is_some() && self.signs != Some(false)
    }
}

/// All private keys that the session shows, or all public ones when it shows none.
pub(super) fn find(session: &TokenSession, families: &[Profile]) -> Result<Vec<KeyFound>, BindingError> {
    let private = session.find(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])?;
    if !private.is_empty() {
        return private.into_iter().take(MAX_KEYS).map(|handle| describe(session, handle, true, families)).collect();
    }
    let public = session.find(&[Attribute::Class(ObjectClass::PUBLIC_KEY)])?;
    public.into_iter().take(MAX_KEYS).map(|handle| describe(session, handle, false, families)).collect()
}

/// Reads what a key shows, each attribute alone: some modules answer nothing when one of many is unknown to them.
pub(super) fn describe(
    session: &TokenSession,
    handle: ObjectHandle,
    private: bool,
    families: &[Profile],
) -> Result<KeyFound, BindingError> {
    let read = |kind| session.attribute(handle, kind);
    let label = read(ck::CKA_LABEL)?.unwrap_or_default();
    let id = read(ck::CKA_ID)?.unwrap_or_default();
    let mut point = point_of(session, handle, families)?;
    if point.is_none() && private {
        let link = if id.is_empty() { Attribute::Label(label.clone()) } else { Attribute::Id(id) };
        if let [object] = session.find(&[Attribute::Class(ObjectClass::PUBLIC_KEY), link])?.as_slice() {
            point = point_of(session, *object, families)?;
        }
    }
    let number = |octets: Vec<u8>| Some(u64::from_ne_bytes(octets.try_into().ok()?));
    Ok(KeyFound {
        label: String::from_utf8_lossy(&label).into_owned(),
        private,
        key_type: read(ck::CKA_KEY_TYPE)?.and_then(number),
        has_params: read(ck::CKA_EC_PARAMS)?.is_some_and(|octets| !octets.is_empty()),
        point: point.map(|(form, _)| form),
        public: point.map(|(_, key)| key),
        signs: read(ck::CKA_SIGN)?.map(|octets| octets == [1]),
        handle,
    })
}

fn point_of(
    session: &TokenSession,
    object: ObjectHandle,
    families: &[Profile],
) -> Result<Option<(PointForm, PublicKey)>, BindingError> {
    if let Some(octets) = session.attribute(object, ck::CKA_EC_POINT)? {
        let read = match octets.as_slice() {
            [0x04, 0x41, point @ ..] if point.len() == 65 => Some((PointForm::OctetString, point)),
            point if point.len() == 65 => Some((PointForm::Uncompressed, point)),
            point if point.len() == 66 => Some((PointForm::StrayOctet, &point[..65])),
            _ => None,
        };
        if let Some((form, key)) = read.and_then(|(form, point)| Some((form, PublicKey::from_sec1(point).ok()?))) {
            return Ok(Some((form, key)));
        }
        if let Some(key) = octets.as_slice().try_into().ok().and_then(|raw| PublicKey::from_raw(raw).ok()) {
            return Ok(Some((PointForm::Raw, key)));
        }
    }
    for (x, y) in families.iter().filter_map(|family| family.key.coordinates) {
        if let (Some(first), Some(second)) = (session.attribute(object, x)?, session.attribute(object, y)?)
            && let Ok(raw) = <[u8; 64]>::try_from([first, second].concat())
            && let Ok(key) = PublicKey::from_raw(&raw)
        {
            return Ok(Some((PointForm::Coordinates(x, y), key)));
        }
    }
    Ok(None)
}
