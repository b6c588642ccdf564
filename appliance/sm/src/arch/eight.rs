//! Verification of up to eight signatures in the lanes of [`super::ifma`]; of fewer, each over several lanes.

#![allow(unsafe_code)]

use super::ifma::{LANES, Mask, Multiples8, Step, Sum8};
use crate::engine::{Digits, Equation, GENERATOR_WIDTH, KEY_WIDTH, Verdicts};
use crate::point::Affine;
use crate::recode::{signed_windows, windows};
use crate::table::Table;

/// Steps for which points are asked for before they are added.
const AHEAD: usize = 4;
/// Bits of the digits that are looked up among a key's own multiples.
const DIGIT: usize = 5;

/// That this machine has the instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ifma(());

// The value is the proof that the unsafe calls need.
#[allow(clippy::unused_self)]
impl Ifma {
    pub(crate) fn detect() -> Option<Self> {
        super::has_ifma().then_some(Self(()))
    }

    /// Up to eight signatures under tabled keys.
    pub(crate) fn verify_fixed(
        self,
        generator: &Table<GENERATOR_WIDTH>,
        keys: &[&Table<KEY_WIDTH>],
        equations: &[Equation],
    ) -> Verdicts {
        // SAFETY: `Ifma` exists only where the instructions do.
        unsafe { verify_fixed(generator, keys, equations) }
    }

    /// Up to eight signatures under keys without tables.
    pub(crate) fn verify_plain(
        self,
        generator: &Table<GENERATOR_WIDTH>,
        keys: &[&Affine],
        equations: &[Equation],
    ) -> Verdicts {
        // SAFETY: as above.
        unsafe { verify_plain(generator, keys, equations) }
    }
}

/// The digits of a scalar in each lane, and the lanes that have those of its negative.
struct Recoded {
    digits: [Digits; LANES],
    negative: [bool; LANES],
}

impl Recoded {
    fn new<'a>(scalars: impl Iterator<Item = &'a crate::scalar::Scalar>, width: usize) -> Self {
        let mut recoded = Self { digits: [[0; 64]; LANES], negative: [false; LANES] };
        for (scalar, (digits, negative)) in scalars.zip(recoded.digits.iter_mut().zip(&mut recoded.negative)) {
            *negative = signed_windows(scalar, width, &mut digits[..windows(width)]);
        }
        recoded
    }

    /// What each lane adds in a step, when `spread` lanes share a signature.
    fn step<'a, const WIDTH: usize>(
        &self,
        tables: &[&'a Table<WIDTH>],
        spread: usize,
        step: usize,
    ) -> Option<Step<'a>> {
        let (mut negative, mut active) = (0, 0);
        let mut points = [tables.first()?.entry(0, 1); LANES];
        for (lane, point) in points.iter_mut().enumerate() {
            let signature = lane / spread;
            let Some(table) = tables.get(signature) else { continue };
            let window = step * spread + lane % spread;
            let digit = self.digits[signature][window];
            if digit != 0 && window < windows(WIDTH) {
                *point = table.entry(window, digit);
                active |= 1 << lane;
                negative |= Mask::from((digit < 0) != self.negative[signature]) << lane;
            }
        }
        Some(Step { points, negative, active })
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx512vbmi2")]
fn add_tabled<const WIDTH: usize>(mut sum: Sum8, tables: &[&Table<WIDTH>], scalars: &Recoded, spread: usize) -> Sum8 {
    let steps = windows(WIDTH).div_ceil(spread);
    let mut ahead: [Option<Step<'_>>; AHEAD] = core::array::from_fn(|step| scalars.step(tables, spread, step));
    for step in 0..steps {
        let next = if step + AHEAD < steps { scalars.step(tables, spread, step + AHEAD) } else { None };
        if let Some(next) = &next {
            next.prefetch();
        }
        if let Some(now) = core::mem::replace(&mut ahead[step % AHEAD], next) {
            sum = sum.add_affine(&now);
        }
    }
    sum
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx512vbmi2")]
fn verify_fixed(generator: &Table<GENERATOR_WIDTH>, keys: &[&Table<KEY_WIDTH>], equations: &[Equation]) -> Verdicts {
    let spread = match equations.len() {
        0 | 1 => 8,
        2 => 4,
        3 | 4 => 2,
        _ => 1,
    };
    let generators = [generator; LANES];
    let generators = &generators[..equations.len().min(LANES)];
    let s = Recoded::new(equations.iter().map(|equation| &equation.s), GENERATOR_WIDTH);
    let t = Recoded::new(equations.iter().map(|equation| &equation.t), KEY_WIDTH);
    let mut sum = add_tabled(Sum8::new(), generators, &s, spread);
    sum = add_tabled(sum, keys, &t, spread);
    let mut distance = 1;
    while distance < spread {
        sum = sum.add_across(distance as u64);
        distance *= 2;
    }
    judge(&sum, equations, spread)
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx512vbmi2")]
fn judge(sum: &Sum8, equations: &[Equation], spread: usize) -> Verdicts {
    let mut x = [[0; 4]; LANES];
    let mut two = 0;
    for (number, equation) in equations.iter().enumerate().take(LANES) {
        let (least, other) = equation.x.as_coordinates();
        x[number * spread] = least;
        two |= u32::from(other.is_some()) << number;
    }
    let (same, unknown) = sum.have_x(&x);
    let gather =
        |mask: Mask| (0..equations.len().min(LANES)).fold(0, |bits, n| bits | u32::from(mask >> (n * spread) & 1) << n);
    let holds = gather(same);
    // A coordinate that is not the smaller of two may be the larger one.
    Verdicts { holds, unknown: (gather(unknown) | two) & !holds }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx512vbmi2")]
fn verify_plain(generator: &Table<GENERATOR_WIDTH>, keys: &[&Affine], equations: &[Equation]) -> Verdicts {
    let Some(first) = keys.first() else { return Verdicts { holds: 0, unknown: 0 } };
    let points = core::array::from_fn(|lane| *keys.get(lane).unwrap_or(first));
    let multiples = Multiples8::new(&points);
    let t = Recoded::new(equations.iter().map(|equation| &equation.t), DIGIT);
    let mut sum = Sum8::new();
    for window in (0..windows(DIGIT)).rev() {
        if window + 1 < windows(DIGIT) {
            for _ in 0..DIGIT {
                sum = sum.double();
            }
        }
        let digits = core::array::from_fn(|lane| {
            let digit = t.digits[lane][window];
            if t.negative[lane] { -digit } else { digit }
        });
        sum = sum.add(&multiples.select(&digits));
    }
    let generators = [generator; LANES];
    let s = Recoded::new(equations.iter().map(|equation| &equation.s), GENERATOR_WIDTH);
    judge(&add_tabled(sum, &generators[..equations.len().min(LANES)], &s, 1), equations, 1)
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::verify_fixed as alone;
    use crate::field::Portable;
    use crate::point::{GENERATOR, Jacobian};
    use crate::scalar::Scalar;

    #[test]
    fn every_number_of_signatures_up_to_eight_gets_its_own_verdicts() {
        let Some(eight) = Ifma::detect() else { return };
        let table = Table::<GENERATOR_WIDTH>::new::<Portable>(&GENERATOR);
        let three = Jacobian::from(GENERATOR).double::<Portable>().add_affine::<Portable>(&GENERATOR);
        let mut affine = [GENERATOR];
        Jacobian::normalise::<Portable>(&[three], &mut affine);
        let x = Scalar::reduced_from_be(&affine[0].x.to_be::<Portable>());
        let number = |n: u64| Scalar([n, 0, 0, 0]);
        let large = Scalar([7, 0, 0, 1 << 63]);
        // Sums 3G, not 3G, an exceptional doubling, 3G = n·G + 3G, and again.
        let equations = [
            Equation { s: number(1), t: number(2), x },
            Equation { s: number(1000), t: number(2), x },
            Equation { s: number(2), t: number(2), x },
            Equation { s: number(7), t: number(4).neg(), x },
            Equation { s: large, t: large.neg().add(&number(3)), x },
            Equation { s: large, t: large.neg(), x },
            Equation { s: number(2), t: number(1), x },
            Equation { s: number(256), t: number(253).neg(), x },
        ];
        for count in 0..=LANES {
            let equations = &equations[..count];
            let fixed = eight.verify_fixed(&table, &[&table; LANES][..count], equations);
            let plain = eight.verify_plain(&table, &[&GENERATOR; LANES][..count], equations);
            for (index, equation) in equations.iter().enumerate() {
                let expected = alone::<Portable>(&table, &table, equation);
                for verdicts in [fixed, plain] {
                    let known = verdicts.unknown >> index & 1 == 0;
                    let holds = verdicts.holds >> index & 1 == 1;
                    assert!(if known { holds == expected } else { !holds }, "{index} of {count}: {verdicts:?}");
                }
            }
            assert!(fixed.unknown.count_ones() < 4, "{fixed:?}");
        }
    }
}
