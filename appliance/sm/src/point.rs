//! Points of the curve y² = x³ − 3x + b over GF(p) (GB/T 32918.5-2017). In variable time: for public data only.

use crate::field::{Fe, Multiply};

/// b, in Montgomery form.
pub(crate) const B: Fe =
    Fe([0x90d2_3063_2bc0_dd42, 0x71cf_379a_e9b5_37ab, 0x5279_8150_5ea5_1c3c, 0x240f_e188_ba20_e2c8]);

/// A point that is not infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Affine {
    pub(crate) x: Fe,
    pub(crate) y: Fe,
}

/// G.
pub(crate) const GENERATOR: Affine = Affine {
    x: Fe([0x6132_8990_f418_029e, 0x3e79_81ed_dca6_c050, 0xd6a1_ed99_ac24_c3c3, 0x9116_7a5e_e1c1_3b05]),
    y: Fe([0xc135_4e59_3c2d_0ddd, 0xc1f5_e578_8d32_95fa, 0x8d4c_fb06_6e2a_48f8, 0x63cd_65d4_81d7_35bd]),
};

/// Jacobian coordinates: x = X/Z², y = Y/Z³; infinity has Z = 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jacobian {
    pub(crate) x: Fe,
    pub(crate) y: Fe,
    pub(crate) z: Fe,
}

/// x³ − 3x + b.
pub(crate) fn right_side<M: Multiply>(x: &Fe) -> Fe {
    let cube = M::mul(&M::sqr(x), x);
    cube.sub(&x.double().add(x)).add(&B)
}

impl Affine {
    pub(crate) fn is_on_curve<M: Multiply>(&self) -> bool {
        M::sqr(&self.y) == right_side::<M>(&self.x)
    }

    #[inline(always)]
    pub(crate) fn neg(&self) -> Self {
        Self { x: self.x, y: self.y.neg() }
    }

    /// The point, or its negative.
    #[inline(always)]
    pub(crate) fn signed(&self, negative: bool) -> Self {
        if negative { self.neg() } else { *self }
    }
}

impl From<Affine> for Jacobian {
    fn from(point: Affine) -> Self {
        Self { x: point.x, y: point.y, z: Fe::ONE }
    }
}

impl Jacobian {
    pub(crate) const INFINITY: Self = Self { x: Fe::ONE, y: Fe::ONE, z: Fe::ZERO };

    pub(crate) fn is_infinity(&self) -> bool {
        self.z.is_zero()
    }

    pub(crate) fn neg(&self) -> Self {
        Self { y: self.y.neg(), ..*self }
    }

    /// 4M + 4S for a = −3. Infinity gives infinity; no point of this curve has y = 0, because the order is odd.
    #[inline(always)]
    pub(crate) fn double<M: Multiply>(&self) -> Self {
        let delta = M::sqr(&self.z);
        let twice_y = self.y.double();
        let gamma4 = M::sqr(&twice_y);
        let beta4 = M::mul(&self.x, &gamma4);
        let alpha = M::mul(&self.x.sub(&delta), &self.x.add(&delta)).triple();
        let x = M::sqr(&alpha).sub(&beta4.double());
        let y = M::mul(&alpha, &beta4.sub(&x)).sub(&M::sqr(&gamma4).halve());
        Self { x, y, z: M::mul(&twice_y, &self.z) }
    }

    /// The sum with an affine point, 8M + 3S, whatever the two are.
    #[inline(always)]
    pub(crate) fn add_affine<M: Multiply>(&self, other: &Affine) -> Self {
        if self.is_infinity() {
            return (*other).into();
        }
        let zz = M::sqr(&self.z);
        let h = M::mul(&other.x, &zz).sub(&self.x);
        let r = M::mul(&other.y, &M::mul(&self.z, &zz)).sub(&self.y);
        if h.is_zero() {
            return if r.is_zero() { self.double::<M>() } else { Self::INFINITY };
        }
        Self::finish::<M>(&h, &r, &self.x, &self.y, M::mul(&self.z, &h))
    }

    /// The sum of any two points, 12M + 4S.
    #[inline(always)]
    pub(crate) fn add<M: Multiply>(&self, other: &Self) -> Self {
        if self.is_infinity() {
            return *other;
        }
        if other.is_infinity() {
            return *self;
        }
        let (zz, other_zz) = (M::sqr(&self.z), M::sqr(&other.z));
        let u = M::mul(&self.x, &other_zz);
        let s = M::mul(&self.y, &M::mul(&other.z, &other_zz));
        let h = M::mul(&other.x, &zz).sub(&u);
        let r = M::mul(&other.y, &M::mul(&self.z, &zz)).sub(&s);
        if h.is_zero() {
            return if r.is_zero() { self.double::<M>() } else { Self::INFINITY };
        }
        Self::finish::<M>(&h, &r, &u, &s, M::mul(&M::mul(&self.z, &other.z), &h))
    }

    /// What both additions end with: `u`, `s` are x and y of the first point over the common denominator, `h` and `r` the
    /// differences of the second's to them.
    #[inline(always)]
    fn finish<M: Multiply>(h: &Fe, r: &Fe, u: &Fe, s: &Fe, z: Fe) -> Self {
        let hh = M::sqr(h);
        let hhh = M::mul(&hh, h);
        let v = M::mul(u, &hh);
        let x = M::sqr(r).sub(&hhh).sub(&v.double());
        let y = M::mul(r, &v.sub(&x)).sub(&M::mul(s, &hhh));
        Self { x, y, z }
    }

    /// Whether the point's x-coordinate is this one; never for infinity. Compares X with x·Z² and so needs no inversion.
    pub(crate) fn has_x<M: Multiply>(&self, x: &Fe) -> bool {
        !self.is_infinity() && M::mul(x, &M::sqr(&self.z)) == self.x
    }

    /// Affine forms of points that are not infinity, with one inversion for all of them.
    pub(crate) fn normalise<M: Multiply>(points: &[Self], out: &mut [Affine]) {
        // `out` holds the running products of the z until they are used.
        let mut product = Fe::ONE;
        for (point, out) in points.iter().zip(out.iter_mut()) {
            out.x = product;
            product = M::mul(&product, &point.z);
        }
        let mut inverse = product.invert::<M>();
        for (point, out) in points.iter().zip(out.iter_mut()).rev() {
            let z = M::mul(&inverse, &out.x);
            inverse = M::mul(&inverse, &point.z);
            let zz = M::sqr(&z);
            *out = Affine { x: M::mul(&point.x, &zz), y: M::mul(&point.y, &M::mul(&zz, &z)) };
        }
    }
}
