//! SM2 on big integers: affine points, the schoolbook's formulas, every exceptional case spelled out (GB/T 32918.1-2016 §3.2.3.1,
//! GB/T 32918.2-2016 §7.1, GB/T 32918.5-2017).

use std::sync::LazyLock;

use num_bigint::BigUint;

fn hex(digits: &str) -> BigUint {
    BigUint::parse_bytes(digits.as_bytes(), 16).unwrap()
}

pub static P: LazyLock<BigUint> =
    LazyLock::new(|| hex("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF"));
pub static N: LazyLock<BigUint> =
    LazyLock::new(|| hex("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123"));
static B: LazyLock<BigUint> = LazyLock::new(|| hex("28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93"));
static G: LazyLock<Point> = LazyLock::new(|| {
    Some((
        hex("32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7"),
        hex("BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0"),
    ))
});
/// d·16^i·G for every place i of a scalar and every digit d: only the model's own additions.
static MULTIPLES: LazyLock<Vec<Vec<Point>>> = LazyLock::new(|| {
    let mut base = G.clone();
    (0..64)
        .map(|_| {
            let mut row = vec![None];
            for digit in 0..15 {
                row.push(add(&row[digit], &base));
            }
            base = add(&row[15], &base);
            row
        })
        .collect()
});

/// None is infinity.
pub type Point = Option<(BigUint, BigUint)>;

pub fn generator() -> Point {
    G.clone()
}

/// a − b modulo m, for a and b below m.
pub fn sub(a: &BigUint, b: &BigUint, m: &BigUint) -> BigUint {
    (a + m - b) % m
}

pub fn neg(point: &Point) -> Point {
    point.as_ref().map(|(x, y)| (x.clone(), sub(&P, y, &P)))
}

pub fn add(a: &Point, b: &Point) -> Point {
    let (Some((x1, y1)), Some((x2, y2))) = (a, b) else { return a.clone().or_else(|| b.clone()) };
    let p = &*P;
    let slope = if x1 == x2 {
        if y1 != y2 || *y1 == BigUint::ZERO {
            return None;
        }
        let three = BigUint::from(3u8);
        (&three * x1 * x1 + p - &three) * (y1 * 2u8).modinv(p).unwrap() % p
    } else {
        sub(y2, y1, p) * sub(x2, x1, p).modinv(p).unwrap() % p
    };
    let x = (&slope * &slope + p + p - x1 - x2) % p;
    let y = (slope * sub(x1, &x, p) + p - y1) % p;
    Some((x, y))
}

/// scalar·point by doubling and adding.
pub fn multiply(scalar: &BigUint, point: &Point) -> Point {
    let sum = (0..scalar.bits()).rev().fold(None, |sum, bit| {
        let twice = sum.as_ref().map(Quick::double);
        if scalar.bit(bit) { Quick::add(twice, point) } else { twice }
    });
    Quick::finish(sum)
}

/// scalar·G.
pub fn multiply_generator(scalar: &BigUint) -> Point {
    let digits = scalar.to_radix_le(16);
    let terms = digits.iter().zip(MULTIPLES.iter()).map(|(digit, row)| &row[usize::from(*digit)]);
    Quick::finish(terms.fold(None, Quick::add))
}

/// x = X/Z², y = Y/Z³: long sums with one inversion at their end. The formulas are the schoolbook's with the denominators multiplied out;
/// `the_models_two_ways_to_multiply_agree` holds them against [`add`].
struct Quick {
    x: BigUint,
    y: BigUint,
    z: BigUint,
}

impl Quick {
    fn double(&self) -> Self {
        let (p, Self { x, y, z }) = (&*P, self);
        let (zz, yy) = (z * z % p, y * y % p);
        // The slope's numerator over the denominator 2YZ.
        let slope = (x * x + p * p - &zz * &zz) * 3u8 % p;
        let s = x * &yy * 4u8 % p;
        let z3 = y * z * 2u8 % p;
        let x = sub(&(&slope * &slope % p), &(&s * 2u8 % p), p);
        let y = sub(&(slope * sub(&s, &x, p) % p), &(&yy * &yy * 8u8 % p), p);
        Self { x, y, z: z3 }
    }

    fn add(sum: Option<Self>, point: &Point) -> Option<Self> {
        let Some((x2, y2)) = point else { return sum };
        let Some(first @ Self { x, y, z }) = &sum else {
            return Some(Self { x: x2.clone(), y: y2.clone(), z: BigUint::from(1u8) });
        };
        let p = &*P;
        let zz = z * z % p;
        let (h, slope) = (sub(&(x2 * &zz % p), x, p), sub(&(y2 * z % p * &zz % p), y, p));
        if h == BigUint::ZERO {
            return (slope == BigUint::ZERO).then(|| first.double());
        }
        let hh = &h * &h % p;
        let (hhh, v) = (&hh * &h % p, x * &hh % p);
        let x3 = sub(&sub(&(&slope * &slope % p), &hhh, p), &(&v * 2u8 % p), p);
        let y3 = sub(&(slope * sub(&v, &x3, p) % p), &(y * hhh % p), p);
        Some(Self { x: x3, y: y3, z: z * h % p })
    }

    fn finish(sum: Option<Self>) -> Point {
        let (p, Self { x, y, z }) = (&*P, sum?);
        let inverse = z.modinv(p).unwrap();
        let square = &inverse * &inverse % p;
        Some((x * &square % p, y * square % p * inverse % p))
    }
}

/// A point with this x-coordinate and an even or odd y, if there is one.
pub fn with_x(x: &BigUint, odd: bool) -> Point {
    let p = &*P;
    let right = (x * x * x + p * 3u8 - x * 3u8 + &*B) % p;
    let root = right.modpow(&((p + 1u8) / 4u8), p);
    if &root * &root % p != right || *x >= *p {
        return None;
    }
    let y = if root.bit(0) == odd { root } else { sub(&BigUint::ZERO, &root, p) };
    Some((x.clone(), y))
}

/// GB/T 32918.2-2016 §7.1, B1 to B7; `sum` gives s·G + t·P.
pub fn verify(e: &BigUint, r: &BigUint, s: &BigUint, sum: impl FnOnce(&BigUint) -> Point) -> bool {
    let n = &*N;
    let in_range = |value: &BigUint| *value != BigUint::ZERO && value < n;
    if !in_range(r) || !in_range(s) {
        return false;
    }
    let t = (r + s) % n;
    if t == BigUint::ZERO {
        return false;
    }
    sum(&t).is_some_and(|(x, _)| (e + x) % n == *r)
}
