//! Proof of an answer, step by step in a fixed order.

mod binding;
mod content;
mod reading;
mod signer;

use std::ops::Range;

use yanqian_messages::{Certificate, EnvelopedData, SignedAttributes, SignedData};
use yanqian_sm::DistinguishingId;
use yanqian_trust::{CrlEvidence, SignedContent, TrustStore, Verifier};
use yanqian_vocabulary::{ContentDigest, Field, FieldVerdicts, Nonce, Reason, Timestamp, Verdict};

use yanqian_messages::Members;
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
    /// Only of answers that come with a sealed reading.
    Reading,
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
            Self::Reading => "reading",
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
    /// The entity's encryption certificate, where the answer may come with a reading sealed to it.
    pub recipient: Option<&'a Certificate>,
}

/// A proven answer's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformVerdict {
    pub overall: Verdict,
    pub fields: FieldVerdicts,
    /// There exactly when a chip reading matched.
    pub reading: Option<SealedReading>,
}

/// A reading that the platform's signature covers, for the token to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedReading {
    pub envelope: EnvelopedData,
    /// SM3 of the envelope's octets, as the platform signed it.
    pub digest: ContentDigest,
}

/// A proven answer to an application: the business serial number, and the digest that binds the next step to this answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub serial: String,
    /// SM3 of the answer's signed object.
    pub digest: ContentDigest,
}

/// What an answer's checks came to: a proven content of type `T`, or the first reason against it.
#[derive(Debug, Clone)]
pub struct CheckedAnswer<T> {
    pub found: Found,
    pub result: Result<T, Reason>,
}

/// Everything that the checks found, whatever their end.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub steps: Vec<Step>,
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
    /// Where in the body the sealed reading stands.
    sealed: Option<Range<usize>>,
}

impl Found {
    /// The body as evidence keeps it: as received, with `null` in the place of a sealed reading. The signed object is
    /// untouched, and nothing of a reading is kept, not even sealed.
    pub fn evidence_octets(&self, mut body: Vec<u8>) -> Vec<u8> {
        if let Some(sealed) = self.sealed.clone().filter(|sealed| sealed.end <= body.len()) {
            body.splice(sealed, *b"null");
        }
        body
    }
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
    pub verifier: &'a Verifier,
    pub replay: &'a dyn ReplayGuard,
}

impl std::fmt::Debug for AnswerChecker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AnswerChecker({})", self.profile.name())
    }
}

/// Walks the steps; the first failure ends the walk.
#[derive(Default)]
struct Walk {
    found: Found,
}

impl Walk {
    /// Notes a step's result and hands its value on.
    fn step<T>(&mut self, name: StepName, result: Result<T, Reason>) -> Result<T, Reason> {
        self.found.steps.push(Step { name, refused: result.as_ref().err().copied() });
        result
    }
}

/// The parts of a received envelope. `package` and `reading` are substrings of the body.
struct Envelope<'a> {
    package: &'a [u8],
    message: SignedData,
    /// JSON text of the member that holds a sealed reading.
    reading: Option<&'a str>,
}

impl AnswerChecker<'_> {
    /// Checks an answer to one request at `now`.
    pub fn check(&self, answer: &RawAnswer, expected: &Expected<'_>, now: Timestamp) -> CheckedAnswer<PlatformVerdict> {
        let mut walk = Walk::default();
        let result = self.walk(&mut walk, answer, expected, now);
        CheckedAnswer { found: walk.found, result }
    }

    /// Checks an answer to an application at `now`.
    pub fn check_application(
        &self,
        answer: &RawAnswer,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> CheckedAnswer<Applied> {
        let mut walk = Walk::default();
        let result = self.walk_application(&mut walk, answer, expected, now);
        CheckedAnswer { found: walk.found, result }
    }

    fn walk(
        &self,
        walk: &mut Walk,
        answer: &RawAnswer,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<PlatformVerdict, Reason> {
        let envelope = self.check_origin(walk, answer, expected, now)?;
        let package = read_package(walk, &envelope)?;
        self.check_binding(walk, &package, &self.profile.answer.serial, expected, now)?;
        let (overall, fields) = self.check_content(walk, &package, expected)?;
        let reading = self.check_reading(walk, &package, &envelope, overall, expected)?;
        Ok(PlatformVerdict { overall, fields, reading })
    }

    fn walk_application(
        &self,
        walk: &mut Walk,
        answer: &RawAnswer,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<Applied, Reason> {
        let Some(apply) = &self.profile.apply else { return walk.step(StepName::Schema, Err(Reason::PlatformSchema)) };
        let envelope = self.check_origin(walk, answer, expected, now)?;
        let package = read_package(walk, &envelope)?;
        let serial = self.check_binding(walk, &package, &apply.serial, expected, now)?;
        self.check_accepted(walk, &package, apply)?;
        Ok(Applied { serial, digest: ContentDigest::new(yanqian_sm::sm3(&[envelope.package])) })
    }

    /// Who sent it: status, envelope, signer, signature. What comes back is the platform's own words, though not yet to this
    /// request.
    fn check_origin<'a>(
        &self,
        walk: &mut Walk,
        answer: &'a RawAnswer,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<Envelope<'a>, Reason> {
        walk.step(StepName::Status, check_status(answer))?;
        let opened = self.open_envelope(answer, expected, &mut walk.found.sealed);
        let envelope = walk.step(StepName::Envelope, opened)?;
        let signer = envelope.message.signer();
        walk.found.signature = Some(signer.signature().to_der());
        walk.found.attributes = signer.attributes().map(|attributes| attributes.as_der().to_vec());

        let certificate = self.check_signer(walk, &envelope.message, now)?;
        walk.step(StepName::Signature, self.check_signature(&envelope, &certificate))?;
        Ok(envelope)
    }

    /// The signature over the octets as received, by our own engine; now and then by another implementation too.
    fn check_signature(&self, envelope: &Envelope<'_>, certificate: &Certificate) -> Result<(), Reason> {
        let (message, id) = (&envelope.message, DistinguishingId::default());
        let verified = message.verify_detached(certificate, &id, envelope.package, self.verifier);
        let signed = SignedContent {
            certificate: certificate.as_der(),
            content: envelope.package,
            attributes: message.signer().attributes().map(SignedAttributes::as_der),
            signature: &message.signer().signature().to_der(),
        };
        self.verifier.shadow(&signed, verified.is_ok()).map_err(|_| Reason::PlatformSignatureDisputed)?;
        verified.map(|_| ()).map_err(|_| Reason::PlatformSignature)
    }

    fn open_envelope<'a>(
        &self,
        answer: &'a RawAnswer,
        expected: &Expected<'_>,
        sealed: &mut Option<Range<usize>>,
    ) -> Result<Envelope<'a>, Reason> {
        use base64::Engine as _;
        const REASON: Reason = Reason::PlatformEnvelope;
        let form = &self.profile.answer;
        let outer = Members::parse(&answer.body).map_err(|_| REASON)?;
        let attached = form.reading.as_ref().filter(|_| expected.recipient.is_some());
        let reading = attached.and_then(|reading| outer.raw(&reading.envelope));
        // Before anything can fail: whatever becomes of the answer, what is sealed in it is not kept.
        *sealed = reading.map(|raw| place(&answer.body, raw));
        if !answer.content_type.as_deref().is_some_and(is_json) {
            return Err(REASON);
        }
        if outer.len() != 2 + usize::from(reading.is_some()) {
            return Err(REASON);
        }
        let package = outer.raw(&form.package).ok_or(REASON)?.as_bytes();
        let signature = outer.text(&form.signature).ok_or(REASON)?;
        let message = base64::engine::general_purpose::STANDARD.decode(signature).map_err(|_| REASON)?;
        let message = SignedData::parse(&message).map_err(|_| REASON)?;
        if message.signer().attributes().is_some() != form.attributes || message.content().is_some() {
            return Err(REASON);
        }
        Ok(Envelope { package, message, reading })
    }
}

/// Where a substring of the body stands in it.
fn place(body: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(body.as_ptr().addr());
    start..start + part.len()
}

fn read_package<'a>(walk: &mut Walk, envelope: &Envelope<'a>) -> Result<Members<'a>, Reason> {
    match Members::parse(envelope.package) {
        Ok(package) => Ok(package),
        Err(_) => walk.step(StepName::Schema, Err(Reason::PlatformSchema)),
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
