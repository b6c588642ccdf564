use super::{adc, sbb};

/// What a carry chain asks of its limbs. The arithmetic's are u64; the tests run the same chains over limbs so narrow that every input can be
/// tried, and over symbols.
pub(crate) trait Limb: Copy {
    const ZERO: Self;

    /// (sum, carry), carry 0 or 1.
    fn adc(self, other: Self, carry: Self) -> (Self, Self);
    /// (difference, borrow), borrow 0 or 1.
    fn sbb(self, other: Self, borrow: Self) -> (Self, Self);
    /// The sum without its carry. A check would be a branch on what may be secret.
    fn plus(self, other: Self) -> Self;
    /// The difference without its borrow.
    fn minus(self, other: Self) -> Self;
    /// The limb shifted up by half its width, and down.
    fn halves(self) -> (Self, Self);
    /// `first` where `borrow` is 1, `second` where it is 0, without a branch.
    fn choose(borrow: Self, first: Self, second: Self) -> Self;
}

impl Limb for u64 {
    const ZERO: Self = 0;

    #[inline(always)]
    fn adc(self, other: Self, carry: Self) -> (Self, Self) {
        adc(self, other, carry)
    }

    #[inline(always)]
    fn sbb(self, other: Self, borrow: Self) -> (Self, Self) {
        sbb(self, other, borrow)
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline(always)]
    fn halves(self) -> (Self, Self) {
        (self << 32, self >> 32)
    }

    #[inline(always)]
    fn choose(borrow: Self, first: Self, second: Self) -> Self {
        let mask = 0u64.wrapping_sub(borrow);
        (first & mask) | (second & !mask)
    }
}
