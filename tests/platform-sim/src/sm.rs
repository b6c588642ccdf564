//! SM2, SM3 and SM4 by OpenSSL 4. It signs with the default distinguishing id `1234567812345678`, which [`self_test`] proves
//! against a Z value computed here, because older versions silently use an empty id.

use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{HasPrivate, HasPublic, PKeyRef};
use openssl::pkey_ctx::PkeyCtx;
use openssl::sign::{Signer, Verifier};
use openssl::symm::{Cipher, decrypt, encrypt};

use crate::SimError;

/// `SubjectPublicKeyInfo` of an SM2 key up to the uncompressed point.
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf,
    0x55, 0x01, 0x82, 0x2d, 0x03, 0x42, 0x00,
];

/// a ‖ b ‖ xG ‖ yG of GB/T 32918.5.
const CURVE: &str = "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFC\
28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93\
32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7\
BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0";

/// SM3 of `data`, 32 octets.
pub fn sm3(data: &[u8]) -> Result<[u8; 32], SimError> {
    let digest = hash(MessageDigest::sm3(), data)?;
    let mut out = [0; 32];
    out.copy_from_slice(&digest);
    Ok(out)
}

/// SM2 signature over `data` (with Z, default id), DER `SM2Signature`.
pub fn sign<T: HasPrivate>(key: &PKeyRef<T>, data: &[u8]) -> Result<Vec<u8>, SimError> {
    Ok(Signer::new(MessageDigest::sm3(), key)?.sign_oneshot_to_vec(data)?)
}

/// Whether `signature` (DER) is one over `data` (with Z, default id). Anything malformed is simply not a signature.
pub fn verify<T: HasPublic>(key: &PKeyRef<T>, data: &[u8], signature: &[u8]) -> bool {
    Verifier::new(MessageDigest::sm3(), key).and_then(|mut v| v.verify_oneshot(signature, data)).unwrap_or(false)
}

/// Whether the key is on the SM2 curve.
pub fn is_sm2<T: HasPublic>(key: &PKeyRef<T>) -> bool {
    key.public_key_to_der().is_ok_and(|spki| spki.starts_with(&SPKI_HEAD))
}

/// SM2 encryption; the result is DER `SM2Cipher` (GB/T 35276).
pub fn encrypt_key<T: HasPublic>(key: &PKeyRef<T>, plain: &[u8]) -> Result<Vec<u8>, SimError> {
    let mut context = PkeyCtx::new(key)?;
    context.encrypt_init()?;
    let mut out = Vec::new();
    context.encrypt_to_vec(plain, &mut out)?;
    Ok(out)
}

/// Opens a DER `SM2Cipher`.
pub fn decrypt_key<T: HasPrivate>(key: &PKeyRef<T>, cipher: &[u8]) -> Result<Vec<u8>, SimError> {
    let mut context = PkeyCtx::new(key)?;
    context.decrypt_init()?;
    let mut out = Vec::new();
    context.decrypt_to_vec(cipher, &mut out)?;
    Ok(out)
}

/// SM4-CBC with PKCS#7 padding.
pub fn encrypt_content(key: &[u8; 16], iv: &[u8; 16], plain: &[u8]) -> Result<Vec<u8>, SimError> {
    Ok(encrypt(Cipher::sm4_cbc(), key, Some(iv), plain)?)
}

/// Opens SM4-CBC with PKCS#7 padding; `key` and `iv` must be 16 octets.
pub fn decrypt_content(key: &[u8], iv: &[u8], cipher: &[u8]) -> Option<Vec<u8>> {
    if key.len() != 16 || iv.len() != 16 {
        return None;
    }
    decrypt(Cipher::sm4_cbc(), key, Some(iv), cipher).ok()
}

/// `N` random octets.
pub fn random<const N: usize>() -> Result<[u8; N], SimError> {
    let mut out = [0; N];
    openssl::rand::rand_bytes(&mut out)?;
    Ok(out)
}

/// SM3(Z ‖ `data`) with Z = SM3(ENTL ‖ ID ‖ a ‖ b ‖ xG ‖ yG ‖ xA ‖ yA), GB/T 32918.2 §5.5.
pub fn e_value<T: HasPublic>(key: &PKeyRef<T>, id: &[u8], data: &[u8]) -> Result<[u8; 32], SimError> {
    let spki = key.public_key_to_der()?;
    let point = spki.strip_prefix(&SPKI_HEAD[..]).and_then(|rest| rest.strip_prefix(&[4])).unwrap_or_default();
    let bits = u16::try_from(id.len() * 8).unwrap_or(u16::MAX).to_be_bytes();
    let z = sm3(&[&bits[..], id, &hex::decode(CURVE).unwrap_or_default(), point].concat())?;
    sm3(&[&z[..], data].concat())
}

/// Proves with `key` that this OpenSSL signs with the standard id and not with an empty one.
pub fn self_test<T: HasPrivate + HasPublic>(key: &PKeyRef<T>) -> Result<(), SimError> {
    let data = b"which distinguishing id?";
    let signature = sign(key, data)?;
    let holds = |id: &[u8]| -> Result<bool, SimError> {
        let e = e_value(key, id, data)?;
        let mut context = PkeyCtx::new(key)?;
        context.verify_init()?;
        Ok(context.verify(&e, &signature).unwrap_or(false))
    };
    if holds(b"1234567812345678")? && !holds(b"")? { Ok(()) } else { Err(SimError::WrongDefaultId) }
}
