//! Finding a key pair: the private key by its label, the public key by the object's own point, its id, or a certificate.

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use yanqian_messages::Certificate;
use yanqian_sm::PublicKey;

use super::algorithm::{self, Public};
use super::lane::Problem;
use super::sealed;
use crate::binding::TokenSession;
use crate::profile::{EcPoint, KeyForm, PublicObject};
use crate::protocol::{KeyUsage, Refusal, codes};

/// A private key of the token, its public half where it can be found.
pub(super) struct Found {
    pub(super) label: String,
    pub(super) id: Vec<u8>,
    pub(super) public: Result<Public, Refusal>,
    pub(super) usage: KeyUsage,
}

/// Certificates stored with a key: handle and DER.
pub(super) fn certificates(session: &TokenSession, id: &[u8]) -> Result<Vec<(ObjectHandle, Vec<u8>)>, Problem> {
    if id.is_empty() {
        return Ok(Vec::new());
    }
    let template = [Attribute::Class(ObjectClass::CERTIFICATE), Attribute::Id(id.to_vec())];
    let mut found = Vec::new();
    for handle in session.find(&template)? {
        for attribute in session.attributes(handle, &[AttributeType::Value])? {
            if let Attribute::Value(der) = attribute {
                found.push((handle, der));
            }
        }
    }
    Ok(found)
}

/// The private keys with this label, or what is sealed in their place.
pub(super) fn private_keys(
    session: &TokenSession,
    form: &KeyForm,
    label: Option<&str>,
) -> Result<Vec<ObjectHandle>, Problem> {
    let private = || vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    let mut template = form.sealed.map_or_else(private, |_| sealed::scalars());
    template.extend(label.map(|label| Attribute::Label(label.as_bytes().to_vec())));
    Ok(session.find(&template)?)
}

/// Reads what identifies a private key, and finds its public half.
pub(super) fn describe(session: &TokenSession, handle: ObjectHandle, form: &KeyForm) -> Result<Found, Problem> {
    let (mut label, mut id) = (String::new(), Vec::new());
    let (mut signs, mut decrypts) = (None, None);
    let wanted = [AttributeType::Label, AttributeType::Id, AttributeType::Sign, AttributeType::Decrypt];
    for attribute in session.attributes(handle, &wanted)? {
        match attribute {
            Attribute::Sign(value) => signs = Some(value),
            Attribute::Decrypt(value) => decrypts = Some(value),
            Attribute::Label(octets) => label = String::from_utf8_lossy(&octets).into_owned(),
            Attribute::Id(octets) => id = octets,
            _ => {}
        }
    }
    // A key that may do both signs: it is the one whose misuse would cost more.
    let usage = if decrypts == Some(true) && signs != Some(true) { KeyUsage::Encrypt } else { KeyUsage::Sign };
    if form.sealed.is_none() {
        let objects: Vec<_> = std::iter::once(handle).chain(public_object(session, &label, &id)?).collect();
        if let Some(public) = algorithm::other(session, &objects, &label, form)? {
            return Ok(Found { label, id, public, usage });
        }
    }
    // The point is public, and many tokens show it on the private key too.
    let mut point = point_of(session, handle, form)?;
    if point.is_none()
        && let Some(object) = public_object(session, &label, &id)?
    {
        point = point_of(session, object, form)?;
    }
    if form.sealed.is_some_and(|sealed| sealed.public_key == PublicObject::Data) {
        point = sealed::public_in_data(session, &label)?;
    }
    let public = match point {
        Some(octets) => read_point(if form.sealed.is_some() { EcPoint::Any } else { form.ec_point }, &octets).ok_or_else(|| {
            Refusal::new(
                codes::PUBLIC_KEY,
                format!(
                    "key {label:?}: CKA_EC_POINT of {} octets is no SM2 key in the form that the profile's key.ec_point says",
                    octets.len()
                ),
            )
        }),
        None => certificate_key(session, &id)?.ok_or_else(|| {
            Refusal::new(
                codes::PUBLIC_KEY,
                format!("key {label:?}: the token shows neither a point, nor a public key, nor a certificate for it"),
            )
        }),
    };
    Ok(Found { label, id, public: public.map(Public::Sm2), usage })
}

/// What an object shows of its point, in the profile's form; x and y behind each other where they come apart.
fn point_of(session: &TokenSession, object: ObjectHandle, form: &KeyForm) -> Result<Option<Vec<u8>>, Problem> {
    let read = |kind| Ok::<_, Problem>(session.attribute(object, kind)?.filter(|octets| !octets.is_empty()));
    match form.coordinates {
        None => read(cryptoki_sys::CKA_EC_POINT),
        Some((x, y)) => match (read(x)?, read(y)?) {
            (Some(x), Some(y)) => Ok(Some([padded(&x), padded(&y)].concat())),
            _ => Ok(None),
        },
    }
}

/// A coordinate of 32 octets: some devices drop leading zeros, others put more in front.
fn padded(coordinate: &[u8]) -> Vec<u8> {
    let start = coordinate.iter().position(|octet| *octet != 0).unwrap_or(coordinate.len());
    let magnitude = &coordinate[start..];
    [&vec![0; 32_usize.saturating_sub(magnitude.len())], magnitude].concat()
}

/// The public key object that belongs to a private key.
fn public_object(session: &TokenSession, label: &str, id: &[u8]) -> Result<Option<ObjectHandle>, Problem> {
    let link = if id.is_empty() { Attribute::Label(label.as_bytes().to_vec()) } else { Attribute::Id(id.to_vec()) };
    let objects = session.find(&[Attribute::Class(ObjectClass::PUBLIC_KEY), link])?;
    // With several, none can be told to be the right one.
    let [object] = objects.as_slice() else { return Ok(None) };
    Ok(Some(*object))
}

fn certificate_key(session: &TokenSession, id: &[u8]) -> Result<Option<PublicKey>, Problem> {
    let certificates = certificates(session, id)?;
    Ok(certificates.iter().find_map(|(_, der)| Certificate::from_der(der).ok()?.public_key().copied()))
}

/// A public key from `CKA_EC_POINT`.
fn read_point(form: EcPoint, octets: &[u8]) -> Option<PublicKey> {
    let point = match (form, octets.len()) {
        (EcPoint::OctetString | EcPoint::Any, 67) => octets.strip_prefix(&[0x04, 0x41])?,
        (EcPoint::Uncompressed | EcPoint::Any, 65) => octets,
        (EcPoint::Any, 66) => &octets[..65],
        (EcPoint::Raw | EcPoint::Any | EcPoint::Coordinates, 64) => {
            return PublicKey::from_raw(octets.try_into().ok()?).ok();
        }
        _ => return None,
    };
    PublicKey::from_sec1(point).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public key of GB/T 32918.5-2017 annex A.
    const POINT: &str = "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
                         ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";

    #[test]
    fn every_form_of_a_point_is_read_and_only_as_the_profile_says() {
        let sec1 = hex::decode(POINT).expect("hexadecimal");
        let octet_string = [&[0x04, 0x41][..], &sec1].concat();
        let stray = [&sec1[..], &[0x04]].concat();
        let forms =
            [(EcPoint::OctetString, &octet_string[..]), (EcPoint::Uncompressed, &sec1), (EcPoint::Raw, &sec1[1..])];
        for (form, octets) in forms {
            for (other, octets_of_other) in forms {
                assert_eq!(read_point(form, octets_of_other).is_some(), form == other);
            }
            assert_eq!(read_point(EcPoint::Any, octets).map(|key| key.to_sec1().to_vec()), Some(sec1.clone()));
        }
        assert!(read_point(EcPoint::Any, &stray).is_some());
        assert!(read_point(EcPoint::Any, &sec1[..64]).is_none(), "not on the curve");
        assert!(read_point(EcPoint::Any, &[]).is_none());
    }
}
