//! Many signatures under tabled keys without vector instructions: the points of each sum are added in pairs, the sums again in pairs, all in
//! affine coordinates, with one inversion for a level of all signatures' trees. An addition then takes 5M + 1S, exceptional cases told
//! apart and all.

// 160 KiB of a stack: verification allocates nothing.
#![allow(clippy::large_stack_arrays)]

use crate::engine::{Digits, Equation, GENERATOR_WIDTH, KEY_WIDTH, Verdicts};
use crate::field::{Fe, Multiply};
use crate::point::{Affine, Jacobian};
use crate::recode::signed_windows;
use crate::table::Table;

/// Signatures at once: fewer share an inversion less well, more do not fit the nearest cache.
pub(crate) const MANY: usize = 32;
/// So few signatures are faster one by one.
pub(crate) const FEW: usize = 5;

/// Pairs of one signature's points, one for each window of both tables.
const PAIRS: usize = Table::<KEY_WIDTH>::WINDOWS;
const _: () = assert!(GENERATOR_WIDTH == KEY_WIDTH && PAIRS.is_power_of_two());
/// So few pairs are not worth an inversion.
const FEW_PAIRS: usize = 56;

/// Infinity among affine points: no point of this curve has y = 0, because the order is odd.
const INFINITY: Affine = Affine { x: Fe::ZERO, y: Fe::ZERO };

#[inline(always)]
fn is_infinity(point: &Affine) -> bool {
    point.y.is_zero()
}

/// Two points to be added, each perhaps with its sign turned.
struct Pair<'a> {
    points: [&'a Affine; 2],
    turned: [bool; 2],
}

/// How two points add up.
#[derive(Clone, Copy)]
enum Sum {
    /// By the line through them: the slope's denominator is the difference of their x.
    Chord,
    /// By the tangent in a point added to itself: the denominator is 2y.
    Tangent,
    /// One of them is infinity, or the sum is.
    First,
    Second,
    Infinity,
}

impl Pair<'_> {
    #[inline(always)]
    fn y(&self, index: usize) -> Fe {
        let y = &self.points[index].y;
        // By arithmetic: nothing tells beforehand which way it goes.
        let (turned, mask) = (y.neg(), 0u64.wrapping_sub(u64::from(self.turned[index])));
        Fe(core::array::from_fn(|limb| y.0[limb] ^ ((y.0[limb] ^ turned.0[limb]) & mask)))
    }

    fn point(&self, index: usize) -> Affine {
        self.points[index].signed(self.turned[index])
    }

    /// How the points add up, and the slope's denominator, never 0.
    #[inline(always)]
    fn judge(&self) -> (Sum, Fe) {
        let [a, b] = self.points;
        let difference = b.x.sub(&a.x);
        if difference.is_zero() || is_infinity(a) || is_infinity(b) {
            self.judge_apart()
        } else {
            (Sum::Chord, difference)
        }
    }

    #[cold]
    fn judge_apart(&self) -> (Sum, Fe) {
        let [a, b] = self.points;
        match (is_infinity(a), is_infinity(b)) {
            (_, true) => (Sum::First, Fe::ONE),
            (true, false) => (Sum::Second, Fe::ONE),
            (false, false) if self.y(0) == self.y(1) => (Sum::Tangent, self.y(0).double()),
            (false, false) => (Sum::Infinity, Fe::ONE),
        }
    }

    /// The sum, given the denominator's inverse.
    #[inline(always)]
    fn sum<M: Multiply>(&self, how: Sum, inverse: &Fe) -> Affine {
        let y = self.y(0);
        let numerator = match how {
            Sum::First => return self.point(0),
            Sum::Second => return self.point(1),
            Sum::Infinity => return INFINITY,
            Sum::Chord => self.y(1).sub(&y),
            // 3x² − 3.
            Sum::Tangent => M::sqr(&self.points[0].x).sub(&Fe::ONE).triple(),
        };
        let [a, b] = self.points;
        let slope = M::mul(&numerator, inverse);
        let x = M::sqr(&slope).sub(&a.x).sub(&b.x);
        Affine { x, y: M::mul(&slope, &a.x.sub(&x)).sub(&y) }
    }
}

/// What a level's additions need while its inversion is under way: places for as many as there are pairs at all.
struct Workplace {
    sums: [Sum; MANY * PAIRS],
    denominators: [Fe; MANY * PAIRS],
    /// The product of the denominators before.
    products: [Fe; MANY * PAIRS],
}

impl Workplace {
    const NEW: Self = Self {
        sums: [Sum::Infinity; MANY * PAIRS],
        denominators: [Fe::ZERO; MANY * PAIRS],
        products: [Fe::ZERO; MANY * PAIRS],
    };

    /// Writes the sum of every pair.
    #[inline(always)]
    fn add_pairs<'a, M: Multiply>(&mut self, pair: impl Fn(usize) -> Pair<'a>, out: &mut [Affine]) {
        let places = self.sums.iter_mut().zip(&mut self.denominators).zip(&mut self.products);
        let mut all = Fe::ONE;
        for (index, ((how, denominator), product)) in places.enumerate().take(out.len()) {
            (*how, *denominator) = pair(index).judge();
            *product = all;
            all = M::mul(product, denominator);
        }
        // Of the product of those that are left.
        let mut left = all.invert::<M>();
        let places = self.sums.iter().zip(&self.denominators).zip(&self.products);
        for (index, (((how, denominator), product), out)) in places.zip(out).enumerate().rev() {
            let inverse = M::mul(&left, product);
            left = M::mul(&left, denominator);
            *out = pair(index).sum::<M>(*how, &inverse);
        }
    }
}

struct Scalars {
    digits: Digits,
    negative: bool,
}

impl Scalars {
    const ZERO: Self = Self { digits: [0; 64], negative: false };

    /// What a window adds, and whether its sign is turned.
    #[inline(always)]
    fn point<'a, const WIDTH: usize>(&self, table: &'a Table<WIDTH>, window: usize) -> (&'a Affine, bool) {
        match self.digits[window] {
            0 => (&INFINITY, false),
            digit => (table.entry(window, digit), (digit < 0) != self.negative),
        }
    }
}

/// Verifies up to [`MANY`] signatures under tabled keys.
pub(crate) fn verify_fixed<M: Multiply>(
    generator: &Table<GENERATOR_WIDTH>,
    keys: &[&Table<KEY_WIDTH>],
    equations: &[Equation],
) -> Verdicts {
    let count = equations.len().min(keys.len()).min(MANY);
    let mut scalars = [const { (Scalars::ZERO, Scalars::ZERO) }; MANY];
    for ((s, t), equation) in scalars.iter_mut().zip(equations) {
        s.negative = signed_windows(&equation.s, GENERATOR_WIDTH, &mut s.digits[..PAIRS]);
        t.negative = signed_windows(&equation.t, KEY_WIDTH, &mut t.digits[..PAIRS]);
    }
    let leaf = |index: usize| {
        let (signature, window) = (index / PAIRS, index % PAIRS);
        let (s, t) = &scalars[signature];
        let (a, b) = (s.point(generator, window), t.point(keys[signature], window));
        Pair { points: [a.0, b.0], turned: [a.1, b.1] }
    };
    let mut workplace = Workplace::NEW;
    let (mut sums, mut halves) = ([INFINITY; MANY * PAIRS], [INFINITY; MANY * PAIRS / 2]);
    let (mut pairs, mut points) = (count * PAIRS, PAIRS);
    workplace.add_pairs::<M>(leaf, &mut sums[..pairs]);
    while points > 1 && pairs / 2 >= FEW_PAIRS {
        (pairs, points) = (pairs / 2, points / 2);
        let pair = |pair: usize| Pair { points: [&sums[2 * pair], &sums[2 * pair + 1]], turned: [false; 2] };
        workplace.add_pairs::<M>(pair, &mut halves[..pairs]);
        sums[..pairs].copy_from_slice(&halves[..pairs]);
    }
    let mut holds = 0;
    for (signature, (points, equation)) in sums.chunks_exact(points).zip(equations).enumerate().take(count) {
        let points = points.iter().filter(|point| !is_infinity(point));
        let sum = points.fold(Jacobian::INFINITY, |sum, point| sum.add_affine::<M>(point));
        holds |= u32::from(equation.holds::<M>(&sum)) << signature;
    }
    Verdicts { holds, unknown: 0 }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::engine::verify_fixed as alone;
    use crate::field::Portable;
    use crate::point::GENERATOR;
    use crate::scalar::Scalar;

    #[test]
    fn every_number_of_signatures_gets_the_verdicts_that_each_gets_alone() {
        let table = Table::<GENERATOR_WIDTH>::new::<Portable>(&GENERATOR);
        let number = |n: u64| Scalar([n, 0, 0, 0]);
        let large = Scalar([7, 0, 0, 1 << 63]);
        // Under the key G, s and t meet in every window: equal points, opposite ones, sums that are infinity, in leaves and above.
        let pairs = [
            (number(1), number(2)),
            (number(2), number(2)),
            (number(7), number(4).neg()),
            (large, large.neg().add(&number(3))),
            (large, large.neg()),
            (large, large),
            (number(256), number(253).neg()),
            (Scalar([1 << 8, 1 << 8, 1 << 8, 1 << 8]), Scalar([1, 1, 1, 1])),
            (Scalar([0x0102_0304; 4]), Scalar([0x0403_0201; 4])),
        ];
        let x_of = |sum: Scalar| {
            let mut affine = [GENERATOR];
            let bits = (0..256).rev().map(|bit| sum.0[bit / 64] >> (bit % 64) & 1);
            let sum = bits.fold(Jacobian::INFINITY, |sum, bit| {
                let twice = sum.double::<Portable>();
                if bit == 1 { twice.add_affine::<Portable>(&GENERATOR) } else { twice }
            });
            if sum.is_infinity() {
                return number(5);
            }
            Jacobian::normalise::<Portable>(&[sum], &mut affine);
            Scalar::reduced_from_be(&affine[0].x.to_be::<Portable>())
        };
        let equations: Vec<Equation> = (0..MANY)
            .map(|index| {
                let (s, t) = pairs[index % pairs.len()];
                let x = x_of(s.add(&t));
                // Every third one is wrong.
                Equation { s, t, x: if index % 3 == 2 { x.add(&number(1)) } else { x } }
            })
            .collect();
        for count in 0..=MANY {
            let found = verify_fixed::<Portable>(&table, &[&table; MANY][..count], &equations[..count]);
            for (index, equation) in equations[..count].iter().enumerate() {
                let expected = alone::<Portable>(&table, &table, equation);
                assert_eq!(found.holds >> index & 1 == 1, expected, "{index} of {count}");
                let infinity = equation.s.add(&equation.t).is_zero();
                assert_eq!(expected, index % 3 != 2 && !infinity, "{index}");
            }
        }
    }
}
