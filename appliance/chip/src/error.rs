use yanqian_vocabulary::Reason;

/// Why a chip's files are not taken for genuine. Says nothing of what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", self.field(), self.rule())]
pub enum ChipError {
    /// EF.SOD cannot be read as Doc 9303-10 §4.6.2 has it.
    SecurityObject,
    /// EF.COM lists other data groups than those that were signed.
    Groups,
    /// DG1 is not the file whose digest was signed.
    Dg1,
    /// DG2 is not.
    Dg2,
    /// The certificate that the signature names is not in EF.SOD.
    SignerMissing,
    /// The signature is not that of the content, or not the signer's.
    Signature,
    /// A digest, signature or key of a kind that is not known, or too weak.
    Algorithm,
    /// The signer's certificate may not sign, or has critical extensions that are not known.
    SignerUsage,
    /// The signer's certificate is outside its validity.
    SignerValidity,
    /// No configured authority signed the signer's certificate.
    AuthorityUnknown,
    /// The authority that did is outside its validity.
    AuthorityValidity,
}

impl ChipError {
    pub const ALL: [Self; 11] = [
        Self::SecurityObject,
        Self::Groups,
        Self::Dg1,
        Self::Dg2,
        Self::SignerMissing,
        Self::Signature,
        Self::Algorithm,
        Self::SignerUsage,
        Self::SignerValidity,
        Self::AuthorityUnknown,
        Self::AuthorityValidity,
    ];

    pub const fn reason(self) -> Reason {
        match self {
            Self::SecurityObject => Reason::ChipFile,
            Self::Groups | Self::Dg1 | Self::Dg2 => Reason::ChipDigest,
            Self::Signature => Reason::ChipSignature,
            Self::SignerMissing
            | Self::Algorithm
            | Self::SignerUsage
            | Self::SignerValidity
            | Self::AuthorityUnknown
            | Self::AuthorityValidity => Reason::ChipSigner,
        }
    }

    /// The API's path of the file at fault.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Groups => "chip.com",
            Self::Dg1 => "chip.dg1",
            Self::Dg2 => "chip.dg2",
            _ => "chip.sod",
        }
    }

    /// The rule that does not hold, in a sentence.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::SecurityObject => "EF.SOD is not a CMS SignedData in DER with one LDSSecurityObject and one signer.",
            Self::Groups => "EF.COM lists other data groups than those whose digests were signed.",
            Self::Dg1 => "The digest of DG1 is not the one that was signed.",
            Self::Dg2 => "The digest of DG2 is not the one that was signed.",
            Self::SignerMissing => "The certificate that the signature names does not stand in EF.SOD.",
            Self::Signature => "The signature over the digests is not valid.",
            Self::Algorithm => "A digest, signature or key is of a kind that is not known, or too weak.",
            Self::SignerUsage => {
                "The document signer's certificate may not sign, or has a critical extension that is not known."
            }
            Self::SignerValidity => "The document signer's certificate is outside its validity.",
            Self::AuthorityUnknown => {
                "No configured country signing authority issued the document signer's certificate."
            }
            Self::AuthorityValidity => "The country signing authority's certificate is outside its validity.",
        }
    }
}
