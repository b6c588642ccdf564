//! The one error type of the module: a PKCS#11 return value.
//!
//! Callers see nothing but a `CK_RV`, so the inner layers name it directly instead of translating twice.

use cryptoki_sys::CK_RV;

/// A return value other than `CKR_OK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rv(pub(crate) CK_RV);

/// What every inner function of the module answers.
pub(crate) type Outcome<T> = Result<T, Rv>;

/// How much room the caller offers for an answer (PKCS#11 v2.40 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// A NULL buffer: the caller asks for the length only.
    Query,
    /// A buffer of this many octets.
    Octets(usize),
}

impl Room {
    /// Whether an answer of `length` octets may be written.
    pub(crate) fn holds(self, length: usize) -> bool {
        matches!(self, Self::Octets(room) if room >= length)
    }
}

/// An answer of variable length.
pub(crate) enum Reply {
    /// Only the length: either asked for, or the buffer is too small. The operation stays active.
    Length(usize),
    /// The answer itself. Wiped after it has been copied out, since it may be a plaintext.
    Octets(zeroize::Zeroizing<Vec<u8>>),
}
