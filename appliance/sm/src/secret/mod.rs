//! Multiples of points by a secret scalar. No branch and no address depends on the scalar: its digits are odd, so that every window adds
//! a point; a table's row is read whole for every digit; additions are by formulas without special cases. Tables and points that go in
//! are public, what comes out is as secret as its user says.
//!
//! `constant_time` holds the proof: it runs this code in valgrind with the scalar marked as unknown.

mod mask;
mod projective;
mod scalar;
mod table;

#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod constant_time;
#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

use crate::field::Multiply;
use crate::point::Affine;

pub(crate) use mask::nonzero;
use projective::Projective;
pub(crate) use scalar::SecretScalar;
pub(crate) use table::SecretTable;

/// Digits of the multiples that are made for a point met once: eight points of three coordinates.
const PASSING_WIDTH: usize = 4;
const PASSING_POINTS: usize = 1 << (PASSING_WIDTH - 1);

/// x ‖ y, 32 octets big-endian each; wiped when dropped.
pub(crate) type Coordinates = Zeroizing<[u8; 64]>;

/// Both scalar multiples of tabled points.
pub(crate) fn multiply_tabled<M: Multiply, const WIDTH: usize>(
    scalar: &SecretScalar,
    tables: [&SecretTable<WIDTH>; 2],
) -> [Coordinates; 2] {
    let digits = scalar.digits(WIDTH);
    let sums = tables.map(|table| Zeroizing::new(table.sum::<M>(&digits)));
    Projective::to_coordinates::<M>(&sums)
}

/// scalar times the tabled point, and scalar times a point without a table.
pub(crate) fn multiply_passing<M: Multiply, const WIDTH: usize>(
    scalar: &SecretScalar,
    table: &SecretTable<WIDTH>,
    point: &Affine,
) -> [Coordinates; 2] {
    let tabled = table.sum::<M>(&scalar.digits(WIDTH));
    Projective::to_coordinates::<M>(&[Zeroizing::new(tabled), Zeroizing::new(multiply::<M>(scalar, point))])
}

/// scalar·P, from the highest digit down.
fn multiply<M: Multiply>(scalar: &SecretScalar, point: &Affine) -> Projective {
    let point = Projective::from(*point);
    let twice = point.double::<M>();
    let mut odd = [point; PASSING_POINTS];
    for index in 1..PASSING_POINTS {
        odd[index] = odd[index - 1].add::<M>(&twice);
    }
    let digits = scalar.digits(PASSING_WIDTH);
    let mut digits = digits.iter().rev();
    let Some(highest) = digits.next() else { unreachable!("a scalar has digits") };
    let mut sum = Zeroizing::new(Projective::select(&odd, *highest));
    for digit in digits {
        for _ in 0..PASSING_WIDTH {
            *sum = sum.double::<M>();
        }
        let term = Zeroizing::new(Projective::select(&odd, *digit));
        *sum = sum.add::<M>(&term);
    }
    *sum
}
