use std::fmt;
use std::str::FromStr;

use crate::UnknownWord;

/// Which step of the way a reason belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReasonClass {
    /// The request could not be read, or a field of it is wrong.
    Request,
    /// The agreement does not allow it.
    Agreement,
    /// The token or its worker could not sign, or signed wrongly.
    Token,
    /// The ledger or the state store could not keep what must be kept.
    Evidence,
    /// The platform was not reached, or its answer was not proven.
    Platform,
}

macro_rules! reasons {
    ($($class:ident { $($(#[$doc:meta])* $variant:ident = $code:literal,)* })*) => {
        /// Why a check was refused: one code for problem document, ledger record and metric label.
        ///
        /// Codes are stable: they are written into evidence that outlives this program. Add, never rename.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($($(#[$doc])* $variant,)*)* }

        impl Reason {
            pub const ALL: &'static [Self] = &[$($(Self::$variant,)*)*];

            /// The stable code, lowercase words joined by hyphens.
            pub const fn code(self) -> &'static str {
                match self { $($(Self::$variant => $code,)*)* }
            }

            pub const fn class(self) -> ReasonClass {
                match self { $($(Self::$variant => ReasonClass::$class,)*)* }
            }
        }
    };
}

reasons! {
    Request {
        /// More octets than the configured limit.
        BodyTooLarge = "body-too-large",
        /// The body was not complete within its deadline.
        BodyTimeout = "body-timeout",
        /// The connection ended before the body did.
        BodyIncomplete = "body-incomplete",
        ContentTypeUnsupported = "content-type-unsupported",
        /// The body is compressed or otherwise encoded; it is never expanded.
        ContentEncodingUnsupported = "content-encoding-unsupported",
        /// Not one JSON object in UTF-8, or nested too deeply.
        JsonInvalid = "json-invalid",
        FieldUnknown = "field-unknown",
        FieldDuplicate = "field-duplicate",
        FieldMissing = "field-missing",
        /// A field holds another JSON type than the one it must have.
        FieldType = "field-type",
        /// A field's text is too long, empty, or not of its form.
        FieldInvalid = "field-invalid",
        PurposeMalformed = "purpose-malformed",
        DocumentTypeUnknown = "document-type-unknown",
        DocumentNumberMalformed = "document-number-malformed",
        DocumentCheckDigit = "document-check-digit",
        NameMalformed = "name-malformed",
        BirthDateInvalid = "birth-date-invalid",
        /// The number carries a birth date, and the stated one is another.
        BirthDateContradictsNumber = "birth-date-contradicts-number",
        NationalityUnknown = "nationality-unknown",
        /// The number carries a nationality, and the stated one is another.
        NationalityContradictsNumber = "nationality-contradicts-number",
        ExpiryInvalid = "expiry-invalid",
        /// Not base64 of one whole JPEG picture that the platform can compare.
        PortraitEncoding = "portrait-encoding",
        /// The picture has more octets than a portrait may have.
        PortraitSize = "portrait-size",
        /// The picture has too few or too many pixels, or is too narrow or too wide.
        PortraitDimensions = "portrait-dimensions",
        /// A chip's file is not base64 of the data that its name says (ICAO Doc 9303-10).
        ChipFile = "chip-file",
        /// The machine-readable zone of DG1 cannot be read, or a check digit of it is wrong (ICAO Doc 9303-3).
        ChipMrz = "chip-mrz",
        /// The machine-readable zone belongs to another type of document than the one stated.
        ChipDocumentType = "chip-document-type",
        /// A field that was stated beside the chip is another one in the machine-readable zone of DG1.
        ChipContradictsField = "chip-contradicts-field",
        /// A file of the chip is not the one whose digest its issuing authority signed (ICAO Doc 9303-11 §5.1).
        ChipDigest = "chip-digest",
        /// The signature over the digests of the chip's files is not valid.
        ChipSignature = "chip-signature",
        /// The chip's document signer is not one for whom a configured country signing authority vouches.
        ChipSigner = "chip-signer",
        IdempotencyKeyMalformed = "idempotency-key-malformed",
        /// The same key is being worked on (I4).
        IdempotencyInFlight = "idempotency-in-flight",
        /// The same key came with another request (I4).
        IdempotencyMismatch = "idempotency-mismatch",
    }
    Agreement {
        AgreementNotInForce = "agreement-not-in-force",
        AgreementMode = "agreement-mode",
        AgreementDocumentType = "agreement-document-type",
        AgreementPurpose = "agreement-purpose",
        /// The purpose exists, but not for this caller.
        AgreementCallerPurpose = "agreement-caller-purpose",
        AgreementField = "agreement-field",
        /// The caller's connection comes from outside the networks that the agreement names for it.
        AgreementNetwork = "agreement-network",
        /// Outside the hours that the agreement names for the caller.
        AgreementHours = "agreement-hours",
        /// More checks a second than agreed, in total, for the purpose or of the caller.
        AgreementRate = "agreement-rate",
        /// The day's checks are used up, in total, for the purpose or of the caller (I7).
        AgreementQuota = "agreement-quota",
    }
    Token {
        SignerUnavailable = "signer-unavailable",
        SignerBusy = "signer-busy",
        /// The worker answered, but the signature does not verify against the configured certificate.
        SignatureDefective = "signature-defective",
        SigningCertificateInvalid = "signing-certificate-invalid",
        /// The entity has no encryption certificate inside its validity, so no reading could be sealed to it.
        EncryptionCertificateInvalid = "encryption-certificate-invalid",
        /// The platform's answer is proven, but the token did not open the reading that came with it.
        UnsealUnavailable = "unseal-unavailable",
    }
    Evidence {
        EvidenceUnavailable = "evidence-unavailable",
        StateUnavailable = "state-unavailable",
        /// Too many checks under way; decided after authentication, before anything was sent.
        Overloaded = "overloaded",
        /// The daemon was stopped before the check was sent.
        ShuttingDown = "shutting-down",
        /// The request was sent and no proven end is known (I4). Reconcile with the platform.
        OutcomeUnknown = "outcome-unknown",
    }
    Platform {
        /// Proven that no octet of the request was sent.
        PlatformUnreachable = "platform-unreachable",
        /// Nothing was sent: whoever is at the platform's address did not prove to be the platform.
        PlatformIdentity = "platform-identity",
        PlatformStatus = "platform-status",
        PlatformAnswerTooLarge = "platform-answer-too-large",
        PlatformDeadline = "platform-deadline",
        PlatformEnvelope = "platform-envelope",
        PlatformSignerUnknown = "platform-signer-unknown",
        PlatformChain = "platform-chain",
        PlatformCertificateValidity = "platform-certificate-validity",
        PlatformCertificateUsage = "platform-certificate-usage",
        PlatformSignerRevoked = "platform-signer-revoked",
        /// Revocation data is missing or older than its grace (I6).
        PlatformRevocationStale = "platform-revocation-stale",
        PlatformSignature = "platform-signature",
        /// Two implementations disagree about a signature of the signer's chain or of a revocation list.
        PlatformChainDisputed = "platform-chain-disputed",
        /// Two implementations disagree about an answer's signature, this one's or one shortly before.
        PlatformSignatureDisputed = "platform-signature-disputed",
        PlatformNonce = "platform-nonce",
        PlatformDigest = "platform-digest",
        PlatformTime = "platform-time",
        PlatformReplay = "platform-replay",
        PlatformSchema = "platform-schema",
        PlatformCodeUnknown = "platform-code-unknown",
        /// The signed answer tells of a field that was not asked about.
        PlatformFieldUnasked = "platform-field-unasked",
        /// The sealed reading is missing, is not the one that the answer signs, is not for us, or cannot be read.
        PlatformReading = "platform-reading",
        /// A proven answer that says the platform did not perform the check.
        PlatformRefused = "platform-refused",
        /// An answer came, and what it is to be proven with here cannot be used: the trust store, or the memory of accepted answers.
        PlatformUnproven = "platform-unproven",
        /// The trust store cannot be used at all.
        PlatformTrustUnusable = "platform-trust-unusable",
        /// The route to the platform is stopped, after a dispute, until an operator opens it again.
        PlatformStopped = "platform-stopped",
        /// The clock is not known to be right, so the age of an answer could not be judged.
        ClockUntrusted = "clock-untrusted",
        /// The outbound message could not be built from the profile.
        PlatformEncoding = "platform-encoding",
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Reason {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.code() == text)
            .ok_or(UnknownWord { kind: "reason", expected: "a reason code of docs/reasons.md" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_unique_and_parses_back() {
        for reason in Reason::ALL {
            assert_eq!(reason.code().parse(), Ok(*reason));
            assert!(reason.code().bytes().all(|c| c.is_ascii_lowercase() || c == b'-'));
        }
    }
}
