//! From a judgement to the octets of an answer, honest or not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use time::{Duration, OffsetDateTime};

use crate::form::{Answer, FieldResult, Outcome, PackageFault, Proof, Step};
use crate::misbehave::Misbehaviour as M;
use crate::pki::Identity;
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
    /// Header fields besides content type and location.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    pub(crate) delivery: Delivery,
}

impl Reply {
    pub(crate) fn plain(status: StatusCode, text: String) -> Self {
        let body = Bytes::from(text);
        let content_type = "text/plain; charset=utf-8";
        Self { status, content_type, location: false, headers: Vec::new(), body, delivery: Delivery::Whole }
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
    let form = platform.form;
    let signer = signer(platform, misbehaviour);
    let serial = signer.certificate.serial_number().to_bn()?.to_hex_str()?.to_ascii_lowercase();
    let mut package = form.with_serial(form.write_answer(&answer, fault), &serial);
    let proof = proof(form, &package, signer, &serial, answer.time, misbehaviour)?;
    if judgement.outcome == Outcome::Accepted {
        platform.accept(&answer.serial, request, &form.to_sign(&package), now);
    }
    if misbehaviour == Some(M::AlteredAfterSigning) {
        package = package.replacen(&answer.serial, &format!("{}9", answer.serial), 1);
    }
    let mut wire = form.close(&package, &proof);
    if let Some(sealed) = sealed {
        let body = String::from_utf8_lossy(&wire.body).into_owned();
        wire.body = form.with_reading(&body, &STANDARD.encode(sealed)).into_bytes();
    }
    let honest = Previous { nonce: request.nonce.clone(), digest: judgement.digest, wire: wire.clone() };
    platform.remember(honest);
    let mut reply = Reply {
        status: StatusCode::OK,
        content_type: if form == Form::Attached { form.content_type() } else { "application/json;charset=UTF-8" },
        location: false,
        headers: Vec::new(),
        body: Bytes::new(),
        delivery: Delivery::Whole,
    };
    match misbehaviour {
        Some(M::Replay) => {
            if let Some(previous) = previous {
                wire = previous.wire;
                // What comes next is measured against the answer that was really given.
                platform.remember(Previous {
                    nonce: request.nonce.clone(),
                    digest: judgement.digest,
                    wire: wire.clone(),
                });
            }
        }
        Some(M::NotJson) => wire.body = b"<html><body>Please log in to the network.</body></html>".to_vec(),
        Some(M::MissingSign) => {
            wire.headers.clear();
            wire.body = if form.has_package() {
                format!("{{\"{}\":{package}}}", form.members().0).into_bytes()
            } else {
                package.into_bytes()
            };
        }
        Some(M::DuplicatePackage) => {
            let forged = Answer { outcome: Outcome::Match, serial: "FORGED".into(), ..answer };
            let forged = form.write_answer(&forged, None);
            let rest = String::from_utf8_lossy(&wire.body).into_owned();
            wire.body = format!("{{\"{}\":{forged},{}", form.members().0, &rest[1..]).into_bytes();
        }
        Some(M::TrailingGarbage) => wire.body.extend_from_slice(b"{\"more\":1}"),
        Some(M::HugeBody) => wire.body.extend(std::iter::repeat_n(b' ', 16 << 20)),
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
    reply.body = Bytes::from(wire.body);
    reply.headers = wire.headers;
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

fn signer(platform: &Platform, misbehaviour: Option<M>) -> &Identity {
    let pki = &platform.pki;
    match misbehaviour {
        Some(M::RevokedSigner) => &pki.revoked,
        Some(M::UnpinnedSigner) => &pki.other_authority,
        Some(M::ChainedUnpinnedSigner) => &pki.unpinned,
        Some(M::EncryptionCertSigns) => &pki.encryption,
        _ => &pki.signing,
    }
}

fn proof(
    form: Form,
    package: &str,
    signer: &Identity,
    serial: &str,
    at: OffsetDateTime,
    misbehaviour: Option<M>,
) -> Result<Proof, SimError> {
    let content = form.to_sign(package);
    let attached = form == Form::Attached;
    let mut der = if form.has_messages() {
        let attributes = form.attributes() != (misbehaviour == Some(M::AttributesMissing));
        signed_data::build(&content, attached, signer, attributes.then_some(at))?
    } else {
        sm::sign(&signer.key, &content)?
    };
    match misbehaviour {
        // Both end with the value s: still DER, another number.
        Some(M::BrokenSignature) => {
            if let Some(last) = der.last_mut() {
                *last ^= 1;
            }
        }
        // The content stands in the message as it was signed; a letter of it becomes another.
        Some(M::AlteredAfterSigning) if attached => {
            let at = der.windows(4).position(|window| window == b"\"SIM");
            if let Some(octet) = at.and_then(|at| der.get_mut(at + 1)) {
                *octet = b'T';
            }
        }
        // Too short for any form, also without its DER.
        Some(M::TruncatedDer) => der.truncate(der.len() / 2),
        Some(M::DerTrailingGarbage) => der.extend_from_slice(b"more"),
        _ => {}
    }
    Ok(if form.has_messages() {
        Proof::Message(der)
    } else {
        Proof::Bare { signature: der, serial: Some(serial.to_owned()) }
    })
}
