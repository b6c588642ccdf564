//! Proof of an answer, step by step in a fixed order.

mod binding;
mod content;
mod envelope;
mod reading;
mod signer;

use std::ops::Range;

use yanqian_messages::{Certificate, EnvelopedData, Members, SignatureVerifier, SignedAttributes};
use yanqian_sm::{DistinguishingId, E};
use yanqian_trust::{RevocationEvidence, SignedContent, TrustStore, Verifier};
use yanqian_vocabulary::{ContentDigest, Field, FieldVerdicts, Nonce, Reason, Timestamp, Verdict};

use self::envelope::{Opened, Proof};
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
    /// Only of answers to checks: what is told of fields is about those asked, and agrees with the code.
    Fields,
    /// Only of answers that come with a sealed reading.
    Reading,
}

impl StepName {
    /// All of them, in the order in which they are passed. Two can refuse out of turn: schema, because what is no object has no nonce to
    /// look for, and what has no serial cannot be remembered; and signature, because one that names nobody and verifies with no known
    /// key has no signer to ask about.
    pub const ALL: &'static [Self] = &[
        Self::Status,
        Self::Envelope,
        Self::Signer,
        Self::KeyUsage,
        Self::Chain,
        Self::Revocation,
        Self::Signature,
        Self::Nonce,
        Self::Digest,
        Self::Time,
        Self::Replay,
        Self::Schema,
        Self::Code,
        Self::Fields,
        Self::Reading,
    ];

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
            Self::Fields => "fields",
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
    /// The entity's encryption certificates, where the answer may come with a reading sealed to one of them.
    pub recipients: &'a [&'a Certificate],
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
    pub revocation: Vec<RevocationEvidence>,
    /// The platform's own serial and time; set only from octets whose signature verified.
    pub serial: Option<String>,
    pub time: Option<Timestamp>,
    /// The platform's result code, of at most 64 printable ASCII characters; set where `time` is.
    pub code: Option<String>,
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

    fn note_code(&mut self, code: &str) {
        let shown = (1..=64).contains(&code.len()) && code.bytes().all(|c| c.is_ascii_graphic());
        self.found.code = shown.then(|| code.to_owned());
    }
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
        Ok(Applied { serial, digest: ContentDigest::new(yanqian_sm::sm3(&[envelope.signed()])) })
    }

    /// Who sent it: status, envelope, signer, signature. What comes back is the platform's own words, though not yet to this
    /// request.
    fn check_origin<'a>(
        &self,
        walk: &mut Walk,
        answer: &'a RawAnswer,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<Opened<'a>, Reason> {
        walk.step(StepName::Status, check_status(answer))?;
        let opened = self.open_envelope(answer, expected, &mut walk.found.sealed);
        let envelope = walk.step(StepName::Envelope, opened)?;
        walk.found.signature = Some(envelope.signature().to_der());
        walk.found.attributes = envelope.attributes().map(|attributes| attributes.as_der().to_vec());

        let certificate = self.check_signer(walk, &envelope, now)?;
        walk.step(StepName::Signature, self.check_signature(&envelope, &certificate))?;
        Ok(envelope)
    }

    /// The signature over the octets as received, by our own engine; now and then by another implementation too.
    fn check_signature(&self, envelope: &Opened<'_>, certificate: &Certificate) -> Result<(), Reason> {
        let verified = self.verifies(envelope, certificate);
        let signed = SignedContent {
            certificate: certificate.as_der(),
            content: envelope.signed(),
            attributes: envelope.attributes().map(SignedAttributes::as_der),
            signature: &envelope.signature().to_der(),
        };
        self.verifier.shadow(&signed, verified).map_err(|_| Reason::PlatformSignatureDisputed)?;
        if verified { Ok(()) } else { Err(Reason::PlatformSignature) }
    }

    fn verifies(&self, envelope: &Opened<'_>, certificate: &Certificate) -> bool {
        let id = DistinguishingId::default();
        match &envelope.proof {
            Proof::Message(message) if message.content().is_some() => {
                message.verify_attached(certificate, &id, self.verifier).is_ok()
            }
            Proof::Message(message) => {
                message.verify_detached(certificate, &id, envelope.signed(), self.verifier).is_ok()
            }
            Proof::Bare { signature, .. } => certificate.public_key().is_some_and(|key| {
                let e = E::of_message(key, &id, &[envelope.signed()]);
                SignatureVerifier::verify(self.verifier, key, &e, signature).is_ok()
            }),
        }
    }
}

fn read_package<'e>(walk: &mut Walk, envelope: &'e Opened<'_>) -> Result<Members<'e>, Reason> {
    match Members::parse(&envelope.object) {
        Ok(package) => Ok(package),
        Err(_) => walk.step(StepName::Schema, Err(Reason::PlatformSchema)),
    }
}

fn check_status(answer: &RawAnswer) -> Result<(), Reason> {
    if answer.status == 200 { Ok(()) } else { Err(Reason::PlatformStatus) }
}
