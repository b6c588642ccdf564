//! The private scalar of a sealed key, and what is done with it. The arithmetic is that of the crate `sm2`, which is constant-time.

use sm2::elliptic_curve::PrimeField;
use sm2::elliptic_curve::ops::Reduce;
use sm2::elliptic_curve::point::AffineCoordinates;
use sm2::elliptic_curve::sec1::FromSec1Point;
use sm2::{AffinePoint, FieldBytes, ProjectivePoint, Scalar, Sec1Point};
use yanqian_sm::{E, PublicKey, SealError, Signature, Sm2Ciphertext, hmac_sm3, sm2_open};
use zeroize::Zeroizing;

use crate::binding::Locked;

/// Octets of a scalar.
pub(super) const OCTETS: usize = 32;

/// d and (1 + d)⁻¹, 32 octets big-endian each, in locked memory; wiped when dropped.
pub(in crate::worker) struct SealedScalar(Locked<{ 2 * OCTETS }>);

/// An integer of 32 octets big-endian modulo n, which any digest is taken as.
fn reduced(octets: &[u8; OCTETS]) -> Scalar {
    Scalar::reduce(&FieldBytes::from(*octets))
}

fn octets(scalar: &Scalar) -> Zeroizing<[u8; OCTETS]> {
    Zeroizing::new(scalar.to_repr().into())
}

impl SealedScalar {
    /// From memory whose first half is d; none outside [1, n − 2], where d is no private key (GB/T 32918.1-2016 §6.1).
    pub(super) fn new(mut memory: Locked<{ 2 * OCTETS }>) -> Option<Self> {
        let d = Zeroizing::new(read(memory.expose(), 0)?);
        let inverse = Zeroizing::new(Option::<Scalar>::from((*d + Scalar::ONE).invert())?);
        if bool::from(d.is_zero()) {
            return None;
        }
        memory.expose_mut()[OCTETS..].copy_from_slice(octets(&inverse).as_slice());
        Some(Self(memory))
    }

    /// d, 32 octets big-endian, to be handed to the token.
    pub(super) fn expose(&self) -> &[u8] {
        &self.0.expose()[..OCTETS]
    }

    fn scalar(&self, half: usize) -> Zeroizing<Scalar> {
        // Both halves were scalars when they were written.
        Zeroizing::new(read(self.0.expose(), half).unwrap_or(Scalar::ZERO))
    }

    /// d·G.
    pub(super) fn public(&self) -> Option<PublicKey> {
        PublicKey::from_raw(&coordinates(&(ProjectivePoint::GENERATOR * *self.scalar(0)))).ok()
    }

    /// SM2 signature over e (GB/T 32918.2-2016 §6.1): r = e + x(k·G), s = (1 + d)⁻¹·(k − r·d) = (1 + d)⁻¹·(k + r) − r.
    ///
    /// k is HMAC-SM3 under the key of fresh randomness and e: unpredictable while either the randomness or the key is, and another
    /// one for another e should the system's randomness ever repeat itself. None where every k was unlucky, once in 2¹²⁸ times.
    pub(in crate::worker) fn sign(&self, e: &E, fresh: &[u8; 32]) -> Option<Signature> {
        (0..4u8).find_map(|attempt| {
            let drawn = Zeroizing::new(hmac_sm3(self.0.expose(), &[fresh, e.as_bytes(), &[attempt]]));
            let k = Zeroizing::new(Option::<Scalar>::from(Scalar::from_repr(FieldBytes::from(*drawn)))?);
            let point = (ProjectivePoint::GENERATOR * *k).to_affine();
            let r = reduced(e.as_bytes()) + Scalar::reduce(&point.x());
            let sum = Zeroizing::new(*k + r);
            let s = *self.scalar(1) * *sum - r;
            // Says of a k only that it was thrown away.
            if bool::from(k.is_zero() | sum.is_zero()) {
                return None;
            }
            let mut raw = [0; 64];
            raw[..OCTETS].copy_from_slice(&r.to_repr());
            raw[OCTETS..].copy_from_slice(&s.to_repr());
            // Neither r nor s may be 0.
            Signature::from_raw(&raw).ok()
        })
    }

    /// Opens a ciphertext sealed to d·G.
    pub(in crate::worker) fn open(&self, cipher: &Sm2Ciphertext) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let point = Sec1Point::from_affine_coordinates(&cipher.x.into(), &cipher.y.into(), false);
        // On the curve, whose order is prime: no point of it gives d away.
        let c1 = Option::<AffinePoint>::from(AffinePoint::from_sec1_point(&point)).ok_or(SealError::Decrypt)?;
        let shared = Zeroizing::new(coordinates(&(ProjectivePoint::from(c1) * *self.scalar(0))));
        sm2_open(&shared, cipher)
    }
}

fn read(memory: &[u8; 2 * OCTETS], half: usize) -> Option<Scalar> {
    let mut octets = Zeroizing::new([0; OCTETS]);
    octets.copy_from_slice(memory.get(half * OCTETS..(half + 1) * OCTETS)?);
    Option::from(Scalar::from_repr(FieldBytes::from(*octets)))
}

/// x ‖ y of a point that is not infinity.
fn coordinates(point: &ProjectivePoint) -> [u8; 64] {
    let affine = point.to_affine();
    let mut out = [0; 64];
    out[..OCTETS].copy_from_slice(&affine.x());
    out[OCTETS..].copy_from_slice(&affine.y());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use yanqian_sm::{sm2_encrypt, verify};

    use super::*;

    const N_MINUS_1: &str = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54122";

    fn scalar(octets: &[u8]) -> Option<SealedScalar> {
        let mut memory = Locked::new().expect("a page may be locked");
        memory.expose_mut()[..OCTETS].copy_from_slice(octets);
        SealedScalar::new(memory)
    }

    #[test]
    fn a_scalar_outside_of_1_to_n_minus_2_is_no_key() {
        let mut octets: [u8; 32] = hex::decode(N_MINUS_1).expect("hexadecimal").try_into().expect("32 octets");
        assert!(scalar(&octets).is_none(), "1 + d has no inverse");
        octets[31] -= 1;
        assert!(scalar(&octets).is_some());
        octets[31] += 2;
        assert!(scalar(&octets).is_none(), "n");
        assert!(scalar(&[0; 32]).is_none());
        assert!(scalar(&[0xff; 32]).is_none());
    }

    #[test]
    fn the_key_pair_of_the_standard_is_one() {
        // GB/T 32918.5-2017 annex A.1.
        let d = hex::decode("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8").expect("hexadecimal");
        let point = "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
                     ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";
        let public = scalar(&d).expect("a key").public().expect("a point");
        assert_eq!(hex::encode(&public.to_sec1()[1..]), point);
    }

    #[test]
    fn a_ciphertext_with_a_point_off_the_curve_or_altered_octets_is_not_opened() {
        let key = scalar(&[5; 32]).expect("a key");
        let sealed = sm2_encrypt(&key.public().expect("a point"), &[7; 16], &mut getrandom::SysRng).expect("sealed");
        let changes: [fn(&mut Sm2Ciphertext); 4] =
            [|c| c.y[31] ^= 1, |c| c.hash[0] ^= 1, |c| c.ciphertext[3] ^= 1, |c| c.ciphertext.clear()];
        for change in changes {
            let mut other = sealed.clone();
            change(&mut other);
            assert_eq!(key.open(&other), Err(SealError::Decrypt));
        }
    }

    proptest! {
        #[test]
        fn what_any_key_signs_verifies_and_what_is_sealed_to_it_opens(
            d in prop::array::uniform32(any::<u8>()), e in prop::array::uniform32(any::<u8>()), fresh in prop::array::uniform32(any::<u8>()),
            message in prop::collection::vec(any::<u8>(), 1..80),
        ) {
            let Some(key) = scalar(&d) else { return Ok(()) };
            let public = key.public().expect("a point");
            let e = E::from_digest(e);
            let signature = key.sign(&e, &fresh).expect("a signature");
            prop_assert!(verify(&public, &e, &signature).is_ok());
            prop_assert_ne!(key.sign(&e, &[!fresh[0]; 32]).expect("a signature").to_raw(), signature.to_raw());
            let sealed = sm2_encrypt(&public, &message, &mut getrandom::SysRng).expect("sealed");
            let opened = key.open(&sealed).expect("opened");
            prop_assert_eq!(opened.as_slice(), message.as_slice());
        }
    }
}
