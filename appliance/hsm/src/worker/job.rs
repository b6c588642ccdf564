use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;
use yanqian_sm::{DistinguishingId, E};
use zeroize::Zeroizing;

use super::engine::{Engine, count};
use super::lane::{Lane, Problem};
use super::queue::Line;
use crate::protocol::{self, Answer, KeyUsage, Operation, Outcome, Refusal, Reply, codes};
use crate::self_proof::self_proof_message;

/// A frame on its way to a client, with the place it takes on its connection.
pub(super) type Outgoing = (Zeroizing<Vec<u8>>, Place);

/// A request's place on its connection, from reading it until its answer is written.
pub(super) struct Place {
    engine: Arc<Engine>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    pub(super) fn new(engine: &Arc<Engine>, permit: OwnedSemaphorePermit) -> Self {
        engine.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { engine: Arc::clone(engine), _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.engine.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that waits for a thread.
pub(super) struct Job {
    pub(super) operation: Operation,
    pub(super) reply: ReplyTo,
}

/// Where an answer goes. Dropped without one, it says that the worker is unavailable.
pub(super) struct ReplyTo {
    pub(super) id: u64,
    pub(super) way: Option<(UnboundedSender<Outgoing>, Place)>,
}

impl ReplyTo {
    pub(super) fn finish(mut self, outcome: Outcome) {
        self.send(outcome);
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_gone(&self) -> bool {
        self.way.as_ref().is_none_or(|(sender, _)| sender.is_closed())
    }

    fn send(&mut self, outcome: Outcome) {
        let Some((sender, place)) = self.way.take() else { return };
        let reply = Reply { id: self.id, outcome };
        let frame = protocol::encode(&reply).or_else(|_| {
            let refusal = Refusal::new(codes::TOKEN, "the answer is larger than a frame");
            protocol::encode(&Reply { id: self.id, outcome: Outcome::Refused(refusal) })
        });
        if let Ok(frame) = frame {
            // A connection that has ended needs no answer.
            let _ = sender.send((frame, place));
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        self.send(Outcome::Unavailable("the worker is ending".into()));
    }
}

/// The line an operation waits in; none when it needs no token.
pub(super) const fn line(operation: &Operation) -> Option<Line> {
    match operation {
        Operation::Status => None,
        Operation::Sign { .. }
        | Operation::SignDigest { .. }
        | Operation::PublicKey { .. }
        | Operation::Random { .. }
        | Operation::SelfProof { .. }
        | Operation::Unseal { .. } => Some(Line::Sign),
        Operation::ListKeys
        | Operation::GenerateKey { .. }
        | Operation::Csr { .. }
        | Operation::ImportCertificate { .. }
        | Operation::ImportEncryptionKey { .. }
        | Operation::DestroyKey { .. } => Some(Line::Manage),
    }
}

/// Whether only administrators may ask for it.
pub(super) const fn is_management(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::GenerateKey { .. }
            | Operation::Csr { .. }
            | Operation::ImportCertificate { .. }
            | Operation::ImportEncryptionKey { .. }
            | Operation::DestroyKey { .. }
    )
}

impl Lane {
    /// Answers one request.
    pub(super) fn perform(&mut self, operation: &Operation) -> Outcome {
        self.run(|lane| lane.answer(operation)).map_or_else(|outcome| outcome, Outcome::Done)
    }

    fn answer(&mut self, operation: &Operation) -> Result<Answer, Problem> {
        match operation {
            Operation::Sign { label, e, tbs } => {
                let key = self.proven_key(label)?;
                key.must_be_for(KeyUsage::Sign)?;
                key.sm2()?;
                let e = E::from_digest(*e);
                if let Some(tbs) = tbs
                    && E::of_message(key.sm2()?, &DistinguishingId::default(), &[tbs]) != e
                {
                    let why = "tbs does not hash to e with this key and the default distinguishing id";
                    return Err(Refusal::new(codes::TBS_MISMATCH, why).into());
                }
                let signature = self.sign_verified(&key, &e, tbs.as_deref())?;
                Ok(Answer::Signature(signature.to_raw()))
            }
            Operation::SelfProof { label, nonce } => {
                if !self.engine.may_prove() {
                    return Err(Refusal::new(codes::RATE_LIMITED, "too many self-proofs; one each second").into());
                }
                let (_, key) = self.key(label)?;
                key.must_be_for(KeyUsage::Sign)?;
                let message = self_proof_message(nonce);
                let e = E::of_message(key.sm2()?, &DistinguishingId::default(), &[&message]);
                let signature = self.sign_unproven(label, &e, Some(&message))?;
                count(&self.engine.counters.self_proofs);
                Ok(Answer::Signature(signature.to_raw()))
            }
            Operation::PublicKey { label } => Ok(Answer::PublicKey(self.key(label)?.1.sm2()?.to_sec1())),
            Operation::Random { count } => {
                let mut octets = vec![0; *count as usize];
                self.session()?.random(&mut octets)?;
                Ok(Answer::Random(octets))
            }
            Operation::ListKeys => self.list_keys(),
            Operation::GenerateKey { label, algorithm } => self.generate_key(label, *algorithm),
            Operation::SignDigest { label, scheme, digest, tbs } => {
                self.sign_digest(label, *scheme, digest, tbs.as_deref()).map(Answer::DigestSignature)
            }
            Operation::Csr { label, subject } => self.csr(label, subject),
            Operation::ImportCertificate { label, certificate } => self.import_certificate(label, certificate),
            Operation::Unseal { label, cipher } => self.unseal(label, cipher),
            Operation::ImportEncryptionKey { label, wrapping_label, enveloped_key, certificate } => {
                self.import_encryption_key(label, wrapping_label, enveloped_key, certificate)
            }
            Operation::DestroyKey { label, key_id } => self.destroy_key(label, key_id),
            Operation::Status => Ok(Answer::Status(Box::new(self.engine.status()))),
        }
    }
}
