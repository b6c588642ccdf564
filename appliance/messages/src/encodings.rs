use yanqian_sm::{Signature, Sm2Ciphertext};

use crate::error::MessageError;
use crate::sm2cipher::sm2_cipher_from_der;

/// How a peer encodes what the standard encodes in one way. The standard's way is the default; another is read only where
/// the caller declares it for that peer, and then no other, because the octets do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Encodings {
    pub signature: SignatureEncoding,
    pub cipher: CipherEncoding,
}

/// The encoding of an `encryptedDigest`, or of r and s that are sent alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignatureEncoding {
    /// Canonical DER `SM2Signature` (GB/T 35276-2017 §7.3).
    #[default]
    Der,
    /// DER whose INTEGERs may lack their leading zero octet or have too many of them.
    LaxDer,
    /// `r ‖ s`, 32 octets big-endian each.
    Raw,
}

impl SignatureEncoding {
    pub fn read(self, octets: &[u8]) -> Result<Signature, MessageError> {
        const ERROR: MessageError = MessageError::Der("SM2Signature");
        let read = match self {
            Self::Der => Signature::from_der(octets),
            Self::LaxDer => Signature::from_der_lax(octets),
            Self::Raw => Signature::from_raw(octets.try_into().map_err(|_| ERROR)?),
        };
        read.map_err(|_| ERROR)
    }

    /// Canonical in either DER form.
    pub fn write(self, signature: &Signature) -> Vec<u8> {
        match self {
            Self::Der | Self::LaxDer => signature.to_der(),
            Self::Raw => signature.to_raw().to_vec(),
        }
    }
}

/// The encoding of an `encryptedKey`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CipherEncoding {
    /// DER `SM2Cipher` (GB/T 35276-2017 §7.2).
    #[default]
    Der,
    /// C1 ‖ C3 ‖ C2 (GB/T 32918.4-2016 §6.1), where C1 may lack its first octet 04.
    C1C3C2,
    /// C1 ‖ C2 ‖ C3, the order of older software, where C1 may lack its first octet 04.
    C1C2C3,
}

/// Octets of an SM4 key, and so of C2.
const SESSION: usize = 16;

impl CipherEncoding {
    /// Reads a sealed SM4 key. Whether C1 is a point of the curve is for the holder of the key to check.
    pub fn read(self, octets: &[u8]) -> Result<Sm2Ciphertext, MessageError> {
        match self {
            Self::Der => sm2_cipher_from_der(octets),
            Self::C1C3C2 => raw(octets, <[u8]>::split_first_chunk),
            Self::C1C2C3 => raw(octets, |rest| rest.split_last_chunk().map(|(c2, c3)| (c3, c2))),
        }
    }
}

/// `divide` tells C3 and C2 apart in what follows C1.
fn raw(octets: &[u8], divide: impl Fn(&[u8]) -> Option<(&[u8; 32], &[u8])>) -> Result<Sm2Ciphertext, MessageError> {
    let point = match octets {
        // The length says whether the 04 is there, for x may begin with one.
        [4, point @ ..] if point.len() == 96 + SESSION => point,
        point => point,
    };
    let read = || {
        let (x, rest) = point.split_first_chunk()?;
        let (y, rest) = rest.split_first_chunk()?;
        let (hash, ciphertext) = divide(rest)?;
        (ciphertext.len() == SESSION).then(|| Sm2Ciphertext {
            x: *x,
            y: *y,
            hash: *hash,
            ciphertext: ciphertext.to_vec(),
        })
    };
    read().ok_or(MessageError::Der("SM2Cipher"))
}
