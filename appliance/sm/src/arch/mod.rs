//! What particular processors do better. The only unsafe code of this crate is below here, each block with what it relies on.

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod adx;
#[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
mod eight;
#[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
mod ifma;
#[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
mod sm3x16;
#[cfg(all(test, target_arch = "x86_64", not(miri)))]
pub(crate) mod valgrind;

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(crate) use crate::field::Portable as Adx;
#[cfg(not(all(target_arch = "x86_64", feature = "std", not(miri))))]
pub(crate) use absent::Ifma;
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) use adx::Adx;
#[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
pub(crate) use eight::Ifma;

/// Whether MULX, ADCX and ADOX can be used.
pub(crate) fn has_adx() -> bool {
    #[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
    return std::is_x86_feature_detected!("bmi2") && std::is_x86_feature_detected!("adx");
    #[cfg(not(all(target_arch = "x86_64", feature = "std", not(miri))))]
    return cfg!(all(target_feature = "bmi2", target_feature = "adx", not(miri)));
}

/// Whether the AVX-512 instructions of the eight-way code can be used.
pub(crate) fn has_ifma() -> bool {
    #[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
    return std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512vl")
        && std::is_x86_feature_detected!("avx512ifma")
        && std::is_x86_feature_detected!("avx512vbmi2");
    #[cfg(not(all(target_arch = "x86_64", feature = "std", not(miri))))]
    return false;
}

/// Where there is no eight-way code at all: elsewhere, and where nobody can ask the processor (and targets without an operating system have no
/// vector registers to give to it).
#[cfg(not(all(target_arch = "x86_64", feature = "std", not(miri))))]
mod absent {
    use crate::engine::{Equation, GENERATOR_WIDTH, KEY_WIDTH, Verdicts};
    use crate::point::Affine;
    use crate::sm3_many::{Block, LANES, States};
    use crate::table::Table;

    /// Never made.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Ifma {}

    impl Ifma {
        pub(crate) fn detect() -> Option<Self> {
            None
        }

        pub(crate) fn verify_fixed(
            self,
            _: &Table<GENERATOR_WIDTH>,
            _: &[&Table<KEY_WIDTH>],
            _: &[Equation],
        ) -> Verdicts {
            match self {}
        }

        pub(crate) fn sm3_compress(self, _: &mut States, _: &[&[Block]; LANES]) {
            match self {}
        }

        pub(crate) fn verify_plain(self, _: &Table<GENERATOR_WIDTH>, _: &[&Affine], _: &[Equation]) -> Verdicts {
            match self {}
        }
    }
}
