use der::asn1::UintRef;
use der::{Decode, Tag};
use yanqian_sm::Sm2Ciphertext;

use crate::error::MessageError;
use crate::tlv::{Elements, octet_string, sequence, unsigned_integer};

/// DER `SM2Cipher` (GB/T 35276-2017 §7.2).
pub fn sm2_cipher_to_der(cipher: &Sm2Ciphertext) -> Vec<u8> {
    sequence(&[
        &unsigned_integer(&cipher.x),
        &unsigned_integer(&cipher.y),
        &octet_string(&cipher.hash),
        &octet_string(&cipher.ciphertext),
    ])
}

/// Reads DER `SM2Cipher`. Whether x and y are a point of the curve is for the holder of the key to check.
pub fn sm2_cipher_from_der(der: &[u8]) -> Result<Sm2Ciphertext, MessageError> {
    const WHAT: &str = "SM2Cipher";
    let mut outer = Elements::new(der, WHAT)?;
    let mut cipher = outer.sequence()?;
    outer.finish()?;
    let (x, y) = (coordinate(&mut cipher)?, coordinate(&mut cipher)?);
    let hash = cipher.expect(Tag::OctetString)?.value.try_into().map_err(|_| MessageError::Der(WHAT))?;
    let ciphertext = cipher.expect(Tag::OctetString)?.value.to_vec();
    cipher.finish()?;
    Ok(Sm2Ciphertext { x, y, hash, ciphertext })
}

/// A non-negative INTEGER of at most 256 bits as 32 octets big-endian.
fn coordinate(elements: &mut Elements<'_>) -> Result<[u8; 32], MessageError> {
    let element = elements.expect(Tag::Integer)?;
    let integer = UintRef::from_der(element.whole).map_err(|_| MessageError::Der("coordinate"))?;
    let magnitude = integer.as_bytes();
    let mut out = [0; 32];
    let start = out.len().checked_sub(magnitude.len()).ok_or(MessageError::Der("coordinate"))?;
    out[start..].copy_from_slice(magnitude);
    Ok(out)
}
