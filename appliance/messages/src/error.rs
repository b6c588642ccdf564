/// Why a message or certificate was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error("not canonical DER of the expected form ({0})")]
    Der(&'static str),
    #[error("content type is not {0}")]
    ContentType(&'static str),
    #[error("unsupported version of {0}")]
    Version(&'static str),
    #[error("unsupported algorithm for {0}")]
    Algorithm(&'static str),
    #[error("expected exactly one {0}")]
    NotExactlyOne(&'static str),
    #[error("an authenticated attribute is missing, repeated or malformed ({0})")]
    Attribute(&'static str),
    #[error("the messageDigest attribute does not match the content")]
    ContentDigest,
    #[error("the message carries its own content where a detached signature is expected")]
    NotDetached,
    #[error("the message carries no content where one is expected")]
    NotAttached,
    #[error("the signer's certificate is not in the message")]
    SignerCertificateMissing,
    #[error("the certificate does not hold an SM2 key")]
    NotSm2,
    #[error("the signature does not verify")]
    Signature,
    #[error("the certificate cannot be read ({0})")]
    Certificate(&'static str),
    #[error("more {0} in the message than {1}")]
    TooMany(&'static str, usize),
    #[error("the message is larger than {0} octets")]
    TooLarge(usize),
    #[error("sealing or opening failed")]
    Seal,
    #[error("subject is malformed: {0}")]
    Subject(&'static str),
    #[error("not one JSON object, or a key twice")]
    Json,
    #[error("a key or value holds a separator, so that the signed octets could mean something else")]
    Ambiguous,
}

impl MessageError {
    /// A stable label.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Der(_) => "der",
            Self::ContentType(_) => "content-type",
            Self::Version(_) => "version",
            Self::Algorithm(_) => "algorithm",
            Self::NotExactlyOne(_) => "not-exactly-one",
            Self::Attribute(_) => "attribute",
            Self::ContentDigest => "content-digest",
            Self::NotDetached => "not-detached",
            Self::NotAttached => "not-attached",
            Self::SignerCertificateMissing => "signer-certificate-missing",
            Self::NotSm2 => "not-sm2",
            Self::Signature => "signature",
            Self::Certificate(_) => "certificate",
            Self::TooMany(..) => "too-many",
            Self::TooLarge(_) => "too-large",
            Self::Seal => "seal",
            Self::Subject(_) => "subject",
            Self::Json => "json",
            Self::Ambiguous => "ambiguous",
        }
    }
}
