use yanqian_sm::{E, PublicKey, Signature, VerifyError};

/// Whoever verifies the SM2 signatures that are met in reading: a daemon has tables for the keys that it meets often, an
/// offline program does without.
pub trait SignatureVerifier: Sync {
    /// As [`yanqian_sm::verify`].
    fn verify(&self, key: &PublicKey, e: &E, signature: &Signature) -> Result<(), VerifyError>;
}

/// Verifies each signature by itself and remembers nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainVerifier;

impl SignatureVerifier for PlainVerifier {
    fn verify(&self, key: &PublicKey, e: &E, signature: &Signature) -> Result<(), VerifyError> {
        yanqian_sm::verify(key, e, signature)
    }
}
