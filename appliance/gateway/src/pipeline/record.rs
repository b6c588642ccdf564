//! The two durable points of the way, and what becomes of a check at its end.

use std::sync::Arc;

use serde::Serialize;
use yanqian_evidence::{Decision, IdempotencyTag, Label, Outcome, Refusal};
use yanqian_ledger::Appended;
use yanqian_vocabulary::{CallerId, FieldVerdicts, Mode, Reading, Reason, Verdict, VerificationId};
use zeroize::Zeroizing;

use super::dossier::{Dossier, Place, Proof, Refused};
use super::receipt::SealedReceipt;
use super::verify::Unsealed;
use crate::api::problem::Problem;
use crate::core::Core;
use crate::metrics::RejectCause;
use crate::reply::{Reply, Shed};
use crate::secrets::ReplyOwner;
use crate::state::{Finish, KeptReceipt, Orphan, StoredReply};

/// A durable end. Only [`close`] makes one, and only from the ledger's own acknowledgement (I1).
pub(super) struct RecordedOutcome {
    pub(super) dossier: Dossier,
    ending: Ending,
    appended: Appended,
}

/// How a check ended.
enum Ending {
    Verdict { overall: Verdict, fields: FieldVerdicts, reading: Option<Reading> },
    Refused { reason: Reason, field: Option<&'static str> },
}

impl Refused {
    /// Records the refusal and answers it.
    pub(crate) async fn conclude(self: Box<Self>, core: &Arc<Core>) -> Result<Reply, Shed> {
        Ok(self.record(core).await?.into_reply(core).await)
    }

    pub(super) async fn record(self: Box<Self>, core: &Arc<Core>) -> Result<RecordedOutcome, Shed> {
        let Self { mut dossier, reason, field, shed } = *self;
        if !dossier.reached_platform()
            && let Some(spent) = dossier.spent.take()
        {
            core.quotas.give_back(&spent);
        }
        let held =
            dossier.key.filter(|_| !dossier.reached_platform()).map(|tag| (dossier.caller.clone(), tag, dossier.id));
        let closed = match shed {
            Some(shed) => Err(shed),
            None => close(core, dossier, Ending::Refused { reason, field }).await,
        };
        if closed.is_err() {
            release(core, held).await;
        }
        closed
    }
}

impl Unsealed {
    /// Records the verdict and answers it.
    pub(crate) async fn conclude(self, core: &Arc<Core>) -> Result<Reply, Shed> {
        Ok(self.record(core).await?.into_reply(core).await)
    }

    pub(super) async fn record(self, core: &Arc<Core>) -> Result<RecordedOutcome, Shed> {
        let Self { dossier, overall, fields, reading } = self;
        close(core, dossier, Ending::Verdict { overall, fields, reading }).await
    }
}

/// Frees the idempotency key of a check of which nothing was sent and nothing could be recorded.
async fn release(core: &Arc<Core>, held: Option<(CallerId, [u8; 32], VerificationId)>) {
    let Some((caller, tag, id)) = held else { return };
    if let Err(error) = core.state.call(move |store| store.release(&caller, &tag, id)).await {
        tracing::error!(%error, verification = %id, "idempotency key cannot be freed; the next start frees it");
    }
}

async fn close(core: &Arc<Core>, mut dossier: Dossier, ending: Ending) -> Result<RecordedOutcome, Shed> {
    let _timer = core.metrics.stage("outcome");
    let body = match (dossier.intent_sequence, &ending) {
        (Some(intent), ending) => outcome(&dossier, intent, ending).into(),
        (None, Ending::Refused { reason, field }) => refusal(&dossier, *reason, *field).into(),
        // A verdict comes from `Unsealed`, which no check reaches without an intent.
        (None, Ending::Verdict { .. }) => return Err(Shed::EvidenceUnavailable),
    };
    match core.append_under(&dossier.in_force.context, body).await {
        Ok(appended) => {
            dossier.places.push(Place::from(&appended));
            match &ending {
                Ending::Verdict { overall, .. } => {
                    core.metrics.verdicts.with_label_values(&[dossier.mode.as_str(), overall.as_str()]).inc();
                }
                Ending::Refused { reason, .. } => {
                    core.metrics.refusals.with_label_values(&[reason.code()]).inc();
                }
            }
            Ok(RecordedOutcome { dossier, ending, appended })
        }
        Err(error) => {
            tracing::error!(%error, verification = %dossier.id, "outcome cannot be recorded; no reply is given");
            Err(Shed::EvidenceUnavailable)
        }
    }
}

fn refusal(dossier: &Dossier, reason: Reason, field: Option<&'static str>) -> Refusal {
    Refusal {
        verification: dossier.id,
        caller: dossier.caller.clone(),
        mode: dossier.mode,
        reason,
        field: field.map(Label::new),
        purpose: dossier.purpose.clone(),
        document_type: dossier.document_type,
        rule: dossier.rule.clone(),
        idempotency: dossier.key.map(IdempotencyTag::new),
        earlier: None,
        received: dossier.received_at,
    }
}

fn outcome(dossier: &Dossier, intent: u64, ending: &Ending) -> Outcome {
    let decision = match ending {
        Ending::Verdict { overall, fields, .. } => Decision::Verdict { overall: *overall, fields: fields.clone() },
        Ending::Refused { reason, .. } => Decision::Refused { reason: *reason },
    };
    let proof = dossier.proof.as_ref();
    Outcome {
        verification: dossier.id,
        intent,
        decision,
        signature: dossier.request_signature(),
        answer: proof.map(Proof::answer),
        signer: proof.and_then(|proof| proof.signer.clone()),
        chain: proof.map(|proof| proof.chain.clone()).unwrap_or_default(),
        revocation: proof.map(|proof| proof.revocation.clone()).unwrap_or_default(),
        platform_time: proof.and_then(|proof| proof.platform_time),
        platform_serial: proof.and_then(|proof| proof.platform_serial.clone()),
        steps: proof.map(|proof| proof.steps.clone()).unwrap_or_default(),
        times: dossier.times(),
        trust: proof.map(|proof| proof.trust),
        platform_status: proof.map(|proof| proof.status),
        exchange: dossier.exchange_sequence,
        reading: dossier.reading,
    }
}

#[derive(Serialize)]
struct VerdictReply<'a> {
    id: String,
    reference: &'a str,
    verdict: &'static str,
    fields: std::collections::BTreeMap<&'static str, &'static str>,
    /// Only in the reply to the check itself, never in one that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    reading: Option<ReadingPart<'a>>,
    /// In chip readings: whether the files were authenticated before they were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    passive_authentication: Option<&'static str>,
    platform: PlatformPart,
    record: RecordPart,
}

#[derive(Serialize)]
struct ReadingPart<'a> {
    r#type: &'static str,
    number: &'a str,
    name: &'a str,
    sex: &'static str,
    #[serde(serialize_with = "wiped_text")]
    birth_date: Zeroizing<String>,
    nationality: &'a str,
    #[serde(serialize_with = "wiped_text")]
    expiry: Zeroizing<String>,
}

fn wiped_text<S: serde::Serializer>(text: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl<'a> ReadingPart<'a> {
    fn of(reading: &'a Reading) -> Self {
        Self {
            r#type: reading.document_type.as_str(),
            number: reading.number.expose(),
            name: reading.name.expose(),
            sex: reading.sex.as_str(),
            birth_date: Zeroizing::new(reading.birth_date.0.to_iso()),
            nationality: reading.nationality.expose(),
            expiry: Zeroizing::new(reading.expiry.0.to_iso()),
        }
    }
}

#[derive(Serialize)]
struct PlatformPart {
    id: String,
    serial: Option<String>,
    time: Option<String>,
}

#[derive(Serialize)]
struct RecordPart {
    sequence: u64,
    leaf_hash: String,
}

impl RecordedOutcome {
    pub(super) async fn into_reply(self, core: &Arc<Core>) -> Reply {
        let Self { dossier, ending, appended } = self;
        let reply = match &ending {
            Ending::Verdict { overall, fields, reading } => {
                let body = |reading| verdict_body(core, &dossier, *overall, fields, reading, &appended);
                let reply = Reply::verdict(dossier.id, body(None));
                match reading {
                    Some(reading) => reply.with_transient_body(body(Some(reading))),
                    None => reply,
                }
            }
            Ending::Refused { reason, field } => {
                let mut problem = Problem::of_reason(*reason, *field, Some(dossier.id));
                problem.detail = dossier.detail.or(problem.detail);
                let reply = Reply::problem(dossier.id, &problem);
                match dossier.limited {
                    Some(limited) => reply.with_limit(limited),
                    None => reply,
                }
            }
        };
        keep(core, &dossier, &ending, &reply).await;
        reply
    }
}

fn verdict_body(
    core: &Core,
    dossier: &Dossier,
    overall: Verdict,
    fields: &FieldVerdicts,
    reading: Option<&Reading>,
    appended: &Appended,
) -> Zeroizing<Vec<u8>> {
    let proof = dossier.proof.as_ref();
    let document = VerdictReply {
        id: dossier.id.to_string(),
        reference: dossier.reference.as_ref().map_or("", |reference| reference.expose()),
        verdict: overall.as_str(),
        fields: fields.iter().map(|(field, verdict)| (field.as_str(), verdict.as_str())).collect(),
        reading: reading.map(ReadingPart::of),
        // With anchors, what is not authenticated does not come so far.
        passive_authentication: (dossier.mode == Mode::ChipReading).then_some(if core.chip_anchors.is_some() {
            "passed"
        } else {
            "not-configured"
        }),
        platform: PlatformPart {
            id: core.platform_id().to_string(),
            serial: proof.and_then(|proof| proof.platform_serial.as_ref()).map(ToString::to_string),
            time: proof.and_then(|proof| proof.platform_time).map(|time| time.to_string()),
        },
        record: RecordPart { sequence: appended.sequence, leaf_hash: appended.leaf.to_string() },
    };
    // Full capacity at once: a growing vector would leave unwiped copies of a reading behind.
    let mut body = Zeroizing::new(Vec::with_capacity(4096));
    // Writing texts into memory does not fail.
    drop(serde_json::to_writer(&mut *body, &document));
    body
}

/// Keeps the reply for its caller, and under the idempotency key once the request may have reached the platform. A key
/// whose check ended before that is free again (I4).
async fn keep(core: &Arc<Core>, dossier: &Dossier, ending: &Ending, reply: &Reply) {
    let sent = dossier.reached_platform();
    let unknown = matches!(ending, Ending::Refused { reason: Reason::OutcomeUnknown, .. });
    let owner = ReplyOwner { entity: core.entity(), caller: &dossier.caller, id: dossier.id };
    let now = core.clock.now();
    let finish = Finish {
        id: dossier.id,
        caller: dossier.caller.clone(),
        tag: dossier.key.filter(|_| sent),
        sealed: core.keys.seal_reply(&owner, core.random(), &reply.to_stored()),
        now,
        expires: if unknown { FAR_FUTURE } else { now.plus_millis(core.reply_retention_millis) },
        receipt: Some(KeptReceipt {
            sealed: SealedReceipt::of(dossier).seal(core, &owner),
            expires: now.plus_millis(core.receipt_retention_millis),
        }),
    };
    let release = dossier.key.filter(|_| !sent);
    let kept = core
        .state
        .call(move |store| {
            if let Some(tag) = release {
                store.release(&finish.caller, &tag, finish.id)?;
            }
            store.finish(&finish)
        })
        .await;
    if let Err(error) = kept {
        // The outcome is durable, so the reply may be given; the key stays taken until the next start resolves it.
        tracing::error!(%error, verification = %dossier.id, "reply cannot be kept");
    }
}

/// The expiry of what must never be forgotten: 9999-12-31.
const FAR_FUTURE: yanqian_vocabulary::Timestamp = yanqian_vocabulary::Timestamp::MAX;

/// Opens a stored reply for its caller.
pub(super) fn open_stored(core: &Core, caller: &CallerId, stored: &StoredReply) -> Option<Reply> {
    let owner = ReplyOwner { entity: core.entity(), caller, id: stored.id };
    match core.keys.open_reply(&owner, &stored.sealed) {
        Ok(plain) => Reply::from_stored(stored.id, &plain),
        Err(error) => {
            tracing::error!(%error, verification = %stored.id, "stored reply");
            None
        }
    }
}

/// `GET /v1/verifications/{id}`: the reply as given, to the caller who asked; for anyone else there is no such check.
pub(crate) async fn lookup(
    core: &Arc<Core>,
    names: &[String],
    id: VerificationId,
) -> Result<Result<Reply, Shed>, RejectCause> {
    let caller = core.caller(names)?;
    let asker = caller.clone();
    match core.state.call(move |store| store.find(&asker, id)).await {
        Ok(Some(stored)) => Ok(open_stored(core, &caller, &stored).ok_or(Shed::StateUnavailable)),
        Ok(None) => Err(RejectCause::NotFound),
        Err(error) => {
            tracing::error!(%error, "reply cannot be looked up");
            Ok(Err(Shed::StateUnavailable))
        }
    }
}

/// The permanent reply of a check whose end was lost (I4), with its receipt, ready to be kept for its caller.
pub(crate) fn unknown_reply(core: &Core, orphan: &Orphan, places: &[Place]) -> Finish {
    let Orphan { id, caller, tag } = orphan;
    let problem = Problem::of_reason(Reason::OutcomeUnknown, None, Some(*id));
    let owner = ReplyOwner { entity: core.entity(), caller, id: *id };
    let now = core.clock.now();
    Finish {
        id: *id,
        caller: caller.clone(),
        tag: Some(*tag),
        sealed: core.keys.seal_reply(&owner, core.random(), &Reply::problem(*id, &problem).to_stored()),
        now,
        expires: FAR_FUTURE,
        receipt: Some(KeptReceipt {
            sealed: SealedReceipt::of_places(places).seal(core, &owner),
            expires: now.plus_millis(core.receipt_retention_millis),
        }),
    }
}
