//! Recognising ECDSA over the SM2 curve, which modules without SM2 make with an SM2 key. Nothing is ever trusted for it.

use num_bigint::BigUint;
use yanqian_sm::{E, PublicKey, Signature, verify};

/// Order of the SM2 curve (GB/T 32918.5-2017).
const N: [u8; 32] = [
    0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x72, 0x03, 0xdf,
    0x6b, 0x21, 0xc6, 0x05, 0x2b, 0x53, 0xbb, 0xf4, 0x09, 0x39, 0xd5, 0x41, 0x23,
];

/// Whether (r, s) is an ECDSA signature over the 32-octet hash by this key.
///
/// ECDSA asks whether x(u₁G + u₂P) = r with u₁ = h/s and u₂ = r/s; SM2 asks whether e + x(s′G + (r′+s′)P) = r′. With
/// s′ = u₁, r′ = u₂ − u₁ and e = r′ − r the second question is the first.
pub(crate) fn is_ecdsa(key: &PublicKey, hash: &[u8; 32], signature: &Signature) -> bool {
    let n = BigUint::from_bytes_be(&N);
    let raw = signature.to_raw();
    let (r, s) = (BigUint::from_bytes_be(&raw[..32]), BigUint::from_bytes_be(&raw[32..]));
    // n is prime, and 0 < s < n.
    let inverse = s.modpow(&(&n - 2_u32), &n);
    let first = BigUint::from_bytes_be(hash) * &inverse % &n;
    let second = &r * &inverse % &n;
    let turned = (&second + &n - &first) % &n;
    let digest = (&turned + &n - &r) % &n;
    let mut octets = [0; 64];
    octets[..32].copy_from_slice(&fixed(&turned));
    octets[32..].copy_from_slice(&fixed(&first));
    Signature::from_raw(&octets).is_ok_and(|signature| verify(key, &E::from_digest(fixed(&digest)), &signature).is_ok())
}

/// 32 octets big-endian of a number below n.
fn fixed(number: &BigUint) -> [u8; 32] {
    let octets = number.to_bytes_be();
    let mut fixed = [0; 32];
    let start = 32_usize.saturating_sub(octets.len());
    fixed[start..].copy_from_slice(&octets[octets.len() - (32 - start)..]);
    fixed
}
