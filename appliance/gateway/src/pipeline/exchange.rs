use std::sync::Arc;

use yanqian_evidence::{
    Der, IdempotencyTag, Intent, Label, Octets, PlatformSerial, Revocation, RevocationKind, Search, SignedDigest,
    Signer, Step, ToBeSigned,
};
use yanqian_hsm::WorkerError;
use yanqian_ledger::LedgerError;
use yanqian_platform::{
    AnswerChecker, CheckedAnswer, Expected, Outbound, RawAnswer, ReplayError, ReplayGuard, RequestContext, SendError,
    SignedRequest,
};
use yanqian_sm::{DistinguishingId, Signature, verify};
use yanqian_vocabulary::{CertificateHash, ContentDigest, FieldVerdicts, Nonce, Reason, Timestamp, TrustHash, Verdict};

use super::dossier::{Dossier, Proof, Refused};
use super::scope::InScope;
use crate::core::Core;
use crate::reply::Shed;
use crate::secrets;
use crate::state::StateHandle;

/// A check whose intent is durable; only the ledger's acknowledgement makes one (I2).
pub(crate) struct RecordedIntent {
    dossier: Dossier,
    outbound: Outbound,
}

/// A request with the token's signature in it, verified against the configured certificate.
pub(crate) struct Signed {
    dossier: Dossier,
    request: SignedRequest,
}

/// Something came back. Nothing of it is believed.
pub(crate) struct Answered {
    dossier: Dossier,
    request: SignedRequest,
    answer: RawAnswer,
}

/// The platform said this to this request, proven.
pub(crate) struct Verified {
    pub(super) dossier: Dossier,
    pub(super) overall: Verdict,
    pub(super) fields: FieldVerdicts,
}

impl InScope {
    /// Builds the request and makes the intent to sign it durable.
    pub(crate) async fn record_intent(self, core: &Arc<Core>) -> Result<RecordedIntent, Box<Refused>> {
        let Self { mut dossier, claim, platform_code } = self;
        let _timer = core.metrics.stage("intent");
        let Ok(trust) = core.platform.trust.current() else {
            return Err(dossier.refused(Reason::PlatformTrustUnusable, None));
        };
        let now = core.clock.now();
        let validity = core.signing.certificate.not_before()..=core.signing.certificate.not_after();
        if !validity.contains(&now.unix_seconds()) {
            return Err(dossier.refused(Reason::SigningCertificateInvalid, None));
        }
        let context = RequestContext {
            customer: &core.platform.customer_number,
            application: &core.platform.application,
            purpose_code: &platform_code,
            mode: dossier.mode,
            now,
            nonce: Nonce::new(core.random()),
        };
        let recipient = trust.encryption_certificate();
        let encoded =
            core.platform.profile.encode(&context, &claim, &dossier.fields, recipient, &mut getrandom::SysRng);
        let outbound = match encoded {
            Ok(outbound) => outbound,
            Err(error) => {
                tracing::error!(%error, "request cannot be built");
                return Err(dossier.refused(Reason::PlatformEncoding, None));
            }
        };
        let salt = core.random();
        let Some(intent) = intent(core, &dossier, &outbound, &claim, &salt) else {
            return Err(dossier.refused(Reason::PlatformEncoding, None));
        };
        match core.append(intent.into()).await {
            Ok(appended) => {
                dossier.intent_sequence = Some(appended.sequence);
                Ok(RecordedIntent { dossier, outbound })
            }
            Err(error) => {
                tracing::warn!(%error, "intent cannot be recorded; nothing is signed");
                Err(match error {
                    // The disk is full: the reserve still carries a refusal.
                    LedgerError::Full => dossier.refused(Reason::EvidenceUnavailable, None),
                    LedgerError::Busy => dossier.shed(Shed::Overloaded),
                    _ => dossier.shed(Shed::EvidenceUnavailable),
                })
            }
        }
    }
}

fn intent(
    core: &Core,
    dossier: &Dossier,
    outbound: &Outbound,
    claim: &yanqian_vocabulary::DocumentClaim,
    salt: &[u8; 32],
) -> Option<Intent> {
    let to_be_signed = if let Some(der) = outbound.attributes() {
        ToBeSigned::Attributes { der: Der::new(der).ok()? }
    } else {
        let e = outbound.e(&core.signing.public_key, &DistinguishingId::default());
        ToBeSigned::Content { e: SignedDigest::new(*e.as_bytes()) }
    };
    let lifetime = yanqian_documents::lifetime_number(claim);
    Some(Intent {
        verification: dossier.id,
        caller: dossier.caller.clone(),
        mode: dossier.mode,
        purpose: dossier.purpose.clone()?,
        document_type: claim.document_type,
        rule: dossier.rule.clone()?,
        fields: dossier.fields.iter().copied().collect(),
        request: outbound.digest(),
        nonce: outbound.nonce(),
        to_be_signed,
        search: Some(Search { epoch: 1, tag: core.keys.search_tag(claim.document_type.as_str(), &lifetime) }),
        commitment: secrets::commitment(salt, claim),
        idempotency: dossier.key.map(IdempotencyTag::new),
        received: dossier.received_at,
    })
}

impl RecordedIntent {
    /// Asks the token, and believes the signature only once it verifies with the certificate's key.
    pub(crate) async fn sign(self, core: &Arc<Core>) -> Result<Signed, Box<Refused>> {
        let Self { mut dossier, outbound } = self;
        let _timer = core.metrics.stage("sign");
        let signing = &core.signing;
        let e = outbound.e(&signing.public_key, &DistinguishingId::default());
        let message = signing.needs_message.then(|| outbound.to_be_signed());
        let raw = match signing.worker.sign(&signing.label, &e, message).await {
            Ok(raw) => raw,
            Err(error) => {
                tracing::warn!(%error, "the token did not sign");
                let reason = match error {
                    WorkerError::Busy => Reason::SignerBusy,
                    _ => Reason::SignerUnavailable,
                };
                return Err(dossier.refused(reason, None));
            }
        };
        core.metrics.signatures.inc();
        let signature = match Signature::from_raw(&raw) {
            Ok(signature) if verify(&signing.public_key, &e, &signature).is_ok() => signature,
            _ => {
                tracing::error!("the token's signature does not verify against the configured certificate");
                return Err(dossier.refused(Reason::SignatureDefective, None));
            }
        };
        dossier.signed_at = Some(core.clock.now());
        dossier.signature = Der::new(signature.to_der()).ok();
        dossier.attributes = outbound.attributes().and_then(|der| Der::new(der).ok());
        match outbound.finish(&core.platform.profile, &signature, &signing.certificate) {
            Ok(request) => Ok(Signed { dossier, request }),
            Err(_) => Err(dossier.refused(Reason::PlatformEncoding, None)),
        }
    }
}

impl Signed {
    /// Sends the request once.
    pub(crate) async fn send(self, core: &Arc<Core>) -> Result<Answered, Box<Refused>> {
        let Self { mut dossier, request } = self;
        let _timer = core.metrics.stage("platform");
        let Ok(trust) = core.platform.trust.current() else {
            return Err(dossier.refused(Reason::PlatformTrustUnusable, None));
        };
        dossier.sent_at = Some(core.clock.now());
        match core.platform.client.send(&request, &trust).await {
            Ok(answer) => {
                dossier.answered_at = Some(core.clock.now());
                Ok(Answered { dossier, request, answer })
            }
            Err(SendError::NotSent) => {
                dossier.sent_at = None;
                Err(dossier.refused(Reason::PlatformUnreachable, None))
            }
            Err(SendError::Unanswered) => Err(dossier.refused(Reason::OutcomeUnknown, None)),
            Err(SendError::Refused(reason)) => Err(dossier.refused(reason, None)),
        }
    }
}

/// The state store as memory of accepted answers. Blocks: used on a thread that may.
struct DurableReplay {
    state: StateHandle,
    platform: String,
}

impl ReplayGuard for DurableReplay {
    fn accept_once(&self, nonce: Nonce, serial: &str, expires: Timestamp) -> Result<bool, ReplayError> {
        let (platform, serial) = (self.platform.clone(), serial.to_owned());
        self.state
            .call_blocking(move |store| store.accept_answer(&platform, nonce, &serial, expires))
            .map_err(|_| ReplayError)
    }
}

impl Answered {
    /// Proves the answer, on a thread where arithmetic and a commit may take their time.
    pub(crate) async fn verify(self, core: &Arc<Core>) -> Result<Verified, Box<Refused>> {
        let Self { mut dossier, request, answer } = self;
        let _timer = core.metrics.stage("verify");
        let Ok(trust) = core.platform.trust.current() else {
            return Err(dossier.refused(Reason::PlatformTrustUnusable, None));
        };
        let now = dossier.answered_at.unwrap_or_else(|| core.clock.now());
        let profile = Arc::clone(&core.platform.profile);
        let replay = DurableReplay { state: core.state.clone(), platform: core.platform_id().to_string() };
        let asked = dossier.fields.clone();
        let trust_hash = TrustHash::new(*trust.hash());
        let checking = tokio::task::spawn_blocking(move || {
            let rules = AnswerChecker { profile: &profile, trust: &trust, replay: &replay };
            let expected = Expected { nonce: request.nonce(), digest: request.digest(), fields: &asked };
            let checked = rules.check(&answer, &expected, now);
            (answer, checked)
        });
        let Ok((answer, checked)) = checking.await else {
            // The checker panicked; that is a defect, and nothing was proven.
            return Err(dossier.refused(Reason::PlatformEnvelope, None));
        };
        let result = checked.result.clone();
        dossier.proof = Some(proof(answer, checked, trust_hash));
        match result {
            Ok(verdict) => Ok(Verified { dossier, overall: verdict.overall, fields: verdict.fields }),
            Err(reason) => Err(dossier.refused(reason, None)),
        }
    }
}

fn proof(answer: RawAnswer, checked: CheckedAnswer, trust: TrustHash) -> Proof {
    let der = |octets: Vec<u8>| Der::new(octets).ok();
    let time = |seconds: i64| Timestamp::from_unix_millis(seconds.saturating_mul(1000));
    Proof {
        status: answer.status,
        octets: Octets::new(answer.body),
        signature: checked.signature.and_then(der),
        attributes: checked.attributes.and_then(der),
        signer: checked.signer.and_then(|signer| {
            let hash = CertificateHash::new(signer.hash());
            der(signer.as_der().to_vec()).map(|certificate| Signer { hash, certificate })
        }),
        chain: checked.chain.iter().map(|certificate| CertificateHash::new(certificate.hash())).collect(),
        revocation: checked
            .crls
            .into_iter()
            .filter_map(|crl| {
                Some(Revocation {
                    kind: RevocationKind::Crl,
                    hash: ContentDigest::new(crl.hash),
                    issuer: der(crl.issuer)?,
                    this_update: time(crl.this_update),
                    next_update: Some(time(crl.next_update)),
                })
            })
            .collect(),
        platform_time: checked.time,
        platform_serial: checked.serial.and_then(|serial| PlatformSerial::new(serial).ok()),
        steps: checked
            .steps
            .iter()
            .map(|step| Step { name: Label::new(step.name.as_str()), refused: step.refused })
            .collect(),
        trust,
    }
}
