//! From a judgement to the octets of an answer, honest or not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use openssl::x509::X509;
use time::{Duration, OffsetDateTime};

use crate::fault::{Cast, Change, Order, Outer, Ready, Script, Sealing, Statement, Written};
use crate::form::{Answer, FieldResult, Outcome, PackageFault, Proof, Step, Wire};
use crate::misbehave::Misbehaviour as M;
use crate::pki::Identity;
use crate::platform::{Judgement, Platform, Previous};
use crate::proof::Signing;
use crate::{Form, Refusal, SimError, envelope, sm};

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
    /// What is written in place of all that.
    pub(crate) script: Option<Script>,
}

impl Reply {
    pub(crate) fn plain(status: StatusCode, text: String) -> Self {
        let body = Bytes::from(text);
        let content_type = "text/plain; charset=utf-8";
        Self {
            status,
            content_type,
            location: false,
            headers: Vec::new(),
            body,
            delivery: Delivery::Whole,
            script: None,
        }
    }
}

/// Answers a judged request.
pub(crate) fn compose(
    platform: &Platform,
    judgement: &Judgement,
    order: Option<Order>,
    now: OffsetDateTime,
) -> Result<Reply, SimError> {
    let Some(request) = &judgement.request else {
        let reason = match judgement.outcome {
            Outcome::Refused(Refusal::Shape(reason)) => reason,
            _ => "not a request",
        };
        return Ok(Reply::plain(StatusCode::BAD_REQUEST, reason.to_owned()));
    };
    let misbehaviour = order.and_then(Order::misbehaviour);
    let change = order.and_then(Order::change);
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
    let sealed = seal_reading(platform, judgement, &mut answer, order)?;
    let form = platform.form;
    let used = platform.used_serial(order.is_none().then_some(answer.serial.as_str()));
    let members = form.members_of(&answer, fault);
    let mut statement = Statement::new(form, &answer, members, previous.as_ref(), used.as_deref());
    if let Some(Change::Statement(change)) = change {
        change(&mut statement);
    }
    let mut cast = Cast::of(signer(platform, misbehaviour));
    let serial = X509::from_der(&cast.certificates[0])?.serial_number().to_bn()?.to_hex_str()?.to_ascii_lowercase();
    let text = form.with_serial(statement.write(), &serial);
    let written = match change {
        Some(Change::Json(change)) => change(&text),
        _ => Written::from(text),
    };
    let mut package = written.sent;
    let signed = form.to_sign(written.signed.as_ref().unwrap_or(&package));
    let signing = Signing {
        form,
        pki: &platform.pki,
        signed: &signed,
        sent: &package,
        at: answer.time,
        previous: previous.as_ref().map(|previous| previous.signed.as_slice()),
        serial: &serial,
    };
    if let Some(Change::Certificate(change)) = change {
        cast = change(&signing.desk(None))?;
    }
    let proof = signing.prove(&cast, order)?;
    if judgement.outcome == Outcome::Accepted {
        platform.accept(&answer.serial, request, &signed, now);
    }
    if misbehaviour == Some(M::AlteredAfterSigning) {
        let text = String::from_utf8_lossy(&package).replacen(&answer.serial, &format!("{}9", answer.serial), 1);
        package = text.into_bytes();
    }
    let mut wire = pack(form, &package, &proof, change);
    if let Some(sealed) = sealed {
        let body = String::from_utf8_lossy(&wire.body).into_owned();
        wire.body = form.with_reading(&body, &STANDARD.encode(sealed)).into_bytes();
    }
    // What comes next is measured against the last answer that was right.
    if order.is_none() {
        let (nonce, digest) = (request.nonce.clone(), judgement.digest);
        platform.remember(Previous { nonce, digest, wire: wire.clone(), signed });
    }
    match misbehaviour {
        Some(M::Replay) => {
            if let Some(previous) = &previous {
                wire = previous.wire.clone();
            }
        }
        Some(M::DuplicatePackage) => {
            let forged = Answer { outcome: Outcome::Match, serial: "FORGED".into(), ..answer };
            let forged = form.write_answer(&forged, None);
            let rest = String::from_utf8_lossy(&wire.body).into_owned();
            wire.body = format!("{{\"{}\":{forged},{}", form.members().0, &rest[1..]).into_bytes();
        }
        Some(M::MissingSign) => {
            wire.headers.clear();
            wire.body = if form.has_package() {
                format!("{{\"{}\":{}}}", form.members().0, String::from_utf8_lossy(&package)).into_bytes()
            } else {
                package
            };
        }
        _ => {}
    }
    Ok(dispatch(form, wire, order, previous))
}

/// Puts package and signature together, rightly or not.
fn pack(form: Form, package: &[u8], proof: &Proof, change: Option<Change>) -> Wire {
    let mut wire = form.close(package, proof);
    match (change, proof) {
        (Some(Change::Envelope(change)), Proof::Message(message)) => {
            let package = String::from_utf8_lossy(package);
            wire.body = change(&Outer { names: form.members(), package: &package, sign: &STANDARD.encode(message) });
        }
        (Some(Change::Headers(change)), _) => change(&mut wire.headers),
        _ => {}
    }
    wire
}

/// The HTTP answer, and what goes wrong with it on its way.
fn dispatch(form: Form, mut wire: Wire, order: Option<Order>, previous: Option<Previous>) -> Reply {
    let mut reply = Reply {
        status: StatusCode::OK,
        content_type: if form == Form::Attached { form.content_type() } else { "application/json;charset=UTF-8" },
        location: false,
        headers: Vec::new(),
        body: Bytes::new(),
        delivery: Delivery::Whole,
        script: None,
    };
    match order.and_then(Order::misbehaviour) {
        Some(M::NotJson) => wire.body = b"<html><body>Please log in to the network.</body></html>".to_vec(),
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
    if let Some(Change::Wire(change)) = order.and_then(Order::change) {
        let ready = Ready {
            content_type: reply.content_type.to_owned(),
            headers: wire.headers.clone(),
            body: wire.body.clone(),
            previous: previous.map(|previous| previous.wire.body).unwrap_or_default(),
        };
        reply.script = Some(change(&ready));
    }
    reply.body = Bytes::from(wire.body);
    reply.headers = wire.headers;
    reply
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
    order: Option<Order>,
) -> Result<Option<Vec<u8>>, SimError> {
    let misbehaviour = order.and_then(Order::misbehaviour);
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
    let mut sealed = match order.and_then(Order::change) {
        Some(Change::Reading(change)) => {
            change(&Sealing { plain: &plain, entity: &recipient, other: &platform.pki.encryption.der })?
        }
        _ => envelope::seal(plain.as_bytes(), &recipient)?,
    };
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
