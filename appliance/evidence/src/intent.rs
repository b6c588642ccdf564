use std::collections::BTreeSet;

use minicbor::{Decode, Encode};
use yanqian_vocabulary::{
    CallerId, Commitment, ContentDigest, DocumentType, Field, Mode, Nonce, PurposeCode, RuleId, SearchTag, Timestamp,
    VerificationId,
};

use crate::hash::{IdempotencyTag, SignedDigest};
use crate::word::Der;

/// What will be signed, and why it may be: durable before the token is asked (I2).
///
/// Caller, purpose and rule are names that the agreement lists (`yanqian-agreement` decides that before an intent is
/// made), never text that only a request holds.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Intent {
    #[cbor(n(0), with = "crate::cbor")]
    pub verification: VerificationId,
    #[cbor(n(1), with = "crate::cbor")]
    pub caller: CallerId,
    #[cbor(n(2), with = "crate::cbor")]
    pub mode: Mode,
    /// The purpose within the agreed scope of business (Measures art. 9(1)).
    #[cbor(n(3), with = "crate::cbor")]
    pub purpose: PurposeCode,
    #[cbor(n(4), with = "crate::cbor")]
    pub document_type: DocumentType,
    /// The rule of the agreement that allowed it.
    #[cbor(n(5), with = "crate::cbor")]
    pub rule: RuleId,
    /// The fields that the platform is asked to compare.
    #[cbor(n(6), with = "crate::cbor")]
    pub fields: BTreeSet<Field>,
    /// SM3 of the request's signed content (`bizPackage`) exactly as it will be sent.
    #[cbor(n(7), with = "crate::cbor")]
    pub request: ContentDigest,
    #[cbor(n(8), with = "crate::cbor")]
    pub nonce: Nonce,
    #[n(9)]
    pub to_be_signed: ToBeSigned,
    /// How an auditor who holds the epoch's key and a number finds this record.
    #[n(10)]
    pub search: Option<Search>,
    /// What was asked, provable to those who hold the salt.
    #[cbor(n(11), with = "crate::cbor")]
    pub commitment: Commitment,
    #[cbor(n(12), with = "crate::cbor", has_nil)]
    pub idempotency: Option<IdempotencyTag>,
    /// When the request's head had been read.
    #[cbor(n(13), with = "crate::cbor")]
    pub received: Timestamp,
}

/// The input of the SM2 signature, so that the signature can be proven later.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum ToBeSigned {
    /// GB/T 35275-2017 signed attributes: the DER `SET OF` (tag 0x31) whose octets are signed with Z.
    #[n(0)]
    Attributes {
        #[cbor(n(0), with = "crate::cbor")]
        der: Der,
    },
    /// A profile without attributes signs the content itself: e = SM3(Z ‖ content). The content's octets go to the
    /// content store under `Intent::request`.
    #[n(1)]
    Content {
        #[cbor(n(0), with = "crate::cbor")]
        e: SignedDigest,
    },
}

/// A search tag and the epoch of the key that made it. A destroyed epoch key makes its tags unsearchable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Search {
    /// Epochs count from 1.
    #[n(0)]
    pub epoch: u32,
    #[cbor(n(1), with = "crate::cbor")]
    pub tag: SearchTag,
}
