//! What can go wrong in the simulator itself, and why it refuses a request.

use std::path::PathBuf;

/// The simulator could not start or do its own work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// A file of the development PKI could not be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A listener could not be opened.
    #[error("cannot listen: {0}")]
    Listen(#[source] std::io::Error),
    /// OpenSSL refused an operation.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] openssl::error::ErrorStack),
    /// DER of our own PKI or our own messages did not read as expected.
    #[error(transparent)]
    Der(#[from] crate::der::DerError),
    /// OpenSSL does not use `1234567812345678` as its default distinguishing id: it is older than 4.0.
    #[error("this OpenSSL does not sign SM2 with the standard distinguishing id")]
    WrongDefaultId,
    /// A name of a wire form or of a misbehaviour that does not exist.
    #[error("unknown {what} {name:?}; one of: {known}")]
    UnknownName {
        /// `wire form` or `misbehaviour`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

/// Why a request is refused. Every refusal but [`Refusal::Shape`] is answered, signed, with the form's code for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a request of this wire form: no nonce to answer to, so HTTP 400.
    #[error("shape: {0}")]
    Shape(&'static str),
    /// The purpose code is not agreed with this customer.
    #[error("purpose not agreed")]
    Purpose,
    /// The customer is unknown or the certificate is not one of the platform's CA for using entities.
    #[error("certificate not registered: {0}")]
    Certificate(&'static str),
    /// The nonce came before.
    #[error("duplicate nonce")]
    Duplicate,
    /// The request's time or its signing time is outside the window.
    #[error("time outside window")]
    Time,
    /// The signature, its digest or its structure is wrong.
    #[error("signature invalid: {0}")]
    Signature(&'static str),
    /// The business serial number is unknown, used, old, of somebody else, or not bound to its answer.
    #[error("business serial number invalid")]
    Application,
    /// The envelope cannot be opened or holds no inquiry.
    #[error("envelope invalid: {0}")]
    Envelope(&'static str),
}
