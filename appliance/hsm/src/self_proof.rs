//! The self-proof: a key signs something that nobody else could have wanted signed, and software verifies it.
//!
//! A profile with a wrong mechanism number "signs successfully" while every peer rejects the signature. So a key serves
//! only after one of its signatures has verified. What it signs cannot be a request to a platform: those are JSON or a DER
//! SET, and neither starts with this prefix.

use yanqian_sm::sm3;

/// What every self-proof message starts with.
pub const SELF_PROOF_PREFIX: &[u8] = b"yanqian-self-proof-v1";

/// The message that a self-proof signs: the prefix, then SM3 of the nonce.
pub fn self_proof_message(nonce: &[u8]) -> Vec<u8> {
    [SELF_PROOF_PREFIX, &sm3(&[nonce])].concat()
}
