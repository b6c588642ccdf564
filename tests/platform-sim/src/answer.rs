//! From a judgement to the octets of an answer, honest or not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use time::{Duration, OffsetDateTime};

use crate::form::{Answer, FieldResult, Outcome, PackageFault, Step};
use crate::misbehave::Misbehaviour as M;
use crate::platform::{Judgement, Platform, Previous};
use crate::{Form, Refusal, SimError, envelope, signed_data, sm};

/// How the body goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    Slow,
    Endless,
    Cut,
    Close,
    Hang,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) location: bool,
    pub(crate) body: Bytes,
    pub(crate) delivery: Delivery,
}

impl Reply {
    pub(crate) fn plain(status: StatusCode, text: String) -> Self {
        let body = Bytes::from(text);
        Self { status, content_type: "text/plain; charset=utf-8", location: false, body, delivery: Delivery::Whole }
    }
}

/// Answers a judged request.
pub(crate) fn compose(
    platform: &Platform,
    judgement: &Judgement,
    misbehaviour: Option<M>,
    now: OffsetDateTime,
) -> Result<Reply, SimError> {
    let Some(request) = &judgement.request else {
        let reason = match judgement.outcome {
            Outcome::Refused(Refusal::Shape(reason)) => reason,
            _ => "not a request",
        };
        return Ok(Reply::plain(StatusCode::BAD_REQUEST, reason.to_owned()));
    };
    let mut answer = Answer {
        serial: format!("SIM{}{:06}", now.unix_timestamp_nanos() / 1_000_000, platform.next_serial()),
        time: now,
        nonce: request.nonce.clone(),
        digest: judgement.digest,
        outcome: judgement.outcome,
        fields: judgement.fields.clone(),
        reading_digest: None,
        application: request.step == Step::Apply,
    };
    let previous = platform.previous();
    let fault = misstate(platform.form, &mut answer, previous.as_ref(), misbehaviour)?;
    let sealed = seal_reading(platform, judgement, &mut answer, misbehaviour)?;
    let mut package = platform.form.write_answer(&answer, fault);
    if judgement.outcome == Outcome::Accepted {
        platform.accept(&answer.serial, request, &package, now);
    }
    let signature = signature(platform, &package, answer.time, misbehaviour)?;
    if misbehaviour == Some(M::AlteredAfterSigning) {
        package = package.replacen(&answer.serial, &format!("{}9", answer.serial), 1);
    }
    let mut body = platform.form.body(&package, &STANDARD.encode(signature));
    if let Some(sealed) = sealed {
        body = platform.form.with_reading(&body, &STANDARD.encode(sealed));
    }
    let honest = Previous { nonce: request.nonce.clone(), digest: judgement.digest, body: body.clone() };
    platform.remember(honest);
    let mut reply = Reply {
        status: StatusCode::OK,
        content_type: "application/json;charset=UTF-8",
        location: false,
        body: Bytes::new(),
        delivery: Delivery::Whole,
    };
    match misbehaviour {
        Some(M::Replay) => {
            if let Some(previous) = previous {
                body = previous.body;
                // What comes next is measured against the answer that was really given.
                platform.remember(Previous {
                    nonce: request.nonce.clone(),
                    digest: judgement.digest,
                    body: body.clone(),
                });
            }
        }
        Some(M::NotJson) => body = "<html><body>Please log in to the network.</body></html>".into(),
        Some(M::MissingSign) => body = format!("{{\"{}\":{package}}}", platform.form.members().0),
        Some(M::DuplicatePackage) => {
            let forged = Answer { outcome: Outcome::Match, serial: "FORGED".into(), ..answer };
            let forged = platform.form.write_answer(&forged, None);
            body = format!("{{\"{}\":{forged},{}", platform.form.members().0, &body[1..]);
        }
        Some(M::TrailingGarbage) => body.push_str("{\"more\":1}"),
        Some(M::HugeBody) => body.push_str(&" ".repeat(16 << 20)),
        Some(M::SlowBody) => reply.delivery = Delivery::Slow,
        Some(M::EndlessBody) => reply.delivery = Delivery::Endless,
        Some(M::CutBody) => reply.delivery = Delivery::Cut,
        Some(M::CloseBeforeAnswer) => reply.delivery = Delivery::Close,
        Some(M::Hang) => reply.delivery = Delivery::Hang,
        Some(M::Status500) => reply.status = StatusCode::INTERNAL_SERVER_ERROR,
        Some(M::Status503) => reply.status = StatusCode::SERVICE_UNAVAILABLE,
        Some(M::Redirect) => (reply.status, reply.location) = (StatusCode::TEMPORARY_REDIRECT, true),
        Some(M::WrongContentType) => reply.content_type = "text/html",
        _ => {}
    }
    reply.body = Bytes::from(body);
    Ok(reply)
}

/// Makes the answer state something wrong; what it then says is signed.
fn misstate(
    form: Form,
    answer: &mut Answer,
    previous: Option<&Previous>,
    misbehaviour: Option<M>,
) -> Result<Option<PackageFault>, SimError> {
    let Some(misbehaviour) = misbehaviour else { return Ok(None) };
    match misbehaviour {
        M::WrongRequest => {
            let none = || Ok::<_, SimError>((form.nonce(sm::random()?), sm::random()?));
            (answer.nonce, answer.digest) =
                previous.map_or_else(none, |previous| Ok((previous.nonce.clone(), previous.digest)))?;
        }
        M::OtherNonce => answer.nonce = form.nonce(sm::random()?),
        M::OtherDigest => answer.digest = sm::random()?,
        M::StaleTime => answer.time -= Duration::HOUR,
        M::FutureTime => answer.time += Duration::HOUR,
        M::UnknownCode => answer.outcome = Outcome::Unheard,
        M::Suspended | M::Busy => {
            answer.outcome = if misbehaviour == M::Busy { Outcome::Busy } else { Outcome::Suspended };
            answer.fields.clear();
        }
        M::Contradiction => {
            answer.outcome = Outcome::Match;
            if let Some((_, result)) = answer.fields.last_mut() {
                *result = FieldResult::Mismatch;
            }
        }
        M::MissingFields => {
            answer.outcome = Outcome::Match;
            return Ok(Some(PackageFault::MissingFields));
        }
        M::MissingPortrait => return Ok(Some(PackageFault::MissingPortrait)),
        M::MissingMember => return Ok(Some(PackageFault::MissingResult)),
        M::DuplicateMember => return Ok(Some(PackageFault::DuplicateResult)),
        _ => {}
    }
    Ok(None)
}

/// Seals what was read from a chip to the entity, and names it in the answer; or does something else.
fn seal_reading(
    platform: &Platform,
    judgement: &Judgement,
    answer: &mut Answer,
    misbehaviour: Option<M>,
) -> Result<Option<Vec<u8>>, SimError> {
    let other = |number: &str| platform.somebody_else(number);
    let reading = match (&judgement.reading, misbehaviour) {
        (None, Some(M::ReadingUnasked)) => other(""),
        (Some(reading), Some(M::ReadingOtherDocument)) => other(&reading.number),
        (reading, _) => reading.clone(),
    };
    let Some(reading) = reading.filter(|_| answer.outcome == judgement.outcome) else { return Ok(None) };
    let mut plain = platform.form.write_reading(&reading);
    if misbehaviour == Some(M::ReadingGarbage) {
        plain = "{\"docType\":\"414\",\"docNumber\":17}".into();
    }
    let recipient = match misbehaviour {
        Some(M::ReadingOtherKey) => platform.pki.encryption.der.clone(),
        _ => platform.entity_encryption()?,
    };
    let mut sealed = envelope::seal(plain.as_bytes(), &recipient)?;
    if let (Some(M::ReadingAltered), Some(last)) = (misbehaviour, sealed.last_mut()) {
        *last ^= 1;
    }
    let digest = sm::sm3(&sealed)?;
    answer.reading_digest = Some(if misbehaviour == Some(M::ReadingDigest) { sm::random()? } else { digest });
    Ok(Some(sealed).filter(|_| misbehaviour != Some(M::ReadingMissing)))
}

fn signature(
    platform: &Platform,
    package: &str,
    at: OffsetDateTime,
    misbehaviour: Option<M>,
) -> Result<Vec<u8>, SimError> {
    let pki = &platform.pki;
    let signer = match misbehaviour {
        Some(M::RevokedSigner) => &pki.revoked,
        Some(M::UnpinnedSigner) => &pki.other_authority,
        Some(M::ChainedUnpinnedSigner) => &pki.unpinned,
        Some(M::EncryptionCertSigns) => &pki.encryption,
        _ => &pki.signing,
    };
    let attributes = platform.form.attributes() != (misbehaviour == Some(M::AttributesMissing));
    let mut der = signed_data::build(package.as_bytes(), signer, attributes.then_some(at))?;
    match misbehaviour {
        // The message ends with the signature value, and that with s: still DER, another number.
        Some(M::BrokenSignature) => {
            if let Some(last) = der.last_mut() {
                *last ^= 1;
            }
        }
        Some(M::TruncatedDer) => der.truncate(der.len() - 7),
        Some(M::DerTrailingGarbage) => der.extend_from_slice(b"more"),
        _ => {}
    }
    Ok(der)
}
