//! Integers modulo n against big integers.

use std::sync::LazyLock;

use num_bigint::BigUint;
use proptest::prelude::*;

use crate::engine::Equation;
use crate::field::limbs_to_be;
use crate::field::tests::{PRIME, big, limbs, numbers};
use crate::scalar::{N, Scalar};

pub(crate) static ORDER: LazyLock<BigUint> = LazyLock::new(|| big(&N));

/// Below n, near its ends and where carries are.
pub(crate) fn scalars() -> impl Strategy<Value = Scalar> {
    let half = (0u8..8).prop_map(|more| Scalar(limbs(&((&*ORDER >> 1u8) + more - 4u8))));
    prop_oneof![8 => numbers(&N).prop_map(|number| Scalar(limbs(&(big(&number) % &*ORDER)))), 1 => half]
}

#[test]
fn the_order_is_that_of_gb_t_32918_5() {
    let digits = b"FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123";
    assert_eq!(Some(ORDER.clone()), BigUint::parse_bytes(digits, 16));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 8, ..ProptestConfig::default() })]

    #[test]
    fn sums_and_differences_are_those_of_big_integers(a in scalars(), b in scalars()) {
        let n = &*ORDER;
        prop_assert_eq!(big(&a.add(&b).0), (big(&a.0) + big(&b.0)) % n);
        prop_assert_eq!(big(&a.sub(&b).0), (big(&a.0) + n - big(&b.0)) % n);
        prop_assert_eq!(big(&a.neg().0), (n - big(&a.0)) % n);
        prop_assert_eq!(a.is_zero(), big(&a.0) == BigUint::ZERO);
        prop_assert_eq!(a.is_high(), big(&a.0) > (n - 1u8) / 2u8);
    }

    #[test]
    fn octets_are_read_below_n_only_and_digests_modulo_n(number in numbers(&N)) {
        let (octets, value) = (limbs_to_be(&number), big(&number));
        let read = Scalar::from_be(&octets);
        prop_assert_eq!(read.map(|scalar| big(&scalar.0)), Some(&value).filter(|value| **value < *ORDER).cloned());
        prop_assert_eq!(read.map(Scalar::to_be), read.map(|_| octets));
        prop_assert_eq!(big(&Scalar::reduced_from_be(&octets).0), value % &*ORDER);
    }

    #[test]
    fn coordinates_are_all_numbers_below_p_with_the_residue(scalar in scalars()) {
        let (least, other) = scalar.as_coordinates();
        let found: Vec<BigUint> = [Some(least), other].iter().flatten().map(big).collect();
        let every = (0..3u8).map(|times| big(&scalar.0) + &*ORDER * times).filter(|number| *number < *PRIME);
        prop_assert_eq!(found, every.collect::<Vec<_>>());
    }

    #[test]
    fn an_equation_says_t_and_x_as_the_standard_does(e in numbers(&N), r in scalars(), s in scalars()) {
        let n = &*ORDER;
        let t = (big(&r.0) + big(&s.0)) % n;
        let equation = Equation::new(&limbs_to_be(&e), &r, &s);
        prop_assert_eq!(equation.is_none(), t == BigUint::ZERO);
        if let Some(equation) = equation {
            prop_assert_eq!(big(&equation.t.0), t);
            prop_assert_eq!(equation.s, s);
            prop_assert_eq!((big(&equation.x.0) + big(&e)) % n, big(&r.0));
        }
    }
}
