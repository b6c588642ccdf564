//! The durable points before a signature: the intent of a check, and, where the platform wants an application first, the
//! record of its answer, which is the intent of the next step.

use std::sync::Arc;

use yanqian_evidence::{Body, Der, Exchange, IdempotencyTag, Intent, Label, NextRequest, SignedDigest, ToBeSigned};
use yanqian_ledger::LedgerError;
use yanqian_messages::Recipient;
use yanqian_platform::{Applied, Outbound, RequestContext};
use yanqian_sm::DistinguishingId;
use yanqian_vocabulary::{Claim, DocumentNumber, DocumentType, Mode, Nonce, Reason, Timestamp};

use super::departure::Departure;
use super::dossier::{Dossier, Place, Refused};
use super::scope::InScope;
use crate::core::Core;
use crate::keys::InForce;
use crate::reply::Shed;

/// A step whose intent is durable; only the ledger's acknowledgement makes one (I2). `S` says which step it is, and with it
/// what may follow.
pub(crate) struct RecordedIntent<S> {
    pub(super) dossier: Dossier,
    pub(super) outbound: Outbound,
    pub(super) step: S,
}

/// The platform is applied to; the check itself is yet to be asked.
pub(crate) struct Application {
    pub(super) claim: Claim,
    pub(super) platform_code: String,
}

/// The check itself; its answer ends the way.
pub(crate) struct Check {
    /// What a reading must be about.
    pub(super) document_type: DocumentType,
    pub(super) number: DocumentNumber,
}

/// An application that the platform accepted, proven.
pub(crate) struct Accepted {
    pub(super) dossier: Dossier,
    pub(super) applied: Applied,
    pub(super) application: Application,
}

impl InScope {
    /// Builds the check's request and makes the intent to sign it durable.
    pub(crate) async fn record_intent(self, core: &Arc<Core>) -> Result<RecordedIntent<Check>, Box<Refused>> {
        let Self { mut dossier, claim, platform_code } = self;
        let _timer = core.metrics.stage("intent");
        let now = dossier.take_pairs(core);
        let built = build_check(core, &dossier, &claim, &platform_code, None, now);
        let (dossier, outbound) = record_first(core, dossier, built, &claim).await?;
        Ok(RecordedIntent { dossier, outbound, step: Check::of(&claim) })
    }

    /// Builds the application for the check, where the platform wants one first, and makes the intent to sign it durable.
    pub(crate) async fn record_application(
        self,
        core: &Arc<Core>,
    ) -> Result<RecordedIntent<Application>, Box<Refused>> {
        let Self { mut dossier, claim, platform_code } = self;
        let _timer = core.metrics.stage("intent");
        let now = dossier.take_pairs(core);
        let built = build_application(core, &dossier, &platform_code, now);
        let (dossier, outbound) = record_first(core, dossier, built, &claim).await?;
        Ok(RecordedIntent { dossier, outbound, step: Application { claim, platform_code } })
    }
}

impl Accepted {
    /// Builds the check itself with what the platform answered to the application, and makes both durable.
    pub(crate) async fn record_exchange(self, core: &Arc<Core>) -> Result<RecordedIntent<Check>, Box<Refused>> {
        let Self { mut dossier, applied, application: Application { claim, platform_code } } = self;
        let _timer = core.metrics.stage("intent");
        let outbound = match build_check(core, &dossier, &claim, &platform_code, Some(&applied), core.clock.now()) {
            Ok(outbound) => outbound,
            Err(reason) => return Err(dossier.refused(reason, None)),
        };
        let Some(exchange) = exchange(&dossier, &outbound) else {
            return Err(dossier.refused(Reason::PlatformEncoding, None));
        };
        match core.append_under(&dossier.in_force.context, Body::Exchange(exchange)).await {
            Ok(appended) => {
                dossier.exchange_sequence = Some(appended.sequence);
                dossier.places.push(Place::from(&appended));
                dossier.begin_next_step();
                Ok(RecordedIntent { dossier, outbound, step: Check::of(&claim) })
            }
            Err(error) => Err(not_recorded(dossier, error)),
        }
    }
}

impl Check {
    fn of(claim: &Claim) -> Self {
        Self { document_type: claim.document_type(), number: claim.number().clone() }
    }
}

async fn record_first(
    core: &Arc<Core>,
    mut dossier: Dossier,
    built: Result<Outbound, Reason>,
    claim: &Claim,
) -> Result<(Dossier, Outbound), Box<Refused>> {
    let outbound = match built {
        Ok(outbound) => outbound,
        Err(reason) => return Err(dossier.refused(reason, None)),
    };
    let salt = core.random();
    let Some(intent) = intent(core, &dossier, &outbound, claim, &salt) else {
        return Err(dossier.refused(Reason::PlatformEncoding, None));
    };
    match core.append_under(&dossier.in_force.context, intent.into()).await {
        Ok(appended) => {
            dossier.intent_sequence = Some(appended.sequence);
            dossier.places.push(Place::from(&appended));
            dossier.salt = Some(salt);
            Ok((dossier, outbound))
        }
        Err(error) => Err(not_recorded(dossier, error)),
    }
}

fn not_recorded(dossier: Dossier, error: LedgerError) -> Box<Refused> {
    tracing::warn!(%error, "intent cannot be recorded; nothing is signed");
    match error {
        // The disk is full: the reserve still carries a refusal.
        LedgerError::Full => dossier.refused(Reason::EvidenceUnavailable, None),
        LedgerError::Busy => dossier.shed(Shed::Overloaded),
        _ => dossier.shed(Shed::EvidenceUnavailable),
    }
}

impl Dossier {
    /// The moment of the intent decides which pairs the check is asked under; gives that moment.
    fn take_pairs(&mut self, core: &Core) -> Timestamp {
        let now = core.clock.now();
        let newest = core.in_force_at(now);
        // Another agreement may have come into force since this check was counted; its intent names the one that decided.
        if Arc::ptr_eq(&newest.agreement, &self.in_force.agreement) {
            self.in_force = newest;
        }
        if let Some(stranger) = self.departure.as_ref().and_then(Departure::stranger) {
            self.in_force = stranger.in_place_of(&self.in_force);
        }
        now
    }
}

/// The platform's route must be open, and the entity's own pairs valid and proven, before anything is signed or can be sealed
/// to it. No other pair stands in for one that is not.
fn check_ready(core: &Core, dossier: &Dossier, now: Timestamp) -> Result<(), Reason> {
    dossier.check_route(core)?;
    // Once the platform has an application, the reason would say wrongly that nothing was sent.
    if !dossier.reached_platform() && !core.clock_health.is_trusted() {
        return Err(Reason::ClockUntrusted);
    }
    let InForce { signing, encryption, .. } = &*dossier.in_force;
    if !signing.is_valid_at(now) {
        return Err(Reason::SigningCertificateInvalid);
    }
    let mut proven = signing.is_proven();
    if dossier.mode == Mode::ChipReading {
        let valid = encryption.as_ref().filter(|pair| pair.is_valid_at(now));
        proven &= valid.ok_or(Reason::EncryptionCertificateInvalid)?.is_proven();
    }
    if proven { Ok(()) } else { Err(Reason::SignerUnavailable) }
}

fn context<'a>(
    core: &'a Core,
    dossier: &'a Dossier,
    purpose_code: &'a str,
    applied: Option<&'a Applied>,
    now: Timestamp,
) -> RequestContext<'a> {
    let departure = dossier.departure.as_ref();
    RequestContext {
        customer: &core.platform.customer_number,
        application: &core.platform.application,
        purpose_code,
        mode: dossier.mode,
        now: departure.map_or(now, |departure| departure.time(now)),
        nonce: departure.and_then(Departure::nonce).unwrap_or_else(|| Nonce::new(core.random())),
        applied,
        certificate: &dossier.in_force.signing.certificate,
    }
}

fn build_application(core: &Core, dossier: &Dossier, platform_code: &str, now: Timestamp) -> Result<Outbound, Reason> {
    check_ready(core, dossier, now)?;
    let context = context(core, dossier, platform_code, None, now);
    core.platform.profile.encode_application(&context).map_err(|error| {
        tracing::error!(%error, "application cannot be built");
        Reason::PlatformEncoding
    })
}

fn build_check(
    core: &Core,
    dossier: &Dossier,
    claim: &Claim,
    platform_code: &str,
    applied: Option<&Applied>,
    now: Timestamp,
) -> Result<Outbound, Reason> {
    check_ready(core, dossier, now)?;
    let trust = core.platform.trust.current().map_err(|_| Reason::PlatformTrustUnusable)?;
    let context = context(core, dossier, platform_code, applied, now);
    let certificate = trust.encryption_certificate();
    let table = certificate.public_key().and_then(|key| core.verifier.sealing_table(key));
    let recipient = Recipient::new(certificate, table.as_deref().map(|table| &**table));
    core.platform.profile.encode(&context, claim, recipient, &mut getrandom::SysRng).map_err(|error| {
        tracing::error!(%error, "request cannot be built");
        Reason::PlatformEncoding
    })
}

fn to_be_signed(dossier: &Dossier, outbound: &Outbound) -> Option<ToBeSigned> {
    Some(if let Some(der) = outbound.attributes() {
        ToBeSigned::Attributes { der: Der::new(der).ok()? }
    } else {
        let e = outbound.e(&dossier.in_force.signing.public_key, &DistinguishingId::default());
        ToBeSigned::Content { e: SignedDigest::new(*e.as_bytes()) }
    })
}

fn intent(core: &Core, dossier: &Dossier, outbound: &Outbound, claim: &Claim, salt: &[u8; 32]) -> Option<Intent> {
    let lifetime = yanqian_documents::lifetime_number(claim.document_type(), claim.number());
    Some(Intent {
        verification: dossier.id,
        caller: dossier.caller.clone(),
        mode: dossier.mode,
        purpose: dossier.purpose.clone()?,
        document_type: claim.document_type(),
        rule: dossier.rule.clone()?,
        fields: dossier.fields.iter().copied().collect(),
        request: outbound.digest(),
        nonce: outbound.nonce(),
        to_be_signed: to_be_signed(dossier, outbound)?,
        search: Some(core.search_key().search(claim.document_type(), &lifetime)),
        commitment: yanqian_evidence::commitment(salt, claim),
        idempotency: dossier.key.map(IdempotencyTag::new),
        received: dossier.received_at,
    })
}

fn exchange(dossier: &Dossier, outbound: &Outbound) -> Option<Exchange> {
    let proof = dossier.proof.as_ref()?;
    Some(Exchange {
        verification: dossier.id,
        intent: dossier.intent_sequence?,
        step: Label::new("apply"),
        signature: dossier.request_signature()?,
        answer: proof.answer(),
        signer: proof.signer.clone()?,
        chain: proof.chain.clone(),
        revocation: proof.revocation.clone(),
        platform_time: proof.platform_time,
        platform_serial: proof.platform_serial.clone(),
        steps: proof.steps.clone(),
        times: dossier.times(),
        trust: proof.trust,
        platform_status: proof.status,
        next: NextRequest {
            request: outbound.digest(),
            nonce: outbound.nonce(),
            to_be_signed: to_be_signed(dossier, outbound)?,
        },
    })
}
