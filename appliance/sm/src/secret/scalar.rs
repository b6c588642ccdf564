//! The scalar and its digits.

use rand_core::TryCryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::field::{limbs_from_be, sbb};
use crate::scalar::N;

use super::mask::{choose, nonzero, odd};

/// Windows that `width`-bit digits of a scalar take.
pub(super) const fn windows(width: usize) -> usize {
    256usize.div_ceil(width)
}

/// Places for digits of any width from 4 on.
const PLACES: usize = windows(4);

/// An odd digit ±(2·index + 1).
#[derive(Clone, Copy, Default, Zeroize)]
pub(super) struct OddDigit {
    pub(super) index: u64,
    /// All ones for a negative digit, else 0.
    pub(super) negative: u64,
}

/// The digits of a scalar, the lowest first; wiped when dropped.
pub(super) struct Digits {
    places: Zeroizing<[OddDigit; PLACES]>,
    count: usize,
}

impl core::ops::Deref for Digits {
    type Target = [OddDigit];

    fn deref(&self) -> &[OddDigit] {
        &self.places[..self.count]
    }
}

/// An integer from 1 to n − 1 that nobody may learn; wiped when dropped, never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct SecretScalar([u64; 4]);

impl SecretScalar {
    /// Uniform from 1 to n − 1: draws 256 bits until they are in range, which they are but once in 2³² times.
    pub(crate) fn generate<R: TryCryptoRng>(rng: &mut R) -> Result<Self, R::Error> {
        let mut octets = Zeroizing::new([0; 32]);
        loop {
            rng.try_fill_bytes(octets.as_mut_slice())?;
            let (scalar, in_range) = Self::candidate(&octets);
            // Tells of a scalar only that it was thrown away.
            if in_range != 0 {
                return Ok(scalar);
            }
        }
    }

    /// The integer of 32 octets big-endian, and a mask that is not 0 where it is in range.
    pub(super) fn candidate(octets: &[u8; 32]) -> (Self, u64) {
        let limbs = limbs_from_be(octets);
        let mut below = 0;
        for (limb, n) in limbs.iter().zip(&N) {
            (_, below) = sbb(*limb, *n, below);
        }
        let any = limbs.iter().fold(0, |any, limb| any | limb);
        (Self(limbs), odd(below) & nonzero(any))
    }

    /// The scalar as Σ dᵢ·2^(width·i) modulo n with every dᵢ odd and |dᵢ| < 2^width, for 4 ≤ width ≤ 8.
    ///
    /// n is odd, so of k and n − k one is odd: that one is written, with all signs turned if it is n − k. An odd number below 2^m is
    /// Σ ±2^i for i < m, where bit i of (k + 2^m − 1)/2 says the sign of 2^i; `width` of these make a digit.
    pub(super) fn digits(&self, width: usize) -> Digits {
        let count = windows(width);
        let mut negative = Zeroizing::new([0; 4]);
        let mut borrow = 0;
        for (out, (n, limb)) in negative.iter_mut().zip(N.iter().zip(&self.0)) {
            (*out, borrow) = sbb(*n, *limb, borrow);
        }
        let turned = !odd(self.0[0]);
        // The odd one halved, with room for what is above 256 bits.
        let mut half = Zeroizing::new([0; 5]);
        for (out, (limb, negative)) in half.iter_mut().zip(self.0.iter().zip(negative.iter())) {
            *out = choose(*limb, *negative, turned);
        }
        for index in 0..4 {
            half[index] = half[index] >> 1 | half[index + 1] << 63;
        }
        let top = count * width - 1;
        half[top / 64] |= 1 << (top % 64);

        let low = (1u64 << (width - 1)) - 1;
        let mut places = Zeroizing::new([OddDigit::default(); PLACES]);
        for (window, place) in places[..count].iter_mut().enumerate() {
            let (limb, shift) = (window * width / 64, window * width % 64);
            // Shifted twice, because a shift by 64 is none.
            let high = half.get(limb + 1).map_or(0, |high| (high << 1) << (63 - shift));
            let bits = half[limb] >> shift | high;
            // The highest bit is the digit's sign; the others count up for a positive digit and down for a negative one.
            let down = !odd(bits >> (width - 1));
            *place = OddDigit { index: (bits ^ down) & low, negative: down ^ turned };
        }
        Digits { places, count }
    }

    #[cfg(test)]
    pub(crate) fn from_be(octets: &[u8; 32]) -> Option<Self> {
        let (scalar, in_range) = Self::candidate(octets);
        (in_range != 0).then_some(scalar)
    }
}
