//! Whom to believe. A trust store is a directory of anchors, intermediates, revocation lists and pins for one platform;
//! this crate loads it, builds chains, asks revocation data, and says no for one precise reason.
//!
//! OpenSSL builds and checks chains, because it is what the field checks against. Revocation is decided here over lists
//! that OpenSSL verifies, because the grace of invariant I6 (use a list past its `nextUpdate` for a configured time, then
//! refuse) is not something that OpenSSL can express.
//!
//! SM2 signatures themselves are judged twice. [`Verifier`] is the daemon's own way, over tables of known keys and in batches;
//! OpenSSL is the second opinion: on every certificate of a chain, on every list, and on every n-th answer.
//! Where the two disagree nothing is believed.
#![forbid(unsafe_code)]

mod batcher;
mod chain;
mod crl;
mod error;
mod fetched;
mod ocsp;
mod revocation;
mod second_opinion;
mod self_test;
mod signed;
mod store;
mod strength;
mod tables;
mod tls;
mod verdict;
mod verifier;
mod watch;

pub use chain::{Chained, SignerVerdict};
pub use error::{SignerError, TrustError};
pub use fetched::{Asked, FetchError, Fetched, Nonce, SubjectsToken};
pub use revocation::{Decides, Kind as RevocationKind, RevocationEvidence, RevocationPolicy};
pub use second_opinion::{Disputed, SecondOpinion, SignedContent};
pub use self_test::{SelfTestError, openssl_self_test};
pub use store::{NamedCertificate, TrustSettings, TrustStore};
pub use tables::{KeyClass, KeyOwner, KeyUse, KnownKeys, TableStats, Tabled};
pub use verifier::{Subject, Verifier, VerifierSettings, VerifierStats};
pub use watch::{Change, SharedTrust};
