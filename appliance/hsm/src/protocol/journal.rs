use minicbor::{Decode, Encode};

/// Something that an administrator had the worker do, or that it is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Act {
    /// UTC milliseconds since 1970, by the worker's clock.
    #[n(0)]
    pub at_ms: u64,
    /// Uid of the administrator, as the kernel told it.
    #[n(1)]
    pub operator: u32,
    /// [`super::Operation::name`].
    #[n(2)]
    pub operation: String,
    /// `ordered` before it is done, then `done` or `failed`.
    #[n(3)]
    pub result: String,
    /// SM3 of the key's `SubjectPublicKeyInfo`, once it is known.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub key_id: Option<[u8; 32]>,
    /// SM3 of the certificate or the certification request.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub object: Option<[u8; 32]>,
}

/// Part of a worker's journal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct JournalPage {
    /// Which journal; none while there is none.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub id: Option<[u8; 16]>,
    /// Where the next page begins.
    #[n(1)]
    pub next: u64,
    #[n(2)]
    pub acts: Vec<Act>,
}
