//! The field against big integers, by every back end that multiplies one element at a time.
#![allow(clippy::unwrap_used)]

mod reduction;

use std::sync::LazyLock;

use num_bigint::BigUint;
use proptest::prelude::*;

use super::{Fe, Multiply, P, Portable, limbs_from_be, limbs_to_be};
use crate::arch::{Adx, has_adx};

pub(crate) static PRIME: LazyLock<BigUint> = LazyLock::new(|| big(&P));
static R: LazyLock<BigUint> = LazyLock::new(|| BigUint::from(1u8) << 256u32);
/// 1/R modulo p.
static R_INVERSE: LazyLock<BigUint> = LazyLock::new(|| R.modinv(&PRIME).unwrap());

pub(crate) fn big(limbs: &[u64; 4]) -> BigUint {
    BigUint::from_bytes_be(&limbs_to_be(limbs))
}

/// 256 bits.
pub(crate) fn limbs(value: &BigUint) -> [u64; 4] {
    let significant = value.to_bytes_be();
    let mut octets = [0; 32];
    octets[32 - significant.len()..].copy_from_slice(&significant);
    limbs_from_be(&octets)
}

/// Limbs where carries begin and end, also those of other limb sizes.
const EDGES: [u64; 18] = [
    0,
    1,
    2,
    (1 << 32) - 1,
    1 << 32,
    (1 << 32) + 1,
    (1 << 52) - 1,
    1 << 52,
    (1 << 52) + 1,
    (1 << 63) - 1,
    1 << 63,
    (1 << 63) + 1,
    u64::MAX - (1 << 32),
    u64::MAX - (1 << 32) + 1,
    u64::MAX - (1 << 32) + 2,
    u64::MAX - 2,
    u64::MAX - 1,
    u64::MAX,
];

/// 256-bit numbers of such limbs, and those near 0, near `modulus`, near 2²⁵⁶ and anywhere.
pub(crate) fn numbers(modulus: &'static [u64; 4]) -> impl Strategy<Value = [u64; 4]> {
    let limb = prop_oneof![4 => prop::sample::select(EDGES.as_slice()), 1 => any::<u64>()];
    let near = (any::<bool>(), 0u64..40, 0usize..3).prop_map(|(above, distance, what)| {
        let around = [BigUint::ZERO, big(modulus), R.clone()][what].clone();
        let value = if above { around + distance } else { &around + &*R - distance };
        limbs(&(value % &*R))
    });
    prop_oneof![4 => prop::array::uniform4(limb), 2 => near, 1 => any::<[u64; 4]>()]
}

/// Elements whose Montgomery form is such a number, and elements that are one.
fn elements() -> impl Strategy<Value = Fe> {
    (numbers(&P), any::<bool>()).prop_map(|(number, form)| {
        let below = limbs(&(big(&number) % &*PRIME));
        if form { Fe(below) } else { Fe::from_limbs::<Portable>(below).unwrap() }
    })
}

/// The integer that an element stands for.
fn value(element: &Fe) -> BigUint {
    big(&element.0) * &*R_INVERSE % &*PRIME
}

fn is(element: Fe, expected: &BigUint, what: &str) -> Result<(), TestCaseError> {
    prop_assert!(big(&element.0) < *PRIME, "{} is not reduced: {:x?}", what, element);
    prop_assert_eq!(value(&element), expected % &*PRIME, "{}", what);
    Ok(())
}

fn multiplications<M: Multiply>(a: &Fe, b: &Fe) -> Result<(), TestCaseError> {
    is(M::mul(a, b), &(value(a) * value(b)), "a b")?;
    is(M::mul(a, a), &(value(a) * value(a)), "a a")?;
    is(M::sqr(a), &(value(a) * value(a)), "a²")
}

fn powers<M: Multiply>(a: &Fe) -> Result<(), TestCaseError> {
    let p = &*PRIME;
    let inverse = value(a).modinv(p).unwrap_or_default();
    is(a.invert::<M>(), &inverse, "1/a")?;
    let square = value(a) == BigUint::ZERO || value(a).modpow(&((p - 1u8) >> 1u8), p) == BigUint::from(1u8);
    let root = a.sqrt::<M>();
    prop_assert_eq!(root.is_some(), square);
    if let Some(root) = root {
        is(root, &value(&root), "a root")?;
        prop_assert_eq!(value(&root).pow(2) % p, value(a));
    }
    let octets = a.to_be::<M>();
    prop_assert_eq!(BigUint::from_bytes_be(&octets), value(a));
    prop_assert_eq!(Fe::from_be::<M>(&octets), Some(*a));
    prop_assert_eq!(a.is_odd::<M>(), value(a).bit(0));
    Ok(())
}

/// Every back end of the machine.
fn by_each(
    portable: impl FnOnce() -> Result<(), TestCaseError>,
    adx: impl FnOnce() -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    portable()?;
    if has_adx() { adx() } else { Ok(()) }
}

fn sums(a: &Fe, b: &Fe) -> Result<(), TestCaseError> {
    let p = &*PRIME;
    is(a.add(b), &(value(a) + value(b)), "a + b")?;
    is(a.sub(b), &(value(a) + p - value(b)), "a - b")?;
    is(a.double(), &(value(a) * 2u8), "2a")?;
    is(a.triple(), &(value(a) * 3u8), "3a")?;
    is(a.halve().double(), &value(a), "a/2 twice")?;
    is(a.neg(), &(p - value(a)), "-a")?;
    prop_assert_eq!(a.is_zero(), value(a) == BigUint::ZERO);
    Ok(())
}

#[test]
fn constants_are_what_they_are_called() {
    let p = hex_number("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF");
    assert_eq!(*PRIME, p);
    assert_eq!(big(&super::RR.0), &*R * &*R % &p);
    assert_eq!(value(&Fe::ONE), BigUint::from(1u8));
}

fn hex_number(digits: &str) -> BigUint {
    BigUint::parse_bytes(digits.as_bytes(), 16).unwrap()
}

#[test]
fn products_and_sums_of_all_pairs_at_the_edges_are_those_of_big_integers() {
    let mut edges: Vec<BigUint> =
        EDGES.iter().flat_map(|edge| [0, 64, 128, 192].map(|place| BigUint::from(*edge) << place)).collect();
    edges.extend((0..20u8).map(|less| &*PRIME - 1u8 - less));
    edges.extend(EDGES.map(|edge| big(&[edge; 4])));
    for edge in &mut edges {
        *edge %= &*PRIME;
    }
    edges.sort();
    edges.dedup();
    for a in &edges {
        let a = Fe(limbs(a));
        for b in &edges {
            let b = Fe(limbs(b));
            by_each(|| multiplications::<Portable>(&a, &b), || multiplications::<Adx>(&a, &b)).unwrap();
            sums(&a, &b).unwrap();
        }
        by_each(|| powers::<Portable>(&a), || powers::<Adx>(&a)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 8, ..ProptestConfig::default() })]

    #[test]
    fn products_are_those_of_big_integers(a in elements(), b in elements()) {
        by_each(|| multiplications::<Portable>(&a, &b), || multiplications::<Adx>(&a, &b))?;
    }

    #[test]
    fn sums_and_differences_are_those_of_big_integers(a in elements(), b in elements()) {
        sums(&a, &b)?;
    }

    #[test]
    fn octets_are_read_if_and_only_if_they_are_below_p(number in numbers(&P)) {
        let octets = limbs_to_be(&number);
        prop_assert_eq!(limbs_from_be(&octets), number);
        let read = Fe::from_be::<Portable>(&octets);
        prop_assert_eq!(read.map(|element| value(&element)), Some(big(&number)).filter(|number| *number < *PRIME));
        if has_adx() {
            prop_assert_eq!(Fe::from_be::<Adx>(&octets), read);
        }
    }
}

proptest! {
    #[test]
    fn inverses_roots_and_octets_are_those_of_big_integers(a in elements()) {
        by_each(|| powers::<Portable>(&a), || powers::<Adx>(&a))?;
    }
}
