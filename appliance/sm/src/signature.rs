use alloc::vec;
use alloc::vec::Vec;

use crate::scalar::Scalar;

/// A signature could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("not a DER SEQUENCE of two INTEGERs in canonical form")]
    Der,
    #[error("r or s is not in 1..n-1")]
    Range,
}

/// An SM2 signature with 1 ≤ r, s < n, checked when read (GB/T 32918.2-2016 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    pub(crate) r: Scalar,
    pub(crate) s: Scalar,
}

impl Signature {
    /// Reads `r ‖ s`, 32 octets big-endian each, as tokens give it.
    pub fn from_raw(octets: &[u8; 64]) -> Result<Self, SignatureError> {
        let (r, s) = octets.split_at(32);
        let scalar = |octets: &[u8]| Scalar::from_be(octets.try_into().ok()?).filter(|scalar| !scalar.is_zero());
        scalar(r).zip(scalar(s)).map(|(r, s)| Self { r, s }).ok_or(SignatureError::Range)
    }

    /// `r ‖ s`, 32 octets big-endian each.
    pub fn to_raw(&self) -> [u8; 64] {
        let mut octets = [0; 64];
        octets[..32].copy_from_slice(&self.r.to_be());
        octets[32..].copy_from_slice(&self.s.to_be());
        octets
    }

    /// Reads `SM2Signature` (GB/T 35276-2017 §7.3) in strict DER: minimal, positive, no trailing octets.
    pub fn from_der(der: &[u8]) -> Result<Self, SignatureError> {
        Self::read(der, Strictness::Canonical)
    }

    /// As [`Self::from_der`], but takes INTEGERs that lack the leading zero octet or have too many of them: some modules
    /// write such, about one signature in 256. Only for a token whose profile declares it, never for a peer.
    pub fn from_der_lax(der: &[u8]) -> Result<Self, SignatureError> {
        Self::read(der, Strictness::UnsignedMagnitude)
    }

    fn read(der: &[u8], strictness: Strictness) -> Result<Self, SignatureError> {
        let [0x30, length, content @ ..] = der else { return Err(SignatureError::Der) };
        // Both integers together take at most 72 octets, so every length is in short form.
        if *length >= 0x80 || usize::from(*length) != content.len() {
            return Err(SignatureError::Der);
        }
        let mut raw = [0; 64];
        let rest = read_integer(content, strictness, &mut raw[..32])?;
        let rest = read_integer(rest, strictness, &mut raw[32..])?;
        if rest.is_empty() { Self::from_raw(&raw) } else { Err(SignatureError::Der) }
    }

    /// Canonical DER `SM2Signature`, at most 72 octets.
    pub fn to_der(&self) -> Vec<u8> {
        let raw = self.to_raw();
        let mut content = Vec::with_capacity(70);
        for half in raw.chunks_exact(32) {
            let significant = half.iter().position(|octet| *octet != 0).unwrap_or(31);
            let magnitude = &half[significant..];
            let padded = magnitude[0] >= 0x80;
            content.push(2);
            // At most 33.
            content.push(u8::try_from(magnitude.len()).unwrap_or(32) + u8::from(padded));
            if padded {
                content.push(0);
            }
            content.extend_from_slice(magnitude);
        }
        let mut der = vec![0x30, u8::try_from(content.len()).unwrap_or(u8::MAX)];
        der.append(&mut content);
        der
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strictness {
    Canonical,
    UnsignedMagnitude,
}

/// Reads one INTEGER into 32 octets big-endian and returns what follows it.
fn read_integer<'a>(der: &'a [u8], strictness: Strictness, out: &mut [u8]) -> Result<&'a [u8], SignatureError> {
    let [2, length, rest @ ..] = der else { return Err(SignatureError::Der) };
    let length = usize::from(*length);
    if length == 0 || length >= 0x80 || length > rest.len() {
        return Err(SignatureError::Der);
    }
    let (mut magnitude, rest) = rest.split_at(length);
    match strictness {
        Strictness::Canonical => match magnitude {
            [0x80..=0xff, ..] => return Err(SignatureError::Der),
            [0, after, ..] if *after < 0x80 => return Err(SignatureError::Der),
            [0, after @ ..] => magnitude = after,
            _ => {}
        },
        Strictness::UnsignedMagnitude => {
            while let [0, after @ ..] = magnitude {
                magnitude = after;
            }
        }
    }
    if magnitude.len() > out.len() {
        return Err(SignatureError::Range);
    }
    let start = out.len() - magnitude.len();
    out[..start].fill(0);
    out[start..].copy_from_slice(magnitude);
    Ok(rest)
}
