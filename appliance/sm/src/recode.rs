//! Scalars as signed digits.

// Digits are small by construction.
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]

use crate::scalar::Scalar;

/// Windows that `WIDTH`-bit digits of a scalar take.
pub(crate) const fn windows(width: usize) -> usize {
    256usize.div_ceil(width)
}

/// A digit −2^(w−1) … 2^(w−1).
pub(crate) type Digit = i16;

/// Writes ±scalar = Σ dᵢ·2^(w·i) with −2^(w−1) < dᵢ ≤ 2^(w−1), for 2 ≤ w ≤ 14 and `digits` of [`windows`] places; returns whether the digits
/// are those of the negative. That of the two is taken which is below 2²⁵⁵, so that nothing is carried out of the last digit.
pub(crate) fn signed_windows(scalar: &Scalar, width: usize, digits: &mut [Digit]) -> bool {
    let negative = scalar.is_high();
    let limbs = if negative { scalar.neg().0 } else { scalar.0 };
    let (mask, half) = ((1u64 << width) - 1, 1u64 << (width - 1));
    let mut carry = 0;
    for (index, digit) in digits.iter_mut().enumerate() {
        let value = (bits(&limbs, index * width) & mask) + carry;
        carry = u64::from(value > half);
        // Below 2^15 in either direction.
        *digit = value as Digit - ((carry as Digit) << width);
    }
    negative
}

/// 64 bits of the number from bit `from` on; zeros above its end.
#[inline(always)]
fn bits(limbs: &[u64; 4], from: usize) -> u64 {
    let (limb, shift) = (from / 64, from % 64);
    let low = limbs.get(limb).map_or(0, |low| low >> shift);
    let high = if shift == 0 { 0 } else { limbs.get(limb + 1).map_or(0, |high| high << (64 - shift)) };
    low | high
}

/// Non-adjacent form of width `width`: digits odd or 0, |dᵢ| < 2^(w−1), of any `width` consecutive at most one not 0. Returns the digits
/// and how many of them count.
pub(crate) fn naf(scalar: &Scalar, width: usize) -> ([i8; 257], usize) {
    let mut digits = [0i8; 257];
    let (mut position, mut carry, mut length) = (0, 0u64, 0);
    let (mask, half) = ((1u64 << width) - 1, 1u64 << (width - 1));
    while position < 257 {
        let value = bits(&scalar.0, position) & mask;
        if (value & 1) == carry {
            // The carry makes the bit even.
            position += 1;
            continue;
        }
        let value = value + carry;
        carry = u64::from(value > half);
        digits[position] = (value as i16 - ((carry as i16) << width)) as i8;
        length = position + 1;
        position += width;
    }
    (digits, length)
}
