//! The reduction step, by proof and by trying everything. Both run the lines that the arithmetic runs, over other limbs.
//!
//! The proof: over symbols, a sum is a + b + carry − 2⁶⁴·k with a new symbol k that is 0 or 1, a difference likewise, and a limb's upper half
//! is a symbol h with shifted-up limb = 2³²·m − 2⁶⁴·h. All of these are linear, so that a claim such as "the result times 2⁶⁴ is t + m·p, but
//! for a carry out of the top" is an equality of coefficients, which the test compares. What is left to say is why nothing is lost at
//! the top: see the comments.
//!
//! Trying everything: over limbs of two, four and six bits the same lines are checked for all inputs (with six, p is 2²⁴ − 2²¹ − 2⁹ + 2⁶ − 1,
//! and there are 2²⁴ of them).

use std::cell::RefCell;
use std::collections::BTreeMap;

use num_bigint::BigInt;

use super::super::limb::Limb;
use super::super::{P, fold_limb, reduce_once, reduce_product};

/// A sum of symbols with coefficients; symbol 0 is the number 1.
type Form = BTreeMap<usize, BigInt>;

#[derive(Default)]
struct Paper {
    forms: Vec<Form>,
    symbols: usize,
    /// (borrow, first, second, chosen).
    choices: Vec<[Symbolic; 4]>,
}

thread_local! {
    static PAPER: RefCell<Paper> = RefCell::new(Paper { symbols: 1, ..Paper::default() });
}

/// A form on the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Symbolic(usize);

fn power(exponent: usize) -> BigInt {
    BigInt::from(1) << exponent
}

/// Σ coefficient·form.
fn sum(terms: &[(BigInt, Symbolic)]) -> Form {
    PAPER.with_borrow(|paper| {
        let mut total = Form::new();
        for (factor, term) in terms {
            for (symbol, coefficient) in &paper.forms[term.0] {
                *total.entry(*symbol).or_default() += factor * coefficient;
            }
        }
        total.retain(|_, coefficient| *coefficient != BigInt::ZERO);
        total
    })
}

/// Σ limbᵢ·2^(64·(i + from)).
fn number(limbs: &[Symbolic], from: usize) -> Vec<(BigInt, Symbolic)> {
    limbs.iter().enumerate().map(|(index, limb)| (power(64 * (index + from)), *limb)).collect()
}

impl Symbolic {
    fn write(form: Form) -> Self {
        PAPER.with_borrow_mut(|paper| {
            paper.forms.push(form);
            Self(paper.forms.len() - 1)
        })
    }

    fn new() -> Self {
        let symbol = PAPER.with_borrow_mut(|paper| {
            paper.symbols += 1;
            paper.symbols - 1
        });
        Self::write(Form::from([(symbol, BigInt::from(1))]))
    }

    /// Of a form that is one symbol.
    fn symbol(self) -> usize {
        PAPER.with_borrow(|paper| *paper.forms[self.0].first_key_value().unwrap().0)
    }

    fn constant(value: u64) -> Self {
        Self::write(Form::from([(0, BigInt::from(value))]))
    }

    fn linear(terms: &[(BigInt, Self)]) -> Self {
        Self::write(sum(terms))
    }
}

impl Limb for Symbolic {
    // The first form on every paper.
    const ZERO: Self = Self(0);

    fn adc(self, other: Self, carry: Self) -> (Self, Self) {
        let carried = Self::new();
        (Self::linear(&[(1.into(), self), (1.into(), other), (1.into(), carry), (-power(64), carried)]), carried)
    }

    fn sbb(self, other: Self, borrow: Self) -> (Self, Self) {
        let borrowed = Self::new();
        (
            Self::linear(&[(1.into(), self), ((-1).into(), other), ((-1).into(), borrow), (power(64), borrowed)]),
            borrowed,
        )
    }

    fn plus(self, other: Self) -> Self {
        Self::linear(&[(1.into(), self), (1.into(), other)])
    }

    fn minus(self, other: Self) -> Self {
        Self::linear(&[(1.into(), self), ((-1).into(), other)])
    }

    fn halves(self) -> (Self, Self) {
        let high = Self::new();
        (Self::linear(&[(power(32), self), (-power(64), high)]), high)
    }

    fn choose(borrow: Self, first: Self, second: Self) -> Self {
        let chosen = Self::new();
        PAPER.with_borrow_mut(|paper| paper.choices.push([borrow, first, second, chosen]));
        chosen
    }
}

fn new_paper() {
    PAPER.with_borrow_mut(|paper| *paper = Paper { forms: vec![Form::new()], symbols: 1, choices: Vec::new() });
}

#[test]
fn folding_a_limb_adds_a_multiple_of_p_and_divides_by_2_64() {
    new_paper();
    let t: [Symbolic; 4] = std::array::from_fn(|_| Symbolic::new());
    let folded = fold_limb(t);
    // folded·2⁶⁴ = t + t₀·p. The lower three limbs are below 2⁶⁴ by their making, and the whole is below 2²⁵⁶ and not negative; so the fourth
    // limb, here an integer, is one that its wrapping sum and differences in u64 do not change.
    let mut terms = number(&folded, 1);
    terms.extend(number(&t, 0).into_iter().map(|(factor, limb)| (-factor, limb)));
    terms.extend(P.iter().enumerate().map(|(index, limb)| (-(BigInt::from(*limb) << (64 * index)), t[0])));
    assert_eq!(sum(&terms), Form::new());
}

#[test]
fn reducing_once_subtracts_the_modulus_unless_that_is_negative() {
    new_paper();
    let (a, carry): ([Symbolic; 4], Symbolic) = (std::array::from_fn(|_| Symbolic::new()), Symbolic::new());
    let modulus = P.map(Symbolic::constant);
    let reduced = reduce_once(a, carry, &modulus);
    let choices = PAPER.with_borrow(|paper| paper.choices.clone());
    // One borrow decides for all limbs, between a's and the difference's.
    let below = choices[0][0];
    let differences: Vec<Symbolic> = choices.iter().map(|[_, _, difference, _]| *difference).collect();
    for (index, choice) in choices.iter().enumerate() {
        assert_eq!((choice[0], choice[1], choice[3]), (below, a[index], reduced[index]));
    }
    assert_eq!(choices.len(), 4);
    // a + carry·2²⁵⁶ − m − differences …
    let mut terms = number(&a, 0);
    terms.push((power(256), carry));
    terms.extend(number(&modulus, 0).into_iter().map(|(factor, limb)| (-factor, limb)));
    terms.extend(number(&differences, 0).into_iter().map(|(factor, limb)| (-factor, limb)));
    let difference = sum(&terms);
    // … is 2²⁵⁶·(carry − b) for the borrow b out of the four limbs. The last step makes carry − b = top − 2⁶⁴·below with 0 ≤ top < 2⁶⁴: so
    // a + carry·2²⁵⁶ − m is negative if and only if `below` is 1. If not, it is below m by what the caller promises, so top is 0 and the four
    // limbs are all of it.
    let expected = Form::from([(carry.symbol(), power(256)), (below.symbol() - 1, -power(256))]);
    assert_eq!(difference, expected);
}

/// A limb of so many bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Narrow<const BITS: u32>(u8);

impl<const BITS: u32> Narrow<BITS> {
    const MASK: u8 = (1 << BITS) - 1;
}

impl<const BITS: u32> Limb for Narrow<BITS> {
    const ZERO: Self = Self(0);

    fn adc(self, other: Self, carry: Self) -> (Self, Self) {
        let sum = self.0 + other.0 + carry.0;
        (Self(sum & Self::MASK), Self(sum >> BITS))
    }

    fn sbb(self, other: Self, borrow: Self) -> (Self, Self) {
        let difference = self.0.wrapping_sub(other.0).wrapping_sub(borrow.0);
        (Self(difference & Self::MASK), Self(difference >> 7))
    }

    fn plus(self, other: Self) -> Self {
        Self((self.0 + other.0) & Self::MASK)
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0) & Self::MASK)
    }

    fn halves(self) -> (Self, Self) {
        (Self(self.0 << (BITS / 2) & Self::MASK), Self(self.0 >> (BITS / 2)))
    }

    fn choose(borrow: Self, first: Self, second: Self) -> Self {
        if borrow.0 == 1 { first } else { second }
    }
}

/// p with so many instead of 64 bits a limb.
const fn narrow_p(bits: u32) -> u64 {
    (1 << (4 * bits)) - (1 << (4 * bits - bits / 2)) - (1 << (bits + bits / 2)) + (1 << bits) - 1
}

fn narrow<const BITS: u32, const N: usize>(value: u64) -> [Narrow<BITS>; N] {
    let mut rest = value;
    std::array::from_fn(|_| {
        let limb = Narrow((rest & ((1 << BITS) - 1)) as u8);
        rest >>= BITS;
        limb
    })
}

fn wide<const BITS: u32>(limbs: &[Narrow<BITS>]) -> u64 {
    limbs.iter().rev().fold(0, |value, limb| value << BITS | u64::from(limb.0))
}

#[test]
fn over_narrow_limbs_every_fold_is_right() {
    fn check<const BITS: u32>() {
        for t in 0..1u64 << (4 * BITS) {
            let sum = t + (t & ((1 << BITS) - 1)) * narrow_p(BITS);
            assert!(sum.is_multiple_of(1 << BITS));
            assert_eq!(wide(&fold_limb(narrow::<BITS, 4>(t))), sum >> BITS, "{t:x}");
        }
    }
    check::<2>();
    check::<4>();
    check::<6>();
}

#[test]
fn over_narrow_limbs_every_reduction_is_right() {
    // p's like, a modulus as n has it, and the ends.
    for modulus in [narrow_p(4), 0xbf72, 0x8000, 0xffff, 1] {
        for value in 0..2 * modulus {
            let (a, carry) = (narrow::<4, 4>(value & 0xffff), Narrow((value >> 16) as u8));
            assert_eq!(wide(&reduce_once(a, carry, &narrow(modulus))), value % modulus, "{value:x} modulo {modulus:x}");
        }
    }
}

/// The whole reduction: for every t < p² over limbs of two bits, and over limbs of four for those whose halves are at an end or all alike.
#[test]
fn over_narrow_limbs_every_product_is_reduced() {
    fn check<const BITS: u32>(t: u64) {
        let p = narrow_p(BITS);
        let reduced = wide(&reduce_product(narrow::<BITS, 8>(t), &narrow(p)));
        assert!(reduced < p, "{t:x}");
        assert_eq!((reduced << (4 * BITS)) % p, t % p, "{t:x}");
    }
    let square = |bits| narrow_p(bits) * narrow_p(bits);
    (0..square(2)).for_each(check::<2>);
    for low in 0..1u64 << 16 {
        let ends = (0..40).chain(narrow_p(4) - 41..narrow_p(4) - 1).map(|high| high << 16 | low);
        ends.chain([low << 16]).filter(|t| *t < square(4)).for_each(check::<4>);
    }
}
