//! A fuzzer's octets as the parts that a target wants.

use sm2::elliptic_curve::PrimeField;
use sm2::elliptic_curve::ops::Reduce;
use sm2::{FieldBytes, Scalar};

/// Takes parts off the front. What is missing is zeros, so that every input means something.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn octet(&mut self) -> u8 {
        let [octet] = self.octets();
        octet
    }

    pub(crate) fn octets<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        let (now, rest) = self.0.split_at(self.0.len().min(N));
        octets[..now.len()].copy_from_slice(now);
        self.0 = rest;
        octets
    }

    /// An integer modulo n, never 0: small ones, their negatives, single windows and any.
    pub(crate) fn scalar(&mut self) -> Scalar {
        let form = self.octet();
        let scalar = match form % 4 {
            0 => Scalar::from(u64::from(self.octet()) + 1),
            // A few bits somewhere.
            1 => Scalar::from(u64::from(u16::from_be_bytes(self.octets()))) * power_of_two(self.octet()),
            2 => power_of_two(self.octet()) - Scalar::ONE,
            _ => Scalar::reduce(&FieldBytes::from(self.octets::<32>())),
        };
        let scalar = if form & 0x80 == 0 { scalar } else { -scalar };
        if bool::from(scalar.is_zero()) { Scalar::ONE } else { scalar }
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

fn power_of_two(exponent: u8) -> Scalar {
    (0..exponent).fold(Scalar::ONE, |power, _| power.double())
}

/// 32 octets big-endian.
pub(crate) fn to_octets(scalar: &Scalar) -> [u8; 32] {
    scalar.to_repr().into()
}
