//! No key serves before software has verified one of its signatures.

use std::sync::Arc;
use std::time::Instant;

use yanqian_messages::Certificate;
use yanqian_sm::{DistinguishingId, E};

use super::diagnosis::Case;
use super::engine::{KnownKey, PROOF_PAUSE, Proof, UNASKED_PAUSE, count};
use super::fit::decode;
use super::keys;
use super::lane::{Lane, Problem, Signed};
use crate::profile::SignForm;
use crate::protocol::{Answer, KeyUsage, Operation, Outcome, Refusal, codes};
use crate::self_proof::self_proof_message;

/// Proves every key, so that a wrong profile shows before a request does. One that fails does not serve; the others do. A token of
/// whose keys none could be asked is away, and so is one that fails with a key of these labels: it served them before.
pub(super) fn prove_all(lane: &mut Lane, served: &[String]) -> Result<(), Outcome> {
    let keys = match lane.perform(&Operation::ListKeys) {
        Outcome::Done(Answer::Keys(keys)) => keys,
        Outcome::Done(_) => Vec::new(),
        outcome => return Err(outcome),
    };
    let (mut proven, mut unasked) = (0, Vec::new());
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
            Err(outcome) => unasked.push((key.label, outcome)),
        }
        if lane.engine.exit.reason().is_some() {
            break;
        }
    }
    if let Some(index) = unasked.iter().position(|(label, _)| proven == 0 || served.contains(label)) {
        return Err(unasked.swap_remove(index).1);
    }
    // The token is there, and these keys make it fail: not every request for one of them may cost the others a recovery.
    for (label, outcome) in unasked {
        if let (Some(key), Outcome::Unavailable(why)) = (lane.engine.known_key(&label), outcome) {
            let why = format!("key {label:?} could not prove itself: {why}");
            tracing::error!(label, "{why}");
            key.set_proof(Proof::Failed(Instant::now() + UNASKED_PAUSE, why));
        }
    }
    Ok(())
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

    /// Signs a fresh nonce and verifies it: with the key that the token shows, which must be the certificate's where one is
    /// stored beside it.
    pub(super) fn prove(&mut self, key: &KnownKey) -> Result<(), Problem> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce)
            .map_err(|error| Refusal::new(codes::TOKEN, format!("the system's random numbers: {error}")))?;
        let message = self_proof_message(&nonce);
        let why = if let Some(why) = self.certified_otherwise(key)? {
            why
        } else if key.public.sm2().is_none() {
            let Some(why) = self.try_other(key, &nonce)? else {
                key.set_proof(Proof::Proven);
                return Ok(());
            };
            why
        } else {
            let e = E::of_message(key.sm2()?, &DistinguishingId::default(), &[&message]);
            let (form, signed) = self.sign_octets(&key.label, &e, Some(&message))?;
            let read = decode(form.encoding, &signed.given);
            if read.as_ref().is_ok_and(|signature| key.verifies(&e, signature)) {
                key.set_proof(Proof::Proven);
                count(&self.engine.counters.self_proofs);
                return Ok(());
            }
            count(&self.engine.counters.defective);
            self.diagnose(key, &form, &signed, read.err())?
        };
        let profile = &self.engine.profile;
        let why = format!(
            "key {:?} failed its self-proof and does not serve: {why} (profile {:?}, {})",
            key.label,
            profile.name,
            profile.file().display()
        );
        tracing::error!(label = key.label, "{why}");
        key.set_proof(Proof::Failed(Instant::now() + PROOF_PAUSE, why.clone()));
        Err(Refusal::new(codes::SELF_PROOF, why).into())
    }

    /// What speaks against the key's certificate, if one is stored: it must be for this key.
    fn certified_otherwise(&mut self, key: &KnownKey) -> Result<Option<String>, Problem> {
        let stored = keys::certificates(self.session()?, &key.id)?;
        Ok(stored.iter().filter_map(|(_, der)| Certificate::from_der(der).ok()).find_map(|certificate| {
            let other = !key.public.is_of(&certificate);
            other.then(|| {
                format!("the certificate of {:?}, stored beside it, is for another key", certificate.subject())
            })
        }))
    }

    /// What the module did instead of what the profile says.
    fn diagnose(
        &mut self,
        key: &KnownKey,
        form: &SignForm,
        signed: &Signed,
        unread: Option<String>,
    ) -> Result<String, Problem> {
        let engine = Arc::clone(&self.engine);
        let session = self.session()?;
        let mut others = Vec::new();
        for handle in keys::private_keys(session, &engine.profile.key, None)? {
            let found = keys::describe(session, handle, &engine.profile.key)?;
            let public = found.public.ok().and_then(|public| public.sm2().copied());
            others.extend(public.filter(|public| Some(public) != key.public.sm2()).map(|public| (found.label, public)));
        }
        let case = Case { key: key.sm2()?, others: &others, handed: &signed.handed, given: &signed.given };
        Ok(case.find().map_or_else(
            || unread.unwrap_or_else(|| "the signature verifies neither as SM2 nor in any other known way".into()),
            |finding| finding.advice(form),
        ))
    }
}
