//! Public keys as CSCA and document signer certificates hold them. Doc 9303-12 §4.4.1 has curves spelt out in full, which OpenSSL no
//! longer reads; those that are a named curve to the last parameter are taken as that curve, others are not.

use der::Tag;
use der::asn1::ObjectIdentifier;
use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::ec::{EcGroup, EcKey, EcPoint, PointConversionForm};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Rsa;
use yanqian_sm::PublicKey;

use crate::elements::{Element, Elements};

/// Bits of an RSA modulus.
const RSA_BITS: std::ops::RangeInclusive<i32> = 2048..=8192;
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const PRIME_FIELD: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.1.1");
const SM2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.301");

/// The curves that count: of 224 bits and more, NIST's and Brainpool's (RFC 5639).
const CURVES: [(ObjectIdentifier, Nid); 9] = [
    (ObjectIdentifier::new_unwrap("1.3.132.0.33"), Nid::SECP224R1),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), Nid::X9_62_PRIME256V1),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), Nid::SECP384R1),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), Nid::SECP521R1),
    (ObjectIdentifier::new_unwrap("1.3.36.3.3.2.8.1.1.5"), Nid::BRAINPOOL_P224R1),
    (ObjectIdentifier::new_unwrap("1.3.36.3.3.2.8.1.1.7"), Nid::BRAINPOOL_P256R1),
    (ObjectIdentifier::new_unwrap("1.3.36.3.3.2.8.1.1.9"), Nid::BRAINPOOL_P320R1),
    (ObjectIdentifier::new_unwrap("1.3.36.3.3.2.8.1.1.11"), Nid::BRAINPOOL_P384R1),
    (ObjectIdentifier::new_unwrap("1.3.36.3.3.2.8.1.1.13"), Nid::BRAINPOOL_P512R1),
];

/// A key that is strong enough to count.
pub(crate) enum Key {
    Rsa(PKey<Public>),
    Curve(PKey<Public>),
    Sm2(Box<PublicKey>),
}

impl Key {
    /// Reads a DER `SubjectPublicKeyInfo`. None for another kind of key, a weak one, or a point that is not on its curve.
    pub(crate) fn read(spki: &[u8]) -> Option<Self> {
        let mut elements = Elements::inside(spki, Tag::Sequence)?;
        let (kind, parameters) = elements.algorithm()?;
        let [0, key @ ..] = elements.take(Tag::BitString)?.value else { return None };
        elements.end()?;
        match kind {
            // A key for PSS alone may come with parameters of its own; the signature's are judged.
            RSA | RSASSA_PSS => {
                let key = Rsa::public_key_from_der_pkcs1(key).ok()?;
                let strong = RSA_BITS.contains(&key.n().num_bits()) && key.e().is_odd() && key.e().num_bits() <= 64;
                strong.then(|| PKey::from_rsa(key).ok().map(Self::Rsa))?
            }
            EC => Self::on_curve(parameters?, key),
            _ => None,
        }
    }

    fn on_curve(parameters: Element<'_>, point: &[u8]) -> Option<Self> {
        let nid = if parameters.tag == Tag::ObjectIdentifier {
            let name = Elements::read(parameters.whole)?.oid()?;
            if name == SM2 {
                return PublicKey::from_sec1(point).ok().map(Box::new).map(Self::Sm2);
            }
            CURVES.iter().find(|(known, _)| *known == name)?.1
        } else {
            Explicit::read(parameters.whole)?.named()?
        };
        let group = EcGroup::from_curve_name(nid).ok()?;
        let mut context = BigNumContext::new().ok()?;
        let point = EcPoint::from_bytes(&group, point, &mut context).ok()?;
        let key = EcKey::from_public_key(&group, &point).ok()?;
        key.check_key().ok()?;
        PKey::from_ec_key(key).ok().map(Self::Curve)
    }
}

/// `SpecifiedECDomain` over a prime field (SEC 1 appendix C.2). Numbers are big-endian without leading zeros.
struct Explicit<'a> {
    prime: &'a [u8],
    a: &'a [u8],
    b: &'a [u8],
    base: &'a [u8],
    order: &'a [u8],
    cofactor: Option<&'a [u8]>,
}

impl<'a> Explicit<'a> {
    fn read(octets: &'a [u8]) -> Option<Self> {
        let mut domain = Elements::inside(octets, Tag::Sequence)?;
        domain.small_integer().filter(|version| (1..=3).contains(version))?;
        let mut field = domain.take_inside(Tag::Sequence)?;
        if field.oid()? != PRIME_FIELD {
            return None;
        }
        let prime = field.unsigned()?;
        field.end()?;
        let mut curve = domain.take_inside(Tag::Sequence)?;
        let (a, b) = (curve.take(Tag::OctetString)?.value, curve.take(Tag::OctetString)?.value);
        // A seed says where the curve comes from, and decides nothing.
        curve.take_if(Tag::BitString);
        curve.end()?;
        let base = domain.take(Tag::OctetString)?.value;
        let order = domain.unsigned()?;
        let cofactor = if domain.is_empty() { None } else { Some(domain.unsigned()?) };
        domain.end()?;
        Some(Self { prime, a, b, base, order, cofactor })
    }

    /// The curve that these parameters are, every one of them.
    fn named(&self) -> Option<Nid> {
        let is = |number: &BigNumRef, octets: &[u8]| BigNum::from_slice(octets).is_ok_and(|other| *number == *other);
        let same = |nid: Nid| -> Option<bool> {
            let group = EcGroup::from_curve_name(nid).ok()?;
            let mut context = BigNumContext::new().ok()?;
            let (mut prime, mut a, mut b, mut order) =
                (BigNum::new().ok()?, BigNum::new().ok()?, BigNum::new().ok()?, BigNum::new().ok()?);
            group.components_gfp(&mut prime, &mut a, &mut b, &mut context).ok()?;
            group.order(&mut order, &mut context).ok()?;
            let generator = group.generator_opt()?;
            let forms = [PointConversionForm::UNCOMPRESSED, PointConversionForm::COMPRESSED];
            let base = forms.iter().any(|form| {
                let base = generator.to_bytes(&group, *form, &mut context);
                base.is_ok_and(|base| base == self.base)
            });
            // All of them have the cofactor 1.
            let rest = base && self.cofactor.is_none_or(|cofactor| cofactor == [1]);
            Some(is(&prime, self.prime) && is(&a, self.a) && is(&b, self.b) && is(&order, self.order) && rest)
        };
        CURVES.iter().map(|(_, nid)| *nid).find(|nid| same(*nid) == Some(true))
    }
}
