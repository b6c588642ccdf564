//! No key serves before software has verified one of its signatures.

use std::sync::Arc;
use std::time::Instant;

use yanqian_sm::{DistinguishingId, E, PublicKey, Signature, sm3, verify};

use super::engine::{KnownKey, Proof, count};
use super::lane::{Lane, Problem};
use crate::protocol::{Answer, KeyUsage, Operation, Outcome, Refusal, codes};
use crate::self_proof::self_proof_message;

/// Proves every key, so that a wrong profile shows before a request does. One that fails does not serve; the others do. A token of
/// whose keys none could be asked is away.
pub(super) fn prove_all(lane: &mut Lane) -> Result<(), Outcome> {
    let keys = match lane.perform(&Operation::ListKeys) {
        Outcome::Done(Answer::Keys(keys)) => keys,
        Outcome::Done(_) => Vec::new(),
        outcome => return Err(outcome),
    };
    let (mut proven, mut unasked) = (0, None);
    for key in keys {
        if let Some(problem) = key.problem {
            tracing::error!(label = key.label, problem, "a key does not serve");
            continue;
        }
        match lane.run(|lane| lane.proven_key(&key.label).map(|_| ())) {
            Ok(()) => {
                proven += 1;
                tracing::info!(label = key.label, "the key's self-proof verifies");
            }
            // One key's trouble, or for now.
            Err(Outcome::Refused(refusal)) => tracing::error!(label = key.label, "{}", refusal.message),
            Err(Outcome::Busy) => tracing::warn!(label = key.label, "the token is busy; proof later"),
            Err(outcome) => unasked = Some(outcome),
        }
        if lane.engine.exit.reason().is_some() {
            break;
        }
    }
    match unasked {
        Some(outcome) if proven == 0 => Err(outcome),
        _ => Ok(()),
    }
}

impl Lane {
    /// The key with this label, proven since the module was initialised.
    pub(super) fn proven_key(&mut self, label: &str) -> Result<Arc<KnownKey>, Problem> {
        let (_, key) = self.key(label)?;
        if !key.standing()? {
            match key.usage {
                KeyUsage::Sign => self.prove(&key)?,
                KeyUsage::Encrypt => self.prove_opening(&key)?,
            }
        }
        Ok(key)
    }

    /// Signs a fresh nonce and verifies it against the token's public key.
    pub(super) fn prove(&mut self, key: &KnownKey) -> Result<(), Problem> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce)
            .map_err(|error| Refusal::new(codes::TOKEN, format!("the system's random numbers: {error}")))?;
        let message = self_proof_message(&nonce);
        let e = E::of_message(&key.public, &DistinguishingId::default(), &[&message]);
        let profile = &self.engine.profile;
        let place = format!("profile {:?} ({})", profile.name, profile.file().display());
        let why = match self.sign_unproven(&key.label, &e, Some(&message)) {
            Ok(signature) if verify(&key.public, &e, &signature).is_ok() => {
                key.set_proof(Proof::Proven);
                count(&self.engine.counters.self_proofs);
                return Ok(());
            }
            Ok(signature) => {
                let hint = classify(&key.public, &message, &e, &signature)
                    .unwrap_or("neither as SM2 over e nor in any other known way");
                format!("the signature verifies {hint}; {place} does not fit this module or this key")
            }
            Err(Problem::NoSignature(what)) => format!("{what}; {place} does not fit this module"),
            Err(other) => return Err(other),
        };
        let why = format!("key {:?} failed its self-proof and does not serve: {why}", key.label);
        tracing::error!(label = key.label, "{why}");
        key.set_proof(Proof::Failed(Instant::now(), why.clone()));
        Err(Refusal::new(codes::SELF_PROOF, why).into())
    }
}

/// What the module signed instead, when that is one of the mistakes seen in the field.
fn classify(key: &PublicKey, message: &[u8], e: &E, signature: &Signature) -> Option<&'static str> {
    let over = |e: E| verify(key, &e, signature).is_ok();
    let empty_id = DistinguishingId::new([]).map(|id| E::of_message(key, &id, &[message]));
    let z = key.z_value(&DistinguishingId::default());
    if over(E::from_digest(sm3(&[message]))) {
        Some("over SM3(M) without Z: sign.input should be \"message-without-z\"")
    } else if over(E::from_digest(sm3(&[e.as_bytes()]))) {
        Some("over SM3(e): the mechanism hashes its input, so sign.input is not \"e\" but \"message-without-z\"")
    } else if over(E::of_message(key, &DistinguishingId::default(), &[e.as_bytes()])) {
        Some("over SM3(Z ‖ e): the mechanism takes messages, so sign.input should be \"message-with-z\"")
    } else if over(E::of_message(key, &DistinguishingId::default(), &[z.as_bytes(), message])) {
        Some("over SM3(Z ‖ Z ‖ M): the mechanism adds Z itself, so sign.input should be \"message-with-z\"")
    } else if empty_id.is_ok_and(over) {
        Some("with an empty distinguishing id instead of the default one")
    } else {
        let raw = signature.to_raw();
        let mut swapped = [0; 64];
        swapped[..32].copy_from_slice(&raw[32..]);
        swapped[32..].copy_from_slice(&raw[..32]);
        Signature::from_raw(&swapped)
            .is_ok_and(|swapped| verify(key, e, &swapped).is_ok())
            .then_some("with r and s exchanged")
    }
}
