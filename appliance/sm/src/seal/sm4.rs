use alloc::vec::Vec;

use cbc::cipher::block_padding::{Padding, Pkcs7};
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit};
use rand_core::TryCryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::SealError;

/// An SM4 key, 16 octets; wiped when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Sm4Key([u8; 16]);

impl core::fmt::Debug for Sm4Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
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

impl core::fmt::Debug for Sm4CbcEncryptor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
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

/// SM4-ECB with PKCS #7 padding, which some peers send; nothing is ever sealed so. It authenticates no more than CBC does.
pub fn sm4_ecb_decrypt(key: &Sm4Key, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let mut message = Zeroizing::new(ciphertext.to_vec());
    sm4_decrypt_blocks(key, &mut message)?;
    let last = message.last_chunk::<BLOCK>().ok_or(SealError::Decrypt)?;
    let padding = BLOCK - Pkcs7::raw_unpad(last).map_err(|_| SealError::Decrypt)?.len();
    let length = ciphertext.len() - padding;
    message.truncate(length);
    Ok(message)
}

/// SM4-ECB, in place and without padding (GB/T 17964 §5): how the private key of an enveloped pair is sealed (GB/T 35276-2017 §7.4).
///
/// # Errors
/// [`SealError::Decrypt`] where the octets are no whole blocks of 16.
pub fn sm4_decrypt_blocks(key: &Sm4Key, octets: &mut [u8]) -> Result<(), SealError> {
    let cipher = sm4::Sm4::new(key.expose().into());
    let (blocks, []) = octets.as_chunks_mut::<BLOCK>() else { return Err(SealError::Decrypt) };
    for block in blocks {
        cipher.decrypt_block(block.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cbc::cipher::BlockModeEncrypt;

    #[test]
    fn blocks_of_the_standards_example_open_without_chaining() {
        // GB/T 32907-2016 Annex A.1: key and message are the same octets; then one block of padding under the same key.
        let octets = hex::decode("0123456789abcdeffedcba9876543210").unwrap();
        let key = Sm4Key::new(octets.as_slice().try_into().unwrap());
        let known = hex::decode("681edf34d206965e86b3e94f536e4246").unwrap();
        // A block by itself is CBC with an initial vector of zeros.
        let mut padding = Vec::new();
        Sm4CbcEncryptor::new(&key, &[0; 16]).finish(&mut |block| padding.extend_from_slice(block));
        let ciphertext = [known.as_slice(), &known, &padding].concat();
        assert_eq!(sm4_ecb_decrypt(&key, &ciphertext).unwrap().as_slice(), [&octets[..], &octets].concat());
        assert_eq!(sm4_ecb_decrypt(&key, &padding).unwrap().as_slice(), b"");
        for spoilt in [&ciphertext[..47], &ciphertext[..32], &[]] {
            assert_eq!(sm4_ecb_decrypt(&key, spoilt).err(), Some(SealError::Decrypt));
        }
    }

    #[test]
    fn blocks_decrypt_to_the_standard_s_example() {
        // GB/T 32907-2016 annex A.1: the same octets are key and plaintext.
        let key = hex::decode("0123456789abcdeffedcba9876543210").unwrap();
        let sealed = hex::decode("681edf34d206965e86b3e94f536e4246").unwrap();
        let mut octets = [sealed.clone(), sealed].concat();
        sm4_decrypt_blocks(&Sm4Key::new(key.clone().try_into().unwrap()), &mut octets).unwrap();
        assert_eq!(octets, [key.clone(), key].concat());
        assert_eq!(sm4_decrypt_blocks(&Sm4Key::new([0; 16]), &mut [0; 17]), Err(SealError::Decrypt));
    }

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
