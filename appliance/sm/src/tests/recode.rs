//! Digits add up to the scalar, and are in range.

use num_bigint::{BigInt, BigUint};
use proptest::prelude::*;

use crate::field::tests::{big, limbs};
use crate::recode::{Digit, naf, signed_windows, windows};
use crate::scalar::Scalar;
use crate::tests::scalar::{ORDER, scalars};

fn windows_add_up(scalar: &Scalar, width: usize) {
    let mut digits = vec![0 as Digit; windows(width)];
    let negative = signed_windows(scalar, width, &mut digits);
    let half = 1i32 << (width - 1);
    assert!(digits.iter().all(|digit| i32::from(*digit) > -half && i32::from(*digit) <= half), "{width}: {digits:?}");
    let sum: BigInt = digits.iter().enumerate().map(|(index, digit)| BigInt::from(*digit) << (width * index)).sum();
    let sum = if negative { BigInt::from(ORDER.clone()) - sum } else { sum };
    assert_eq!(sum, BigInt::from(big(&scalar.0)), "width {width}");
}

fn non_adjacent_form_adds_up(scalar: &Scalar, width: usize) {
    let (digits, length) = naf(scalar, width);
    assert!(digits[length..].iter().all(|digit| *digit == 0));
    assert!(length == 0 || digits[length - 1] != 0);
    for (place, digit) in digits.iter().enumerate().filter(|(_, digit)| **digit != 0) {
        assert!(digit % 2 != 0 && i32::from(digit.unsigned_abs()) < 1 << (width - 1), "{width}: {digit}");
        assert!(digits[place + 1..].iter().take(width - 1).all(|next| *next == 0), "{width}: {digits:?}");
    }
    let sum: BigInt = digits.iter().enumerate().map(|(place, digit)| BigInt::from(*digit) << place).sum();
    assert_eq!(sum, BigInt::from(big(&scalar.0)), "width {width}");
}

fn every_way(scalar: &Scalar) {
    (2..=14).for_each(|width| windows_add_up(scalar, width));
    (2..=8).for_each(|width| non_adjacent_form_adds_up(scalar, width));
}

/// Runs of ones and of zeros, single digits at every place, and all of them from n down.
#[test]
fn digits_at_every_place_add_up() {
    let one = BigUint::from(1u8);
    for place in 0..256 {
        for bits in [1u32, 3, 0x7f, 0x80, 0x81, 0xff, 0x1ff, 0x7fff, 0x8000] {
            let value = (BigUint::from(bits) << place) % &*ORDER;
            every_way(&Scalar(limbs(&value)));
            every_way(&Scalar(limbs(&((&*ORDER - value) % &*ORDER))));
        }
        every_way(&Scalar(limbs(&(((&one << place) - 1u8) % &*ORDER))));
    }
    (0..600u32).for_each(|value| every_way(&Scalar(limbs(&BigUint::from(value)))));
}

proptest! {
    #[test]
    fn digits_of_any_scalar_add_up(scalar in scalars()) {
        every_way(&scalar);
    }
}
