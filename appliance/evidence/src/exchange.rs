use minicbor::{Decode, Encode};
use yanqian_vocabulary::{CertificateHash, ContentDigest, Nonce, Timestamp, TrustHash, VerificationId};

use crate::intent::ToBeSigned;
use crate::outcome::{Answer, RequestSignature, Revocation, Signer, Step, Times};
use crate::word::{Label, PlatformSerial};

/// One step of a check that takes more than one request: the step before, proven, and what will be signed next. Durable
/// before the token is asked for the next signature (I2), so every signature has its intent.
///
/// A step that was refused ends the check and stands in its [`crate::Outcome`]. From schema 2.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Exchange {
    #[cbor(n(0), with = "crate::cbor")]
    pub verification: VerificationId,
    /// Sequence of this check's intent.
    #[n(1)]
    pub intent: u64,
    /// The step that is done, for example `apply`.
    #[cbor(n(2), with = "crate::cbor")]
    pub step: Label,
    /// Our signature of the step that is done. What it signs stands in the record before: intent or exchange.
    #[n(3)]
    pub signature: RequestSignature,
    #[n(4)]
    pub answer: Answer,
    #[n(5)]
    pub signer: Signer,
    /// Certificates above the signer's, leaf to anchor.
    #[cbor(n(6), with = "crate::cbor")]
    pub chain: Vec<CertificateHash>,
    /// Revocation data that the answer's acceptance rests on.
    #[n(7)]
    pub revocation: Vec<Revocation>,
    /// The platform's own time for the answer.
    #[cbor(n(8), with = "crate::cbor", has_nil)]
    pub platform_time: Option<Timestamp>,
    /// The platform's own serial.
    #[cbor(n(9), with = "crate::cbor", has_nil)]
    pub platform_serial: Option<PlatformSerial>,
    /// The answer checks in the order in which they were made; all of them passed.
    #[n(10)]
    pub steps: Vec<Step>,
    #[n(11)]
    pub times: Times,
    /// The trust store in force.
    #[cbor(n(12), with = "crate::cbor")]
    pub trust: TrustHash,
    /// HTTP status of the platform's answer.
    #[n(13)]
    pub platform_status: u16,
    /// What will be signed now.
    #[n(14)]
    pub next: NextRequest,
}

/// The intent of the next step's signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct NextRequest {
    /// SM3 of the request's signed content exactly as it will be sent.
    #[cbor(n(0), with = "crate::cbor")]
    pub request: ContentDigest,
    #[cbor(n(1), with = "crate::cbor")]
    pub nonce: Nonce,
    #[n(2)]
    pub to_be_signed: ToBeSigned,
}
