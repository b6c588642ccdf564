//! Homogeneous coordinates with complete formulas: Renes, Costello, Batina, "Complete addition formulas for prime order elliptic curves"
//! (2015), for a = −3. They hold for all pairs of points, equal ones, opposite ones and infinity among them.

use zeroize::{Zeroize, Zeroizing};

use crate::field::{Fe, Multiply};
use crate::point::{Affine, B};

use super::Coordinates;
use super::mask::{RowMasks, choose_element};
use super::scalar::OddDigit;

/// x = X/Z, y = Y/Z; infinity has Z = 0.
#[derive(Clone, Copy, Zeroize)]
pub(super) struct Projective {
    pub(super) x: Fe,
    pub(super) y: Fe,
    pub(super) z: Fe,
}

/// What a sum is made of: products of two points' coordinates, the mixed ones added up with those of the points exchanged.
struct Products {
    xx: Fe,
    yy: Fe,
    zz: Fe,
    xy: Fe,
    yz: Fe,
    xz: Fe,
}

impl From<Affine> for Projective {
    fn from(point: Affine) -> Self {
        Self { x: point.x, y: point.y, z: Fe::ONE }
    }
}

#[inline(always)]
fn thrice(a: &Fe) -> Fe {
    a.double().add(a)
}

/// A coordinate y with a digit's sign.
#[inline(always)]
fn signed(y: &Fe, digit: OddDigit) -> Fe {
    choose_element(y, &y.neg(), digit.negative)
}

/// Adds the limbs of `entry` where the mask is all ones.
#[inline(always)]
fn gather(out: &mut Fe, entry: &Fe, mask: u64) {
    for (out, limb) in out.0.iter_mut().zip(&entry.0) {
        *out |= limb & mask;
    }
}

/// The entry of a row that a digit names, with the digit's sign. Reads the whole row.
#[inline(always)]
pub(super) fn select_affine(row: &[Affine], digit: OddDigit) -> Affine {
    let mut point = Affine { x: Fe::ZERO, y: Fe::ZERO };
    for (entry, mask) in row.iter().zip(RowMasks::new(digit.index, row.len()).iter()) {
        gather(&mut point.x, &entry.x, *mask);
        gather(&mut point.y, &entry.y, *mask);
    }
    point.y = signed(&point.y, digit);
    point
}

impl Projective {
    /// As [`select_affine`].
    #[inline(always)]
    pub(super) fn select(row: &[Self], digit: OddDigit) -> Self {
        let mut point = Self { x: Fe::ZERO, y: Fe::ZERO, z: Fe::ZERO };
        for (entry, mask) in row.iter().zip(RowMasks::new(digit.index, row.len()).iter()) {
            gather(&mut point.x, &entry.x, *mask);
            gather(&mut point.y, &entry.y, *mask);
            gather(&mut point.z, &entry.z, *mask);
        }
        point.y = signed(&point.y, digit);
        point
    }

    /// Algorithm 4: 12 multiplications and two by b.
    pub(super) fn add<M: Multiply>(&self, other: &Self) -> Self {
        let (xx, yy, zz) = (M::mul(&self.x, &other.x), M::mul(&self.y, &other.y), M::mul(&self.z, &other.z));
        let cross = |a: &Fe, b: &Fe, c: &Fe, d: &Fe, both: &Fe| M::mul(&a.add(b), &c.add(d)).sub(both);
        let xy = cross(&self.x, &self.y, &other.x, &other.y, &xx.add(&yy));
        let yz = cross(&self.y, &self.z, &other.y, &other.z, &yy.add(&zz));
        let xz = cross(&self.x, &self.z, &other.x, &other.z, &xx.add(&zz));
        Products { xx, yy, zz, xy, yz, xz }.sum::<M>()
    }

    /// Algorithm 5: 11 multiplications and two by b.
    #[inline(always)]
    pub(super) fn add_affine<M: Multiply>(&self, other: &Affine) -> Self {
        let (xx, yy) = (M::mul(&self.x, &other.x), M::mul(&self.y, &other.y));
        let xy = M::mul(&self.x.add(&self.y), &other.x.add(&other.y)).sub(&xx.add(&yy));
        let yz = M::mul(&other.y, &self.z).add(&self.y);
        let xz = M::mul(&other.x, &self.z).add(&self.x);
        Products { xx, yy, zz: self.z, xy, yz, xz }.sum::<M>()
    }

    /// Algorithm 6: eight multiplications, three squarings and two multiplications by b.
    pub(super) fn double<M: Multiply>(&self) -> Self {
        let (xx, yy, zz) = (M::sqr(&self.x), M::sqr(&self.y), M::sqr(&self.z));
        let xy = M::mul(&self.x, &self.y).double();
        let yz = M::mul(&self.y, &self.z).double();
        let xz = M::mul(&self.x, &self.z).double();
        let products = Products { xx, yy, zz, xy, yz, xz };
        let (low, high, e, f) = products.parts::<M>();
        Self {
            x: M::mul(&products.xy, &high).sub(&M::mul(&products.yz, &e)),
            y: M::mul(&low, &high).add(&M::mul(&f, &e)),
            z: M::mul(&products.yz, &products.yy).double().double(),
        }
    }

    /// Affine coordinates of two points that are not infinity, with one inversion for both.
    pub(super) fn to_coordinates<M: Multiply>(points: &[Zeroizing<Self>; 2]) -> [Coordinates; 2] {
        let [a, b] = points;
        let inverse = Zeroizing::new(M::mul(&a.z, &b.z).invert::<M>());
        let coordinates = |point: &Self, other: &Self| {
            let z = Zeroizing::new(M::mul(&inverse, &other.z));
            let mut out = Zeroizing::new([0; 64]);
            for (half, coordinate) in out.chunks_exact_mut(32).zip([&point.x, &point.y]) {
                let octets = Zeroizing::new(M::mul(coordinate, &z).to_be::<M>());
                half.copy_from_slice(octets.as_slice());
            }
            out
        };
        [coordinates(a, b), coordinates(b, a)]
    }
}

impl Products {
    /// yy − 3d, yy + 3d for d = xz − b·zz; 3·(b·xz − 3·zz − xx); 3·(xx − zz).
    #[inline(always)]
    fn parts<M: Multiply>(&self) -> (Fe, Fe, Fe, Fe) {
        let d = thrice(&self.xz.sub(&M::mul(&B, &self.zz)));
        let zz = thrice(&self.zz);
        let e = thrice(&M::mul(&B, &self.xz).sub(&zz).sub(&self.xx));
        (self.yy.sub(&d), self.yy.add(&d), e, thrice(&self.xx).sub(&zz))
    }

    #[inline(always)]
    fn sum<M: Multiply>(&self) -> Projective {
        let (low, high, e, f) = self.parts::<M>();
        Projective {
            x: M::mul(&self.xy, &high).sub(&M::mul(&self.yz, &e)),
            y: M::mul(&low, &high).add(&M::mul(&f, &e)),
            z: M::mul(&self.yz, &low).add(&M::mul(&self.xy, &f)),
        }
    }
}
