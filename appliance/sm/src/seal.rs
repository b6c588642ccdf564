use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use rand_core::TryCryptoRng;
use sm2::pke::{EncryptingKey, Mode};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::key::PublicKey;

/// Sealing or opening failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the random source failed, or the message is empty")]
    Encrypt,
    /// Wrong key, altered ciphertext and bad padding look alike on purpose.
    #[error("the ciphertext cannot be opened")]
    Decrypt,
}

/// The parts of an SM2 ciphertext (GB/T 32918.4-2016 §6.1): C1 as coordinates, C3, C2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sm2Ciphertext {
    /// x of C1, 32 octets big-endian.
    pub x: [u8; 32],
    /// y of C1, 32 octets big-endian.
    pub y: [u8; 32],
    /// C3 = SM3(x2 ‖ M ‖ y2).
    pub hash: [u8; 32],
    /// C2, as long as the message.
    pub ciphertext: Vec<u8>,
}

impl Sm2Ciphertext {
    /// `04 ‖ x ‖ y ‖ C3 ‖ C2`.
    pub fn to_c1c3c2(&self) -> Vec<u8> {
        [&[4], self.x.as_slice(), &self.y, &self.hash, &self.ciphertext].concat()
    }
}

/// Encrypts a short message, such as a session key, to a public key (GB/T 32918.4-2016 §6).
pub fn sm2_encrypt<R: TryCryptoRng>(key: &PublicKey, message: &[u8], rng: &mut R) -> Result<Sm2Ciphertext, SealError> {
    let octets =
        EncryptingKey::new_with_mode(key.point, Mode::C1C3C2).encrypt(rng, message).map_err(|_| SealError::Encrypt)?;
    let part = |from: usize| -> Result<[u8; 32], SealError> {
        octets.get(from..from + 32).and_then(|part| part.try_into().ok()).ok_or(SealError::Encrypt)
    };
    let ciphertext = octets.get(97..).ok_or(SealError::Encrypt)?.to_vec();
    Ok(Sm2Ciphertext { x: part(1)?, y: part(33)?, hash: part(65)?, ciphertext })
}

/// An SM4 key, 16 octets; wiped when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Sm4Key([u8; 16]);

impl std::fmt::Debug for Sm4Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sm4Key(..)")
    }
}

impl Sm4Key {
    pub const fn new(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// A fresh key.
    pub fn generate<R: TryCryptoRng>(rng: &mut R) -> Result<Self, SealError> {
        let mut key = Self([0; 16]);
        rng.try_fill_bytes(&mut key.0).map_err(|_| SealError::Encrypt)?;
        Ok(key)
    }

    pub const fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

/// SM4-CBC with PKCS #7 padding (GB/T 17964).
pub fn sm4_cbc_encrypt(key: &Sm4Key, iv: &[u8; 16], message: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<sm4::Sm4>::new(key.expose().into(), iv.into()).encrypt_padded_vec::<Pkcs7>(message)
}

/// The inverse of [`sm4_cbc_encrypt`]. CBC does not authenticate: the caller must have verified a signature first.
pub fn sm4_cbc_decrypt(key: &Sm4Key, iv: &[u8; 16], ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    cbc::Decryptor::<sm4::Sm4>::new(key.expose().into(), iv.into())
        .decrypt_padded_vec::<Pkcs7>(ciphertext)
        .map(Zeroizing::new)
        .map_err(|_| SealError::Decrypt)
}
