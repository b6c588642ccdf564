//! What must outlive a restart besides the ledger: idempotency keys with their final replies (I4), the nonces of answers
//! already accepted (I3), and how much of each day's quotas is set aside (I7). One trait, so that a shared database can stand where `SQLite` stands; one thread, so
//! that waiting operations share a commit and the async side never blocks on a disk.

mod sqlite;
#[cfg(test)]
mod suite;
mod worker;

pub use sqlite::SqliteState;
pub use worker::{StateHandle, StateThread};

use yanqian_vocabulary::{CallerId, Nonce, Timestamp, VerificationId};

/// The store could not do what was asked; nothing of the operation was kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StateError {
    #[error("state store: {0}")]
    Store(String),
    #[error("state store: written by a newer version (user_version {found}, known up to {known})")]
    Newer { found: i64, known: i64 },
    #[error("state store: its thread has ended")]
    Gone,
}

/// A check that begins under an idempotency key.
#[derive(Debug, Clone)]
pub struct Begin {
    pub id: VerificationId,
    pub caller: CallerId,
    /// HMAC over the caller's key; 32 octets.
    pub tag: [u8; 32],
    /// Keyed fingerprint of the request; 32 octets.
    pub fingerprint: [u8; 32],
    pub now: Timestamp,
}

/// What the store knew of a key when a check wanted to begin under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// The key is new and now belongs to this check.
    New,
    /// The same request is under way.
    InFlight,
    /// The key belongs to another request.
    Mismatch,
    /// The same request has its final reply.
    Final(StoredReply),
}

/// A check's final reply as stored: sealed, opened only by the gateway for the same caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReply {
    pub id: VerificationId,
    pub sealed: Vec<u8>,
}

/// The end of a check. With `tag`, the key keeps this reply; without, only the id finds it.
#[derive(Debug, Clone)]
pub struct Finish {
    pub id: VerificationId,
    pub caller: CallerId,
    pub tag: Option<[u8; 32]>,
    pub sealed: Vec<u8>,
    pub now: Timestamp,
    pub expires: Timestamp,
    /// None when the check has no records of its own to prove.
    pub receipt: Option<KeptReceipt>,
}

/// What a receipt is made from besides the ledger: where the records stand and the commitment's salt, sealed. Deleting it
/// takes the salt away and leaves the ledger as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReceipt {
    pub sealed: Vec<u8>,
    pub expires: Timestamp,
}

/// A check that was under way when the process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub id: VerificationId,
    pub caller: CallerId,
    pub tag: [u8; 32],
}

/// The operations of the store, each for one entity and node. Every call runs inside the transaction that
/// [`StateStore::begin_batch`] opened and is durable once [`StateStore::commit_batch`] has returned.
pub trait StateStore: Send {
    fn begin_batch(&mut self) -> Result<(), StateError>;
    fn commit_batch(&mut self) -> Result<(), StateError>;
    fn roll_back(&mut self);

    fn begin(&mut self, begin: &Begin) -> Result<Begun, StateError>;
    /// The check ended before anything was sent: the key is free again.
    fn release(&mut self, caller: &CallerId, tag: &[u8; 32], id: VerificationId) -> Result<(), StateError>;
    fn finish(&mut self, finish: &Finish) -> Result<(), StateError>;
    fn find(&mut self, caller: &CallerId, id: VerificationId) -> Result<Option<StoredReply>, StateError>;
    /// The sealed part of a check's receipt, for the caller who asked.
    fn find_receipt(&mut self, caller: &CallerId, id: VerificationId) -> Result<Option<Vec<u8>>, StateError>;
    /// True when neither the nonce nor the serial was accepted before; both are then remembered until `expires`.
    fn accept_answer(
        &mut self,
        platform: &str,
        nonce: Nonce,
        serial: &str,
        expires: Timestamp,
    ) -> Result<bool, StateError>;
    /// Sets a part of a day's quota aside for this node: as much of `wanted` as all nodes' parts together leave of `limit`; zero
    /// when nothing is left. What was set aside counts as used until it is returned.
    fn lease(&mut self, scope: &str, day: i64, limit: u64, wanted: u64) -> Result<u64, StateError>;
    /// Returns a part that was set aside and not used.
    fn return_lease(&mut self, scope: &str, day: i64, unused: u64) -> Result<(), StateError>;
    fn orphans(&mut self) -> Result<Vec<Orphan>, StateError>;
    /// As [`Self::find_receipt`], for an operator: with the caller who asked.
    fn find_receipt_of_any(&mut self, id: VerificationId) -> Result<Option<(CallerId, Vec<u8>)>, StateError>;
    /// Puts another sealed part in the place of a receipt's; its expiry stays. Nothing when there is no such receipt.
    fn replace_receipt(&mut self, id: VerificationId, sealed: &[u8]) -> Result<(), StateError>;
    /// Leaves nothing in the store's files of what was deleted or replaced; does nothing when nothing was. Outside of a batch.
    fn scrub(&mut self) -> Result<(), StateError>;
    /// Forgets final replies, receipts and accepted nonces that expired before `now`; returns how many rows went.
    fn purge(&mut self, now: Timestamp) -> Result<usize, StateError>;
}
