//! What can go wrong while making certificates: the disk, OpenSSL, or a request that must not be signed.

use std::path::PathBuf;

/// Errors of the development PKI.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevPkiError {
    /// A file could not be read, written or renamed.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory concerned.
        path: PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// OpenSSL refused an operation.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] openssl::error::ErrorStack),
    /// There is a PKI in the directory already; its keys are not overwritten.
    #[error("{0} holds a development PKI already: choose an empty directory")]
    AlreadyExists(PathBuf),
    /// The file is neither a PEM nor a DER PKCS#10 request.
    #[error("the certificate request is neither PEM nor DER PKCS#10")]
    RequestUnreadable,
    /// The request's key is not on the SM2 curve.
    #[error("the certificate request's key is not an SM2 key")]
    RequestKeyNotSm2,
    /// The request's self-signature (SM2 with SM3, default distinguishing id) does not verify.
    #[error("the certificate request's signature does not verify with the default distinguishing id")]
    RequestSignature,
    /// The certificate is not one that `entity/ca` issued for signing with an SM2 key.
    #[error("the signing certificate is not one that this PKI's entity/ca issued for signing")]
    SigningCertificate,
    /// The certificate carries no subject key identifier, which issuing and revoking need.
    #[error("the issuer's certificate has no subject key identifier")]
    IssuerWithoutKeyId,
}

impl DevPkiError {
    /// Stable short name, for tests and scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::OpenSsl(_) => "openssl",
            Self::AlreadyExists(_) => "already-exists",
            Self::RequestUnreadable => "request-unreadable",
            Self::RequestKeyNotSm2 => "request-key-not-sm2",
            Self::RequestSignature => "request-signature",
            Self::SigningCertificate => "signing-certificate",
            Self::IssuerWithoutKeyId => "issuer-without-key-id",
        }
    }
}
