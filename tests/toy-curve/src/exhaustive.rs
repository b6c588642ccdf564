//! The claims. Each says how many cases it tried.
// Indices and counts are below 691.
#![allow(clippy::cast_possible_truncation, clippy::missing_panics_doc)]

use std::collections::HashMap;
use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

use crate::engine::{Equation, GENERATOR_WIDTH, KEY_WIDTH, verify_fixed, verify_generic};
use crate::field::{Fe, Multiply, P, Plain};
use crate::point::{Affine, B, Jacobian};
use crate::scalar::{ORDER, Scalar};
use crate::secret::{SecretScalar, SecretTable, multiply_passing, multiply_tabled};
use crate::table::Table;

/// A random source that gives this integer.
struct Told(u64);

impl TryRng for Told {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("scalars are drawn whole")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("scalars are drawn whole")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(0);
        out[24..].copy_from_slice(&self.0.to_be_bytes());
        Ok(())
    }
}

impl TryCryptoRng for Told {}

/// The group as a table: found by looking at all pairs of coordinates, added by the schoolbook's rule.
#[derive(Debug)]
pub struct Group {
    /// i·G for 0 ≤ i < n; G is the first point found.
    multiples: Vec<Option<(u64, u64)>>,
    logarithms: HashMap<Option<(u64, u64)>, u64>,
}

fn inverse(value: u64) -> u64 {
    (1..P).find(|candidate| value * candidate % P == 1).expect("691 is a prime")
}

fn schoolbook(a: Option<(u64, u64)>, b: Option<(u64, u64)>) -> Option<(u64, u64)> {
    let (Some((x1, y1)), Some((x2, y2))) = (a, b) else { return a.or(b) };
    let slope = match (x1 == x2, y1 == y2) {
        (true, false) => return None,
        (true, true) => (3 * x1 * x1 + P - 3) % P * inverse(2 * y1 % P),
        (false, _) => (y2 + P - y1) % P * inverse((x2 + P - x1) % P),
    } % P;
    let x = (slope * slope + 2 * P - x1 - x2) % P;
    Some((x, (slope * (x1 + P - x) + P - y1) % P))
}

impl Default for Group {
    fn default() -> Self {
        let b = B.value();
        let points: Vec<_> = (0..P)
            .flat_map(|x| (0..P).map(move |y| (x, y)))
            .filter(|(x, y)| y * y % P == (x * x * x + P * 3 - 3 * x + b) % P)
            .collect();
        assert_eq!(points.len() as u64 + 1, ORDER, "with infinity");
        let generator = Some(points[0]);
        let multiples: Vec<_> =
            std::iter::successors(Some(None), |last| Some(schoolbook(*last, generator))).take(ORDER as usize).collect();
        let logarithms: HashMap<_, _> = (0..).zip(&multiples).map(|(index, point)| (*point, index)).collect();
        assert_eq!(logarithms.len() as u64, ORDER, "the group is cyclic");
        Self { multiples, logarithms }
    }
}

impl Group {
    fn plain(&self, index: u64) -> Option<(u64, u64)> {
        self.multiples[(index % ORDER) as usize]
    }

    fn affine(&self, index: u64) -> Affine {
        let (x, y) = self.plain(index).expect("not infinity");
        Affine { x: Fe::new(x), y: Fe::new(y) }
    }

    /// i·G with this Z.
    fn jacobian(&self, index: u64, z: u64) -> Jacobian {
        let z = Fe::new(z);
        let (zz, zzz) = (Plain::sqr(&z), Plain::mul(&Plain::sqr(&z), &z));
        match self.plain(index) {
            Some((x, y)) => Jacobian { x: Plain::mul(&Fe::new(x), &zz), y: Plain::mul(&Fe::new(y), &zzz), z },
            None => Jacobian { x: zz, y: zzz, z: Fe::ZERO },
        }
    }

    /// The i of i·G.
    fn logarithm(&self, inverses: &[u64], point: &Jacobian) -> u64 {
        if point.is_infinity() {
            return 0;
        }
        let z = inverses[point.z.value() as usize];
        let zz = z * z % P;
        self.logarithms[&Some((point.x.value() * zz % P, point.y.value() * zz % P * z % P))]
    }

    /// Every sum, doubling and negative of the Jacobian formulas, for all pairs of points with several Z.
    pub fn jacobian_formulas_are_the_groups(&self) -> u64 {
        let inverses: Vec<u64> = (0..P).map(|value| if value == 0 { 0 } else { inverse(value) }).collect();
        let mut tried = 0;
        for i in 0..ORDER {
            for z in 1..P {
                let point = self.jacobian(i, z);
                assert_eq!(self.logarithm(&inverses, &point.double::<Plain>()), 2 * i % ORDER, "twice {i}, Z = {z}");
                assert_eq!(self.logarithm(&inverses, &point.neg()), (ORDER - i) % ORDER, "-{i}, Z = {z}");
                let own = self.plain(i).map(|(x, _)| x);
                // All x for one representation, the own and its neighbours for all.
                let xs = if z == 2 { 0..P } else { own.map_or(0..3, |x| x.saturating_sub(1)..(x + 2).min(P)) };
                for x in xs {
                    assert_eq!(point.has_x::<Plain>(&Fe::new(x)), own == Some(x), "{x} of {i}, Z = {z}");
                }
                tried += 2;
            }
            for j in 0..ORDER {
                for (z, other_z) in [(1, 1), (1, P - 1), (2, 1), (i % (P - 1) + 1, j % (P - 1) + 1)] {
                    let point = self.jacobian(i, z);
                    let sum = point.add::<Plain>(&self.jacobian(j, other_z));
                    assert_eq!(self.logarithm(&inverses, &sum), (i + j) % ORDER, "{i} + {j}");
                    if j != 0 {
                        let sum = point.add_affine::<Plain>(&self.affine(j));
                        assert_eq!(self.logarithm(&inverses, &sum), (i + j) % ORDER, "{i} + {j}, affine");
                    }
                    tried += 2;
                }
            }
        }
        tried
    }

    /// The verdict for every s and t, under some keys; with the residue of x that fits and with one that does not: a neighbour, or what x would
    /// be off by p.
    pub fn verdicts_are_the_standards(&self, keys: impl Iterator<Item = u64>) -> u64 {
        let generator = Table::<GENERATOR_WIDTH>::new::<Plain>(&self.affine(1));
        let mut tried = 0;
        for d in keys {
            let key = self.affine(d);
            let table = Table::<KEY_WIDTH>::new::<Plain>(&key);
            for s in 1..ORDER {
                for t in 1..ORDER {
                    let x = self.plain(s + t * d).map(|(x, _)| x);
                    let fitting = x.unwrap_or(0) % ORDER;
                    // r − e = x modulo n; r = t − s.
                    let r = t + ORDER - s;
                    for residue in [fitting, (fitting + [1, ORDER - 1, P][((s + t) % 3) as usize]) % ORDER] {
                        let mut e = [0; 32];
                        e[24..].copy_from_slice(&((r + ORDER - residue) % ORDER).to_be_bytes());
                        let equation = Equation::new(&e, &Scalar::new(r), &Scalar::new(s)).expect("t is not 0");
                        let valid = x.is_some_and(|x| x % ORDER == residue);
                        assert_eq!(verify_generic::<Plain>(&generator, &key, &equation), valid, "{s} G + {t}·{d} G");
                        assert_eq!(
                            verify_fixed::<Plain>(&generator, &table, &equation),
                            valid,
                            "{s} G + {t}·{d} G, tabled"
                        );
                        tried += 2;
                    }
                }
            }
        }
        tried
    }

    /// Every scalar's multiple of every twentieth point by the constant-time code, tabled and not.
    pub fn secret_multiples_are_the_groups(&self) -> u64 {
        fn coordinates(point: Option<(u64, u64)>) -> [u8; 64] {
            let (x, y) = point.expect("not infinity");
            let mut octets = [0; 64];
            octets[24..32].copy_from_slice(&x.to_be_bytes());
            octets[56..].copy_from_slice(&y.to_be_bytes());
            octets
        }
        let generator = SecretTable::<6>::new::<Plain>(&self.affine(1));
        let mut tried = 0;
        for d in (1..ORDER).step_by(20) {
            let point = self.affine(d);
            let table = SecretTable::<6>::new::<Plain>(&point);
            for k in 1..ORDER {
                let Ok(scalar) = SecretScalar::generate(&mut Told(k));
                let expected = [coordinates(self.plain(k)), coordinates(self.plain(k * d))];
                let passing = multiply_passing::<Plain, 6>(&scalar, &generator, &point);
                assert_eq!(passing.map(|coordinates| *coordinates), expected, "{k}·{d} G");
                let tabled = multiply_tabled::<Plain, 6>(&scalar, [&generator, &table]);
                assert_eq!(tabled.map(|coordinates| *coordinates), expected, "{k}·{d} G, tabled");
                tried += 1;
            }
        }
        tried
    }
}
