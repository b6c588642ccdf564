//! Choices by arithmetic: all ones for yes, 0 for no. A compiler that can tell how a mask came about turns the arithmetic into a branch (it
//! was seen to), so every mask passes through `black_box` before it is used; `constant_time` proves that this is enough.

use core::hint::black_box;

use crate::field::Fe;

/// All ones where the value is 0. The result is known to the compiler.
#[inline(always)]
const fn is_zero(value: u64) -> u64 {
    ((value | value.wrapping_neg()) >> 63).wrapping_sub(1)
}

/// All ones where the value is not 0.
#[inline(always)]
pub(crate) fn nonzero(value: u64) -> u64 {
    black_box(!is_zero(value))
}

/// All ones where the lowest bit of the value is 1.
#[inline(always)]
pub(super) fn odd(value: u64) -> u64 {
    black_box((value & 1).wrapping_neg())
}

/// `a` where the mask is 0, `b` where it is all ones.
#[inline(always)]
pub(super) const fn choose(a: u64, b: u64, mask: u64) -> u64 {
    a ^ ((a ^ b) & mask)
}

#[inline(always)]
pub(super) fn choose_element(a: &Fe, b: &Fe, mask: u64) -> Fe {
    Fe(core::array::from_fn(|limb| choose(a.0[limb], b.0[limb], mask)))
}

/// Entries of a row at most.
const ROW: usize = 128;

/// A mask for each entry of a row: all ones for one of them.
pub(super) struct RowMasks([u64; ROW]);

impl RowMasks {
    /// For a row of `length` entries, at most 128.
    #[inline(always)]
    pub(super) fn new(index: u64, length: usize) -> Self {
        let mut masks = [0; ROW];
        for (entry, mask) in (0u64..).zip(&mut masks[..length]) {
            *mask = is_zero(entry ^ index);
        }
        black_box(&mut masks[..length]);
        Self(masks)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &u64> {
        self.0.iter()
    }
}
