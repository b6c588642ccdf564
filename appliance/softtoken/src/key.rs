//! SM2 keys in memory. All arithmetic is that of the crate `sm2`, which is constant-time; this file only holds the keys,
//! feeds it randomness and wipes what it leaves behind.

use std::hint::black_box;
use std::sync::LazyLock;

use cryptoki_sys::{CKR_DEVICE_ERROR, CKR_ENCRYPTED_DATA_INVALID, CKR_FUNCTION_FAILED};
use sm2::dsa::signature::hazmat::{PrehashVerifier, RandomizedPrehashSigner};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::elliptic_curve::Generate;
use sm2::elliptic_curve::common::getrandom::SysRng;
use sm2::elliptic_curve::ops::Reduce;
use sm2::elliptic_curve::point::AffineCoordinates;
use sm2::pkcs8::der::Decode;
use sm2::pke::{Cipher, DecryptingKey, Mode};
use sm2::{FieldBytes, NonZeroScalar, ProjectivePoint, Scalar, SecretKey};
use sm3::{Digest, Sm3};
use zeroize::Zeroizing;

use crate::rv::{Outcome, Rv};

/// The distinguishing id of GM/T 0009 §10 where the parties agreed on no other.
pub(crate) const DEFAULT_ID: &str = "1234567812345678";

/// An uncompressed SEC1 point: `04 ‖ x ‖ y`.
pub(crate) type Point = [u8; 65];

/// a ‖ b ‖ xG ‖ yG of the SM2 curve, as the Z value hashes them (GB/T 32918.5).
const CURVE: [u8; 128] = [
    0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFC, 0x28, 0xE9, 0xFA, 0x9E, 0x9D, 0x9F,
    0x5E, 0x34, 0x4D, 0x5A, 0x9E, 0x4B, 0xCF, 0x65, 0x09, 0xA7, 0xF3, 0x97, 0x89, 0xF5, 0x15, 0xAB, 0x8F, 0x92, 0xDD,
    0xBC, 0xBD, 0x41, 0x4D, 0x94, 0x0E, 0x93, 0x32, 0xC4, 0xAE, 0x2C, 0x1F, 0x19, 0x81, 0x19, 0x5F, 0x99, 0x04, 0x46,
    0x6A, 0x39, 0xC9, 0x94, 0x8F, 0xE3, 0x0B, 0xBF, 0xF2, 0x66, 0x0B, 0xE1, 0x71, 0x5A, 0x45, 0x89, 0x33, 0x4C, 0x74,
    0xC7, 0xBC, 0x37, 0x36, 0xA2, 0xF4, 0xF6, 0x77, 0x9C, 0x59, 0xBD, 0xCE, 0xE3, 0x6B, 0x69, 0x21, 0x53, 0xD0, 0xA9,
    0x87, 0x7C, 0xC6, 0x2A, 0x47, 0x40, 0x02, 0xDF, 0x32, 0xE5, 0x21, 0x39, 0xF0, 0xA0,
];

/// What a dropped key is overwritten with: `sm2`'s key types do not wipe themselves.
static DECOY: LazyLock<Option<(SigningKey, DecryptingKey)>> = LazyLock::new(|| {
    let mut one = [0_u8; 32];
    one[31] = 1;
    Some((SigningKey::from_slice(DEFAULT_ID, &one).ok()?, DecryptingKey::from_slice(&one).ok()?))
});

/// An SM2 private key, ready to use.
pub(crate) struct PrivateKey {
    signing: SigningKey,
    decrypting: DecryptingKey,
}

impl PrivateKey {
    /// A fresh key from the system's random source.
    pub(crate) fn generate() -> Outcome<Self> {
        let secret = SecretKey::try_generate().map_err(|_| Rv(CKR_DEVICE_ERROR))?;
        Self::from_scalar(&Zeroizing::new(secret.to_bytes().into())).ok_or(Rv(CKR_FUNCTION_FAILED))
    }

    /// A key from its 32-byte big-endian scalar; `None` outside [1, n-2].
    pub(crate) fn from_scalar(scalar: &[u8; 32]) -> Option<Self> {
        let signing = SigningKey::from_slice(DEFAULT_ID, scalar).ok()?;
        // d = n-1 has no inverse of 1+d and can never sign.
        if bool::from((signing.as_nonzero_scalar().as_ref() + &sm2::Scalar::ONE).is_zero()) {
            return None;
        }
        let nonzero: NonZeroScalar = *signing.as_nonzero_scalar();
        Some(Self { signing, decrypting: DecryptingKey::new_with_mode(nonzero, Mode::C1C3C2) })
    }

    /// The 32-byte big-endian scalar, for storage.
    pub(crate) fn scalar(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_bytes().into())
    }

    /// The public half.
    pub(crate) fn public(&self) -> PublicKey {
        PublicKey { verifying: self.signing.verifying_key().clone() }
    }

    /// SM2 signature over e: raw `r‖s`, 64 bytes big-endian. The nonce mixes fresh randomness into RFC 6979.
    pub(crate) fn sign(&self, e: &[u8; 32]) -> Outcome<[u8; 64]> {
        // An unlucky nonce is an error of probability 2^-32; fresh randomness makes the next try independent.
        for _ in 0..4 {
            if let Ok(signature) = self.signing.sign_prehash_with_rng(&mut SysRng, e) {
                return Ok(signature.to_bytes().into());
            }
        }
        Err(Rv(CKR_FUNCTION_FAILED))
    }

    /// ECDSA over the SM2 curve, as modules make it that know no SM2: raw `r‖s`. `hash` is taken modulo n.
    pub(crate) fn sign_ecdsa(&self, hash: &[u8; 32]) -> Outcome<[u8; 64]> {
        let failed = Rv(CKR_FUNCTION_FAILED);
        let k = NonZeroScalar::try_generate().map_err(|_| Rv(CKR_DEVICE_ERROR))?;
        let point = (ProjectivePoint::GENERATOR * *k).to_affine();
        let r = Scalar::reduce(&point.x());
        let h = Scalar::reduce(&FieldBytes::from(*hash));
        let inverse = Option::<Scalar>::from(k.as_ref().invert()).ok_or(failed)?;
        let s = inverse * (h + r * self.signing.as_nonzero_scalar().as_ref());
        let mut raw = [0; 64];
        raw[..32].copy_from_slice(&r.to_bytes());
        raw[32..].copy_from_slice(&s.to_bytes());
        Ok(raw)
    }

    /// Decrypts a DER `SM2Cipher` (GM/T 0009 §7.2). Every fault is the same error.
    pub(crate) fn decrypt(&self, der: &[u8]) -> Outcome<Zeroizing<Vec<u8>>> {
        let invalid = Rv(CKR_ENCRYPTED_DATA_INVALID);
        let cipher = Cipher::<sm2::Sm2, Sm3>::from_der(der).map_err(|_| invalid)?;
        let mut plain = Zeroizing::new(vec![0; cipher.c2().len()]);
        self.decrypting.decrypt_cipher_with_buf(&cipher, &mut plain).map_err(|_| invalid)?;
        // GB/T 32918.4 B4: an all-zero key stream is an error. It shows as a plaintext equal to its ciphertext.
        if plain.as_slice() == cipher.c2() {
            return Err(invalid);
        }
        Ok(plain)
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        if let Some((signing, decrypting)) = DECOY.as_ref() {
            self.signing = signing.clone();
            self.decrypting = decrypting.clone();
            // Keeps the compiler from dropping the overwrite as dead.
            black_box(&self.signing);
            black_box(&self.decrypting);
        }
    }
}

/// Plaintext length of a DER `SM2Cipher`, without decrypting it.
pub(crate) fn plaintext_length(der: &[u8]) -> Outcome<usize> {
    let cipher = Cipher::<sm2::Sm2, Sm3>::from_der(der).map_err(|_| Rv(CKR_ENCRYPTED_DATA_INVALID))?;
    Ok(cipher.c2().len())
}

/// An SM2 public key.
#[derive(Clone)]
pub(crate) struct PublicKey {
    verifying: VerifyingKey,
}

impl PublicKey {
    /// From a point: `04 ‖ x ‖ y`, on the curve. No compressed form.
    pub(crate) fn from_point(point: &[u8]) -> Option<Self> {
        if point.len() != 65 || point.first() != Some(&4) {
            return None;
        }
        Some(Self { verifying: VerifyingKey::from_sec1_bytes(DEFAULT_ID, point).ok()? })
    }

    /// `04 ‖ x ‖ y`.
    pub(crate) fn point(&self) -> Point {
        let mut point = [0; 65];
        let octets = self.verifying.to_sec1_bytes();
        if octets.len() == point.len() {
            point.copy_from_slice(&octets);
        }
        point
    }

    /// Whether a raw `r‖s` is a signature of this key over e.
    pub(crate) fn verify(&self, e: &[u8; 32], signature: &[u8; 64]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.verifying.verify_prehash(e, &signature).is_ok())
    }

    /// An SM3 state that has absorbed the Z value with this id, at most 8191 octets; feed it the message to get e.
    pub(crate) fn message_hash(&self, id: &[u8]) -> Sm3 {
        let point = self.point();
        let mut z = Sm3::new();
        z.update(u16::try_from(id.len() * 8).unwrap_or(u16::MAX).to_be_bytes());
        z.update(id);
        z.update(CURVE);
        z.update(&point[1..]);
        Sm3::new_with_prefix(z.finalize())
    }
}
