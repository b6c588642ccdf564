//! The token's signature and the platform's answer: the two moments at which a check depends on somebody else.

use std::sync::Arc;

use yanqian_evidence::Der;
use yanqian_hsm::WorkerError;
use yanqian_platform::{Outbound, RawAnswer, SendError, SignedRequest};
use yanqian_sm::{DistinguishingId, PublicKey, Signature};
use yanqian_vocabulary::{ContentDigest, Nonce, Reason};

use super::departure::Departure;
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
        let departure = dossier.departure.as_ref();
        let signed = match departure.and_then(Departure::stranger) {
            Some(stranger) => stranger.sign(outbound.to_be_signed()).ok_or(Reason::SignerUnavailable),
            None => signature(core, &pair.public_key, &outbound).await,
        };
        let signature = match signed {
            Ok(signature) => signature,
            Err(reason) => return Err(dossier.refused(reason, None)),
        };
        dossier.signed_at = Some(core.clock.now());
        dossier.signature = Der::new(signature.to_der()).ok();
        dossier.attributes = outbound.attributes().and_then(|der| Der::new(der).ok());
        let sent = dossier.departure.as_ref().map_or(signature, |departure| departure.signature(signature));
        match outbound.finish(&core.platform.profile, &sent, &pair.certificate) {
            Ok(request) => Ok(Signed { dossier, request, step }),
            Err(_) => Err(dossier.refused(Reason::PlatformEncoding, None)),
        }
    }
}

/// Asks the tokens for a signature by the entity's key.
async fn signature(core: &Core, key: &PublicKey, outbound: &Outbound) -> Result<Signature, Reason> {
    let e = outbound.e(key, &DistinguishingId::default());
    let signed = core.signing.tokens.sign(key, &e, outbound.to_be_signed()).await;
    let signature = signed.map_err(|error| {
        tracing::warn!(%error, "no token signed");
        match error {
            WorkerError::Busy => Reason::SignerBusy,
            WorkerError::Defective => Reason::SignatureDefective,
            _ => Reason::SignerUnavailable,
        }
    })?;
    core.metrics.signatures.inc();
    Ok(signature)
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
            Err(error @ (SendError::NotSent | SendError::Unidentified)) => {
                dossier.sent_at = None;
                let identified = error == SendError::NotSent;
                let reason = if identified { Reason::PlatformUnreachable } else { Reason::PlatformIdentity };
                Err(dossier.refused(reason, None))
            }
            Err(SendError::Unanswered) => Err(dossier.refused(Reason::OutcomeUnknown, None)),
            Err(SendError::Refused(reason)) => Err(dossier.refused(reason, None)),
        }
    }
}
