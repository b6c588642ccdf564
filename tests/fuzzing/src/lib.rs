//! Claims over any octets. Each target takes what a fuzzer gives and panics where a claim does not hold; nothing else may panic. Where there
//! is another implementation (RustCrypto's, OpenSSL's), the claim is that both say the same.

// What a claim compares has the names of the standard.
#![allow(clippy::many_single_char_names, clippy::missing_panics_doc)]

mod answers;
mod certificates;
mod checkpoints;
mod decoders;
mod documents;
mod envelopes;
mod input;
mod messages;
mod ocsp_responses;
pub mod party;
mod sealing;
mod strict;
mod texts;
mod verification;
mod worker_protocol;

pub use answers::{APPLIED, EXCHANGES, FIELDS, Forgetful, answers};
pub use certificates::{certificates, lists};
pub use checkpoints::{checkpoints, proofs};
pub use decoders::{ciphertexts, digests, keys, signatures};
pub use documents::{chips, portraits, security_objects};
pub use envelopes::envelopes;
pub use messages::{attributes, enveloped_data, signed_and_enveloped_data, signed_data};
pub use ocsp_responses::{LIFETIME, NONCE, SIGNED, ocsp_responses};
pub use sealing::sealing;
pub use texts::{agreements, platform_profiles, receipts, records, token_profiles};
pub use verification::verification;
pub use worker_protocol::worker_protocol;

/// What a fuzzer gives to.
pub type Target = fn(&[u8]);

/// Every target under the name of its binary in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
pub const TARGETS: [(&str, Target); 26] = [
    ("keys", keys),
    ("signatures", signatures),
    ("digests", digests),
    ("verification", verification),
    ("ciphertexts", ciphertexts),
    ("sealing", sealing),
    ("attributes", attributes),
    ("signed_data", signed_data),
    ("enveloped_data", enveloped_data),
    ("signed_and_enveloped_data", signed_and_enveloped_data),
    ("certificates", certificates),
    ("lists", lists),
    ("ocsp_responses", ocsp_responses),
    ("answers", answers),
    ("platform_profiles", platform_profiles),
    ("token_profiles", token_profiles),
    ("agreements", agreements),
    ("receipts", receipts),
    ("records", records),
    ("checkpoints", checkpoints),
    ("proofs", proofs),
    ("chips", chips),
    ("portraits", portraits),
    ("security_objects", security_objects),
    ("worker_protocol", worker_protocol),
    ("envelopes", envelopes),
];
