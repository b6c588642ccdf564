//! The ways in which a platform, or somebody in its place, can be wrong. Each is a name that tests, the demo and the control
//! listener use alike.

use std::fmt;
use std::str::FromStr;

use crate::form::Service;
use crate::{Form, SimError};

macro_rules! misbehaviours {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One way of misbehaving. Unless it says otherwise, everything else about the answer is as it should be.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Misbehaviour { $($(#[$doc])* $variant,)* }

        impl Misbehaviour {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name on the control listener.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

misbehaviours! {
    /// The signature value is another one.
    BrokenSignature = "broken-signature",
    /// The package is changed after it was signed.
    AlteredAfterSigning = "altered-after-signing",
    /// Answers with nonce and digest of the request before (or of none at all, for the first).
    WrongRequest = "wrong-request",
    /// Another nonce, the right digest.
    OtherNonce = "other-nonce",
    /// Another digest, the right nonce.
    OtherDigest = "other-digest",
    /// The previous answer, octet for octet; the very first answer has none to repeat and is honest.
    Replay = "replay",
    /// Signed by the pinned key whose certificate is on the CRL.
    RevokedSigner = "revoked-signer",
    /// Signed under an authority that is not the platform's.
    UnpinnedSigner = "unpinned-signer",
    /// Signed by a key with a good chain that nobody pinned.
    ChainedUnpinnedSigner = "chained-unpinned-signer",
    /// Signed with the platform's encryption key and certificate.
    EncryptionCertSigns = "encryption-cert-signs",
    /// Signed over the content without attributes where the form has them; with attributes where it has none.
    AttributesMissing = "attributes-missing",
    /// Times an hour ago.
    StaleTime = "stale-time",
    /// Times in an hour.
    FutureTime = "future-time",
    /// A result code that no specification knows.
    UnknownCode = "unknown-code",
    /// The package lacks its result.
    MissingMember = "missing-member",
    /// The package has its result twice, "mismatch" first.
    DuplicateMember = "duplicate-member",
    /// The body has a second, unsigned package in front of the signed one.
    DuplicatePackage = "duplicate-package",
    /// A result of "match" without results by field.
    MissingFields = "missing-fields",
    /// A result of "match" in which one field does not.
    Contradiction = "contradiction",
    /// Signed: service suspended.
    Suspended = "suspended",
    /// Signed: busy.
    Busy = "busy",
    /// HTTP 200 with a page instead of JSON.
    NotJson = "not-json",
    /// The body lacks the signature.
    MissingSign = "missing-sign",
    /// Octets after the body's JSON.
    TrailingGarbage = "trailing-garbage",
    /// The signature's DER ends early.
    TruncatedDer = "truncated-der",
    /// Octets after the signature's DER.
    DerTrailingGarbage = "der-trailing-garbage",
    /// 16 MiB of white space around a good answer.
    HugeBody = "huge-body",
    /// One octet every 100 ms.
    SlowBody = "slow-body",
    /// A body that does not end.
    EndlessBody = "endless-body",
    /// The connection ends in the middle of the body.
    CutBody = "cut-body",
    /// HTTP 500 around a good answer.
    Status500 = "status-500",
    /// HTTP 503 around a good answer.
    Status503 = "status-503",
    /// HTTP 307 to the control listener's port around a good answer.
    Redirect = "redirect",
    /// A good answer under `text/html`.
    WrongContentType = "wrong-content-type",
    /// The connection ends before the answer.
    CloseBeforeAnswer = "close-before-answer",
    /// No answer, the connection stays.
    Hang = "hang",
    /// A portrait was asked about, and its result is missing.
    MissingPortrait = "missing-portrait",
    /// The package names a sealed reading that is not there.
    ReadingMissing = "reading-missing",
    /// The package names another sealed reading than the one that is there.
    ReadingDigest = "reading-digest",
    /// A reading sealed to somebody else.
    ReadingOtherKey = "reading-other-key",
    /// A sealed reading whose ciphertext was changed before it was signed.
    ReadingAltered = "reading-altered",
    /// A sealed reading that holds something else.
    ReadingGarbage = "reading-garbage",
    /// The reading of another document.
    ReadingOtherDocument = "reading-other-document",
    /// A reading beside an answer that is no match.
    ReadingUnasked = "reading-unasked",
}

impl Misbehaviour {
    /// Whether it shows in answers of this service.
    pub fn applies_to(self, service: Service) -> bool {
        match self {
            Self::MissingPortrait => service == Service::RealPerson,
            Self::ReadingMissing
            | Self::ReadingDigest
            | Self::ReadingOtherKey
            | Self::ReadingAltered
            | Self::ReadingGarbage
            | Self::ReadingOtherDocument
            | Self::ReadingUnasked => service == Service::ChipReading,
            _ => true,
        }
    }

    /// Whether this form can have it.
    pub fn fits(self, form: Form) -> bool {
        match self {
            Self::AttributesMissing => form.has_messages(),
            Self::DuplicatePackage => form.has_package(),
            _ => true,
        }
    }
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Misbehaviour {
    type Err = SimError;

    fn from_str(name: &str) -> Result<Self, SimError> {
        Self::ALL.iter().copied().find(|known| known.name() == name).ok_or_else(|| SimError::UnknownName {
            what: "misbehaviour",
            name: name.to_owned(),
            known: Self::ALL.iter().map(|known| known.name()).collect::<Vec<_>>().join(", "),
        })
    }
}
