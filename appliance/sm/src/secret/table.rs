//! The odd multiples of a fixed point, tabled: (2j + 1)·2^(w·i)·P for every window i and 0 ≤ j < 2^(w−1). Not the verification tables:
//! those hold even multiples as well, and nobody reads their rows whole.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use zeroize::{Zeroize, Zeroizing};

use crate::field::{Fe, Multiply};
use crate::point::{Affine, Jacobian};

use super::projective::{Projective, select_affine};
use super::scalar::{Digits, windows};

/// See the module. `WIDTH` is w, from 4 to 8.
pub(crate) struct SecretTable<const WIDTH: usize>(Box<[Affine]>);

impl<const WIDTH: usize> SecretTable<WIDTH> {
    const ROW: usize = 1 << (WIDTH - 1);
    const WINDOWS: usize = windows(WIDTH);
    /// Octets that a table takes.
    pub(crate) const OCTETS: usize = Self::ROW * Self::WINDOWS * size_of::<Affine>();

    /// Tables the multiples of `point`, in variable time: the point is public.
    pub(crate) fn new<M: Multiply>(point: &Affine) -> Self {
        let mut multiples: Vec<Jacobian> = Vec::with_capacity(Self::ROW * Self::WINDOWS);
        let mut base = Jacobian::from(*point);
        for _ in 0..Self::WINDOWS {
            let twice = base.double::<M>();
            let mut multiple = base;
            for _ in 0..Self::ROW {
                multiples.push(multiple);
                multiple = multiple.add::<M>(&twice);
            }
            for _ in 0..WIDTH {
                base = base.double::<M>();
            }
        }
        let mut entries = vec![Affine { x: Fe::ZERO, y: Fe::ZERO }; multiples.len()];
        Jacobian::normalise::<M>(&multiples, &mut entries);
        Self(entries.into_boxed_slice())
    }

    /// Σ dᵢ·2^(w·i)·P.
    pub(super) fn sum<M: Multiply>(&self, digits: &Digits) -> Projective {
        let mut terms = self.0.chunks_exact(Self::ROW).zip(digits.iter());
        let Some((row, digit)) = terms.next() else { unreachable!("a table has rows") };
        let mut point = select_affine(row, *digit);
        let mut sum = Zeroizing::new(Projective::from(point));
        for (row, digit) in terms {
            point = select_affine(row, *digit);
            *sum = sum.add_affine::<M>(&point);
        }
        point.x.zeroize();
        point.y.zeroize();
        *sum
    }
}
