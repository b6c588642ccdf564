//! Integers modulo 653 behind the appliance's names.

use crate::field::{P, limbs_from_be};

/// n.
pub(crate) const ORDER: u64 = 653;
pub(crate) const N: [u64; 4] = [ORDER, 0, 0, 0];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scalar(pub(crate) [u64; 4]);

impl Scalar {
    pub(crate) fn new(value: u64) -> Self {
        Self([value % ORDER, 0, 0, 0])
    }

    pub(crate) fn value(&self) -> u64 {
        self.0[0]
    }

    /// The tests give small ones only.
    pub(crate) fn reduced_from_be(octets: &[u8; 32]) -> Self {
        Self::new(limbs_from_be(octets)[0])
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.value() == 0
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        Self::new(self.value() + other.value())
    }

    pub(crate) fn neg(&self) -> Self {
        Self::new(ORDER - self.value())
    }

    pub(crate) fn sub(&self, other: &Self) -> Self {
        self.add(&other.neg())
    }

    pub(crate) fn as_coordinates(&self) -> ([u64; 4], Option<[u64; 4]>) {
        let other = self.value() + ORDER;
        (self.0, (other < P).then_some([other, 0, 0, 0]))
    }

    pub(crate) fn is_high(&self) -> bool {
        self.value() > ORDER / 2
    }
}
