//! The same pair as `SM2EnvelopedKey` has it, as authorities hand it to smart keys: `ENVELOPEDKEYBLOB` (GM/T 0016-2012), a C structure
//! of little-endian 32-bit numbers and fields of 64 octets.

use crate::DevPkiError;

/// What one consists of.
pub(crate) struct Parts<'a> {
    /// The private scalar under SM4-ECB, 32 octets.
    pub(crate) private: &'a [u8],
    /// x ‖ y.
    pub(crate) public: &'a [u8],
    /// The SM4 key under SM2: the DER `SM2Cipher` that OpenSSL writes.
    pub(crate) session_key: &'a [u8],
}

/// The content of a short DER element with this tag, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        length @ 0..=0x7f => (usize::from(length), rest),
        _ => return None,
    };
    (*found == tag).then_some(())?;
    rest.split_at_checked(length)
}

/// A number at the end of 64 octets.
fn field(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|octet| *octet != 0).unwrap_or(number.len());
    let digits = &number[start..];
    [&vec![0; 64_usize.saturating_sub(digits.len())], digits].concat()
}

pub(crate) fn blob(parts: &Parts<'_>) -> Result<Vec<u8>, DevPkiError> {
    let cipher = || {
        let (cipher, _) = element(0x30, parts.session_key)?;
        let (x, rest) = element(0x02, cipher)?;
        let (y, rest) = element(0x02, rest)?;
        let (hash, rest) = element(0x04, rest)?;
        let (key, _) = element(0x04, rest)?;
        Some((field(x), field(y), hash, key))
    };
    let (x, y, hash, key) = cipher().ok_or(DevPkiError::RequestUnreadable)?;
    let number = |value: u32| value.to_le_bytes();
    let (public_x, public_y) = parts.public.split_at(parts.public.len() / 2);
    Ok([
        &number(1)[..],
        &number(0x401),
        &number(256),
        &field(&[]).split_off(32),
        parts.private,
        &number(256),
        &field(public_x),
        &field(public_y),
        &x,
        &y,
        hash,
        &number(u32::try_from(key.len()).unwrap_or(u32::MAX)),
        key,
    ]
    .concat())
}
