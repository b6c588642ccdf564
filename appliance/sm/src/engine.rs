//! The verification equation (GB/T 32918.2-2016 §7.1), once for every back end that multiplies field elements one at a time.

use crate::field::{Fe, Multiply};
use crate::point::{Affine, Jacobian};
use crate::recode::{Digit, naf, signed_windows};
use crate::scalar::Scalar;
use crate::table::Table;

/// Digits of the generator's table.
pub(crate) const GENERATOR_WIDTH: usize = 8;
/// Digits of a fixed key's table.
pub(crate) const KEY_WIDTH: usize = 8;
/// Width of the non-adjacent form for a key without a table, and how many odd multiples it takes.
const NAF_WIDTH: usize = 5;
const NAF_POINTS: usize = 1 << (NAF_WIDTH - 2);

/// Places for the digits of any width from 4 on.
pub(crate) type Digits = [Digit; 64];

/// What a signature says, in numbers: e, r and s as the standard has them, and t = r + s mod n.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Equation {
    pub(crate) s: Scalar,
    pub(crate) t: Scalar,
    /// r − e mod n: what the x-coordinate of s·G + t·P must be modulo n.
    pub(crate) x: Scalar,
}

impl Equation {
    /// None where t = 0, which the standard refuses.
    pub(crate) fn new(e: &[u8; 32], r: &Scalar, s: &Scalar) -> Option<Self> {
        let t = r.add(s);
        (!t.is_zero()).then(|| Self { s: *s, t, x: r.sub(&Scalar::reduced_from_be(e)) })
    }

    /// One whose verdict nobody asks for.
    pub(crate) const EMPTY: Self = Self { s: Scalar([0; 4]), t: Scalar([0; 4]), x: Scalar([0; 4]) };

    /// Whether the sum's x-coordinate is the one that it must be.
    pub(crate) fn holds<M: Multiply>(&self, sum: &Jacobian) -> bool {
        let (least, other) = self.x.as_coordinates();
        [Some(least), other].into_iter().flatten().filter_map(Fe::from_limbs::<M>).any(|x| sum.has_x::<M>(&x))
    }
}

/// What is said of several signatures at once, a bit for each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdicts {
    /// The equation holds.
    pub(crate) holds: u32,
    /// An exceptional case was met; the code for one signature knows.
    pub(crate) unknown: u32,
}

impl Verdicts {
    /// Nothing is known of any.
    pub(crate) const UNKNOWN: Self = Self { holds: 0, unknown: u32::MAX };
}

/// `sum` + scalar·P for the tabled P.
#[inline]
fn add_tabled<M: Multiply, const WIDTH: usize>(mut sum: Jacobian, table: &Table<WIDTH>, scalar: &Scalar) -> Jacobian {
    let mut digits: Digits = [0; 64];
    let digits = &mut digits[..Table::<WIDTH>::WINDOWS];
    let negative = signed_windows(scalar, WIDTH, digits);
    for (window, digit) in digits.iter().enumerate() {
        if *digit != 0 {
            let point = table.entry(window, *digit).signed((*digit < 0) != negative);
            sum = sum.add_affine::<M>(&point);
        }
    }
    sum
}

/// P, 3P, 5P, …
fn odd_multiples<M: Multiply, const POINTS: usize>(point: &Affine) -> [Jacobian; POINTS] {
    let twice = Jacobian::from(*point).double::<M>();
    let mut odd = [Jacobian::from(*point); POINTS];
    for index in 1..POINTS {
        odd[index] = odd[index - 1].add::<M>(&twice);
    }
    odd
}

/// scalar·P, where `add` adds the multiple of P that an odd digit names.
#[inline(always)]
fn multiply<M: Multiply>(scalar: &Scalar, width: usize, add: impl Fn(&Jacobian, usize, bool) -> Jacobian) -> Jacobian {
    let (digits, length) = naf(scalar, width);
    let mut sum = Jacobian::INFINITY;
    for digit in digits[..length].iter().rev() {
        sum = sum.double::<M>();
        if *digit != 0 {
            sum = add(&sum, usize::from(digit.unsigned_abs()) / 2, *digit < 0);
        }
    }
    sum
}

/// The first odd multiples of a key, for a key that is used more than once.
#[derive(Clone, Copy)]
pub(crate) struct OddMultiples([Affine; Self::POINTS]);

impl OddMultiples {
    const WIDTH: usize = 7;
    const POINTS: usize = 1 << (Self::WIDTH - 2);

    pub(crate) fn new<M: Multiply>(point: &Affine) -> Self {
        let mut multiples = [*point; Self::POINTS];
        Jacobian::normalise::<M>(&odd_multiples::<M, { Self::POINTS }>(point), &mut multiples);
        Self(multiples)
    }

    /// P itself.
    pub(crate) const fn point(&self) -> &Affine {
        &self.0[0]
    }
}

/// Verifies under a key without a table.
pub(crate) fn verify_generic<M: Multiply>(
    generator: &Table<GENERATOR_WIDTH>,
    key: &Affine,
    equation: &Equation,
) -> bool {
    let odd = odd_multiples::<M, NAF_POINTS>(key);
    let sum = multiply::<M>(&equation.t, NAF_WIDTH, |sum, index, negative| {
        if negative { sum.add::<M>(&odd[index].neg()) } else { sum.add::<M>(&odd[index]) }
    });
    equation.holds::<M>(&add_tabled::<M, GENERATOR_WIDTH>(sum, generator, &equation.s))
}

/// Verifies under a key whose first odd multiples stand ready.
pub(crate) fn verify_prepared<M: Multiply>(
    generator: &Table<GENERATOR_WIDTH>,
    key: &OddMultiples,
    equation: &Equation,
) -> bool {
    let sum = multiply::<M>(&equation.t, OddMultiples::WIDTH, |sum, index, negative| {
        sum.add_affine::<M>(&key.0[index].signed(negative))
    });
    equation.holds::<M>(&add_tabled::<M, GENERATOR_WIDTH>(sum, generator, &equation.s))
}

/// Verifies under a tabled key.
pub(crate) fn verify_fixed<M: Multiply>(
    generator: &Table<GENERATOR_WIDTH>,
    key: &Table<KEY_WIDTH>,
    equation: &Equation,
) -> bool {
    let sum = add_tabled::<M, GENERATOR_WIDTH>(Jacobian::INFINITY, generator, &equation.s);
    equation.holds::<M>(&add_tabled::<M, KEY_WIDTH>(sum, key, &equation.t))
}
