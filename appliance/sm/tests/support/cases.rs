//! Signatures to be judged.

use std::sync::Arc;

use num_bigint::BigUint;

use super::Numbers;
use super::model::{self, N, P, Point, sub};

/// A key: its point, and its private number where that is known.
#[derive(Debug)]
pub struct Key {
    pub d: Option<BigUint>,
    pub point: Point,
    /// x ‖ y, 32 octets big-endian each.
    pub raw: [u8; 64],
}

impl Key {
    fn new(d: Option<BigUint>, point: Point) -> Arc<Self> {
        let (x, y) = point.as_ref().unwrap();
        let mut raw = [0; 64];
        raw[..32].copy_from_slice(&octets(x));
        raw[32..].copy_from_slice(&octets(y));
        Arc::new(Self { d, point, raw })
    }

    /// d·G.
    pub fn known(d: &BigUint) -> Arc<Self> {
        Self::new(Some(d.clone()), model::multiply_generator(d))
    }

    fn unknown(point: Point) -> Arc<Self> {
        Self::new(None, point)
    }

    /// s·G + t·P.
    fn sum(&self, s: &BigUint, t: &BigUint) -> Point {
        match &self.d {
            Some(d) => model::multiply_generator(&((s + t * d) % &*N)),
            None => model::add(&model::multiply_generator(s), &model::multiply(t, &self.point)),
        }
    }
}

/// What to verify, and what the standard says of it.
#[derive(Clone, Debug)]
pub struct Case {
    pub what: &'static str,
    pub key: Arc<Key>,
    pub e: [u8; 32],
    pub r: [u8; 32],
    pub s: [u8; 32],
    pub valid: bool,
    /// s·G = ±t·P: what careless additions get wrong.
    pub collides: bool,
}

impl Case {
    fn new(what: &'static str, key: &Arc<Key>, e: &BigUint, r: &BigUint, s: &BigUint, valid: bool) -> Self {
        Self { what, key: key.clone(), e: octets(e), r: octets(r), s: octets(s), valid, collides: false }
    }

    /// With the verdict of the model.
    fn judged(what: &'static str, key: &Arc<Key>, e: &BigUint, r: &BigUint, s: &BigUint) -> Self {
        Self::judged_by(what, key, e, r, s, &key.sum(s, &((r + s) % &*N)))
    }

    /// The same where s·G + t·P is known already.
    fn judged_by(what: &'static str, key: &Arc<Key>, e: &BigUint, r: &BigUint, s: &BigUint, sum: &Point) -> Self {
        let valid = model::verify(e, r, s, |_| sum.clone());
        let collides = key.d.as_ref().is_some_and(|d| {
            let (n, other) = (&*N, (r + s) * d % &*N);
            s % n == other || (s + other) % n == BigUint::ZERO
        });
        Self { collides, ..Self::new(what, key, e, r, s, valid) }
    }

    /// 1 ≤ r, s < n.
    pub fn in_range(&self) -> bool {
        let fine = |octets| {
            let value = BigUint::from_bytes_be(octets);
            value != BigUint::ZERO && value < *N
        };
        fine(&self.r) && fine(&self.s)
    }

    /// r ‖ s.
    pub fn signature(&self) -> [u8; 64] {
        let mut raw = [0; 64];
        raw[..32].copy_from_slice(&self.r);
        raw[32..].copy_from_slice(&self.s);
        raw
    }
}

/// 32 octets big-endian.
pub fn octets(value: &BigUint) -> [u8; 32] {
    let significant = value.to_bytes_be();
    let mut octets = [0; 32];
    octets[32 - significant.len()..].copy_from_slice(&significant);
    octets
}

fn random(numbers: &mut Numbers) -> BigUint {
    BigUint::from_bytes_be(&numbers.octets())
}

/// 1 … n − 1.
fn scalar(numbers: &mut Numbers) -> BigUint {
    random(numbers) % (&*N - 1u8) + 1u8
}

/// Points with known logarithms, one addition each: every one differs from those before.
struct Walk {
    k: BigUint,
    point: Point,
    step: (BigUint, Point),
}

impl Walk {
    fn new(numbers: &mut Numbers) -> Self {
        let (k, step) = (scalar(numbers), scalar(numbers));
        let (point, stride) = (model::multiply_generator(&k), model::multiply_generator(&step));
        Self { k, point, step: (step, stride) }
    }

    fn next(&mut self) -> (BigUint, Point) {
        self.k = (&self.k + &self.step.0) % &*N;
        self.point = model::add(&self.point, &self.step.1);
        (self.k.clone(), self.point.clone())
    }
}

/// Endless random signatures, half of them spoilt in one of many ways; a new key every twenty.
pub struct Random {
    numbers: Numbers,
    keys: Walk,
    nonces: Walk,
    key: Arc<Key>,
    previous: Arc<Key>,
    /// 1/(1 + d).
    inverse: BigUint,
    left: usize,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        let (keys, nonces) = (Walk::new(&mut numbers), Walk::new(&mut numbers));
        let key = Key::known(&BigUint::from(1u8));
        Self { numbers, keys, nonces, previous: key.clone(), key, inverse: BigUint::ZERO, left: 0 }
    }
}

impl Iterator for Random {
    type Item = Case;

    fn next(&mut self) -> Option<Case> {
        let n = &*N;
        if self.left == 0 {
            let (d, point) = self.keys.next();
            self.inverse = (&d + 1u8).modinv(n).unwrap();
            self.previous = std::mem::replace(&mut self.key, Key::new(Some(d), point));
            self.left = 20;
        }
        self.left -= 1;
        let (k, point) = self.nonces.next();
        let e = random(&mut self.numbers);
        // GB/T 32918.2-2016 §6.1, A5 and A6; the refusals of A5 do not happen with random numbers.
        let r = (&e + point.unwrap().0) % n;
        let rd = &r * self.key.d.as_ref().unwrap() % n;
        let s = sub(&k, &rd, n) * &self.inverse % n;
        let mut case = Case::new("as signed", &self.key, &e, &r, &s, true);
        let bit = self.numbers.below(256);
        let flip = |octets: &mut [u8; 32]| octets[bit / 8] ^= 1 << (bit % 8);
        let spoilt = match self.numbers.below(20) {
            0 => {
                flip(&mut case.e);
                // Another e with the same residue would be as good.
                (BigUint::from_bytes_be(&case.e) % n != &e % n).then_some("a bit of e")
            }
            1 => {
                flip(&mut case.r);
                Some("a bit of r")
            }
            2 => {
                flip(&mut case.s);
                Some("a bit of s")
            }
            3 => {
                case.key = self.previous.clone();
                Some("another's key")
            }
            4 => {
                case.s = octets(&(n - &s));
                Some("n - s")
            }
            5 => {
                case.r = octets(&(n - &r));
                Some("n - r")
            }
            6 => {
                std::mem::swap(&mut case.r, &mut case.s);
                Some("r and s exchanged")
            }
            7 => {
                case.e = octets(&r);
                Some("e = r")
            }
            8 => {
                case.key = Key::new(None, model::neg(&self.key.point));
                Some("the negative of the key")
            }
            9 => {
                case.r = octets(&((&r + 1u8) % n));
                case.s = octets(&sub(&s, &BigUint::from(1u8), n));
                Some("r + 1 and s - 1")
            }
            _ => None,
        };
        if let Some(what) = spoilt {
            case.what = what;
            case.valid = false;
        }
        Some(case)
    }
}

/// Cases at every edge that the equation has; always the same.
pub fn structured() -> Vec<Case> {
    let mut numbers = Numbers::new(4);
    let mut cases = Vec::new();
    edges_of_r_and_s(&mut numbers, &mut cases);
    keys_near_infinity(&mut numbers, &mut cases);
    collisions(&mut numbers, &mut cases);
    sparse(&mut numbers, &mut cases);
    edges_of_e(&mut numbers, &mut cases);
    edges_of_x(&mut numbers, &mut cases);
    sparse_points(&mut numbers, &mut cases);
    cases
}

/// A case with the e that satisfies the equation, whether or not it may: r − x(s·G + t·P); and its neighbour that does not fit.
fn push_pair(what: &'static str, key: &Arc<Key>, r: &BigUint, s: &BigUint, cases: &mut Vec<Case>) {
    let n = &*N;
    let sum = key.sum(&(s % n), &((r + s) % n));
    let x = sum.as_ref().map_or(BigUint::ZERO, |(x, _)| x % n);
    let e = sub(&(r % n), &x, n);
    cases.push(Case::judged_by(what, key, &e, r, s, &sum));
    cases.push(Case::new(what, key, &((e + 1u8) % n), r, s, false));
}

fn edges_of_r_and_s(numbers: &mut Numbers, cases: &mut Vec<Case>) {
    let n = &*N;
    let one = BigUint::from(1u8);
    let top = (&one << 256u32) - 1u8;
    for key in [Key::known(&one), Key::known(&(n - 1u8)), Key::known(&scalar(numbers))] {
        let edges = [BigUint::ZERO, one.clone(), n - 1u8, n.clone(), n + 1u8, top.clone(), scalar(numbers)];
        for r in &edges {
            for s in &edges {
                push_pair("r and s at their bounds", &key, r, s, cases);
            }
        }
        for _ in 0..4 {
            let r = scalar(numbers);
            push_pair("r + s = n", &key, &r, &(n - &r), cases);
        }
    }
}

fn keys_near_infinity(numbers: &mut Numbers, cases: &mut Vec<Case>) {
    let n = &*N;
    for distance in 1..=20u8 {
        for d in [BigUint::from(distance), n - distance] {
            let key = Key::known(&d);
            for _ in 0..3 {
                push_pair("key near infinity", &key, &scalar(numbers), &scalar(numbers), cases);
            }
            for (s, t) in [(1u8, 2u8), (2, 1), (1, distance), (distance, 1), (distance, 200)] {
                let (s, t) = (BigUint::from(s), BigUint::from(t));
                push_pair("key near infinity, small s and t", &key, &sub(&t, &s, n), &s, cases);
                let s = n - s;
                push_pair("key near infinity, small -s and t", &key, &sub(&t, &s, n), &s, cases);
            }
        }
    }
}

/// s·G = t·P, whose sum is a doubling, and s·G = −t·P, whose sum is infinity.
fn collisions(numbers: &mut Numbers, cases: &mut Vec<Case>) {
    let n = &*N;
    let two = BigUint::from(2u8);
    let mut ds: Vec<BigUint> = (0..8).map(|_| scalar(numbers)).collect();
    ds.extend([1u8, 2, 3, 5, 128].map(BigUint::from));
    ds.extend([1u8, 2, 3, 5, 128].map(|d| n - d));
    ds.extend((1..32).map(|octet| two.pow(octet * 8)));
    for d in ds {
        let key = Key::known(&d);
        for t in [scalar(numbers), BigUint::from(1u8), n - 1u8, two.pow(128)] {
            let s = &t * &d % n;
            push_pair("s G = t P", &key, &sub(&t, &s, n), &s, cases);
            let s = n - s;
            push_pair("s G = -t P", &key, &sub(&t, &s, n), &s, cases);
        }
        // A collision halfway: t·P shares only its lowest digit with s·G.
        for _ in 0..4 {
            let digit = BigUint::from(numbers.next() % 128 + 1);
            let above = (random(numbers) >> 16) << 8;
            let t = (&digit + above) % n;
            let s = &digit * &d % n;
            push_pair("a digit of t P is s G", &key, &sub(&t, &s, n), &s, cases);
            let s = n - s;
            push_pair("a digit of t P is -s G", &key, &sub(&t, &s, n), &s, cases);
        }
    }
}

/// s, t and d of few digits in windows of 4, 5 or 8 bits: their partial sums meet often.
fn sparse(numbers: &mut Numbers, cases: &mut Vec<Case>) {
    let n = &*N;
    let few = |numbers: &mut Numbers| {
        let width = [4, 5, 8][numbers.below(3)];
        let mut value = BigUint::ZERO;
        for _ in 0..=numbers.below(3) {
            let digit = [1u64, 2, (1 << (width - 1)) - 1, 1 << (width - 1), (1 << (width - 1)) + 1][numbers.below(5)];
            value += BigUint::from(digit) << (numbers.below(256 / width) * width);
        }
        value %= n;
        if numbers.below(2) == 0 { value } else { (n - value) % n }
    };
    for _ in 0..30 {
        let d = few(numbers);
        if d == BigUint::ZERO {
            continue;
        }
        let key = Key::known(&d);
        for _ in 0..16 {
            let (s, t) = (few(numbers), few(numbers));
            push_pair("sparse s, t and d", &key, &sub(&t, &s, n), &s, cases);
        }
    }
    // Around n/2, where scalars change sign before they are recoded.
    let half = n >> 1u8;
    let key = Key::known(&scalar(numbers));
    for s in [&half - 1u8, half.clone(), &half + 1u8, &half + 2u8] {
        for t in [&half - 1u8, half.clone(), &half + 1u8, &half + 2u8] {
            push_pair("s and t around n/2", &key, &sub(&t, &s, n), &s, cases);
        }
    }
}

fn edges_of_e(numbers: &mut Numbers, cases: &mut Vec<Case>) {
    let n = &*N;
    let top = (BigUint::from(1u8) << 256u32) - 1u8;
    let mut nonces = Walk::new(numbers);
    for _ in 0..6 {
        let key = Key::known(&scalar(numbers));
        let d = key.d.as_ref().unwrap();
        let inverse = (d + 1u8).modinv(n).unwrap();
        let above = n + random(numbers) % (&top - n);
        for e in [BigUint::ZERO, BigUint::from(1u8), n - 1u8, n.clone(), n + 1u8, above, &top - 1u8, top.clone()] {
            let (k, point) = nonces.next();
            let r = (&e + point.unwrap().0) % n;
            let s = sub(&k, &(&r * d % n), n) * &inverse % n;
            cases.push(Case::judged("e at its bounds", &key, &e, &r, &s));
            // The same residue in its other form.
            let other = if e >= *n { &e - n } else { &e + n };
            if other <= top {
                cases.push(Case::judged("e plus or minus n", &key, &other, &r, &s));
            }
            let wrong = if e == top { BigUint::ZERO } else { &e + 1u8 };
            cases.push(Case::judged("e beside the fitting one", &key, &wrong, &r, &s));
        }
    }
}

/// Sums with chosen x-coordinates: the key is made to fit, (R − s·G)/t.
fn edges_of_x(numbers: &mut Numbers, cases: &mut Vec<Case>) {
    let (n, p) = (&*N, &*P);
    let two256 = BigUint::from(1u8) << 256u32;
    let gap = p - n;
    let mut wanted = Vec::new();
    // n … p − 1: x mod n is another integer than x. 0 … p − n − 1: x + n would be a coordinate too. And what lies at the ends of both.
    for near in [BigUint::ZERO, gap.clone(), n.clone(), p.clone() - 40u8, BigUint::from(1u8) << 128u32] {
        wanted.extend((0..40u8).map(|more| &near + more));
        if near >= gap {
            wanted.extend((1..20u8).map(|less| &near - less));
        }
    }
    for _ in 0..16 {
        wanted.push(n + random(numbers) % &gap);
        wanted.push(random(numbers) % &gap);
    }
    for x in wanted.into_iter().filter(|x| x < p) {
        let sum = model::with_x(&x, numbers.below(2) == 0);
        if sum.is_none() {
            continue;
        }
        let (s, t) = (scalar(numbers), scalar(numbers));
        let rest = model::add(&sum, &model::neg(&model::multiply_generator(&s)));
        let key = Key::unknown(model::multiply(&t.modinv(n).unwrap(), &rest));
        let r = sub(&t, &s, n);
        let e = sub(&r, &(&x % n), n);
        cases.push(Case::judged("chosen x-coordinate", &key, &e, &r, &s));
        // What a verifier takes that reduces modulo p, or modulo 2^256, where it should not: x + n = x' + p, x + n = x' + 2^256.
        for wrong in [(&x + p) % n, (&x + &two256) % n, sub(&(&x % n), &gap, n)] {
            let e = sub(&r, &wrong, n);
            let valid = model::verify(&e, &r, &s, |_| sum.clone());
            cases.push(Case::new("x-coordinate off by p, by 2^256 or by p - n", &key, &e, &r, &s, valid));
        }
    }
    // The same for sums anywhere.
    let key = Key::known(&scalar(numbers));
    for _ in 0..16 {
        let (s, t) = (scalar(numbers), scalar(numbers));
        let (x, _) = key.sum(&s, &t).unwrap();
        let r = sub(&t, &s, n);
        for shift in [p.clone(), two256.clone(), &two256 * 2u8 - p] {
            let e = sub(&r, &((&x + shift) % n), n);
            cases.push(Case::judged("x-coordinate off by p or by 2^256", &key, &e, &r, &s));
        }
    }
}

/// Keys whose coordinates have few bits, or few zeros.
fn sparse_points(numbers: &mut Numbers, cases: &mut Vec<Case>) {
    let (n, p) = (&*N, &*P);
    let one = BigUint::from(1u8);
    let mut xs: Vec<BigUint> = (0..12u8).map(BigUint::from).collect();
    xs.extend((1..13u8).map(|below| p - below));
    xs.extend([8, 31, 32, 33, 63, 64, 65, 96, 127, 128, 160, 191, 192, 224, 255].map(|bit| &one << bit));
    xs.extend([32, 64, 96, 128, 160, 192, 224].map(|bit| (&one << bit) - 1u8));
    for x in xs {
        let point = model::with_x(&x, numbers.below(2) == 0);
        if point.is_none() {
            continue;
        }
        let key = Key::unknown(point);
        let (s, t) = (scalar(numbers), scalar(numbers));
        push_pair("key of few bits", &key, &sub(&t, &s, n), &s, cases);
        // The key itself is the sum, or one G beside it.
        for s in [one.clone(), n - 1u8] {
            push_pair("key of few bits, t = 1", &key, &sub(&one, &s, n), &s, cases);
            push_pair("key of few bits, t = n - 1", &key, &sub(&(n - 1u8), &s, n), &s, cases);
        }
    }
}
