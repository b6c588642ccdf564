//! Sums of all pairs of small multiples of G, in several representations of each: every exceptional case of the formulas is among them.

#![allow(clippy::cast_sign_loss)]

use num_bigint::BigUint;

use crate::arch::{Adx, has_adx};
use crate::field::tests::{PRIME, limbs};
use crate::field::{Fe, Multiply, Portable};
use crate::point::{Affine, B, GENERATOR, Jacobian};
use crate::table::Table;

/// i·G for −`MOST` ≤ i ≤ `MOST`.
const MOST: i32 = 64;

/// None is infinity; coordinates as integers.
type Plain = Option<(BigUint, BigUint)>;

/// The schoolbook's addition.
fn plain_add(a: &Plain, b: &Plain) -> Plain {
    let (Some((x1, y1)), Some((x2, y2))) = (a, b) else { return a.clone().or_else(|| b.clone()) };
    let p = &*PRIME;
    let slope = if x1 == x2 {
        if y1 != y2 {
            return None;
        }
        (x1 * x1 * 3u8 + p - 3u8) * (y1 * 2u8).modinv(p)?
    } else {
        (y2 + p - y1) * ((x2 + p - x1) % p).modinv(p)?
    } % p;
    let x = (&slope * &slope + p + p - x1 - x2) % p;
    let y = (slope * ((x1 + p - &x) % p) + p - y1) % p;
    Some((x, y))
}

/// 0, G, 2G, … 2·`MOST`·G by the schoolbook.
fn multiples() -> Vec<Plain> {
    let plain = |element: &Fe| BigUint::from_bytes_be(&element.to_be::<Portable>());
    let generator = Some((plain(&GENERATOR.x), plain(&GENERATOR.y)));
    std::iter::successors(Some(None), |last| Some(plain_add(last, &generator))).take(2 * MOST as usize + 1).collect()
}

fn element<M: Multiply>(value: &BigUint) -> Fe {
    Fe::from_limbs::<M>(limbs(value)).unwrap_or_default()
}

fn affine<M: Multiply>(point: &Plain) -> Option<Affine> {
    point.as_ref().map(|(x, y)| Affine { x: element::<M>(x), y: element::<M>(y) })
}

/// i·G.
fn signed(multiples: &[Option<Affine>], index: i32) -> Option<Affine> {
    multiples[index.unsigned_abs() as usize].map(|point| point.signed(index < 0))
}

/// The point with Z = z; infinity with what is left of X and Y.
fn with_z<M: Multiply>(point: Option<Affine>, z: &Fe) -> Jacobian {
    let zz = M::sqr(z);
    match point {
        Some(point) => Jacobian { x: M::mul(&point.x, &zz), y: M::mul(&point.y, &M::mul(&zz, z)), z: *z },
        None => Jacobian { x: zz, y: M::mul(&zz, z), z: Fe::ZERO },
    }
}

/// 1, −1, 2 and what has edges for limbs.
fn representations() -> [Fe; 4] {
    let two = Fe::ONE.double();
    [Fe::ONE, Fe::ONE.neg(), two, Fe([u64::MAX, 0xffff_fffe_ffff_ffff, u64::MAX, 0xffff_fffe_ffff_fffe])]
}

fn is<M: Multiply>(sum: &Jacobian, expected: Option<Affine>, what: (&str, i32, i32)) {
    match expected {
        None => assert!(sum.is_infinity(), "{what:?} is not infinity"),
        Some(point) => {
            assert!(!sum.is_infinity(), "{what:?} is infinity");
            let zz = M::sqr(&sum.z);
            assert_eq!((M::mul(&point.x, &zz), M::mul(&point.y, &M::mul(&zz, &sum.z))), (sum.x, sum.y), "{what:?}");
            assert!(sum.has_x::<M>(&point.x) && !sum.has_x::<M>(&point.x.add(&Fe::ONE)), "{what:?}");
        }
    }
    assert!(expected.is_some() || !sum.has_x::<M>(&sum.x), "infinity has no x");
}

fn every_pair<M: Multiply>() {
    let multiples: Vec<Option<Affine>> = multiples().iter().map(affine::<M>).collect();
    let zs = representations();
    for i in -MOST..=MOST {
        let first = signed(&multiples, i);
        for z in &zs {
            let jacobian = with_z::<M>(first, z);
            is::<M>(&jacobian, first, ("itself", i, i));
            if let Some(first) = first {
                let mut normal = [GENERATOR];
                Jacobian::normalise::<M>(&[jacobian], &mut normal);
                assert_eq!(normal, [first], "{i}");
            }
            is::<M>(&jacobian.double::<M>(), signed(&multiples, 2 * i), ("twice", i, i));
            is::<M>(&jacobian.neg(), signed(&multiples, -i), ("its negative", i, -i));
        }
        for j in -MOST..=MOST {
            let (second, sum) = (signed(&multiples, j), signed(&multiples, i + j));
            // Each representation of the first with another of the second.
            for (index, z) in zs.iter().enumerate() {
                let jacobian = with_z::<M>(first, z);
                let other = with_z::<M>(second, &zs[(index + usize::from(i % 2 == 0)) % zs.len()]);
                is::<M>(&jacobian.add::<M>(&other), sum, ("sum", i, j));
                if let Some(second) = second {
                    is::<M>(&jacobian.add_affine::<M>(&second), sum, ("sum with an affine point", i, j));
                }
            }
        }
    }
}

#[test]
fn sums_of_all_small_multiples_are_right_in_every_representation() {
    every_pair::<Portable>();
    if has_adx() {
        every_pair::<Adx>();
    }
}

#[test]
fn every_entry_of_a_table_is_its_multiple() {
    fn check<M: Multiply, const WIDTH: usize>(point: &Plain) {
        let table = Table::<WIDTH>::new::<M>(&affine::<M>(point).unwrap_or(GENERATOR));
        let mut base = point.clone();
        for window in 0..Table::<WIDTH>::WINDOWS {
            let mut multiple = None;
            for digit in 1..=Table::<WIDTH>::ROW {
                multiple = plain_add(&multiple, &base);
                let digit = i16::try_from(digit).unwrap_or(i16::MAX);
                assert_eq!(Some(*table.entry(window, digit)), affine::<M>(&multiple), "{digit} in {window}");
                assert_eq!(table.entry(window, -digit), table.entry(window, digit));
            }
            base = plain_add(&multiple, &multiple);
        }
    }
    let multiples = multiples();
    check::<Portable, 4>(&multiples[1]);
    check::<Portable, 5>(&multiples[7]);
    if has_adx() {
        check::<Adx, 4>(&multiples[1]);
        check::<Adx, 5>(&multiples[7]);
    }
}

#[test]
fn the_constants_are_those_of_gb_t_32918_5() {
    let parse = |digits: &[u8]| BigUint::parse_bytes(digits, 16).unwrap_or_default();
    let is = |element: &Fe, digits| assert_eq!(BigUint::from_bytes_be(&element.to_be::<Portable>()), parse(digits));
    is(&B, b"28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93");
    is(&GENERATOR.x, b"32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7");
    is(&GENERATOR.y, b"BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0");
    assert!(GENERATOR.is_on_curve::<Portable>());
}
