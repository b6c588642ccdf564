//! The public half of a pair, of whichever algorithm.

use cryptoki::object::ObjectHandle;
use cryptoki_sys as ck;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public as PublicPart};
use openssl::rsa::Rsa;
use yanqian_messages::Certificate;
use yanqian_sm::{PublicKey, sm3};

use crate::binding::TokenSession;
use crate::profile::KeyForm;
use crate::protocol::{KeyAlgorithm, Refusal, codes};
use crate::worker::lane::Problem;

/// DER of the object identifier 1.2.840.10045.3.1.7, the curve P-256.
pub(super) const P256_CURVE: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// Curves that are named in their refusal: DER of the object identifier, and what is wrong with them.
const OTHER_CURVES: [(&[u8], &str); 5] = [
    (&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x01], "P-192, which is weak"),
    (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x21], "P-224, which is weak"),
    (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a], "secp256k1"),
    (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22], "P-384"),
    (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23], "P-521"),
];
/// Least public exponent (FIPS 186-5 §5.4).
const LEAST_EXPONENT: u32 = 65_537;

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::worker) enum Public {
    Sm2(PublicKey),
    /// DER `SubjectPublicKeyInfo` of a key that OpenSSL has taken.
    Other(KeyAlgorithm, Vec<u8>),
}

impl Public {
    pub(in crate::worker) const fn algorithm(&self) -> KeyAlgorithm {
        match self {
            Self::Sm2(_) => KeyAlgorithm::Sm2,
            Self::Other(algorithm, _) => *algorithm,
        }
    }

    /// DER `SubjectPublicKeyInfo`.
    pub(in crate::worker) fn spki(&self) -> Vec<u8> {
        match self {
            Self::Sm2(key) => key.to_spki_der(),
            Self::Other(_, spki) => spki.clone(),
        }
    }

    /// SM3 of the `SubjectPublicKeyInfo`.
    pub(in crate::worker) fn key_id(&self) -> [u8; 32] {
        sm3(&[&self.spki()])
    }

    /// Whether the certificate is for this key.
    pub(in crate::worker) fn is_of(&self, certificate: &Certificate) -> bool {
        match self {
            // By the point, because the parameters are written in more than one way.
            Self::Sm2(key) => certificate.public_key() == Some(key),
            Self::Other(_, spki) => certificate.spki_der() == spki,
        }
    }

    pub(in crate::worker) const fn sm2(&self) -> Option<&PublicKey> {
        match self {
            Self::Sm2(key) => Some(key),
            Self::Other(..) => None,
        }
    }
}

fn unusable(label: &str, why: impl std::fmt::Display) -> Refusal {
    Refusal::new(codes::ALGORITHM, format!("key {label:?}: {why}"))
}

/// A key of another algorithm than SM2: its public half as one of `objects` shows it, or why such a key is never used. None for keys
/// that look like SM2, among them all whose type or curve the token does not tell.
pub(in crate::worker) fn other(
    session: &TokenSession,
    objects: &[ObjectHandle],
    label: &str,
    form: &KeyForm,
) -> Result<Option<Result<Public, Refusal>>, Problem> {
    let read = |kind| {
        for object in objects {
            if let Some(octets) = session.attribute(*object, kind)?.filter(|octets| !octets.is_empty()) {
                return Ok::<_, Problem>(Some(octets));
            }
        }
        Ok(None)
    };
    let kind = read(ck::CKA_KEY_TYPE)?.and_then(|octets| Some(u64::from_ne_bytes(octets.try_into().ok()?)));
    match kind {
        Some(ck::CKK_RSA) if form.key_type != ck::CKK_RSA => {
            let (Some(modulus), Some(exponent)) = (read(ck::CKA_MODULUS)?, read(ck::CKA_PUBLIC_EXPONENT)?) else {
                return Ok(Some(Err(unusable(label, "an RSA key whose modulus or exponent the token does not show"))));
            };
            Ok(Some(rsa(label, &modulus, &exponent)))
        }
        Some(ck::CKK_EC) => match read(ck::CKA_EC_PARAMS)? {
            Some(curve) if curve == P256_CURVE => {
                let Some(point) = read(ck::CKA_EC_POINT)? else {
                    return Ok(Some(Err(unusable(label, "a P-256 key whose point the token does not show"))));
                };
                Ok(Some(p256(label, &point)))
            }
            // One that is not known here may be SM2 in another writing: then its point decides.
            Some(curve) => Ok(OTHER_CURVES.iter().find(|(oid, _)| *oid == curve).map(|(_, name)| {
                Err(unusable(label, format_args!("it is on the curve {name}; SM2 and P-256 are used")))
            })),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

fn p256(label: &str, point: &[u8]) -> Result<Public, Refusal> {
    let sec1 = match point.len() {
        67 => point.strip_prefix(&[0x04, 0x41]),
        _ => Some(point),
    };
    let spki = || {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let point = EcPoint::from_bytes(&group, sec1.unwrap_or_default(), &mut *openssl::bn::BigNumContext::new()?)?;
        PKey::from_ec_key(EcKey::from_public_key(&group, &point)?)?.public_key_to_der()
    };
    spki()
        .map(|spki| Public::Other(KeyAlgorithm::EcdsaP256, spki))
        .map_err(|_| unusable(label, "CKA_EC_POINT is no point of the curve P-256"))
}

fn rsa(label: &str, modulus: &[u8], exponent: &[u8]) -> Result<Public, Refusal> {
    let broken = |_| unusable(label, "an RSA key that cannot be read");
    let (n, e) = (BigNum::from_slice(modulus).map_err(broken)?, BigNum::from_slice(exponent).map_err(broken)?);
    let bits = n.num_bits().unsigned_abs();
    let known = KeyAlgorithm::ALL.into_iter().find(|algorithm| algorithm.modulus_bits() == Some(bits));
    let Some(algorithm) = known else {
        let why = if bits < 2048 { "which is weak" } else { "and 2048, 3072 and 4096 are used" };
        return Err(unusable(label, format_args!("its modulus has {bits} bits, {why}")));
    };
    let least = BigNum::from_u32(LEAST_EXPONENT).map_err(broken)?;
    if e < least || e.num_bits() > 256 || !e.is_bit_set(0) {
        return Err(unusable(
            label,
            format_args!("its public exponent is not odd and at least {LEAST_EXPONENT}, which is weak"),
        ));
    }
    let key = Rsa::from_public_components(n, e).and_then(PKey::from_rsa);
    let spki = key.and_then(|key: PKey<PublicPart>| key.public_key_to_der()).map_err(broken)?;
    Ok(Public::Other(algorithm, spki))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_rsa_keys_and_other_lengths_are_refused_by_what_they_are() {
        let modulus = |bits: usize| {
            let mut octets = vec![0xff; bits / 8];
            octets[0] = 0xc0;
            octets
        };
        let why = |bits, exponent: &[u8]| rsa("k", &modulus(bits), exponent).err().map(|refusal| refusal.message);
        assert!(why(1024, &[1, 0, 1]).is_some_and(|why| why.contains("1024 bits, which is weak")));
        assert!(why(2560, &[1, 0, 1]).is_some_and(|why| why.contains("2560 bits")));
        for exponent in [&[3][..], &[1, 0, 0], &[]] {
            assert!(why(2048, exponent).is_some_and(|why| why.contains("exponent")), "{exponent:?}");
        }
        for algorithm in [KeyAlgorithm::Rsa2048, KeyAlgorithm::Rsa3072, KeyAlgorithm::Rsa4096] {
            let bits = algorithm.modulus_bits().expect("RSA") as usize;
            assert!(rsa("k", &modulus(bits), &[1, 0, 1]).is_ok_and(|public| public.algorithm() == algorithm));
        }
    }

    #[test]
    fn a_point_off_the_curve_is_no_p256_key() {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a curve");
        let mut context = openssl::bn::BigNumContext::new().expect("memory");
        let form = openssl::ec::PointConversionForm::UNCOMPRESSED;
        let mut point =
            group.generator_opt().expect("a generator").to_bytes(&group, form, &mut context).expect("octets");
        let wrapped = [&[0x04, 0x41][..], &point].concat();
        assert!(p256("k", &point).is_ok_and(|one| p256("k", &wrapped).is_ok_and(|other| one == other)));
        point[64] ^= 1;
        assert!(p256("k", &point).is_err());
        assert!(p256("k", &[]).is_err());
    }
}
