//! Integers modulo 691 behind the appliance's names. Elements are below 691 but for the curve's constants, which are read modulo 691.

use zeroize::Zeroize;

/// p.
pub(crate) const P: u64 = 691;

/// An element, in the lowest limb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Zeroize)]
pub(crate) struct Fe(pub(crate) [u64; 4]);

pub(crate) trait Multiply: Copy + 'static {
    fn mul(a: &Fe, b: &Fe) -> Fe;
    fn sqr(a: &Fe) -> Fe;
}

impl Fe {
    pub(crate) const ZERO: Self = Self([0; 4]);
    pub(crate) const ONE: Self = Self([1, 0, 0, 0]);

    pub(crate) fn new(value: u64) -> Self {
        Self([value % P, 0, 0, 0])
    }

    pub(crate) fn value(&self) -> u64 {
        // 2⁶⁴ modulo p.
        const LIMB: u64 = ((u64::MAX % P) + 1) % P;
        let [lowest, rest @ ..] = self.0;
        if rest == [0; 3] && lowest < P {
            return lowest;
        }
        self.0.iter().rev().fold(0, |value, limb| (value * LIMB + limb % P) % P)
    }

    pub(crate) fn from_limbs<M: Multiply>(limbs: [u64; 4]) -> Option<Self> {
        (limbs[1..] == [0; 3] && limbs[0] < P).then_some(Self(limbs))
    }

    pub(crate) fn to_be<M: Multiply>(self) -> [u8; 32] {
        let mut octets = [0; 32];
        octets[24..].copy_from_slice(&self.value().to_be_bytes());
        octets
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        Self::new(self.value() + other.value())
    }

    pub(crate) fn sub(&self, other: &Self) -> Self {
        Self::new(self.value() + P - other.value())
    }

    pub(crate) fn double(&self) -> Self {
        self.add(self)
    }

    pub(crate) fn triple(&self) -> Self {
        Self::new(3 * self.value())
    }

    pub(crate) fn halve(&self) -> Self {
        let value = self.value();
        Self::new(if value.is_multiple_of(2) { value / 2 } else { value.midpoint(P) })
    }

    pub(crate) fn neg(&self) -> Self {
        Self::ZERO.sub(self)
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.value() == 0
    }

    pub(crate) fn invert<M: Multiply>(&self) -> Self {
        (0..P - 2).fold(Self::ONE, |power, _| M::mul(&power, self))
    }
}

/// The one back end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain;

impl Multiply for Plain {
    fn mul(a: &Fe, b: &Fe) -> Fe {
        Fe::new(a.value() * b.value())
    }

    fn sqr(a: &Fe) -> Fe {
        Fe::new(a.value() * a.value())
    }
}

/// (difference, borrow), borrow 0 or 1.
pub(crate) fn sbb(a: u64, b: u64, borrow: u64) -> (u64, u64) {
    let (difference, borrow) = a.borrowing_sub(b, borrow != 0);
    (difference, u64::from(borrow))
}

pub(crate) fn limbs_from_be(octets: &[u8; 32]) -> [u64; 4] {
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().rev().zip(octets.chunks_exact(8)) {
        *limb = chunk.iter().fold(0, |value, octet| value << 8 | u64::from(*octet));
    }
    limbs
}
