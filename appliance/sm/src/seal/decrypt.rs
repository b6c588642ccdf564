//! The other half of SM2 encryption, for whoever holds a private key and has multiplied C1 by it. No private key enters here.

use alloc::vec::Vec;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::encrypt::derive;
use super::{SealError, Sm2Ciphertext};
use crate::digest::Sm3;
use crate::secret::nonzero;

/// Opens a ciphertext, given the point x2 ‖ y2 = d·C1, 32 octets big-endian each (GB/T 32918.4-2016 §7.1, steps B4 to B6).
///
/// # Errors
/// [`SealError::Decrypt`] where C3 is not the plaintext's, or the derived key is all zeros.
pub fn sm2_open(shared: &[u8; 64], cipher: &Sm2Ciphertext) -> Result<Zeroizing<Vec<u8>>, SealError> {
    if cipher.ciphertext.is_empty() {
        return Err(SealError::Decrypt);
    }
    let mut opened = Zeroizing::new(derive(shared, cipher.ciphertext.len()));
    let usable = nonzero(opened.iter().fold(0, |any, octet| any | u64::from(*octet)));
    for (octet, sealed) in opened.iter_mut().zip(&cipher.ciphertext) {
        *octet ^= sealed;
    }
    let (x2, y2) = shared.split_at(32);
    let mut hasher = Sm3::new();
    hasher.update(x2);
    hasher.update(&opened);
    hasher.update(y2);
    if usable != 0 && bool::from(hasher.finish().ct_eq(&cipher.hash)) { Ok(opened) } else { Err(SealError::Decrypt) }
}
