//! Proves a receipt offline: that the entity asked the platform this and the platform answered that, with nothing but the
//! receipt, a directory of anchors and pins, and the arithmetic of SM2 and SM3. No network, no token, no OpenSSL, and no
//! platform profile: the signed object of an answer is found by what its signature covers (`docs/receipt-format.md`).
//!
//! Every step is reported with one sentence. What a step cannot prove is never passed over in silence: it fails, or it says
//! why this receipt has nothing for it to prove.
#![forbid(unsafe_code)]

mod answer;
mod asked;
mod case;
mod evidence;
mod ledgers;
mod ocsp;
mod report;
mod steps;
mod trust;
mod verify;
mod x509;

pub use asked::{Asked, AskedError};
pub use ledgers::Ledgers;
pub use report::{Check, Finding, Report};
pub use trust::{Trust, TrustError};
pub use verify::{Options, verify, verify_json};
