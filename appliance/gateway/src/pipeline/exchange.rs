//! The token's signature and the platform's answer: the two moments at which a check depends on somebody else.

use std::sync::Arc;

use yanqian_evidence::Der;
use yanqian_hsm::WorkerError;
use yanqian_platform::{RawAnswer, SendError, SignedRequest};
use yanqian_sm::DistinguishingId;
use yanqian_vocabulary::{ContentDigest, Nonce, Reason};

use super::dossier::{Dossier, Refused};
use super::intent::RecordedIntent;
use crate::core::Core;

/// A request with the token's signature in it, verified against the configured certificate.
pub(crate) struct Signed<S> {
    dossier: Dossier,
    request: SignedRequest,
    step: S,
}

/// Something came back. Nothing of it is believed.
pub(crate) struct Answered<S> {
    pub(super) dossier: Dossier,
    /// What the answer must name. The request itself, with a portrait perhaps, is gone by now.
    pub(super) nonce: Nonce,
    pub(super) digest: ContentDigest,
    pub(super) answer: RawAnswer,
    pub(super) step: S,
}

impl<S> RecordedIntent<S> {
    /// Asks the tokens for a signature by the intent's key; they give it only once it verifies with the certificate's.
    pub(crate) async fn sign(self, core: &Arc<Core>) -> Result<Signed<S>, Box<Refused>> {
        let Self { mut dossier, outbound, step } = self;
        let _timer = core.metrics.stage("sign");
        let pair = Arc::clone(&dossier.in_force.signing);
        let e = outbound.e(&pair.public_key, &DistinguishingId::default());
        let signature = match core.signing.tokens.sign(&pair.public_key, &e, outbound.to_be_signed()).await {
            Ok(signature) => signature,
            Err(error) => {
                tracing::warn!(%error, "no token signed");
                let reason = match error {
                    WorkerError::Busy => Reason::SignerBusy,
                    WorkerError::Defective => Reason::SignatureDefective,
                    _ => Reason::SignerUnavailable,
                };
                return Err(dossier.refused(reason, None));
            }
        };
        core.metrics.signatures.inc();
        dossier.signed_at = Some(core.clock.now());
        dossier.signature = Der::new(signature.to_der()).ok();
        dossier.attributes = outbound.attributes().and_then(|der| Der::new(der).ok());
        match outbound.finish(&core.platform.profile, &signature, &pair.certificate) {
            Ok(request) => Ok(Signed { dossier, request, step }),
            Err(_) => Err(dossier.refused(Reason::PlatformEncoding, None)),
        }
    }
}

impl<S> Signed<S> {
    /// Has the request sent, within the check's deadline.
    pub(crate) async fn send(self, core: &Arc<Core>) -> Result<Answered<S>, Box<Refused>> {
        let Self { mut dossier, request, step } = self;
        let _timer = core.metrics.stage("platform");
        let Ok(trust) = core.platform.trust.current() else {
            return Err(dossier.refused(Reason::PlatformTrustUnusable, None));
        };
        if let Err(reason) = dossier.check_route(core) {
            return Err(dossier.refused(reason, None));
        }
        dossier.sent_at = Some(core.clock.now());
        match core.platform.client.send_by(&request, &trust, dossier.deadline).await {
            Ok(answer) => {
                dossier.answered_at = Some(core.clock.now());
                Ok(Answered { dossier, nonce: request.nonce(), digest: request.digest(), answer, step })
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
