//! Proving what came back, and opening what is sealed in it.

use std::sync::Arc;

use yanqian_evidence::{Der, Label, Octets, PlatformSerial, Revocation, RevocationKind, Signer, Step};
use yanqian_hsm::WorkerError;
use yanqian_hsm::protocol::codes;
use yanqian_platform::{
    AnswerChecker, Applied, CheckedAnswer, Expected, Found, PlatformVerdict, RawAnswer, ReplayError, ReplayGuard,
    SealedReading, Stop,
};
use yanqian_sm::Sm4Key;
use yanqian_vocabulary::{
    CertificateHash, ContentDigest, FieldVerdicts, Mode, Nonce, Reading, Reason, Timestamp, TrustHash, Verdict,
    VerificationId,
};
use zeroize::Zeroizing;

use super::dossier::{Dossier, Proof, Refused};
use super::exchange::Answered;
use super::intent::{Accepted, Application, Check};
use crate::core::Core;
use crate::keys::InForce;
use crate::state::StateHandle;

/// The platform said this to this request, proven.
pub(crate) struct Verified {
    dossier: Dossier,
    verdict: PlatformVerdict,
    check: Check,
}

/// A verdict with nothing sealed left in it.
pub(crate) struct Unsealed {
    pub(super) dossier: Dossier,
    pub(super) overall: Verdict,
    pub(super) fields: FieldVerdicts,
    pub(super) reading: Option<Reading>,
}

/// The state store as memory of accepted answers. Blocks: used on a thread that may.
struct DurableReplay {
    state: StateHandle,
    platform: String,
    /// Remembered instead, where a nonce was sent twice on purpose: the serial and the request's digest still bind the answer.
    instead: Option<Nonce>,
}

impl ReplayGuard for DurableReplay {
    fn accept_once(&self, nonce: Nonce, serial: &str, expires: Timestamp) -> Result<bool, ReplayError> {
        let (platform, serial, nonce) = (self.platform.clone(), serial.to_owned(), self.instead.unwrap_or(nonce));
        self.state
            .call_blocking(move |store| store.accept_answer(&platform, nonce, &serial, expires))
            .map_err(|_| ReplayError)
    }
}

/// Runs the checks of an answer on a thread where arithmetic and commits may take their time, and keeps the certificates
/// and lists that they rest on. What was found goes into the dossier, whatever the end. Gives the step's own part back.
async fn prove<S, T: Send + 'static>(
    core: &Arc<Core>,
    answered: Answered<S>,
    check: impl FnOnce(&AnswerChecker<'_>, &RawAnswer, &Expected<'_>, Timestamp) -> CheckedAnswer<T> + Send + 'static,
) -> Result<(Dossier, T, S), Box<Refused>> {
    let Answered { mut dossier, nonce, digest, answer, step } = answered;
    let _timer = core.metrics.stage("verify");
    let Ok(trust) = core.platform.trust.current() else {
        return Err(dossier.refused(Reason::PlatformUnproven, None));
    };
    let now = dossier.answered_at.unwrap_or_else(|| core.clock.now());
    let asked = dossier.fields.clone();
    let trust_hash = TrustHash::new(*trust.hash());
    let (owned, id, mode, in_force) = (Arc::clone(core), dossier.id, dossier.mode, Arc::clone(&dossier.in_force));
    let repeated = dossier.departure.as_ref().is_some_and(|departure| departure.nonce().is_some());
    let instead = repeated.then(|| Nonce::new(core.random()));
    let checking = tokio::task::spawn_blocking(move || {
        let core = owned;
        let replay = DurableReplay { state: core.state.clone(), platform: core.platform_id().to_string(), instead };
        let rules =
            AnswerChecker { profile: &core.platform.profile, trust: &trust, verifier: &core.verifier, replay: &replay };
        let openers = in_force.openers.iter().filter(|_| mode == Mode::ChipReading);
        let recipients: Vec<_> = openers.map(|pair| &pair.certificate).collect();
        let expected = Expected { nonce, digest, fields: &asked, recipients: &recipients };
        let CheckedAnswer { mut found, result } = check(&rules, &answer, &expected, now);
        let result = core.unless_disputed(id, result);
        let archived = core.archive_proof(&found, &trust);
        if archived.is_err() {
            // What a record names the archive holds. The answer itself, with what came in it, is kept in any case.
            (found.signer, found.chain, found.revocation) = (None, Vec::new(), Vec::new());
        }
        (proof(answer, found, trust_hash), result, archived)
    });
    let Ok((proof, result, archived)) = checking.await else {
        // The checker panicked; that is a defect, and nothing was proven.
        return Err(dossier.refused(Reason::PlatformUnproven, None));
    };
    dossier.proof = Some(proof);
    match (result, archived) {
        (Err(reason), _) => Err(dossier.refused(reason, None)),
        (Ok(_), Err(error)) => {
            tracing::error!(%error, "what the answer's proof rests on cannot be kept");
            Err(dossier.refused(Reason::EvidenceUnavailable, None))
        }
        (Ok(content), Ok(())) => Ok((dossier, content, step)),
    }
}

impl Core {
    /// Stops the platform's route when an answer's signature is disputed. What was proven while it stood stopped is not
    /// believed either: the implementation that proved it may be the one that is wrong.
    fn unless_disputed<T>(&self, verification: VerificationId, result: Result<T, Reason>) -> Result<T, Reason> {
        let route = &self.platform.route;
        match result {
            Err(reason @ Reason::PlatformSignatureDisputed) => {
                route.stop(&Stop { at: self.clock.now(), reason, verification: verification.to_string() });
                Err(reason)
            }
            Ok(_) if !route.is_open() => Err(Reason::PlatformSignatureDisputed),
            result => result,
        }
    }
}

fn check_application(
    rules: &AnswerChecker<'_>,
    answer: &RawAnswer,
    expected: &Expected<'_>,
    now: Timestamp,
) -> CheckedAnswer<Applied> {
    rules.check_application(answer, expected, now)
}

fn check_verdict(
    rules: &AnswerChecker<'_>,
    answer: &RawAnswer,
    expected: &Expected<'_>,
    now: Timestamp,
) -> CheckedAnswer<PlatformVerdict> {
    rules.check(answer, expected, now)
}

impl Answered<Application> {
    /// Proves the answer to the application.
    pub(crate) async fn verify(self, core: &Arc<Core>) -> Result<Accepted, Box<Refused>> {
        let (dossier, applied, application) = prove(core, self, check_application).await?;
        Ok(Accepted { dossier, applied, application })
    }
}

impl Answered<Check> {
    /// Proves the answer to the check.
    pub(crate) async fn verify(self, core: &Arc<Core>) -> Result<Verified, Box<Refused>> {
        let (dossier, verdict, check) = prove(core, self, check_verdict).await?;
        Ok(Verified { dossier, verdict, check })
    }
}

impl Verified {
    /// Has the token open the reading, if there is one, and reads it. A reading of another document than the chip's is
    /// refused: the answer then contradicts itself.
    pub(crate) async fn unseal(self, core: &Arc<Core>) -> Result<Unsealed, Box<Refused>> {
        let Self { mut dossier, verdict, check } = self;
        let reading = match verdict.reading {
            None => None,
            Some(sealed) => {
                let _timer = core.metrics.stage("unseal");
                match open(core, &dossier.in_force, &sealed, &check).await {
                    Ok(reading) => {
                        dossier.reading = Some(sealed.digest);
                        dossier.unseal_step(None);
                        Some(reading)
                    }
                    Err(reason) => {
                        dossier.unseal_step(Some(reason));
                        return Err(dossier.refused(reason, None));
                    }
                }
            }
        };
        Ok(Unsealed { dossier, overall: verdict.overall, fields: verdict.fields, reading })
    }
}

/// Opens a reading with the pair that its envelope names.
async fn open(core: &Core, in_force: &InForce, sealed: &SealedReading, check: &Check) -> Result<Reading, Reason> {
    let mut openers = in_force.openers.iter();
    let ours = openers.find_map(|pair| Some((pair, sealed.envelope.encrypted_key_for(&pair.certificate).ok()?)));
    let (pair, sealed_key) = ours.ok_or(Reason::PlatformReading)?;
    let session = core.signing.tokens.unseal(&pair.public_key, sealed_key).await.map_err(|error| {
        tracing::warn!(%error, "no token opened the reading");
        match error {
            // It cannot be opened, whoever asks; every other refusal is about our own key or token.
            WorkerError::Refused { code, .. } if [codes::NOT_OPENED, codes::BAD_REQUEST].contains(&code.as_str()) => {
                Reason::PlatformReading
            }
            _ => Reason::UnsealUnavailable,
        }
    })?;
    let octets: [u8; 16] = session.expose().try_into().map_err(|_| Reason::PlatformReading)?;
    let plain: Zeroizing<Vec<u8>> = sealed.envelope.open(&Sm4Key::new(octets)).map_err(|_| Reason::PlatformReading)?;
    let reading = core.platform.profile.read_reading(&plain).ok_or(Reason::PlatformReading)?;
    if reading.document_type == check.document_type && reading.number == check.number {
        Ok(reading)
    } else {
        Err(Reason::PlatformReading)
    }
}

fn proof(answer: RawAnswer, found: Found, trust: TrustHash) -> Proof {
    let der = |octets: Vec<u8>| Der::new(octets).ok();
    let time = |seconds: i64| Timestamp::from_unix_millis(seconds.saturating_mul(1000));
    Proof {
        status: answer.status,
        octets: Octets::new(found.evidence_octets(answer.body)),
        signature: found.signature.and_then(der),
        attributes: found.attributes.and_then(der),
        signer: found.signer.and_then(|signer| {
            let hash = CertificateHash::new(signer.hash());
            der(signer.as_der().to_vec()).map(|certificate| Signer { hash, certificate })
        }),
        chain: found.chain.iter().map(|certificate| CertificateHash::new(certificate.hash())).collect(),
        revocation: found
            .revocation
            .into_iter()
            .filter_map(|evidence| {
                Some(Revocation {
                    kind: match evidence.kind {
                        yanqian_trust::RevocationKind::Crl => RevocationKind::Crl,
                        yanqian_trust::RevocationKind::Ocsp => RevocationKind::Ocsp,
                    },
                    hash: ContentDigest::new(evidence.hash),
                    issuer: der(evidence.issuer)?,
                    this_update: time(evidence.this_update),
                    next_update: Some(time(evidence.next_update)),
                })
            })
            .collect(),
        platform_time: found.time,
        platform_serial: found.serial.and_then(|serial| PlatformSerial::new(serial).ok()),
        steps: found
            .steps
            .iter()
            .map(|step| Step { name: Label::new(step.name.as_str()), refused: step.refused })
            .collect(),
        trust,
        code: found.code,
    }
}
