//! OCSP (RFC 6960; GB/T 19713): requests written, responses read. Reading proves nothing: whose word a response is, and whether
//! it still counts, is for who asks.

mod id;
mod response;

pub use id::{CertIdHash, ocsp_request};
pub use response::{CertStatus, OcspResponse, SingleResponse};

/// Why a response cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OcspError {
    #[error("not an OCSP response in DER ({0})")]
    Der(&'static str),
    /// RFC 6960 §4.2.1: malformedRequest 1, internalError 2, tryLater 3, sigRequired 5, unauthorized 6.
    #[error("the responder answers with error {0}")]
    Status(u8),
    #[error("not a basic response (id-pkix-ocsp-basic)")]
    Type,
    #[error("an unknown critical extension")]
    Critical,
    #[error("larger than {0} octets")]
    TooLarge(usize),
}
