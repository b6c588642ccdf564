use std::sync::Arc;
use std::time::Instant;

use yanqian_agreement::{Caller, Decision, Request};
use yanqian_vocabulary::{CallerReference, Claim, Reason};
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
        let Self { id, caller, mode, received_at, headers, body } = self;
        let deadline = Instant::now() + core.check_limit;
        let dossier = Dossier::new(id, caller.id.clone(), mode, received_at, deadline, core.in_force());

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
        let (scoped, reference) = judge(core, &caller, dossier, octets).await?;
        match key {
            None => Ok(Entry::New(Box::new(scoped.with_reference(reference)))),
            Some(key) => scoped.claim_key(core, &key, reference).await,
        }
    }
}

/// Judges the document of a body as the API takes it, and asks the agreement.
pub(super) async fn judge(
    core: &Arc<Core>,
    caller: &Caller,
    mut dossier: Dossier,
    octets: Zeroizing<Vec<u8>>,
) -> Result<(InScope, CallerReference), Box<Refused>> {
    let mode = dossier.mode;
    let now = core.clock.now();
    let timer = core.metrics.stage("documents");
    let ReadCheck { purpose, reference, claim } = match claim::read(core, &caller.id, mode, octets, now).await {
        Ok(read) => read,
        Err(fault) => {
            dossier.document_type = fault.document_type;
            return Err(dossier.refused(fault.reason, fault.field));
        }
    };
    drop(timer);
    dossier.document_type = Some(claim.document_type());
    dossier.fields = claim.fields();
    let asked = Request { mode, document_type: claim.document_type(), purpose: &purpose, fields: &dossier.fields };
    let platform_code = match yanqian_agreement::decide(&core.agreement, caller, &asked, now) {
        Decision::Allow { rule, purpose } => {
            dossier.rule = Some(rule);
            dossier.purpose = Some(purpose.code.clone());
            purpose.platform_code.clone()
        }
        Decision::Refuse { rule, reason, purpose } => {
            dossier.rule = Some(rule);
            dossier.purpose = purpose.map(|purpose| purpose.code.clone());
            return Err(dossier.refused(reason, field_of(reason)));
        }
    };
    Ok((InScope { dossier, claim, platform_code }, reference))
}

impl InScope {
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
