use std::sync::Arc;
use std::time::Instant;

use yanqian_agreement::{Counters, Decision, Moment, Request};
use yanqian_vocabulary::{CallerReference, Claim, Reason, RuleId};
use zeroize::Zeroizing;

use super::claim::{self, ReadCheck};
use super::dossier::{Dossier, Refused};
use super::received::{Authenticated, check_content, idempotency_key};
use super::record::open_stored;
use crate::api::body;
use crate::core::Core;
use crate::reply::{Reply, Shed};
use crate::state::{Begin, Begun};

/// A check that the agreement allows and whose idempotency key, if any, is its own.
pub(crate) struct InScope {
    pub(super) dossier: Dossier,
    pub(super) claim: Claim,
    pub(super) platform_code: String,
}

/// How a check enters the rest of the way.
pub(crate) enum Entry {
    New(Box<InScope>),
    /// The same request was asked before under this key; its first reply stands.
    Replayed(Reply),
    Shed(Shed),
}

impl Authenticated {
    /// Reads the body, judges the document, asks the agreement, and claims the idempotency key, in this order.
    pub(crate) async fn scope(self, core: &Arc<Core>) -> Result<Entry, Box<Refused>> {
        let Self { id, caller, mode, source, received_at, headers, body } = self;
        let deadline = Instant::now() + core.check_limit;
        let dossier = Dossier::new(id, caller, mode, source, received_at, deadline, core.in_force());

        let key = match check_content(&headers).and_then(|()| idempotency_key(&headers)) {
            Ok(key) => key,
            Err(reason) => {
                body::discard(body).await;
                let field = (reason == Reason::IdempotencyKeyMalformed).then_some("idempotency-key");
                return Err(dossier.refused(reason, field));
            }
        };
        let timer = core.metrics.stage("body");
        let octets = match body::read(body, core.body_limits(mode)).await {
            Ok(octets) => octets,
            Err(reason) => return Err(dossier.refused(reason, None)),
        };
        drop(timer);
        let (scoped, reference) = judge(core, dossier, octets).await?;
        match key {
            None => Ok(Entry::New(Box::new(scoped.with_reference(reference)))),
            Some(key) => scoped.claim_key(core, &key, reference).await,
        }
    }
}

/// Judges the document of a body as the API takes it, and asks whether the agreement covers it; what its quotas say is asked once
/// the check is known to be a new one.
pub(super) async fn judge(
    core: &Arc<Core>,
    mut dossier: Dossier,
    octets: Zeroizing<Vec<u8>>,
) -> Result<(InScope, CallerReference), Box<Refused>> {
    let mode = dossier.mode;
    let now = core.clock.now();
    let timer = core.metrics.stage("documents");
    let ReadCheck { purpose, reference, claim } = match claim::read(core, &dossier.caller, mode, octets, now).await {
        Ok(read) => read,
        Err(fault) => {
            dossier.document_type = fault.document_type;
            dossier.detail = fault.rule;
            return Err(dossier.refused(fault.reason, fault.field));
        }
    };
    drop(timer);
    dossier.document_type = Some(claim.document_type());
    dossier.fields = claim.fields();
    let agreement = Arc::clone(&dossier.in_force.agreement);
    let Some(caller) = agreement.caller(&dossier.caller) else { return Err(no_caller(dossier)) };
    let (document_type, source) = (claim.document_type(), dossier.source);
    let asked = Request { mode, document_type, purpose: &purpose, fields: &dossier.fields, source };
    let moment = Moment { time: now, uptime: core.clock.uptime() };
    let decision = yanqian_agreement::decide(&agreement, caller, &asked, &Counters::UNUSED, moment);
    match dossier.decided(decision) {
        Ok((dossier, platform_code)) => Ok((InScope { dossier, claim, platform_code }, reference)),
        Err(refused) => Err(refused),
    }
}

/// Another agreement came into force, and it does not have this caller.
fn no_caller(mut dossier: Dossier) -> Box<Refused> {
    dossier.rule = RuleId::new("agreement.callers").ok();
    dossier.refused(Reason::AgreementCallerPurpose, None)
}

impl Dossier {
    /// Takes down what the agreement says; gives the purpose's code at the platform.
    fn decided(mut self, decision: Decision<'_>) -> Result<(Self, String), Box<Refused>> {
        match decision {
            Decision::Allow { rule, purpose } => {
                self.rule = Some(rule);
                self.purpose = Some(purpose.code.clone());
                Ok((self, purpose.platform_code.clone()))
            }
            Decision::Refuse { rule, reason, purpose, limited } => {
                self.rule = Some(rule);
                self.purpose = purpose.map(|purpose| purpose.code.clone());
                self.limited = limited;
                Err(self.refused(reason, field_of(reason)))
            }
        }
    }
}

impl InScope {
    /// Asks the agreement that is in force now, its quotas with it, and counts the check. From here to its end the check is under
    /// this agreement.
    pub(super) async fn count(self, core: &Arc<Core>) -> Result<Self, Box<Refused>> {
        let Self { mut dossier, claim, .. } = self;
        dossier.in_force = core.in_force();
        let agreement = Arc::clone(&dossier.in_force.agreement);
        let Some(caller) = agreement.caller(&dossier.caller) else { return Err(no_caller(dossier)) };
        // The scope was judged before, and it needs a purpose.
        let Some(purpose) = dossier.purpose.clone() else {
            return Err(dossier.refused(Reason::AgreementPurpose, Some("purpose")));
        };
        let (mode, document_type, source) = (dossier.mode, claim.document_type(), dossier.source);
        let asked = Request { mode, document_type, purpose: &purpose, fields: &dossier.fields, source };
        match core.decide_and_count(&agreement, caller, &asked).await {
            Ok((decision, spent)) => {
                dossier.spent = spent;
                let (dossier, platform_code) = dossier.decided(decision)?;
                Ok(Self { dossier, claim, platform_code })
            }
            Err(error) => {
                tracing::error!(%error, "the day's quotas cannot be used");
                Err(dossier.refused(Reason::StateUnavailable, None))
            }
        }
    }

    pub(super) fn with_reference(mut self, reference: CallerReference) -> Self {
        self.dossier.reference = Some(reference);
        self
    }

    async fn claim_key(
        mut self,
        core: &Arc<Core>,
        key: &str,
        reference: CallerReference,
    ) -> Result<Entry, Box<Refused>> {
        let purpose = self.dossier.purpose.as_ref().map_or("", |purpose| purpose.as_str());
        let begin = Begin {
            id: self.dossier.id,
            caller: self.dossier.caller.clone(),
            tag: core.keys.idempotency_tag(&self.dossier.caller, key),
            fingerprint: core.keys.fingerprint(self.dossier.mode.as_str(), purpose, reference.expose(), &self.claim),
            now: self.dossier.received_at,
        };
        let tag = begin.tag;
        self.dossier.reference = Some(reference);
        match core.state.call(move |store| store.begin(&begin)).await {
            Ok(Begun::New) => {
                self.dossier.key = Some(tag);
                Ok(Entry::New(Box::new(self)))
            }
            Ok(Begun::InFlight) => Err(self.dossier.refused(Reason::IdempotencyInFlight, Some("idempotency-key"))),
            Ok(Begun::Mismatch) => Err(self.dossier.refused(Reason::IdempotencyMismatch, Some("idempotency-key"))),
            Ok(Begun::Final(stored)) => match open_stored(core, &self.dossier.caller, &stored) {
                Some(reply) => Ok(Entry::Replayed(reply)),
                None => Ok(Entry::Shed(Shed::StateUnavailable)),
            },
            Err(error) => {
                tracing::error!(%error, "idempotency key cannot be claimed");
                Err(self.dossier.refused(Reason::StateUnavailable, None))
            }
        }
    }
}

/// Which part of the request an agreement's refusal is about.
pub(super) fn field_of(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::AgreementPurpose | Reason::AgreementCallerPurpose => Some("purpose"),
        Reason::AgreementDocumentType => Some("document.type"),
        Reason::AgreementField => Some("document"),
        _ => None,
    }
}
