//! What a table that was altered in memory does, by a fault or a hand: it refuses what is good. That it takes what is bad needs a sum whose
//! x-coordinate is the one asked for by chance.

use crate::arch::Ifma;
use crate::backend::Backend;
use crate::engine::{Equation, GENERATOR_WIDTH, KEY_WIDTH, verify_fixed, verify_generic};
use crate::field::{Portable, limbs_from_be};
use crate::point::{Affine, GENERATOR, Jacobian};
use crate::recode::{Digit, signed_windows};
use crate::scalar::Scalar;
use crate::table::Table;

const WINDOWS: usize = Table::<KEY_WIDTH>::WINDOWS;

/// scalar·P by doubling and adding.
fn multiple(point: &Affine, scalar: &Scalar) -> Jacobian {
    (0..256).rev().fold(Jacobian::INFINITY, |sum, bit| {
        let twice = sum.double::<Portable>();
        if scalar.0[bit / 64] >> (bit % 64) & 1 == 1 { twice.add_affine::<Portable>(point) } else { twice }
    })
}

/// The equation of a good signature with this s and t.
fn good(key: &Affine, s: Scalar, t: Scalar) -> Equation {
    let sum = multiple(key, &t).add::<Portable>(&multiple(&GENERATOR, &s));
    let mut affine = [GENERATOR];
    Jacobian::normalise::<Portable>(&[sum], &mut affine);
    Equation { s, t, x: Scalar::reduced_from_be(&affine[0].x.to_be::<Portable>()) }
}

/// The verdicts of every back end that reads the table.
fn verdicts(generator: &Table<GENERATOR_WIDTH>, table: &Table<KEY_WIDTH>, equation: &Equation) -> Vec<bool> {
    let mut verdicts = vec![verify_fixed::<Portable>(generator, table, equation)];
    if let Some(ifma) = Ifma::detect().filter(|_| Backend::available().any(|backend| backend == Backend::Ifma)) {
        for equations in [vec![*equation], vec![*equation; 8]] {
            let found = ifma.verify_fixed(generator, &vec![table; equations.len()], &equations);
            verdicts.push(found.unknown & 1 == 0 && found.holds & 1 == 1);
        }
    }
    verdicts
}

fn flip(entry: &mut Affine, bit: usize) {
    let coordinate = if bit < 256 { &mut entry.x } else { &mut entry.y };
    coordinate.0[bit / 64 % 4] ^= 1 << (bit % 64);
}

/// A scalar whose digits are `digit` at every place but the highest.
fn all_digits(digit: u64) -> Scalar {
    let mut octets = [0u8; 32];
    let mut carry = 0;
    for octet in octets.iter_mut().rev() {
        // 128 is written as it is: digits go up to 2^(w−1).
        let value = digit + carry;
        *octet = (value & 0xff) as u8;
        carry = value >> 8;
    }
    // Below 2²⁵⁵, so that the scalar itself is recoded and not its negative.
    octets[0] = 1;
    Scalar(limbs_from_be(&octets))
}

#[test]
fn good_signatures_are_refused_where_any_entry_that_they_use_has_any_bit_changed() {
    let mut normal = [GENERATOR];
    Jacobian::normalise::<Portable>(&[multiple(&GENERATOR, &Scalar([0x1234_5678_9abc_def1, 2, 3, 4]))], &mut normal);
    let key = normal[0];
    let generator = Table::<GENERATOR_WIDTH>::new::<Portable>(&GENERATOR);
    let mut table = Table::<KEY_WIDTH>::new::<Portable>(&key);
    let s = Scalar([0xfeed_f00d, 0xdead_beef, 7, 9]);
    let (mut used, mut altered) = (std::collections::BTreeSet::new(), 0);
    for digit in 1..=1u64 << (KEY_WIDTH - 1) {
        let t = all_digits(digit);
        let equation = good(&key, s, t);
        assert!(verdicts(&generator, &table, &equation).iter().all(|verdict| *verdict));
        let mut digits = [0 as Digit; WINDOWS];
        signed_windows(&t, KEY_WIDTH, &mut digits);
        for (window, digit) in digits.iter().enumerate().filter(|(_, digit)| **digit != 0) {
            used.insert((window, digit.unsigned_abs()));
            // Another bit for each entry; all bits for one of them.
            let one = (window * 131 + usize::from(digit.unsigned_abs()) * 17) % 512;
            let bits = if (window, *digit) == (5, 77) { 0..512 } else { one..one + 1 };
            for bit in bits {
                flip(table.entry_mut(window, *digit), bit);
                let found = verdicts(&generator, &table, &equation);
                assert!(found.iter().all(|verdict| !verdict), "bit {bit} of {digit} in {window}: {found:?}");
                // Who asks without the table sees the difference.
                assert!(altered % 64 != 0 || verify_generic::<Portable>(&generator, &key, &equation));
                flip(table.entry_mut(window, *digit), bit);
                altered += 1;
            }
        }
    }
    // All but those of the highest window, of which one digit is used here.
    assert!(used.len() > (WINDOWS - 1) * (1 << (KEY_WIDTH - 1)), "{} entries", used.len());
    assert!(altered > used.len() + 500);
}

#[test]
fn entries_exchanged_or_of_another_key_refuse_good_signatures() {
    let key = GENERATOR.neg();
    let generator = Table::<GENERATOR_WIDTH>::new::<Portable>(&GENERATOR);
    let mut table = Table::<KEY_WIDTH>::new::<Portable>(&key);
    let equation = good(&key, Scalar([5, 6, 7, 8]), all_digits(9));
    let (here, there) = (*table.entry(3, 9), *table.entry(4, 9));
    for other in [there, *table.entry(3, 10), here.neg(), *generator.entry(3, 9), Affine { x: here.y, y: here.x }] {
        *table.entry_mut(3, 9) = other;
        assert!(verdicts(&generator, &table, &equation).iter().all(|verdict| !verdict));
    }
    *table.entry_mut(3, 9) = here;
    assert!(verdicts(&generator, &table, &equation).iter().all(|verdict| *verdict));
}
