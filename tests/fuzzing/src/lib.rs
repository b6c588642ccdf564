//! Claims over any octets. Each target takes what a fuzzer gives and panics where a claim does not hold; nothing else may panic. Where there
//! is another implementation (RustCrypto's), the claim is that both say the same.

// What a claim compares has the names of the standard.
#![allow(clippy::many_single_char_names, clippy::missing_panics_doc)]

mod decoders;
mod input;
mod sealing;
mod verification;

pub use decoders::{ciphertexts, digests, keys, signatures};
pub use sealing::sealing;
pub use verification::verification;

/// What a fuzzer gives to.
pub type Target = fn(&[u8]);

/// Every target under the name of its binary in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
pub const TARGETS: [(&str, Target); 6] = [
    ("keys", keys),
    ("signatures", signatures),
    ("digests", digests),
    ("verification", verification),
    ("ciphertexts", ciphertexts),
    ("sealing", sealing),
];
