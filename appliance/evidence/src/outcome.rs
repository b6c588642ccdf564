use minicbor::{Decode, Encode};
use yanqian_vocabulary::{
    CallerId, CertificateHash, ContentDigest, DocumentType, FieldVerdicts, Mode, PurposeCode, Reason, RuleId,
    Timestamp, TrustHash, Verdict, VerificationId,
};

use crate::hash::IdempotencyTag;
use crate::word::{Der, Label, Octets, PlatformSerial};

/// The end of a check that had an intent: durable before the reply (I1). Everything that a later proof needs is kept
/// whole: both signatures, the platform's answer, the certificates and the revocation data that were used.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Outcome {
    #[cbor(n(0), with = "crate::cbor")]
    pub verification: VerificationId,
    /// Sequence of this check's intent.
    #[n(1)]
    pub intent: u64,
    #[n(2)]
    pub decision: Decision,
    /// Our signature; absent when the token made none.
    #[n(3)]
    pub signature: Option<RequestSignature>,
    /// What the platform sent; absent when nothing came.
    #[n(4)]
    pub answer: Option<Answer>,
    /// Who signed the answer, once the certificate was found, even when it was refused.
    #[n(5)]
    pub signer: Option<Signer>,
    /// Certificates above the signer's, leaf to anchor.
    #[cbor(n(6), with = "crate::cbor")]
    pub chain: Vec<CertificateHash>,
    /// Revocation data that the decision rests on.
    #[n(7)]
    pub revocation: Vec<Revocation>,
    /// The platform's own time for the answer.
    #[cbor(n(8), with = "crate::cbor", has_nil)]
    pub platform_time: Option<Timestamp>,
    /// The platform's own serial.
    #[cbor(n(9), with = "crate::cbor", has_nil)]
    pub platform_serial: Option<PlatformSerial>,
    /// The answer checks in the order in which they were made; the last one is the one that refused, if any did.
    #[n(10)]
    pub steps: Vec<Step>,
    #[n(11)]
    pub times: Times,
    /// The trust store in force.
    #[cbor(n(12), with = "crate::cbor", has_nil)]
    pub trust: Option<TrustHash>,
    /// HTTP status of the platform's answer.
    #[n(13)]
    pub platform_status: Option<u16>,
    /// Sequence of the last [`crate::Exchange`] that this end follows, in an exchange of more than one step: signature,
    /// answer and all the rest here are those of the step after it. From schema 2.
    #[n(14)]
    pub exchange: Option<u64>,
    /// SM3 of the sealed reading's envelope whose content was delivered to the caller. Never the reading. From schema 2.
    #[cbor(n(15), with = "crate::cbor", has_nil)]
    pub reading: Option<ContentDigest>,
}

/// What was decided. The reason's code is also the problem code and the metric label (I10).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum Decision {
    #[n(0)]
    Verdict {
        #[cbor(n(0), with = "crate::cbor")]
        overall: Verdict,
        #[cbor(n(1), with = "crate::cbor")]
        fields: FieldVerdicts,
    },
    #[n(1)]
    Refused {
        #[cbor(n(0), with = "crate::cbor")]
        reason: Reason,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RequestSignature {
    /// The SM2 signature as DER `SEQUENCE { r, s }`. What it signs stands in the intent.
    #[cbor(n(0), with = "crate::cbor")]
    pub signature: Der,
    /// The signed attributes as sent, when the profile has them: DER `SET OF` (tag 0x31).
    #[cbor(n(1), with = "crate::cbor", has_nil)]
    pub attributes: Option<Der>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Answer {
    /// The body as received, cut at the profile's limit, except that the value of a member which the profile declares
    /// as sealed attachment is replaced by `null`.
    #[cbor(n(0), with = "crate::cbor")]
    pub octets: Octets,
    /// The platform's SM2 signature, DER, once it was found.
    #[cbor(n(1), with = "crate::cbor", has_nil)]
    pub signature: Option<Der>,
    /// The platform's signed attributes, DER `SET OF` (tag 0x31), when it uses them.
    #[cbor(n(2), with = "crate::cbor", has_nil)]
    pub attributes: Option<Der>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Signer {
    /// SM3 of `certificate`.
    #[cbor(n(0), with = "crate::cbor")]
    pub hash: CertificateHash,
    #[cbor(n(1), with = "crate::cbor")]
    pub certificate: Der,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Revocation {
    #[n(0)]
    pub kind: RevocationKind,
    /// SM3 of the DER CRL or OCSP response.
    #[cbor(n(1), with = "crate::cbor")]
    pub hash: ContentDigest,
    /// The issuer's DER `Name`.
    #[cbor(n(2), with = "crate::cbor")]
    pub issuer: Der,
    #[cbor(n(3), with = "crate::cbor")]
    pub this_update: Timestamp,
    #[cbor(n(4), with = "crate::cbor", has_nil)]
    pub next_update: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum RevocationKind {
    #[n(0)]
    Crl,
    #[n(1)]
    Ocsp,
}

/// One check of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Step {
    #[cbor(n(0), with = "crate::cbor")]
    pub name: Label,
    /// Absent when the check passed.
    #[cbor(n(1), with = "crate::cbor", has_nil)]
    pub refused: Option<Reason>,
}

/// When each stage of the check was done; absent when it was not reached.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Times {
    /// The request's head had been read.
    #[cbor(n(0), with = "crate::cbor")]
    pub received: Timestamp,
    /// The token's signature had been verified.
    #[cbor(n(1), with = "crate::cbor", has_nil)]
    pub signed: Option<Timestamp>,
    /// The first octet went to the platform.
    #[cbor(n(2), with = "crate::cbor", has_nil)]
    pub sent: Option<Timestamp>,
    /// The last octet of the answer had come.
    #[cbor(n(3), with = "crate::cbor", has_nil)]
    pub answered: Option<Timestamp>,
}

/// A refusal decided after authentication and before an intent: nothing was signed or sent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Refusal {
    #[cbor(n(0), with = "crate::cbor")]
    pub verification: VerificationId,
    #[cbor(n(1), with = "crate::cbor")]
    pub caller: CallerId,
    #[cbor(n(2), with = "crate::cbor")]
    pub mode: Mode,
    #[cbor(n(3), with = "crate::cbor")]
    pub reason: Reason,
    /// The field of the API that is wrong, by its name in the API's schema, never as the request spelled it.
    #[cbor(n(4), with = "crate::cbor", has_nil)]
    pub field: Option<Label>,
    /// Only a purpose that the agreement lists. A word that only the request holds may be anything, a number even.
    #[cbor(n(5), with = "crate::cbor", has_nil)]
    pub purpose: Option<PurposeCode>,
    #[cbor(n(6), with = "crate::cbor", has_nil)]
    pub document_type: Option<DocumentType>,
    /// The rule that refused, where one did.
    #[cbor(n(7), with = "crate::cbor", has_nil)]
    pub rule: Option<RuleId>,
    #[cbor(n(8), with = "crate::cbor", has_nil)]
    pub idempotency: Option<IdempotencyTag>,
    /// The earlier check that holds the idempotency key.
    #[cbor(n(9), with = "crate::cbor", has_nil)]
    pub earlier: Option<VerificationId>,
    /// When the request's head had been read.
    #[cbor(n(10), with = "crate::cbor")]
    pub received: Timestamp,
}

/// An intent whose end was lost with the process: whether the token signed or the platform was asked is not known.
/// Written at start, one for each intent without an outcome, for reconciliation with the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OutcomeUnknown {
    #[cbor(n(0), with = "crate::cbor")]
    pub verification: VerificationId,
    /// Sequence of the intent.
    #[n(1)]
    pub intent: u64,
}
