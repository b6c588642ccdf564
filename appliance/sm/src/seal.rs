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
    let point = sm2::PublicKey::from_sec1_bytes(&key.to_sec1()).map_err(|_| SealError::Encrypt)?;
    let octets =
        EncryptingKey::new_with_mode(point, Mode::C1C3C2).encrypt(rng, message).map_err(|_| SealError::Encrypt)?;
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

/// Octets of an SM4 block.
const BLOCK: usize = 16;

/// SM4-CBC with PKCS #7 padding (GB/T 17964), one piece of the message after the other.
pub struct Sm4CbcEncryptor {
    cipher: cbc::Encryptor<sm4::Sm4>,
    /// The octets of the last piece that do not fill a block yet.
    partial: Zeroizing<[u8; BLOCK]>,
    filled: usize,
}

impl std::fmt::Debug for Sm4CbcEncryptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sm4CbcEncryptor(..)")
    }
}

impl Sm4CbcEncryptor {
    pub fn new(key: &Sm4Key, iv: &[u8; 16]) -> Self {
        let cipher = cbc::Encryptor::new(key.expose().into(), iv.into());
        Self { cipher, partial: Zeroizing::new([0; BLOCK]), filled: 0 }
    }

    /// Octets that a message of `length` octets becomes: the next whole number of blocks above it.
    pub const fn ciphertext_length(length: usize) -> usize {
        (length / BLOCK + 1) * BLOCK
    }

    /// Hands the ciphertext of every block that `message` completes to `sink`.
    pub fn update(&mut self, mut message: &[u8], sink: &mut impl FnMut(&[u8])) {
        while !message.is_empty() {
            let (now, rest) = message.split_at(message.len().min(BLOCK - self.filled));
            self.partial[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            message = rest;
            if self.filled == BLOCK {
                self.block(sink);
            }
        }
    }

    /// Pads and hands the last block to `sink`.
    pub fn finish(mut self, sink: &mut impl FnMut(&[u8])) {
        let padding = BLOCK - self.filled;
        // 1 to 16, so it fits an octet.
        self.partial[self.filled..].fill(u8::try_from(padding).unwrap_or_default());
        self.block(sink);
    }

    fn block(&mut self, sink: &mut impl FnMut(&[u8])) {
        let mut block = cbc::cipher::Block::<cbc::Encryptor<sm4::Sm4>>::from(*self.partial);
        self.cipher.encrypt_block(&mut block);
        self.filled = 0;
        sink(&block);
    }
}

/// The inverse of [`Sm4CbcEncryptor`]. CBC does not authenticate: the caller must have verified a signature first.
pub fn sm4_cbc_decrypt(key: &Sm4Key, iv: &[u8; 16], ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    cbc::Decryptor::<sm4::Sm4>::new(key.expose().into(), iv.into())
        .decrypt_padded_vec::<Pkcs7>(ciphertext)
        .map(Zeroizing::new)
        .map_err(|_| SealError::Decrypt)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cbc::cipher::BlockModeEncrypt;

    proptest::proptest! {
        #[test]
        fn pieces_encrypt_to_what_the_whole_does(message: Vec<u8>, cuts: Vec<usize>) {
            let (key, iv) = (Sm4Key::new([7; 16]), [9; 16]);
            let whole = cbc::Encryptor::<sm4::Sm4>::new(key.expose().into(), (&iv).into())
                .encrypt_padded_vec::<Pkcs7>(&message);
            let mut encryptor = Sm4CbcEncryptor::new(&key, &iv);
            let mut pieces = Vec::new();
            let mut rest = message.as_slice();
            for cut in cuts {
                let (now, later) = rest.split_at(cut % (rest.len() + 1));
                encryptor.update(now, &mut |block| pieces.extend_from_slice(block));
                rest = later;
            }
            encryptor.update(rest, &mut |block| pieces.extend_from_slice(block));
            encryptor.finish(&mut |block| pieces.extend_from_slice(block));
            proptest::prop_assert_eq!(pieces.len(), Sm4CbcEncryptor::ciphertext_length(message.len()));
            proptest::prop_assert_eq!(&pieces, &whole);
            let opened = sm4_cbc_decrypt(&key, &iv, &pieces).unwrap();
            proptest::prop_assert_eq!(opened.as_slice(), message.as_slice());
        }
    }
}
