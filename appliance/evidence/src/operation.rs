use minicbor::{Decode, Encode};
use yanqian_vocabulary::{CertificateHash, ContentDigest, KeyId, Reason, Timestamp, TrustHash, VerificationId};

use crate::hash::SegmentHash;
use crate::word::{Der, Label};

/// What was turned away before authentication or shed before a decision: counted, not told one by one (I1).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Aggregate {
    #[cbor(n(0), with = "crate::cbor")]
    pub from: Timestamp,
    #[cbor(n(1), with = "crate::cbor")]
    pub until: Timestamp,
    /// Requests and connections rejected before authentication, by cause.
    #[n(2)]
    pub rejected: Vec<Rejected>,
    /// Requests shed for overload, by reason.
    #[n(3)]
    pub shed: Vec<Shed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Rejected {
    #[cbor(n(0), with = "crate::cbor")]
    pub cause: Label,
    #[n(1)]
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Shed {
    #[cbor(n(0), with = "crate::cbor")]
    pub reason: Reason,
    #[n(1)]
    pub count: u64,
}

/// An event in the life of the appliance.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum Management {
    /// The daemon began to serve.
    #[n(0)]
    Started {},
    /// The daemon stopped in order; a start without this before it means a crash.
    #[n(1)]
    Stopped {
        /// Why, for example `signal`.
        #[cbor(n(0), with = "crate::cbor")]
        cause: Label,
    },
    /// A configuration came into force; agreement, profile, key and grade stand in the record's context.
    #[n(2)]
    ConfigurationLoaded {
        /// SM3 of the configuration file's octets.
        #[cbor(n(0), with = "crate::cbor")]
        configuration: ContentDigest,
        #[cbor(n(1), with = "crate::cbor", has_nil)]
        trust: Option<TrustHash>,
        /// The signing certificate itself, so that proofs need nothing from outside the ledger.
        #[cbor(n(2), with = "crate::cbor", has_nil)]
        certificate: Option<Der>,
        /// What protects the way to the platform: `tls`, `rfc8998` or `gateway`; none in records of before this was told.
        #[cbor(n(3), with = "crate::cbor", has_nil)]
        transport: Option<Label>,
        /// The key that this appliance shows the platform in TLS.
        #[cbor(n(4), with = "crate::cbor", has_nil)]
        tls_key: Option<KeyId>,
        /// Where that key is kept: `file`.
        #[cbor(n(5), with = "crate::cbor", has_nil)]
        tls_key_grade: Option<Label>,
    },
    #[n(3)]
    TrustLoaded {
        #[cbor(n(0), with = "crate::cbor")]
        trust: TrustHash,
    },
    /// The token signed a fixed prefix and a nonce to prove that it holds the key (I2).
    #[n(4)]
    SelfProof {
        #[cbor(n(0), with = "crate::cbor", has_nil)]
        refused: Option<Reason>,
    },
    /// The platform key signed a certificate request (I2).
    #[n(5)]
    CertificateRequested {
        /// SM3 of the DER certificate request.
        #[cbor(n(0), with = "crate::cbor")]
        request: ContentDigest,
    },
    #[n(6)]
    KeyGenerated {
        #[cbor(n(0), with = "crate::cbor")]
        key: KeyId,
    },
    #[n(7)]
    CertificateImported {
        #[cbor(n(0), with = "crate::cbor")]
        certificate: CertificateHash,
    },
    /// The clock moved otherwise than time passes.
    #[n(8)]
    ClockStepped {
        /// Milliseconds by which it moved; negative means backwards.
        #[n(0)]
        milliseconds: i64,
    },
    /// Service was suspended or resumed for a platform, a purpose or a caller.
    #[n(9)]
    ServiceState {
        /// For example `serving` or `suspended`.
        #[cbor(n(0), with = "crate::cbor")]
        state: Label,
        #[cbor(n(1), with = "crate::cbor", has_nil)]
        reason: Option<Reason>,
    },
    /// The disk ran full: from here on the reserve carries outcomes and refusals, and no new intent is taken.
    #[n(10)]
    ReserveReleased {},
    /// There is space again.
    #[n(11)]
    ReserveRestored {},
    /// At start, octets that no acknowledged record owned were cut from the last segment.
    #[n(12)]
    TailRepaired {
        #[n(0)]
        segment: u64,
        #[n(1)]
        offset: u64,
        #[n(2)]
        octets: u64,
    },
    /// Another pair of the entity's came into use; the record's context names it. From schema 3.
    #[n(13)]
    KeyChanged {
        /// What the pair is for: `signing` or `encryption`.
        #[cbor(n(0), with = "crate::cbor")]
        usage: Label,
        #[cbor(n(1), with = "crate::cbor")]
        key: KeyId,
        /// The certificate itself, so that proofs need nothing from outside the ledger.
        #[cbor(n(2), with = "crate::cbor")]
        certificate: Der,
        /// The key that was in use before, which a renewed certificate leaves the same.
        #[cbor(n(3), with = "crate::cbor", has_nil)]
        former: Option<KeyId>,
    },
    /// Search tags are made with the key of this epoch from here on. From schema 4.
    #[n(14)]
    SearchEpochBegun {
        #[n(0)]
        epoch: u32,
        /// Uid of the operator who asked for it; none when its time had come.
        #[n(1)]
        operator: Option<u32>,
    },
    /// The key of an epoch was destroyed: nobody finds a record by its tag any more. From schema 4.
    #[n(15)]
    SearchEpochDestroyed {
        #[n(0)]
        epoch: u32,
        #[n(1)]
        operator: Option<u32>,
    },
    /// The salt of a check's commitment was destroyed: nobody opens the commitment with it any more. From schema 4.
    #[n(16)]
    SaltDestroyed {
        #[cbor(n(0), with = "crate::cbor")]
        verification: VerificationId,
        #[n(1)]
        operator: Option<u32>,
    },
    /// An administrator had a token's worker do something, as the worker's journal tells. From schema 4.
    #[n(17)]
    TokenAdministered {
        /// As the configuration calls it.
        #[cbor(n(0), with = "crate::cbor")]
        token: Label,
        /// `generate-key`, `csr`, `import-certificate`, `import-encryption-key` or `destroy-key`.
        #[cbor(n(1), with = "crate::cbor")]
        operation: Label,
        /// `ordered` before it was done, then `done` or `failed`.
        #[cbor(n(2), with = "crate::cbor")]
        result: Label,
        #[cbor(n(3), with = "crate::cbor", has_nil)]
        key: Option<KeyId>,
        /// SM3 of the certificate or the certification request.
        #[cbor(n(4), with = "crate::cbor", has_nil)]
        object: Option<ContentDigest>,
        /// Uid of the administrator.
        #[n(5)]
        operator: u32,
        /// By the worker's clock.
        #[cbor(n(6), with = "crate::cbor")]
        at: Timestamp,
    },
    /// A sealed segment's file goes from the node: the archive's copy was read back and is the same. From schema 4.
    #[n(18)]
    SegmentRemoved {
        #[n(0)]
        segment: u64,
        /// Of its file.
        #[cbor(n(1), with = "crate::cbor")]
        hash: SegmentHash,
    },
    /// A sealed segment goes from the archive: what it holds is past its time, and no hold covers it. From schema 4.
    #[n(19)]
    SegmentExpired {
        #[n(0)]
        segment: u64,
        #[cbor(n(1), with = "crate::cbor")]
        hash: SegmentHash,
        /// Uid of the operator who asked for it; none when the daemon did by its policy.
        #[n(2)]
        operator: Option<u32>,
    },
    /// Somebody ordered that records are kept whatever the policy says. From schema 4.
    #[n(20)]
    HoldPlaced {
        #[n(0)]
        hold: u64,
        /// SM3 of the hold's text as it stands in the archive, which gives the reason.
        #[cbor(n(1), with = "crate::cbor")]
        text: ContentDigest,
        #[n(2)]
        operator: u32,
    },
    /// A hold ended. From schema 4.
    #[n(21)]
    HoldReleased {
        #[n(0)]
        hold: u64,
        /// SM3 of the release's text as it stands in the archive.
        #[cbor(n(1), with = "crate::cbor")]
        text: ContentDigest,
        #[n(2)]
        operator: u32,
    },
}
