//! Keys derived from the node's one state key, each for one use.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use yanqian_evidence::commitment::{canonical_claim, push_part as push};
use yanqian_vocabulary::{CallerId, Claim, EntityId, VerificationId};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A sealed reply could not be opened: wrong state key, or the row was altered or moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored reply cannot be opened with this state key")]
pub(crate) struct SealBroken;

/// The node's derived keys. Wiped when dropped, never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct StateKeys {
    idempotency: [u8; 32],
    fingerprint: [u8; 32],
    reply: [u8; 32],
    receipt: [u8; 32],
}

impl fmt::Debug for StateKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKeys(..)")
    }
}

impl StateKeys {
    /// Derives all keys from the state key (at least 32 octets) as HMAC-SM3(state key, label).
    pub fn derive(state_key: &[u8; 32]) -> Self {
        let derive = |label: &str| yanqian_sm::hmac_sm3(state_key, &[b"yanqian state key v1: ", label.as_bytes()]);
        Self {
            idempotency: derive("idempotency key"),
            fingerprint: derive("request fingerprint"),
            reply: derive("stored reply"),
            receipt: derive("stored receipt"),
        }
    }

    /// Names a caller's idempotency key without holding it (I4).
    pub(crate) fn idempotency_tag(&self, caller: &CallerId, key: &str) -> [u8; 32] {
        let mut parts = Zeroizing::new(Vec::new());
        push(&mut parts, caller.as_str().as_bytes());
        push(&mut parts, key.as_bytes());
        yanqian_sm::hmac_sm3(&self.idempotency, &[&parts])
    }

    /// Keyed fingerprint of a request: equal exactly when a caller asks the same again (I4).
    pub(crate) fn fingerprint(&self, mode: &str, purpose: &str, reference: &str, claim: &Claim) -> [u8; 32] {
        let mut parts = Zeroizing::new(Vec::new());
        push(&mut parts, mode.as_bytes());
        push(&mut parts, purpose.as_bytes());
        push(&mut parts, reference.as_bytes());
        yanqian_sm::hmac_sm3(&self.fingerprint, &[&parts, &canonical_claim(claim)])
    }

    /// Seals a final reply to its entity, caller and verification.
    pub(crate) fn seal_reply(&self, owner: &ReplyOwner<'_>, nonce: [u8; 24], plain: &[u8]) -> Vec<u8> {
        seal(&self.reply, owner, nonce, plain)
    }

    pub(crate) fn open_reply(&self, owner: &ReplyOwner<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealBroken> {
        open(&self.reply, owner, sealed)
    }

    /// Seals what a receipt needs besides the ledger, as [`Self::seal_reply`] does a reply.
    pub(crate) fn seal_receipt(&self, owner: &ReplyOwner<'_>, nonce: [u8; 24], plain: &[u8]) -> Vec<u8> {
        seal(&self.receipt, owner, nonce, plain)
    }

    pub(crate) fn open_receipt(&self, owner: &ReplyOwner<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealBroken> {
        open(&self.receipt, owner, sealed)
    }
}

/// XChaCha20-Poly1305 bound to the owner. Layout: 24-byte nonce, then ciphertext and tag.
fn seal(key: &[u8; 32], owner: &ReplyOwner<'_>, nonce: [u8; 24], plain: &[u8]) -> Vec<u8> {
    let cipher = XChaCha20Poly1305::new(key.into());
    let payload = Payload { msg: plain, aad: &owner.associated_data() };
    // Fails only beyond 256 GiB of plaintext; what is sealed here has a few hundred octets.
    let ciphertext = cipher.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
    let mut out = nonce.to_vec();
    out.extend_from_slice(&ciphertext);
    out
}

fn open(key: &[u8; 32], owner: &ReplyOwner<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealBroken> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<24>().ok_or(SealBroken)?;
    let cipher = XChaCha20Poly1305::new(key.into());
    let payload = Payload { msg: ciphertext, aad: &owner.associated_data() };
    cipher.decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| SealBroken)
}

/// Whom a stored reply belongs to; bound into its seal, so that no row can be handed to another caller.
pub(crate) struct ReplyOwner<'a> {
    pub(crate) entity: &'a EntityId,
    pub(crate) caller: &'a CallerId,
    pub(crate) id: VerificationId,
}

impl ReplyOwner<'_> {
    fn associated_data(&self) -> Vec<u8> {
        let mut out = Vec::new();
        push(&mut out, self.entity.as_str().as_bytes());
        push(&mut out, self.caller.as_str().as_bytes());
        push(&mut out, self.id.as_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use yanqian_vocabulary::{
        BirthDate, CivilDate, DocumentClaim, DocumentNumber, DocumentType, PersonalName, Timestamp,
    };

    fn claim(name: &str) -> Claim {
        Claim::RealName(DocumentClaim {
            document_type: DocumentType::PrcPassport,
            number: DocumentNumber::new("E12345678"),
            name: PersonalName::new(name),
            birth_date: BirthDate(CivilDate::new(1990, 1, 2).unwrap()),
            nationality: None,
            expiry: None,
        })
    }

    #[test]
    fn a_stored_reply_opens_only_for_its_own_caller_and_verification() {
        let keys = StateKeys::derive(&[7; 32]);
        let (entity, caller, other) =
            (EntityId::new("bank").unwrap(), CallerId::new("a").unwrap(), CallerId::new("b").unwrap());
        let id = VerificationId::new(Timestamp::from_unix_millis(1), [1; 10]);
        let owner = ReplyOwner { entity: &entity, caller: &caller, id };
        let sealed = keys.seal_reply(&owner, [9; 24], b"reply");
        assert_eq!(keys.open_reply(&owner, &sealed).unwrap().as_slice(), b"reply");
        assert_eq!(keys.open_reply(&ReplyOwner { caller: &other, ..owner }, &sealed), Err(SealBroken));
        let elsewhere = VerificationId::new(Timestamp::from_unix_millis(2), [1; 10]);
        assert_eq!(keys.open_reply(&ReplyOwner { id: elsewhere, ..owner }, &sealed), Err(SealBroken));
        assert_eq!(keys.open_reply(&owner, &sealed[..20]), Err(SealBroken));
        assert_eq!(keys.open_receipt(&owner, &sealed), Err(SealBroken), "a reply is no receipt");
    }

    #[test]
    fn a_fingerprint_tells_requests_apart_even_where_texts_join_alike() {
        let keys = StateKeys::derive(&[7; 32]);
        let one = keys.fingerprint("real-name", "ab", "c", &claim("张伟"));
        assert_eq!(one, keys.fingerprint("real-name", "ab", "c", &claim("张伟")));
        assert_ne!(one, keys.fingerprint("real-name", "a", "bc", &claim("张伟")));
        assert_ne!(one, keys.fingerprint("real-name", "ab", "c", &claim("张玮")));
    }
}
