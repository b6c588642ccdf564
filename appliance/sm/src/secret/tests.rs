//! The constant-time code against plain double-and-add over the variable-time formulas.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::projective::Projective;
use super::{Coordinates, SecretScalar, SecretTable, multiply, multiply_passing, multiply_tabled};
use crate::arch::{Adx, has_adx};
use crate::field::{Fe, Multiply, Portable, limbs_from_be};
use crate::point::{Affine, GENERATOR, Jacobian};
use crate::scalar::N;

fn octets(value: &[u64; 4]) -> [u8; 32] {
    crate::field::limbs_to_be(value)
}

fn plain(scalar: &[u8; 32], point: &Affine) -> Jacobian {
    let mut sum = Jacobian::INFINITY;
    for bit in 0..256 {
        sum = sum.double::<Portable>();
        if scalar[bit / 8] >> (7 - bit % 8) & 1 == 1 {
            sum = sum.add_affine::<Portable>(point);
        }
    }
    sum
}

fn affine(point: Jacobian) -> Affine {
    let mut out = [GENERATOR];
    Jacobian::normalise::<Portable>(&[point], &mut out);
    out[0]
}

fn coordinates(point: &Affine) -> [u8; 64] {
    [point.x.to_be::<Portable>(), point.y.to_be::<Portable>()].concat().try_into().unwrap()
}

/// A point that is not the generator.
fn other_point() -> Affine {
    affine(plain(&[0x5a; 32], &GENERATOR))
}

/// Scalars where digits, carries and additions are at their edges.
fn edges() -> Vec<[u8; 32]> {
    let n_minus = |less: u64| octets(&[N[0] - less, N[1], N[2], N[3]]);
    let mut edges: Vec<[u8; 32]> = (1..=40).map(|small| octets(&[small, 0, 0, 0])).collect();
    edges.extend((1..=40).map(n_minus));
    // (n − 1)/2 and its neighbours.
    let half = [N[0] >> 1 | N[1] << 63, N[1] >> 1 | N[2] << 63, N[2] >> 1 | N[3] << 63, N[3] >> 1];
    edges.extend([octets(&half), octets(&[half[0] + 1, half[1], half[2], half[3]])]);
    for bit in 0..256usize {
        // A single bit; all ones below it; a run of zeros between ones.
        let mut single = [0u64; 4];
        single[bit / 64] = 1 << (bit % 64);
        let below = octets(&[0, 1, 2, 3].map(|limb: usize| match limb.cmp(&(bit / 64)) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => (1 << (bit % 64)) - 1,
            std::cmp::Ordering::Greater => 0,
        }));
        edges.extend([octets(&single), below]);
        single[0] |= 1;
        single[3] |= 1 << 62;
        edges.push(octets(&single));
    }
    edges.retain(|edge| SecretScalar::from_be(edge).is_some());
    edges
}

struct Scene<const WIDTH: usize> {
    tables: [SecretTable<WIDTH>; 2],
}

impl<const WIDTH: usize> Scene<WIDTH> {
    fn new() -> Self {
        Self { tables: [GENERATOR, other_point()].map(|point| SecretTable::new::<Portable>(&point)) }
    }

    fn multiples<M: Multiply>(&self, k: &SecretScalar) -> [Coordinates; 2] {
        multiply_tabled::<M, WIDTH>(k, [&self.tables[0], &self.tables[1]])
    }

    fn check(&self, scalar: &[u8; 32]) {
        let k = SecretScalar::from_be(scalar).unwrap();
        let expected = [GENERATOR, other_point()].map(|point| coordinates(&affine(plain(scalar, &point))));
        let same = |multiples: [Coordinates; 2]| {
            assert_eq!(multiples.map(|coordinates| *coordinates), expected, "{scalar:02x?}, width {WIDTH}");
        };
        same(self.multiples::<Portable>(&k));
        same(multiply_passing::<Portable, WIDTH>(&k, &self.tables[0], &other_point()));
        if has_adx() {
            same(self.multiples::<Adx>(&k));
            same(multiply_passing::<Adx, WIDTH>(&k, &self.tables[0], &other_point()));
        }
    }
}

#[test]
fn multiples_by_scalars_at_the_edges_are_those_of_double_and_add() {
    let (four, five, six) = (Scene::<4>::new(), Scene::<5>::new(), Scene::<6>::new());
    let (seven, eight) = (Scene::<7>::new(), Scene::<8>::new());
    for edge in edges() {
        six.check(&edge);
        // The other widths in turn: every width sees every kind of edge.
        match edge[31] % 4 {
            0 => four.check(&edge),
            1 => five.check(&edge),
            2 => seven.check(&edge),
            _ => eight.check(&edge),
        }
    }
}

proptest! {
    #[test]
    fn multiples_by_any_scalar_are_those_of_double_and_add(scalar: [u8; 32]) {
        prop_assume!(SecretScalar::from_be(&scalar).is_some());
        thread_local!(static SCENE: Scene<6> = Scene::new());
        SCENE.with(|scene| scene.check(&scalar));
    }

    #[test]
    fn digits_are_odd_and_add_up_to_the_scalar_or_its_negative(scalar: [u8; 32], width in 4usize..=8) {
        prop_assume!(SecretScalar::from_be(&scalar).is_some());
        let digits = SecretScalar::from_be(&scalar).unwrap().digits(width);
        let modulo_n = |limbs| crate::scalar::Scalar(limbs);
        let mut sum = modulo_n([0; 4]);
        for digit in digits.iter().rev() {
            prop_assert!(digit.index < 1 << (width - 1));
            for _ in 0..width {
                sum = sum.add(&sum);
            }
            let odd = modulo_n([2 * digit.index + 1, 0, 0, 0]);
            sum = if digit.negative != 0 { sum.sub(&odd) } else { sum.add(&odd) };
        }
        prop_assert_eq!(sum.0, limbs_from_be(&scalar));
    }
}

#[test]
fn scalars_out_of_range_are_no_candidates() {
    let in_range = |limbs: [u64; 4]| SecretScalar::from_be(&octets(&limbs)).is_some();
    assert!(!in_range([0; 4]));
    assert!(in_range([1, 0, 0, 0]));
    assert!(in_range([N[0] - 1, N[1], N[2], N[3]]));
    assert!(!in_range(N));
    assert!(!in_range([N[0] + 1, N[1], N[2], N[3]]));
    assert!(!in_range([u64::MAX; 4]));
}

#[test]
fn formulas_hold_for_equal_and_opposite_points_and_infinity() {
    let p = other_point();
    let infinity = Projective::INFINITY;
    let projective = Projective::from(p);
    let three = projective.double::<Portable>().add::<Portable>(&projective);
    let expected = |multiple: u8| {
        let mut scalar = [0; 32];
        scalar[31] = multiple;
        affine(plain(&scalar, &p))
    };
    let is = |sum: &Projective, multiple: u8| assert!(sum.equals::<Portable>(&expected(multiple)), "{multiple} P");
    is(&projective.double::<Portable>(), 2);
    is(&projective.add::<Portable>(&projective), 2);
    is(&projective.add_affine::<Portable>(&p), 2);
    is(&three, 3);
    is(&three.add_affine::<Portable>(&p), 4);
    is(&three.add::<Portable>(&projective), 4);
    is(&three.add_affine::<Portable>(&p.neg()), 2);
    is(&infinity.add_affine::<Portable>(&p), 1);
    is(&infinity.add::<Portable>(&projective), 1);
    is(&three.add::<Portable>(&infinity), 3);
    assert!(infinity.double::<Portable>().is_infinity());
    assert!(infinity.add::<Portable>(&infinity).is_infinity());
    assert!(projective.add_affine::<Portable>(&p.neg()).is_infinity());
    assert!(three.add::<Portable>(&Projective::from(expected(3).neg())).is_infinity());
}

#[test]
fn a_multiple_without_a_table_is_as_with_one_for_the_last_addition_of_equal_points() {
    // Where the sum before the last digit is that digit's point, or its negative's: k = 2d and k = n − 2d for digits d.
    for d in [1u64, 3, 5, 7, 9, 11, 13, 15] {
        for scalar in [octets(&[2 * d, 0, 0, 0]), octets(&[N[0] - 2 * d, N[1], N[2], N[3]])] {
            let k = SecretScalar::from_be(&scalar).unwrap();
            let product = multiply::<Portable>(&k, &GENERATOR);
            assert!(product.equals::<Portable>(&affine(plain(&scalar, &GENERATOR))));
        }
    }
}

impl Projective {
    const INFINITY: Self = Self { x: Fe::ZERO, y: Fe::ONE, z: Fe::ZERO };

    fn is_infinity(&self) -> bool {
        self.z.is_zero() && self.x.is_zero() && !self.y.is_zero()
    }

    fn equals<M: Multiply>(&self, point: &Affine) -> bool {
        !self.z.is_zero() && self.x == M::mul(&point.x, &self.z) && self.y == M::mul(&point.y, &self.z)
    }
}
