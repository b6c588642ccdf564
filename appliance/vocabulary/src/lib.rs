//! The words that every room shares. No I/O, no clock, no randomness: values come in as parameters.
//!
//! Two rules live here because everybody depends on them. Personal data has its own types, and none of them can be
//! printed (invariant I8). And every refusal has one [`Reason`] with a stable code that the problem document, the
//! ledger record and the metric label share, so that the three always agree (I10).
#![forbid(unsafe_code)]

mod claim;
mod config;
mod digest;
mod document;
mod grade;
mod ids;
mod personal;
mod reason;
mod time;
mod verdict;

pub use claim::{ChipClaim, ChipFile, ChipFiles, Claim, Portrait, Reading};
pub use config::KeyLine;
pub use digest::{
    AgreementHash, CertificateHash, Commitment, ContentDigest, DigestParseError, KeyId, ProfileHash, SearchTag,
    TrustHash,
};
pub use document::{DocumentClaim, DocumentType, Field, Mode, Sex, UnknownWord};
pub use grade::TokenGrade;
pub use ids::{CallerId, EntityId, IdError, NodeId, Nonce, PlatformId, PurposeCode, RuleId, VerificationId};
pub use personal::{
    BirthDate, CallerReference, CivilDate, DateError, DocumentNumber, ExpiryDate, Nationality, PersonalName,
};
pub use reason::{Reason, ReasonClass};
pub use time::{Timestamp, TimestampParseError, TimestampRange};
pub use verdict::{FieldVerdict, FieldVerdicts, Verdict};
