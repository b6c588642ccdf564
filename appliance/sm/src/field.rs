//! GF(p), p = 2²⁵⁶ − 2²²⁴ − 2⁹⁶ + 2⁶⁴ − 1 (GB/T 32918.5-2017), in Montgomery form with R = 2²⁵⁶. Every element is below p: equal
//! elements have equal limbs.

// Halves of 128-bit values.
#![allow(clippy::cast_possible_truncation)]

mod limb;
#[cfg(test)]
pub(crate) mod tests;

use subtle::{Choice, ConditionallySelectable};
use zeroize::Zeroize;

use limb::Limb;

/// p, least significant limb first.
pub(crate) const P: [u64; 4] =
    [0xffff_ffff_ffff_ffff, 0xffff_ffff_0000_0000, 0xffff_ffff_ffff_ffff, 0xffff_fffe_ffff_ffff];
/// R² mod p.
const RR: Fe = Fe([0x0000_0002_0000_0003, 0x0000_0002_ffff_ffff, 0x0000_0001_0000_0001, 0x0000_0004_0000_0002]);

/// An element of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Zeroize)]
pub(crate) struct Fe(pub(crate) [u64; 4]);

/// The multiplications of a back end. Everything above them is written once.
pub(crate) trait Multiply: Copy + 'static {
    fn mul(a: &Fe, b: &Fe) -> Fe;
    fn sqr(a: &Fe) -> Fe;
}

/// (sum, carry), carry 0 or 1.
#[inline(always)]
pub(crate) fn adc(a: u64, b: u64, carry: u64) -> (u64, u64) {
    let (sum, carry) = a.carrying_add(b, carry != 0);
    (sum, u64::from(carry))
}

/// (difference, borrow), borrow 0 or 1.
#[inline(always)]
pub(crate) fn sbb(a: u64, b: u64, borrow: u64) -> (u64, u64) {
    let (difference, borrow) = a.borrowing_sub(b, borrow != 0);
    (difference, u64::from(borrow))
}

/// `carry`·2²⁵⁶ + `a` − `m` where that is not negative, else `carry`·2²⁵⁶ + `a`; for values below 2m.
#[inline(always)]
pub(crate) fn reduce_once<L: Limb>(a: [L; 4], carry: L, m: &[L; 4]) -> [L; 4] {
    let (d0, b) = a[0].sbb(m[0], L::ZERO);
    let (d1, b) = a[1].sbb(m[1], b);
    let (d2, b) = a[2].sbb(m[2], b);
    let (d3, b) = a[3].sbb(m[3], b);
    let (_, below) = carry.sbb(L::ZERO, b);
    [L::choose(below, a[0], d0), L::choose(below, a[1], d1), L::choose(below, a[2], d2), L::choose(below, a[3], d3)]
}

/// Big-endian octets as limbs, whatever their value.
pub(crate) fn limbs_from_be(octets: &[u8; 32]) -> [u64; 4] {
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().rev().zip(octets.chunks_exact(8)) {
        *limb = chunk.iter().fold(0, |value, octet| value << 8 | u64::from(*octet));
    }
    limbs
}

pub(crate) fn limbs_to_be(limbs: &[u64; 4]) -> [u8; 32] {
    let mut octets = [0; 32];
    for (limb, chunk) in limbs.iter().rev().zip(octets.chunks_exact_mut(8)) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    octets
}

/// a < b, in variable time.
pub(crate) fn less(a: &[u64; 4], b: &[u64; 4]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

impl Fe {
    pub(crate) const ZERO: Self = Self([0; 4]);
    /// 1, that is R mod p.
    pub(crate) const ONE: Self = Self([1, 0xffff_ffff, 0, 1 << 32]);

    /// From an integer below p.
    pub(crate) fn from_limbs<M: Multiply>(limbs: [u64; 4]) -> Option<Self> {
        less(&limbs, &P).then(|| M::mul(&Self(limbs), &RR))
    }

    /// From 32 octets big-endian; none where they are p or more.
    pub(crate) fn from_be<M: Multiply>(octets: &[u8; 32]) -> Option<Self> {
        Self::from_limbs::<M>(limbs_from_be(octets))
    }

    pub(crate) fn to_be<M: Multiply>(self) -> [u8; 32] {
        limbs_to_be(&M::mul(&self, &Self([1, 0, 0, 0])).0)
    }

    #[inline(always)]
    pub(crate) fn add(&self, other: &Self) -> Self {
        let (a, b) = (&self.0, &other.0);
        let (s0, c) = adc(a[0], b[0], 0);
        let (s1, c) = adc(a[1], b[1], c);
        let (s2, c) = adc(a[2], b[2], c);
        let (s3, c) = adc(a[3], b[3], c);
        Self(reduce_once([s0, s1, s2, s3], c, &P))
    }

    #[inline(always)]
    pub(crate) fn double(&self) -> Self {
        self.add(self)
    }

    /// 3a with one reduction.
    #[inline(always)]
    pub(crate) fn triple(&self) -> Self {
        let a = &self.0;
        let (s0, c) = adc(a[0], a[0], 0);
        let (s1, c) = adc(a[1], a[1], c);
        let (s2, c) = adc(a[2], a[2], c);
        let (s3, above) = adc(a[3], a[3], c);
        let (s0, c) = adc(s0, a[0], 0);
        let (s1, c) = adc(s1, a[1], c);
        let (s2, c) = adc(s2, a[2], c);
        let (s3, c) = adc(s3, a[3], c);
        // At most 2, and 2²⁵⁶ ≡ 2²²⁴ + 2⁹⁶ − 2⁶⁴ + 1.
        let above = above + c;
        let (s0, c) = adc(s0, above, 0);
        let (s1, c) = adc(s1, (above << 32) - above, c);
        let (s2, c) = adc(s2, 0, c);
        let (s3, c) = adc(s3, above << 32, c);
        Self(reduce_once([s0, s1, s2, s3], c, &P))
    }

    /// a/2.
    #[inline(always)]
    pub(crate) fn halve(&self) -> Self {
        let a = &self.0;
        // p where a is odd, else 0: the sum is even.
        let mask = 0u64.wrapping_sub(a[0] & 1);
        let (s0, c) = adc(a[0], mask, 0);
        let (s1, c) = adc(a[1], mask & P[1], c);
        let (s2, c) = adc(a[2], mask, c);
        let (s3, c) = adc(a[3], mask & P[3], c);
        Self([s0 >> 1 | s1 << 63, s1 >> 1 | s2 << 63, s2 >> 1 | s3 << 63, s3 >> 1 | c << 63])
    }

    #[inline(always)]
    pub(crate) fn sub(&self, other: &Self) -> Self {
        let (a, b) = (&self.0, &other.0);
        let (d0, w) = sbb(a[0], b[0], 0);
        let (d1, w) = sbb(a[1], b[1], w);
        let (d2, w) = sbb(a[2], b[2], w);
        let (d3, w) = sbb(a[3], b[3], w);
        // p where the difference went below zero, else 0.
        let mask = 0u64.wrapping_sub(w);
        let (s0, c) = adc(d0, mask, 0);
        let (s1, c) = adc(d1, mask & P[1], c);
        let (s2, c) = adc(d2, mask, c);
        let (s3, _) = adc(d3, mask & P[3], c);
        Self([s0, s1, s2, s3])
    }

    #[inline(always)]
    pub(crate) fn neg(&self) -> Self {
        Self::ZERO.sub(self)
    }

    #[inline(always)]
    pub(crate) fn is_zero(&self) -> bool {
        let [a, b, c, d] = self.0;
        a | b | c | d == 0
    }

    /// As integers: whether the value itself, not its Montgomery form, is odd.
    pub(crate) fn is_odd<M: Multiply>(&self) -> bool {
        M::mul(self, &Self([1, 0, 0, 0])).0[0] & 1 == 1
    }

    fn squarings<M: Multiply>(mut self, count: u32) -> Self {
        for _ in 0..count {
            self = M::sqr(&self);
        }
        self
    }

    /// a^(2³⁰−1), a^(2³¹−1), a^(2³²−1): runs of ones, of which the exponents below consist.
    fn runs<M: Multiply>(&self) -> (Self, Self, Self) {
        let x2 = M::mul(&M::sqr(self), self);
        let x4 = M::mul(&x2.squarings::<M>(2), &x2);
        let x8 = M::mul(&x4.squarings::<M>(4), &x4);
        let x16 = M::mul(&x8.squarings::<M>(8), &x8);
        let x24 = M::mul(&x16.squarings::<M>(8), &x8);
        let x28 = M::mul(&x24.squarings::<M>(4), &x4);
        let x30 = M::mul(&x28.squarings::<M>(2), &x2);
        let x31 = M::mul(&M::sqr(&x30), self);
        (x30, x31, M::mul(&M::sqr(&x31), self))
    }

    /// The power with which the exponents p − 2 and (p + 1)/4 both begin: 31 ones, a zero, 128 ones.
    fn exponent_head<M: Multiply>(x31: &Self, x32: &Self) -> Self {
        (0..4).fold(M::sqr(x31), |head, _| M::mul(&head.squarings::<M>(32), x32))
    }

    /// 1/a by Fermat, a^(p−2); 0 for 0. The same operations for every a.
    pub(crate) fn invert<M: Multiply>(&self) -> Self {
        let (x30, x31, x32) = self.runs::<M>();
        let head = Self::exponent_head::<M>(&x31, &x32);
        let with_low_ones = M::mul(&head.squarings::<M>(64), &x32);
        let with_thirty = M::mul(&with_low_ones.squarings::<M>(30), &x30);
        M::mul(&with_thirty.squarings::<M>(2), self)
    }

    /// A square root, a^((p+1)/4), if there is one (p ≡ 3 mod 4).
    pub(crate) fn sqrt<M: Multiply>(&self) -> Option<Self> {
        let (_, x31, x32) = self.runs::<M>();
        let head = Self::exponent_head::<M>(&x31, &x32);
        let root = M::mul(&head.squarings::<M>(32), self).squarings::<M>(62);
        (M::sqr(&root) == *self).then_some(root)
    }
}

impl ConditionallySelectable for Fe {
    fn conditional_select(a: &Self, b: &Self, choice: Choice) -> Self {
        let mut limbs = [0; 4];
        for (limb, (a, b)) in limbs.iter_mut().zip(a.0.iter().zip(&b.0)) {
            *limb = u64::conditional_select(a, b, choice);
        }
        Self(limbs)
    }
}

/// The portable back end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

/// (low, high) of `acc + a·b + carry`, which fits 128 bits.
#[inline(always)]
const fn mac(acc: u64, a: u64, b: u64, carry: u64) -> (u64, u64) {
    let value = acc as u128 + a as u128 * b as u128 + carry as u128;
    (value as u64, (value >> 64) as u64)
}

/// Adds m·p, where m = t₀, and shifts one limb down: −p⁻¹ ≡ 1 mod 2⁶⁴, and m·p = m·2²⁵⁶ − m·2²²⁴ − m·2⁹⁶ + m·2⁶⁴ − m takes shifts only.
///
/// For t < 2²⁵⁶ the result is (t + m·p)/2⁶⁴ < 2¹⁹² + p < 2²⁵⁶: it fits four limbs, and what wraps around on the way wraps back. `tests::reduction`
/// proves the equation.
#[inline(always)]
fn fold_limb<L: Limb>(t: [L; 4]) -> [L; 4] {
    let m = t[0];
    let (low, high) = m.halves();
    let (t1, c) = t[1].adc(m, L::ZERO);
    let (t2, c) = t[2].adc(L::ZERO, c);
    let (t3, c) = t[3].adc(L::ZERO, c);
    let t4 = m.plus(c);
    let (t1, b) = t1.sbb(low, L::ZERO);
    let (t2, b) = t2.sbb(high, b);
    let (t3, b) = t3.sbb(low, b);
    [t1, t2, t3, t4.minus(high).minus(b)]
}

/// t/2²⁵⁶ modulo p for t < p²: the low half, folded away limb by limb, becomes at most p, and the high half is below p − 1, so that their
/// sum is below 2p.
#[inline(always)]
fn reduce_product<L: Limb>(t: [L; 8], p: &[L; 4]) -> [L; 4] {
    let low = fold_limb(fold_limb(fold_limb(fold_limb([t[0], t[1], t[2], t[3]]))));
    let (r0, c) = low[0].adc(t[4], L::ZERO);
    let (r1, c) = low[1].adc(t[5], c);
    let (r2, c) = low[2].adc(t[6], c);
    let (r3, c) = low[3].adc(t[7], c);
    reduce_once([r0, r1, r2, r3], c, p)
}

impl Multiply for Portable {
    #[inline]
    fn mul(a: &Fe, b: &Fe) -> Fe {
        let (a, b) = (&a.0, &b.0);
        let mut t = [0; 8];
        for (row, b) in b.iter().enumerate() {
            let (t0, c) = mac(t[row], a[0], *b, 0);
            let (t1, c) = mac(t[row + 1], a[1], *b, c);
            let (t2, c) = mac(t[row + 2], a[2], *b, c);
            let (t3, c) = mac(t[row + 3], a[3], *b, c);
            (t[row], t[row + 1], t[row + 2], t[row + 3], t[row + 4]) = (t0, t1, t2, t3, c);
        }
        Fe(reduce_product(t, &P))
    }

    #[inline]
    fn sqr(a: &Fe) -> Fe {
        let a = &a.0;
        // The products of unlike limbs, once each.
        let (t1, c) = mac(0, a[0], a[1], 0);
        let (t2, c) = mac(0, a[0], a[2], c);
        let (t3, t4) = mac(0, a[0], a[3], c);
        let (t3, c) = mac(t3, a[1], a[2], 0);
        let (t4, t5) = mac(t4, a[1], a[3], c);
        let (t5, t6) = mac(t5, a[2], a[3], 0);
        // Twice, and the squares of the limbs.
        let t7 = t6 >> 63;
        let t6 = t6 << 1 | t5 >> 63;
        let t5 = t5 << 1 | t4 >> 63;
        let t4 = t4 << 1 | t3 >> 63;
        let t3 = t3 << 1 | t2 >> 63;
        let t2 = t2 << 1 | t1 >> 63;
        let t1 = t1 << 1;
        let (t0, c) = mac(0, a[0], a[0], 0);
        let (t1, c) = adc(t1, c, 0);
        let (t2, h) = mac(t2, a[1], a[1], c);
        let (t3, c) = adc(t3, h, 0);
        let (t4, h) = mac(t4, a[2], a[2], c);
        let (t5, c) = adc(t5, h, 0);
        let (t6, h) = mac(t6, a[3], a[3], c);
        // Does not overflow; a check would be a branch on what may be secret.
        Fe(reduce_product([t0, t1, t2, t3, t4, t5, t6, t7.wrapping_add(h)], &P))
    }
}
