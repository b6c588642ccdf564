//! What particular processors do better. The only unsafe code of this crate is below here, each block with what it relies on.

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod adx;

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(crate) use crate::field::Portable as Adx;
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) use adx::Adx;

/// Whether MULX, ADCX and ADOX can be used.
pub(crate) fn has_adx() -> bool {
    #[cfg(all(target_arch = "x86_64", feature = "std", not(miri)))]
    return std::is_x86_feature_detected!("bmi2") && std::is_x86_feature_detected!("adx");
    #[cfg(not(all(target_arch = "x86_64", feature = "std", not(miri))))]
    return cfg!(all(target_feature = "bmi2", target_feature = "adx", not(miri)));
}

/// Whether the AVX-512 instructions of the eight-way code can be used.
pub(crate) fn has_ifma() -> bool {
    false
}
