//! Signatures and ciphertexts in the forms that vendors give and take.

use crate::dialect::{CipherForm, Defect, Encoding, Sign};

/// Longest signature: DER with two INTEGERs of 33 octets.
const DER: usize = 72;

/// What `C_Sign` says about length before there is a signature: the length, or for DER the longest.
pub(crate) const fn signature_room(encoding: Encoding) -> usize {
    match encoding {
        Encoding::Raw => 64,
        Encoding::Der | Encoding::DerLax => DER,
    }
}

/// A signature as the mechanism gives it.
pub(crate) fn signature(sign: Sign, mut raw: [u8; 64]) -> Vec<u8> {
    match sign.defect {
        Some(Defect::Swapped) => raw.rotate_left(32),
        Some(Defect::LittleEndian) => raw.chunks_exact_mut(32).for_each(<[u8]>::reverse),
        Some(Defect::Ecdsa | Defect::EmptyId) | None => {}
    }
    let pad = match sign.encoding {
        Encoding::Raw => return raw.to_vec(),
        Encoding::Der => true,
        Encoding::DerLax => false,
    };
    let body = [integer(&raw[..32], pad), integer(&raw[32..], pad)].concat();
    element(0x30, &body)
}

/// The raw signature behind what [`signature`] gives, read as it is written.
pub(crate) fn raw_signature(sign: Sign, octets: &[u8]) -> Option<[u8; 64]> {
    let mut raw = [0; 64];
    if sign.encoding == Encoding::Raw {
        raw = octets.try_into().ok()?;
    } else {
        let [0x30, length, content @ ..] = octets else { return None };
        if usize::from(*length) != content.len() {
            return None;
        }
        let rest = read_integer(content, &mut raw[..32])?;
        if !read_integer(rest, &mut raw[32..])?.is_empty() {
            return None;
        }
    }
    match sign.defect {
        Some(Defect::Swapped) => raw.rotate_left(32),
        Some(Defect::LittleEndian) => raw.chunks_exact_mut(32).for_each(<[u8]>::reverse),
        Some(Defect::Ecdsa | Defect::EmptyId) | None => {}
    }
    Some(raw)
}

/// DER `SM2Cipher` of a ciphertext in the dialect's form. `None` when it is too short to be one.
pub(crate) fn cipher_der(form: CipherForm, octets: &[u8]) -> Option<Vec<u8>> {
    let (x, y, hash, sealed) = match (form, octets) {
        (CipherForm::Der, der) => return Some(der.to_vec()),
        (_, [4, rest @ ..]) if rest.len() > 96 => {
            let (x, rest) = rest.split_at(32);
            let (y, rest) = rest.split_at(32);
            if form == CipherForm::C1c3c2 {
                let (hash, sealed) = rest.split_at(32);
                (x, y, hash, sealed)
            } else {
                let (sealed, hash) = rest.split_at(rest.len() - 32);
                (x, y, hash, sealed)
            }
        }
        _ => return None,
    };
    let body = [integer(x, true), integer(y, true), element(4, hash), element(4, sealed)].concat();
    Some(element(0x30, &body))
}

/// A DER INTEGER of an unsigned value; without `pad`, the zero octet that keeps it positive is left out.
fn integer(value: &[u8], pad: bool) -> Vec<u8> {
    let start = value.iter().position(|octet| *octet != 0).unwrap_or(value.len().saturating_sub(1));
    let magnitude = value.get(start..).unwrap_or_default();
    let padding: &[u8] = if pad && magnitude.first().is_some_and(|octet| *octet >= 0x80) { &[0] } else { &[] };
    element(2, &[padding, magnitude].concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let length = match (high, low) {
        (0, 0..=0x7F) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], length.as_slice(), content].concat()
}

/// Reads an INTEGER, padded or not, and gives what follows it.
fn read_integer<'a>(der: &'a [u8], out: &mut [u8]) -> Option<&'a [u8]> {
    let [2, length, rest @ ..] = der else { return None };
    if usize::from(*length) > rest.len() {
        return None;
    }
    let (value, rest) = rest.split_at(usize::from(*length));
    let start = value.iter().position(|octet| *octet != 0).unwrap_or(value.len());
    let magnitude = value.get(start..)?;
    let place = out.len().checked_sub(magnitude.len())?;
    out.get_mut(place..)?.copy_from_slice(magnitude);
    Some(rest)
}
