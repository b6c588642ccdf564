//! Whom to believe. A trust store is a directory of anchors, intermediates, revocation lists and pins for one platform;
//! this crate loads it, builds chains, asks revocation data, and says no for one precise reason.
//!
//! OpenSSL builds and checks chains, because it is what the field checks against. Revocation is decided here over lists
//! that OpenSSL verifies, because the grace of invariant I6 (use a list past its `nextUpdate` for a configured time, then
//! refuse) is not something that OpenSSL can express.
#![forbid(unsafe_code)]

mod chain;
mod error;
mod revocation;
mod self_test;
mod store;
mod watch;

pub use chain::SignerVerdict;
pub use error::{SignerError, TrustError};
pub use revocation::CrlEvidence;
pub use self_test::{SelfTestError, openssl_self_test};
pub use store::{NamedCertificate, TrustStore};
pub use watch::SharedTrust;
