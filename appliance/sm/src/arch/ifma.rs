//! Eight field elements at a time with AVX-512 IFMA.
//!
//! A lane's element is five limbs of 52 bits, in Montgomery form with R = 2²⁶⁰, and not always below p. Comments bound values in units of
//! 2²⁵⁶. What is multiplied must have its limbs in place (`carry`), and be at least 0 and below 16 units; a product of a and b units is
//! below a·b/16 + 1. Products come with loose limbs, so that sums and differences of them are put in place once.
//!
//! Additions do not look for the exceptional cases, where both points have one x-coordinate: they give Z = 0 then, and Z stays 0
//! through every addition that follows. So a sum whose Z is 0 says nothing, and whoever gets it must ask the scalar code.

#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m512i, __mmask8, _MM_HINT_T0, _mm_prefetch, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpeq_epi64_mask,
    _mm512_i64gather_epi64, _mm512_loadu_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_blend_epi64,
    _mm512_mask_sub_epi64, _mm512_permutexvar_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shrdi_epi64,
    _mm512_shuffle_i64x2, _mm512_slli_epi64, _mm512_srai_epi64, _mm512_srli_epi64, _mm512_sub_epi64,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

use crate::point::Affine;
use crate::recode::Digit;

/// Lanes.
pub(crate) const LANES: usize = 8;
/// One bit for each lane.
pub(crate) type Mask = __mmask8;

/// An element in each lane.
#[derive(Clone, Copy)]
struct Fe8([__m512i; 5]);

const MASK52: i64 = (1 << 52) - 1;
/// p = −1 + 2⁵²·(`LOW` − 2⁵²) + 2²⁰⁸·`HIGH`: what a multiple of p adds where.
const LOW: i64 = (1 << 52) - (1 << 44) + (1 << 12);
const HIGH: i64 = (1 << 48) - (1 << 16);
/// p and multiples of it.
const P1: [i64; 5] = [MASK52, 0xf_f000_0000_0fff, MASK52, MASK52, 0xffff_fffe_ffff];
const P2: [i64; 5] = [0xf_ffff_ffff_fffe, 0xf_e000_0000_1fff, MASK52, MASK52, 0x1_ffff_fffd_ffff];
const P4: [i64; 5] = [0xf_ffff_ffff_fffc, 0xf_c000_0000_3fff, MASK52, MASK52, 0x3_ffff_fffb_ffff];
const P8: [i64; 5] = [0xf_ffff_ffff_fff8, 0xf_8000_0000_7fff, MASK52, MASK52, 0x7_ffff_fff7_ffff];
const P6: [i64; 5] = add(P4, P2);
const P10: [i64; 5] = add(P8, P2);
/// 2²⁶⁰ mod p: 1 in Montgomery form.
const ONE: [i64; 5] = [0x10, 0xffff_ffff_0000, 0, 0, 0x10_0000];
/// 2⁵²⁰ mod p.
const RR: [i64; 5] = [0x200_0000_0300, 0xf_ffff_fff0_0000, 0x1_0000_0002, 0x2000_0000_1000, 0x400_0000];

const fn add(a: [i64; 5], b: [i64; 5]) -> [i64; 5] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4]]
}

macro_rules! avx512 {
    ($($(#[$meta:meta])* $visibility:vis fn $name:ident($($args:tt)*) $(-> $result:ty)? $body:block)*) => {
        $(
            $(#[$meta])*
            #[inline]
            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx512vbmi2")]
            $visibility fn $name($($args)*) $(-> $result)? $body
        )*
    };
}

impl Fe8 {
    avx512! {
        fn all(limbs: [i64; 5]) -> Self {
            Self([
                _mm512_set1_epi64(limbs[0]),
                _mm512_set1_epi64(limbs[1]),
                _mm512_set1_epi64(limbs[2]),
                _mm512_set1_epi64(limbs[3]),
                _mm512_set1_epi64(limbs[4]),
            ])
        }

        /// Limb by limb; loose.
        fn plus(&self, other: &Self) -> Self {
            let (a, b) = (&self.0, &other.0);
            Self([
                _mm512_add_epi64(a[0], b[0]),
                _mm512_add_epi64(a[1], b[1]),
                _mm512_add_epi64(a[2], b[2]),
                _mm512_add_epi64(a[3], b[3]),
                _mm512_add_epi64(a[4], b[4]),
            ])
        }

        /// Limb by limb; loose, and limbs may be negative.
        fn minus(&self, other: &Self) -> Self {
            let (a, b) = (&self.0, &other.0);
            Self([
                _mm512_sub_epi64(a[0], b[0]),
                _mm512_sub_epi64(a[1], b[1]),
                _mm512_sub_epi64(a[2], b[2]),
                _mm512_sub_epi64(a[3], b[3]),
                _mm512_sub_epi64(a[4], b[4]),
            ])
        }

        fn double(&self) -> Self {
            self.plus(self)
        }

        /// The negative in the lanes of `mask`; limb by limb.
        fn negate(&self, mask: Mask) -> Self {
            let (zero, a) = (_mm512_setzero_si512(), &self.0);
            Self([
                _mm512_mask_sub_epi64(a[0], mask, zero, a[0]),
                _mm512_mask_sub_epi64(a[1], mask, zero, a[1]),
                _mm512_mask_sub_epi64(a[2], mask, zero, a[2]),
                _mm512_mask_sub_epi64(a[3], mask, zero, a[3]),
                _mm512_mask_sub_epi64(a[4], mask, zero, a[4]),
            ])
        }

        /// `other` in the lanes of `mask`, else `self`.
        fn blend(&self, mask: Mask, other: &Self) -> Self {
            let (a, b) = (&self.0, &other.0);
            Self([
                _mm512_mask_blend_epi64(mask, a[0], b[0]),
                _mm512_mask_blend_epi64(mask, a[1], b[1]),
                _mm512_mask_blend_epi64(mask, a[2], b[2]),
                _mm512_mask_blend_epi64(mask, a[3], b[3]),
                _mm512_mask_blend_epi64(mask, a[4], b[4]),
            ])
        }

        /// Puts limbs in place; the value stays. It must be at least 0 and below 16 units.
        fn carry(&self) -> Self {
            let mask = _mm512_set1_epi64(MASK52);
            let [t0, t1, t2, t3, t4] = self.0;
            let t1 = _mm512_add_epi64(t1, _mm512_srai_epi64::<52>(t0));
            let t2 = _mm512_add_epi64(t2, _mm512_srai_epi64::<52>(t1));
            let t3 = _mm512_add_epi64(t3, _mm512_srai_epi64::<52>(t2));
            let t4 = _mm512_add_epi64(t4, _mm512_srai_epi64::<52>(t3));
            Self([
                _mm512_and_si512(t0, mask),
                _mm512_and_si512(t1, mask),
                _mm512_and_si512(t2, mask),
                _mm512_and_si512(t3, mask),
                t4,
            ])
        }

        /// As [`Self::carry`], and below 1.01 units: what stands above 2²⁵⁶ is folded down by 2²⁵⁶ ≡ 2²²⁴ + 2⁹⁶ − 2⁶⁴ + 1.
        fn fold(&self) -> Self {
            let [t0, t1, t2, t3, t4] = self.carry().0;
            let above = _mm512_srli_epi64::<48>(t4);
            let t4 = _mm512_and_si512(t4, _mm512_set1_epi64((1 << 48) - 1));
            let t1 = _mm512_add_epi64(t1, _mm512_sub_epi64(_mm512_slli_epi64::<44>(above), _mm512_slli_epi64::<12>(above)));
            let t4 = _mm512_add_epi64(t4, _mm512_slli_epi64::<16>(above));
            Self([_mm512_add_epi64(t0, above), t1, t2, t3, t4]).carry()
        }

        /// a·b/2²⁶⁰, with loose limbs.
        fn times(&self, other: &Self) -> Self {
            let (a, b) = (&self.0, &other.0);
            let zero = _mm512_setzero_si512();
            let t = [
                _mm512_madd52lo_epu64(zero, a[0], b[0]),
                _mm512_madd52lo_epu64(zero, a[1], b[0]),
                _mm512_madd52lo_epu64(zero, a[2], b[0]),
                _mm512_madd52lo_epu64(zero, a[3], b[0]),
                _mm512_madd52lo_epu64(zero, a[4], b[0]),
            ];
            let t = next_row(&t, a, b[0], b[1]);
            let t = next_row(&t, a, b[1], b[2]);
            let t = next_row(&t, a, b[2], b[3]);
            let t = next_row(&t, a, b[3], b[4]);
            Self(fold_limb(t[0], high_halves(&t, a, b[4])))
        }

        /// a²/2²⁶⁰, with loose limbs.
        fn square(&self) -> Self {
            let a = &self.0;
            let zero = _mm512_setzero_si512();
            // Products of unlike limbs, by the place of their sum.
            let t1 = _mm512_madd52lo_epu64(zero, a[0], a[1]);
            let t2 = _mm512_madd52hi_epu64(_mm512_madd52lo_epu64(zero, a[0], a[2]), a[0], a[1]);
            let t3 = _mm512_madd52hi_epu64(_mm512_madd52lo_epu64(zero, a[0], a[3]), a[0], a[2]);
            let t3 = _mm512_madd52lo_epu64(t3, a[1], a[2]);
            let t4 = _mm512_madd52hi_epu64(_mm512_madd52lo_epu64(zero, a[0], a[4]), a[0], a[3]);
            let t4 = _mm512_madd52hi_epu64(_mm512_madd52lo_epu64(t4, a[1], a[3]), a[1], a[2]);
            let t5 = _mm512_madd52lo_epu64(_mm512_madd52hi_epu64(zero, a[0], a[4]), a[1], a[4]);
            let t5 = _mm512_madd52lo_epu64(_mm512_madd52hi_epu64(t5, a[1], a[3]), a[2], a[3]);
            let t6 = _mm512_madd52lo_epu64(_mm512_madd52hi_epu64(zero, a[1], a[4]), a[2], a[4]);
            let t6 = _mm512_madd52hi_epu64(t6, a[2], a[3]);
            let t7 = _mm512_madd52lo_epu64(_mm512_madd52hi_epu64(zero, a[2], a[4]), a[3], a[4]);
            let t8 = _mm512_madd52hi_epu64(zero, a[3], a[4]);
            // Twice, and the squares.
            let t0 = _mm512_madd52lo_epu64(zero, a[0], a[0]);
            let t1 = _mm512_madd52hi_epu64(_mm512_add_epi64(t1, t1), a[0], a[0]);
            let t2 = _mm512_madd52lo_epu64(_mm512_add_epi64(t2, t2), a[1], a[1]);
            let t3 = _mm512_madd52hi_epu64(_mm512_add_epi64(t3, t3), a[1], a[1]);
            let t4 = _mm512_madd52lo_epu64(_mm512_add_epi64(t4, t4), a[2], a[2]);
            let t5 = _mm512_madd52hi_epu64(_mm512_add_epi64(t5, t5), a[2], a[2]);
            let t6 = _mm512_madd52lo_epu64(_mm512_add_epi64(t6, t6), a[3], a[3]);
            let t7 = _mm512_madd52hi_epu64(_mm512_add_epi64(t7, t7), a[3], a[3]);
            let t8 = _mm512_madd52lo_epu64(_mm512_add_epi64(t8, t8), a[4], a[4]);
            let t9 = _mm512_madd52hi_epu64(zero, a[4], a[4]);
            let low = fold_limb(t0, [t1, t2, t3, t4, t5]);
            let low = fold_limb(low[0], [low[1], low[2], low[3], low[4], t6]);
            let low = fold_limb(low[0], [low[1], low[2], low[3], low[4], t7]);
            let low = fold_limb(low[0], [low[1], low[2], low[3], low[4], t8]);
            Self(fold_limb(low[0], [low[1], low[2], low[3], low[4], t9]))
        }

        fn mul(&self, other: &Self) -> Self {
            self.times(other).carry()
        }

        fn sqr(&self) -> Self {
            self.square().carry()
        }

        /// The lanes whose value is 0 modulo p, for limbs in place and below 16 units.
        fn is_zero(&self) -> Mask {
            // A multiple of p times 1 is 0 or p: below 16·1/2²⁶⁰ + 1 units.
            let Self(value) = self.mul(&Self::all([1, 0, 0, 0, 0]));
            equal(&value, [0; 5]) | equal(&value, P1)
        }

        /// Four 64-bit limbs of each lane, times 16: 2²⁵⁶ becomes 2²⁶⁰, so one Montgomery form becomes the other. Below 16 units.
        fn from_limbs_times_16(x: &[__m512i; 4]) -> Self {
            let mask = _mm512_set1_epi64(MASK52);
            Self([
                _mm512_and_si512(_mm512_slli_epi64::<4>(x[0]), mask),
                _mm512_and_si512(_mm512_shrdi_epi64::<48>(x[0], x[1]), mask),
                _mm512_and_si512(_mm512_shrdi_epi64::<36>(x[1], x[2]), mask),
                _mm512_and_si512(_mm512_shrdi_epi64::<24>(x[2], x[3]), mask),
                _mm512_srli_epi64::<12>(x[3]),
            ])
        }

        /// Integers below 2²⁵⁶, not in Montgomery form, into it.
        fn from_integers(x: &[__m512i; 4]) -> Self {
            let mask = _mm512_set1_epi64(MASK52);
            Self([
                _mm512_and_si512(x[0], mask),
                _mm512_and_si512(_mm512_shrdi_epi64::<52>(x[0], x[1]), mask),
                _mm512_and_si512(_mm512_shrdi_epi64::<40>(x[1], x[2]), mask),
                _mm512_and_si512(_mm512_shrdi_epi64::<28>(x[2], x[3]), mask),
                _mm512_srli_epi64::<16>(x[3]),
            ])
            .mul(&Self::all(RR))
        }

        /// Lane i gets what lane i ^ `distance` had.
        fn exchange(&self, order: __m512i) -> Self {
            let a = &self.0;
            Self([
                _mm512_permutexvar_epi64(order, a[0]),
                _mm512_permutexvar_epi64(order, a[1]),
                _mm512_permutexvar_epi64(order, a[2]),
                _mm512_permutexvar_epi64(order, a[3]),
                _mm512_permutexvar_epi64(order, a[4]),
            ])
        }
    }
}

avx512! {
    /// Adds the high halves of a·b, for one limb b, one limb up, and drops the limb that they leave.
    fn high_halves(t: &[__m512i; 5], a: &[__m512i; 5], b: __m512i) -> [__m512i; 5] {
        [
            _mm512_madd52hi_epu64(t[1], a[0], b),
            _mm512_madd52hi_epu64(t[2], a[1], b),
            _mm512_madd52hi_epu64(t[3], a[2], b),
            _mm512_madd52hi_epu64(t[4], a[3], b),
            _mm512_madd52hi_epu64(_mm512_setzero_si512(), a[4], b),
        ]
    }

    /// From the sum that ends with the low halves of a·b to the one that ends with those of a·c. What does not wait for the multiple of p
    /// comes first.
    fn next_row(t: &[__m512i; 5], a: &[__m512i; 5], b: __m512i, c: __m512i) -> [__m512i; 5] {
        let s = high_halves(t, a, b);
        fold_limb(
            t[0],
            [
                _mm512_madd52lo_epu64(s[0], a[0], c),
                _mm512_madd52lo_epu64(s[1], a[1], c),
                _mm512_madd52lo_epu64(s[2], a[2], c),
                _mm512_madd52lo_epu64(s[3], a[3], c),
                _mm512_madd52lo_epu64(s[4], a[4], c),
            ],
        )
    }

    fn equal(a: &[__m512i; 5], b: [i64; 5]) -> Mask {
        _mm512_cmpeq_epi64_mask(a[0], _mm512_set1_epi64(b[0]))
            & _mm512_cmpeq_epi64_mask(a[1], _mm512_set1_epi64(b[1]))
            & _mm512_cmpeq_epi64_mask(a[2], _mm512_set1_epi64(b[2]))
            & _mm512_cmpeq_epi64_mask(a[3], _mm512_set1_epi64(b[3]))
            & _mm512_cmpeq_epi64_mask(a[4], _mm512_set1_epi64(b[4]))
    }

    /// The 64 octets of eight limbs.
    fn load_limbs(limbs: &[u64; 8]) -> __m512i {
        // SAFETY: 64 octets that may be read.
        unsafe { _mm512_loadu_si512(limbs.as_ptr().cast()) }
    }

    /// Adds m·p to `t0` and the limbs `s` above it, where m is the low 52 bits of `t0`, and drops the limb that is 0 then.
    fn fold_limb(t0: __m512i, s: [__m512i; 5]) -> [__m512i; 5] {
        let (low, high) = (_mm512_set1_epi64(LOW), _mm512_set1_epi64(HIGH));
        let m = _mm512_and_si512(t0, _mm512_set1_epi64(MASK52));
        let carry = _mm512_srai_epi64::<52>(t0);
        [
            _mm512_add_epi64(_mm512_madd52lo_epu64(s[0], m, low), carry),
            _mm512_sub_epi64(_mm512_madd52hi_epu64(s[1], m, low), m),
            s[2],
            _mm512_madd52lo_epu64(s[3], m, high),
            _mm512_madd52hi_epu64(s[4], m, high),
        ]
    }

    /// Columns of the 8 × 8 matrix whose rows these are.
    fn transpose(r: &[__m512i; 8]) -> [__m512i; 8] {
        let (l0, h0) = (_mm512_unpacklo_epi64(r[0], r[1]), _mm512_unpackhi_epi64(r[0], r[1]));
        let (l1, h1) = (_mm512_unpacklo_epi64(r[2], r[3]), _mm512_unpackhi_epi64(r[2], r[3]));
        let (l2, h2) = (_mm512_unpacklo_epi64(r[4], r[5]), _mm512_unpackhi_epi64(r[4], r[5]));
        let (l3, h3) = (_mm512_unpacklo_epi64(r[6], r[7]), _mm512_unpackhi_epi64(r[6], r[7]));
        let (le0, le1) = (_mm512_shuffle_i64x2::<0x88>(l0, l1), _mm512_shuffle_i64x2::<0x88>(l2, l3));
        let (lo0, lo1) = (_mm512_shuffle_i64x2::<0xdd>(l0, l1), _mm512_shuffle_i64x2::<0xdd>(l2, l3));
        let (he0, he1) = (_mm512_shuffle_i64x2::<0x88>(h0, h1), _mm512_shuffle_i64x2::<0x88>(h2, h3));
        let (ho0, ho1) = (_mm512_shuffle_i64x2::<0xdd>(h0, h1), _mm512_shuffle_i64x2::<0xdd>(h2, h3));
        [
            _mm512_shuffle_i64x2::<0x88>(le0, le1),
            _mm512_shuffle_i64x2::<0x88>(he0, he1),
            _mm512_shuffle_i64x2::<0x88>(lo0, lo1),
            _mm512_shuffle_i64x2::<0x88>(ho0, ho1),
            _mm512_shuffle_i64x2::<0xdd>(le0, le1),
            _mm512_shuffle_i64x2::<0xdd>(he0, he1),
            _mm512_shuffle_i64x2::<0xdd>(lo0, lo1),
            _mm512_shuffle_i64x2::<0xdd>(ho0, ho1),
        ]
    }

    /// Coordinates of a point for each lane; below 16 units.
    fn load(points: &[&Affine; LANES]) -> (Fe8, Fe8) {
        let mut rows = [_mm512_setzero_si512(); LANES];
        let mut lane = 0;
        while lane < LANES {
            // SAFETY: an `Affine` is `repr(C)` and two times four u64: 64 octets that may be read.
            rows[lane] = unsafe { _mm512_loadu_si512(core::ptr::from_ref(points[lane]).cast()) };
            lane += 1;
        }
        let [x0, x1, x2, x3, y0, y1, y2, y3] = transpose(&rows);
        (Fe8::from_limbs_times_16(&[x0, x1, x2, x3]), Fe8::from_limbs_times_16(&[y0, y1, y2, y3]))
    }
}

/// A point in each lane, in Jacobian coordinates. X is below 1.01 units, Y below 5, Z below 3.
#[derive(Clone, Copy)]
pub(crate) struct Sum8 {
    x: Fe8,
    y: Fe8,
    z: Fe8,
    /// Lanes to which nothing was added yet; what stands there means nothing.
    empty: Mask,
}

/// A table's point to add in each lane.
pub(crate) struct Step<'a> {
    pub(crate) points: [&'a Affine; LANES],
    /// Lanes that add the point's negative.
    pub(crate) negative: Mask,
    /// Lanes that add at all.
    pub(crate) active: Mask,
}

impl Step<'_> {
    avx512! {
        /// Asks for the points to be brought near.
        pub(crate) fn prefetch(&self) {
            for point in self.points {
                _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(point).cast());
            }
        }
    }
}

impl Sum8 {
    avx512! {
        pub(crate) fn new() -> Self {
            let one = Fe8::all(ONE);
            Self { x: one, y: one, z: one, empty: 0xff }
        }

        fn blend(&self, mask: Mask, other: &Self) -> Self {
            Self {
                x: self.x.blend(mask, &other.x),
                y: self.y.blend(mask, &other.y),
                z: self.z.blend(mask, &other.z),
                empty: (self.empty & !mask) | (other.empty & mask),
            }
        }

        /// Adds an affine point: 8M + 3S.
        pub(crate) fn add_affine(&self, step: &Step<'_>) -> Self {
            let (x2, y2) = load(&step.points);
            let zz = self.z.sqr();
            let h = x2.times(&zz).minus(&self.x).plus(&Fe8::all(P2)).carry(); // 4.1
            let s2 = y2.times(&self.z.mul(&zz)).negate(step.negative); // ±2.2
            let r = s2.minus(&self.y).plus(&Fe8::all(P8)).carry(); // 10.2
            let hh = h.sqr(); // 2.1
            let hhh = h.mul(&hh); // 1.6
            let v = self.x.times(&hh); // 1.2
            let x = r.square().minus(&hhh).minus(&v.double()).plus(&Fe8::all(P6)).fold(); // 7.7 + 6
            let y = r.times(&v.minus(&x).plus(&Fe8::all(P2)).carry()).minus(&self.y.times(&hhh)).plus(&Fe8::all(P2)).carry(); // 3.1 + 2
            let sum = Self { x, y, z: self.z.mul(&h), empty: 0 };
            let mut next = self.blend(step.active & !self.empty, &sum);
            let first = step.active & self.empty;
            if first != 0 {
                let one = Fe8::all(ONE);
                let y = y2.times(&one).negate(step.negative).plus(&Fe8::all(P2)).carry(); // 4
                next = next.blend(first, &Self { x: x2.times(&one).fold(), y, z: one, empty: 0 });
            }
            next
        }

        /// The sums of two points: 12M + 4S.
        pub(crate) fn add(&self, other: &Self) -> Self {
            let (zz1, zz2) = (self.z.sqr(), other.z.sqr());
            let u1 = self.x.mul(&zz2);
            let s1 = self.y.mul(&other.z.mul(&zz2));
            let h = other.x.times(&zz1).minus(&u1).plus(&Fe8::all(P2)).carry(); // 3.1
            let r = other.y.times(&self.z.mul(&zz1)).minus(&s1).plus(&Fe8::all(P2)).carry(); // 3.4
            let hh = h.sqr();
            let hhh = h.mul(&hh);
            let v = u1.times(&hh);
            let x = r.square().minus(&hhh).minus(&v.double()).plus(&Fe8::all(P4)).fold();
            let y = r.times(&v.minus(&x).plus(&Fe8::all(P2)).carry()).minus(&s1.times(&hhh)).plus(&Fe8::all(P2)).carry(); // 1.7 + 2
            let sum = Self { x, y, z: self.z.mul(&other.z).mul(&h), empty: 0 };
            let alone = sum.blend(other.empty, self);
            alone.blend(self.empty, other)
        }

        /// 4M + 4S, a = −3.
        pub(crate) fn double(&self) -> Self {
            let delta = self.z.sqr(); // 1.6
            let gamma = self.y.sqr(); // 2.6
            let beta = self.x.times(&gamma); // 1.2
            let product = self.x.minus(&delta).plus(&Fe8::all(P2)).carry().times(&self.x.plus(&delta).carry()); // 1.5
            let alpha = product.double().plus(&product).carry(); // 4.5
            let beta4 = beta.double().double();
            let x = alpha.square().minus(&beta4.double()).plus(&Fe8::all(P10)).fold();
            let gamma2 = gamma.double().carry(); // 5.2
            let y = alpha.times(&beta4.minus(&x).plus(&Fe8::all(P2)).carry()).minus(&gamma2.square().double()).plus(&Fe8::all(P8)).fold();
            Self { x, y, z: self.y.times(&self.z).double().carry(), empty: self.empty }
        }

        /// Adds to each lane's sum that of the lane `distance` away, for a power of two below [`LANES`].
        pub(crate) fn add_across(&self, distance: u64) -> Self {
            let mut order = [0; LANES];
            for (lane, from) in order.iter_mut().enumerate() {
                *from = lane as u64 ^ distance;
            }
            let order = load_limbs(&order);
            let bits = (0..8).fold(0, |mask, lane| mask | (self.empty >> (lane ^ distance) & 1) << lane);
            let other = Self { x: self.x.exchange(order), y: self.y.exchange(order), z: self.z.exchange(order), empty: bits };
            self.add(&other)
        }

        /// (lanes whose sum has this x-coordinate, lanes whose sum is not known). An integer below p for each lane.
        pub(crate) fn have_x(&self, x: &[[u64; 4]; LANES]) -> (Mask, Mask) {
            let mut rows = [_mm512_setzero_si512(); LANES];
            let mut lane = 0;
            while lane < LANES {
                let [x0, x1, x2, x3] = x[lane];
                rows[lane] = load_limbs(&[x0, x1, x2, x3, 0, 0, 0, 0]);
                lane += 1;
            }
            let [x0, x1, x2, x3, ..] = transpose(&rows);
            let wanted = Fe8::from_integers(&[x0, x1, x2, x3]).times(&self.z.sqr());
            let same = wanted.minus(&self.x).plus(&Fe8::all(P2)).carry().is_zero();
            let unknown = self.z.is_zero() & !self.empty;
            (same & !unknown & !self.empty, unknown)
        }
    }
}

/// The limbs that stand `indices` times 8 octets behind those of `element`, in each lane its own.
///
/// # Safety
/// `element` is part of something that can be read there.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx512vbmi2")]
unsafe fn gather(element: &Fe8, indices: __m512i) -> Fe8 {
    let limbs: *const i64 = core::ptr::from_ref(element).cast();
    // SAFETY: the caller's promise; a limb takes eight places.
    unsafe {
        Fe8([
            _mm512_i64gather_epi64::<8>(indices, limbs.cast()),
            _mm512_i64gather_epi64::<8>(indices, limbs.add(8).cast()),
            _mm512_i64gather_epi64::<8>(indices, limbs.add(16).cast()),
            _mm512_i64gather_epi64::<8>(indices, limbs.add(24).cast()),
            _mm512_i64gather_epi64::<8>(indices, limbs.add(32).cast()),
        ])
    }
}

/// Multiples 1·P … 16·P of a point in each lane.
pub(crate) struct Multiples8([Sum8; 16]);

impl Multiples8 {
    avx512! {
        pub(crate) fn new(points: &[&Affine; LANES]) -> Self {
            let base = Sum8::new().add_affine(&Step { points: *points, negative: 0, active: 0xff });
            let mut multiples = [base; 16];
            for index in 1..16 {
                multiples[index] = if index % 2 == 1 {
                    multiples[index / 2].double()
                } else {
                    multiples[index - 1].add(&base)
                };
            }
            Self(multiples)
        }

        /// The multiple of each lane's digit; lanes with digit 0 are empty.
        pub(crate) fn select(&self, digits: &[Digit; LANES]) -> Sum8 {
            const STRIDE: usize = size_of::<Sum8>() / 8;
            let mut indices = [0; LANES];
            let (mut empty, mut negative) = (0, 0);
            for (lane, (index, digit)) in indices.iter_mut().zip(digits).enumerate() {
                let entry = usize::from(digit.unsigned_abs()).clamp(1, 16) - 1;
                *index = (entry * STRIDE + lane) as u64;
                empty |= Mask::from(*digit == 0) << lane;
                negative |= Mask::from(*digit < 0) << lane;
            }
            let indices = load_limbs(&indices);
            let first = &self.0[0];
            // SAFETY: each is an element of entry 0 of the array, and the indices lead to the same element, limb by limb and lane by lane, of
            // one of the 16 entries, whose size is a multiple of 8 octets.
            let (x, y, z) = unsafe { (gather(&first.x, indices), gather(&first.y, indices), gather(&first.z, indices)) };
            let above = Fe8::all([0; 5]).blend(negative, &Fe8::all(P8));
            Sum8 { x, y: y.negate(negative).plus(&above).fold(), z, empty }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::arch::has_ifma;
    use crate::field::{Fe, Multiply, P, Portable, less};
    use crate::point::{GENERATOR, Jacobian};

    /// Elements in Montgomery form, those where carries happen often.
    fn element() -> impl Strategy<Value = Fe> {
        let edges =
            prop::sample::select(vec![0, 1, 2, (1 << 12) - 1, 1 << 12, (1 << 52) - 1, 1 << 52, u64::MAX - 1, u64::MAX]);
        let limb = prop_oneof![edges.clone(), any::<u64>(), edges];
        prop::array::uniform4(limb).prop_map(|mut limbs| {
            if !less(&limbs, &P) {
                limbs[3] >>= 1;
            }
            Fe(limbs)
        })
    }

    avx512! {
        /// What stands in a lane, in the scalar code's form.
        fn lane(x: &Fe8, lane: usize) -> Fe {
            let Fe8(limbs) = x.mul(&Fe8::all([1, 0, 0, 0, 0]));
            let mut out = [0u64; 5];
            for (out, limb) in out.iter_mut().zip(limbs) {
                // SAFETY: as many octets on both sides.
                *out = unsafe { core::mem::transmute::<__m512i, [u64; 8]>(limb) }[lane];
            }
            let [l0, l1, l2, l3, l4] = out;
            let joined = [l0 | l1 << 52, l1 >> 12 | l2 << 40, l2 >> 24 | l3 << 28, l3 >> 36 | l4 << 16];
            Fe::from_limbs::<Portable>(if joined == P { [0; 4] } else { joined }).unwrap()
        }

        fn field_agrees(a: &[Fe; LANES], b: &[Fe; LANES]) {
            let points: [Affine; LANES] = core::array::from_fn(|lane| Affine { x: a[lane], y: b[lane] });
            let (x, y) = load(&points.each_ref());
            // A table's coordinate, of 16 units, may be multiplied by what is small.
            let (whole, x, y) = (x, x.fold(), y.fold());
            let results = [whole.mul(&y), x.sqr(), y.mul(&x.sqr()), x.plus(&y).fold(), x.minus(&y).plus(&Fe8::all(P2)).fold()];
            let zero = x.minus(&y).plus(&Fe8::all(P2)).carry().is_zero();
            for i in 0..LANES {
                let (a, b) = (a[i], b[i]);
                let square = Portable::sqr(&a);
                let expected = [Portable::mul(&a, &b), square, Portable::mul(&b, &square), a.add(&b), a.sub(&b)];
                for (result, expected) in results.iter().zip(expected) {
                    assert_eq!(lane(result, i), expected);
                }
                assert_eq!(zero >> i & 1 == 1, a == b);
            }
        }

        fn points_agree(scale: u8) {
            let mut expected = Jacobian::from(GENERATOR);
            let step = Step { points: [&GENERATOR; LANES], negative: 0, active: 0xff };
            let back = Step { points: [&GENERATOR; LANES], negative: 0x0f, active: 0xff };
            let mut sum = Sum8::new().add_affine(&step);
            for bit in 0..8 {
                (sum, expected) = (sum.double(), expected.double::<Portable>());
                if scale >> bit & 1 == 1 {
                    sum = sum.add_affine(&step).add(&Sum8::new().add_affine(&step)).add_affine(&back);
                    expected = expected.add_affine::<Portable>(&GENERATOR);
                    let upper = sum.z.is_zero();
                    assert_eq!(upper, 0);
                }
            }
            let mut affine = [GENERATOR];
            Jacobian::normalise::<Portable>(&[expected], &mut affine);
            // Only the lower lanes took one generator back.
            for i in 0..4 {
                let (x, z) = (lane(&sum.x, i), lane(&sum.z, i));
                assert_eq!(Portable::mul(&affine[0].x, &Portable::sqr(&z)), x, "lane {i}");
            }
        }

        fn cancelled_sums_are_told() -> (Mask, Mask) {
            let one = Step { points: [&GENERATOR; LANES], negative: 0, active: 0xff };
            // Lanes 0 to 3 cancel, 4 to 7 double: the addition knows neither.
            let two = Step { points: [&GENERATOR; LANES], negative: 0x0f, active: 0xff };
            let mut sum = Sum8::new().add_affine(&one).add_affine(&two);
            let three = Sum8::new().add_affine(&one).double();
            for _ in 0..3 {
                sum = sum.add_affine(&one).add(&three);
            }
            sum.have_x(&[[1, 0, 0, 0]; LANES])
        }
    }

    proptest! {
        #[test]
        fn eight_elements_are_what_each_is_alone(a in prop::array::uniform8(element()), b in prop::array::uniform8(element()), same in 0usize..9) {
            let mut b = b;
            if same < LANES {
                b[same] = a[same];
            }
            if has_ifma() {
                // SAFETY: looked at just now.
                unsafe { field_agrees(&a, &b) };
            }
        }

        #[test]
        fn eight_sums_are_what_each_is_alone(scale: u8) {
            if has_ifma() {
                // SAFETY: looked at just now.
                unsafe { points_agree(scale) };
            }
        }
    }

    #[test]
    fn a_sum_that_met_an_exceptional_case_says_so_to_the_end() {
        if has_ifma() {
            // SAFETY: looked at just now.
            assert_eq!(unsafe { cancelled_sums_are_told() }, (0, 0xff));
        }
    }
}
