//! Integers modulo the group's order n (GB/T 32918.5-2017). Verification needs sums and differences only.

use crate::field::{P, adc, less, limbs_from_be, limbs_to_be, reduce_once, sbb};

/// n, least significant limb first.
pub(crate) const N: [u64; 4] =
    [0x53bb_f409_39d5_4123, 0x7203_df6b_21c6_052b, 0xffff_ffff_ffff_ffff, 0xffff_fffe_ffff_ffff];

/// An integer below n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scalar(pub(crate) [u64; 4]);

impl Scalar {
    /// From 32 octets big-endian; none where they are n or more.
    pub(crate) fn from_be(octets: &[u8; 32]) -> Option<Self> {
        let limbs = limbs_from_be(octets);
        less(&limbs, &N).then_some(Self(limbs))
    }

    /// From 32 octets big-endian, modulo n: any such value is below 2n.
    pub(crate) fn reduced_from_be(octets: &[u8; 32]) -> Self {
        Self(reduce_once(limbs_from_be(octets), 0, &N))
    }

    pub(crate) fn to_be(self) -> [u8; 32] {
        limbs_to_be(&self.0)
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0 == [0; 4]
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        let (s0, c) = adc(self.0[0], other.0[0], 0);
        let (s1, c) = adc(self.0[1], other.0[1], c);
        let (s2, c) = adc(self.0[2], other.0[2], c);
        let (s3, c) = adc(self.0[3], other.0[3], c);
        Self(reduce_once([s0, s1, s2, s3], c, &N))
    }

    pub(crate) fn neg(&self) -> Self {
        if self.is_zero() { *self } else { Self(minus(&N, &self.0)) }
    }

    pub(crate) fn sub(&self, other: &Self) -> Self {
        self.add(&other.neg())
    }

    /// The integer itself, and the integer plus n where that is below p: what an x-coordinate can be that is this modulo n.
    pub(crate) fn as_coordinates(&self) -> ([u64; 4], Option<[u64; 4]>) {
        let (s0, c) = adc(self.0[0], N[0], 0);
        let (s1, c) = adc(self.0[1], N[1], c);
        let (s2, c) = adc(self.0[2], N[2], c);
        let (s3, c) = adc(self.0[3], N[3], c);
        let sum = [s0, s1, s2, s3];
        (self.0, (c == 0 && less(&sum, &P)).then_some(sum))
    }

    /// Whether it is more than (n − 1)/2.
    pub(crate) fn is_high(&self) -> bool {
        less(&minus(&N, &self.0), &self.0)
    }
}

/// a − b for b ≤ a.
fn minus(a: &[u64; 4], b: &[u64; 4]) -> [u64; 4] {
    let (d0, w) = sbb(a[0], b[0], 0);
    let (d1, w) = sbb(a[1], b[1], w);
    let (d2, w) = sbb(a[2], b[2], w);
    let (d3, _) = sbb(a[3], b[3], w);
    [d0, d1, d2, d3]
}
