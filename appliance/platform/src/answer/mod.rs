//! Proof of an answer, step by step in a fixed order.

mod binding;
mod content;
mod signer;

use yanqian_messages::{Certificate, SignedData};
use yanqian_sm::DistinguishingId;
use yanqian_trust::{CrlEvidence, TrustStore};
use yanqian_vocabulary::{ContentDigest, Field, FieldVerdicts, Nonce, Reason, Timestamp, Verdict};

use crate::json::Members;
use crate::profile::Profile;
use crate::transport::RawAnswer;

/// A check that an answer must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepName {
    Status,
    Envelope,
    Signer,
    KeyUsage,
    Chain,
    Revocation,
    Signature,
    Nonce,
    Digest,
    Time,
    Replay,
    Schema,
    Code,
}

impl StepName {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Envelope => "envelope",
            Self::Signer => "signer",
            Self::KeyUsage => "key-usage",
            Self::Chain => "chain",
            Self::Revocation => "revocation",
            Self::Signature => "signature",
            Self::Nonce => "nonce",
            Self::Digest => "digest",
            Self::Time => "time",
            Self::Replay => "replay",
            Self::Schema => "schema",
            Self::Code => "code",
        }
    }
}

/// One check with its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub name: StepName,
    /// Absent when it passed.
    pub refused: Option<Reason>,
}

/// What the request makes the answer owe.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub nonce: Nonce,
    pub digest: ContentDigest,
    /// The fields that were asked about.
    pub fields: &'a [Field],
}

/// A proven answer's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformVerdict {
    pub overall: Verdict,
    pub fields: FieldVerdicts,
}

/// Everything that the checks found, whatever their end.
#[derive(Debug, Clone)]
pub struct CheckedAnswer {
    pub steps: Vec<Step>,
    pub result: Result<PlatformVerdict, Reason>,
    /// DER `SM2Signature`, once found.
    pub signature: Option<Vec<u8>>,
    /// DER of the signed attributes, once found.
    pub attributes: Option<Vec<u8>>,
    pub signer: Option<Certificate>,
    /// Certificates above the signer's, once a chain was built.
    pub chain: Vec<Certificate>,
    pub crls: Vec<CrlEvidence>,
    /// The platform's own serial and time; set only from octets whose signature verified.
    pub serial: Option<String>,
    pub time: Option<Timestamp>,
}

/// The store of accepted answers failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("accepted answers cannot be remembered")]
pub struct ReplayError;

/// Remembers accepted answers for their whole time window and across restarts (I3).
pub trait ReplayGuard {
    /// True when neither the nonce nor the serial was accepted before. Returns once that is durable.
    fn accept_once(&self, nonce: Nonce, serial: &str, expires: Timestamp) -> Result<bool, ReplayError>;
}

/// Proves answers of one platform.
#[derive(Clone, Copy)]
pub struct AnswerChecker<'a> {
    pub profile: &'a Profile,
    pub trust: &'a TrustStore,
    pub replay: &'a dyn ReplayGuard,
}

impl std::fmt::Debug for AnswerChecker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AnswerChecker({})", self.profile.name())
    }
}

/// Walks the steps; the first failure ends the walk.
struct Walk {
    found: CheckedAnswer,
}

impl Walk {
    /// Notes a step's result and hands its value on.
    fn step<T>(&mut self, name: StepName, result: Result<T, Reason>) -> Result<T, Reason> {
        self.found.steps.push(Step { name, refused: result.as_ref().err().copied() });
        result
    }
}

/// The parts of a received envelope. `package` is a substring of the body.
struct Envelope<'a> {
    package: &'a [u8],
    message: SignedData,
}

impl AnswerChecker<'_> {
    /// Checks an answer to one request at `now`.
    pub fn check(&self, answer: &RawAnswer, expected: &Expected<'_>, now: Timestamp) -> CheckedAnswer {
        let mut walk = Walk {
            found: CheckedAnswer {
                steps: Vec::with_capacity(13),
                result: Err(Reason::PlatformEnvelope),
                signature: None,
                attributes: None,
                signer: None,
                chain: Vec::new(),
                crls: Vec::new(),
                serial: None,
                time: None,
            },
        };
        walk.found.result = self.walk(&mut walk, answer, expected, now);
        walk.found
    }

    fn walk(
        &self,
        walk: &mut Walk,
        answer: &RawAnswer,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<PlatformVerdict, Reason> {
        walk.step(StepName::Status, check_status(answer))?;
        let envelope = walk.step(StepName::Envelope, self.open_envelope(answer))?;
        let signer = envelope.message.signer();
        walk.found.signature = Some(signer.signature().to_der());
        walk.found.attributes = signer.attributes().map(|attributes| attributes.as_der().to_vec());

        let certificate = self.check_signer(walk, &envelope.message, now)?;
        let verified = envelope
            .message
            .verify_detached(&certificate, &DistinguishingId::default(), envelope.package)
            .map(|_| ())
            .map_err(|_| Reason::PlatformSignature);
        walk.step(StepName::Signature, verified)?;

        // From here on the octets are the platform's own words, though not yet to this request.
        let package = Members::parse(envelope.package).map_err(|_| Reason::PlatformSchema);
        let package = match package {
            Ok(package) => package,
            Err(reason) => return walk.step(StepName::Schema, Err(reason)),
        };
        self.check_binding(walk, &package, expected, now)?;
        self.check_content(walk, &package, expected)
    }

    fn open_envelope<'a>(&self, answer: &'a RawAnswer) -> Result<Envelope<'a>, Reason> {
        use base64::Engine as _;
        const REASON: Reason = Reason::PlatformEnvelope;
        let form = &self.profile.answer;
        if !answer.content_type.as_deref().is_some_and(is_json) {
            return Err(REASON);
        }
        let outer = Members::parse(&answer.body).map_err(|_| REASON)?;
        if outer.len() != 2 {
            return Err(REASON);
        }
        let package = outer.raw(&form.package).ok_or(REASON)?.as_bytes();
        let signature = outer.text(&form.signature).ok_or(REASON)?;
        let message = base64::engine::general_purpose::STANDARD.decode(signature).map_err(|_| REASON)?;
        let message = SignedData::parse(&message).map_err(|_| REASON)?;
        if message.signer().attributes().is_some() != form.attributes || message.content().is_some() {
            return Err(REASON);
        }
        Ok(Envelope { package, message })
    }
}

fn check_status(answer: &RawAnswer) -> Result<(), Reason> {
    if answer.status == 200 { Ok(()) } else { Err(Reason::PlatformStatus) }
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| parameter.eq_ignore_ascii_case("charset=utf-8"))
}
