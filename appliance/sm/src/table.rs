//! The multiples of a fixed point, tabled: d·2^(w·i)·P for every window i and every digit 1 ≤ d ≤ 2^(w−1). A scalar multiple is then one
//! addition for each window, without doublings.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::field::{Fe, Multiply};
use crate::point::{Affine, Jacobian};
use crate::recode::{Digit, windows};

/// See the module. `WIDTH` is w.
#[derive(Clone)]
pub(crate) struct Table<const WIDTH: usize>(Box<[Affine]>);

const EMPTY: Affine = Affine { x: Fe::ZERO, y: Fe::ZERO };

impl<const WIDTH: usize> Table<WIDTH> {
    /// Entries of one window.
    pub(crate) const ROW: usize = 1 << (WIDTH - 1);
    pub(crate) const WINDOWS: usize = windows(WIDTH);
    /// Octets that a table takes.
    pub(crate) const OCTETS: usize = Self::ROW * Self::WINDOWS * size_of::<Affine>();

    /// Tables the multiples of `point`.
    pub(crate) fn new<M: Multiply>(point: &Affine) -> Self {
        let mut entries = vec![EMPTY; Self::ROW * Self::WINDOWS];
        let mut multiples: Vec<Jacobian> = Vec::with_capacity(Self::ROW + 1);
        let mut base = *point;
        for row in entries.chunks_exact_mut(Self::ROW) {
            // 1·B … 2^(w−1)·B, and behind them the next row's base 2^w·B.
            multiples.clear();
            multiples.push(base.into());
            for index in 1..Self::ROW {
                let next = if index % 2 == 1 {
                    multiples[index / 2].double::<M>()
                } else {
                    multiples[index - 1].add_affine::<M>(&base)
                };
                multiples.push(next);
            }
            multiples.push(multiples[Self::ROW - 1].double::<M>());
            let mut affine = vec![EMPTY; Self::ROW + 1];
            Jacobian::normalise::<M>(&multiples, &mut affine);
            base = affine[Self::ROW];
            row.copy_from_slice(&affine[..Self::ROW]);
        }
        Self(entries.into_boxed_slice())
    }

    #[cfg(test)]
    pub(crate) fn entry_mut(&mut self, window: usize, digit: Digit) -> &mut Affine {
        &mut self.0[window * Self::ROW + usize::from(digit.unsigned_abs()) - 1]
    }

    /// |digit|·2^(w·window)·P for a digit that is not 0.
    #[inline(always)]
    pub(crate) fn entry(&self, window: usize, digit: Digit) -> &Affine {
        &self.0[window * Self::ROW + usize::from(digit.unsigned_abs()) - 1]
    }
}
