use std::path::PathBuf;

/// A trust store cannot be used. The text names the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    #[error("{file}: {problem}")]
    File { file: PathBuf, problem: String },
    #[error("{directory}: holds no {what}")]
    Empty { directory: PathBuf, what: &'static str },
    #[error("OpenSSL: {0}")]
    OpenSsl(String),
}

/// Why a signer is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    #[error("the signer is not pinned for signing")]
    NotPinned,
    #[error("the signer's certificate does not chain to an anchor")]
    Chain,
    #[error("a key or signature of the chain is too weak")]
    Weak,
    #[error("two implementations disagree about a signature of the chain or of its revocation lists")]
    Disputed,
    #[error("a certificate of the chain is outside its validity")]
    Validity,
    #[error("the certificate may not sign")]
    KeyUsage,
    #[error("a certificate of the chain is revoked")]
    Revoked,
    #[error("revocation data for a certificate of the chain is missing, not valid, or older than its grace")]
    RevocationStale,
}
