//! The HSM room: token profiles, the PKCS#11 binding, the worker process that holds the PIN, its protocol and its client.
//!
//! Vendor modules crash, hang, and keep state for the life of a process. So they run in a process of their own: a call that
//! hangs ends it, a lost token ends it, and starting it again is the recovery that always works. Nothing else in the
//! appliance maps a vendor's library or can read the PIN. No vendor number stands in this code; profiles are data.

pub mod bench;
pub mod binding;
pub mod client;
pub mod pool;
pub mod probe;
pub mod profile;
pub mod protocol;
pub mod provision;
mod self_proof;
pub mod worker;

pub use client::{ClientConfig, WorkerClient, WorkerError};
pub use pool::TokenPool;
pub use protocol::{KeyAlgorithm, KeyEntry, Scheme, Status};
pub use self_proof::{SELF_PROOF_PREFIX, self_proof_message};
