use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;
use yanqian_sm::{DistinguishingId, E, sm3};
use zeroize::Zeroizing;

use super::engine::{Engine, count};
use super::lane::{Lane, Problem};
use super::queue::Line;
use crate::protocol::{self, Act, Answer, KeyUsage, Operation, Outcome, Refusal, Reply, codes};
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
    /// Uid of who asks.
    pub(super) operator: u32,
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
        Operation::Status | Operation::Journal { .. } => None,
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

impl Engine {
    /// Answers what needs no token.
    pub(super) fn answer_without_token(&self, operation: &Operation) -> Outcome {
        let Operation::Journal { id, from } = operation else {
            return Outcome::Done(Answer::Status(Box::new(self.status())));
        };
        match self.journal.read(*id, *from) {
            Ok(page) => Outcome::Done(Answer::Journal(page)),
            Err(error) => Outcome::Refused(Refusal::new(codes::JOURNAL, format!("journal: {error}"))),
        }
    }
}

impl Lane {
    /// Answers an administrator's request, with a line in the journal before and after.
    pub(super) fn administer(&mut self, operation: &Operation, operator: u32) -> Outcome {
        let mut act = Act::now(operator, operation.name(), "ordered");
        (act.key_id, act.object) = match operation {
            Operation::DestroyKey { key_id, .. } => (Some(*key_id), None),
            Operation::ImportCertificate { certificate, .. } | Operation::ImportEncryptionKey { certificate, .. } => {
                (None, Some(sm3(&[certificate])))
            }
            _ => (None, None),
        };
        if let Err(error) = self.engine.journal.note(&act) {
            let why = format!("the journal cannot be written, so nothing was done: {error}");
            return Outcome::Refused(Refusal::new(codes::JOURNAL, why));
        }
        let outcome = self.perform(operation);
        let mut ended = Act::now(operator, operation.name(), "failed");
        (ended.key_id, ended.object) = (act.key_id.or_else(|| self.key_of(operation)), act.object);
        match &outcome {
            // It is done later, and then noted.
            Outcome::Busy => return outcome,
            Outcome::Done(answer) => {
                "done".clone_into(&mut ended.result);
                if let Answer::Csr(request) = answer {
                    ended.object = Some(sm3(&[request]));
                }
            }
            Outcome::Unavailable(_) | Outcome::Refused(_) => {}
        }
        if let Err(error) = self.engine.journal.note(&ended) {
            tracing::error!(%error, operation = operation.name(), "how an administrator's order ended is not in the journal");
        }
        outcome
    }

    /// The id of the key that an operation names, where this process knows it.
    fn key_of(&self, operation: &Operation) -> Option<[u8; 32]> {
        let (Operation::GenerateKey { label, .. }
        | Operation::Csr { label, .. }
        | Operation::ImportCertificate { label, .. }
        | Operation::ImportEncryptionKey { label, .. }) = operation
        else {
            return None;
        };
        self.engine.known_key(label).map(|key| key.public.key_id())
    }

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
            Operation::Status | Operation::Journal { .. } => match self.engine.answer_without_token(operation) {
                Outcome::Done(answer) => Ok(answer),
                other => Err(Problem::Answered(Box::new(other))),
            },
        }
    }
}
