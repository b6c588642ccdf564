//! Revocation data that the daemon fetches itself, from responders and places that are wrong in every way. Each must be left alone
//! for its own reason, which the daemon's log names beside the place; and as long as there is nothing better, no answer is believed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openssl::hash::MessageDigest;
use toml::Value;
use yanqian_devpki::{DevPkiError, OcspResponder, OcspSingle, OcspStatus, cert_id, key_id, ocsp_error};
use yanqian_harness::HarnessError;
use yanqian_platform::StepName;
use yanqian_vocabulary::Reason;

use crate::authority::{Bench, Certify, DELTA, HOUR, INDIRECT, List, SOME_REASONS, failed, moment};
use crate::drill::{Drill, Trial};
use crate::responder::{Asked, Responder, Serve, Served};
use crate::rows::{Check, Row, Subject};
use crate::store::changed;

/// How long the daemon may take to ask everywhere.
const SOON: Duration = Duration::from_mins(1);
/// Milliseconds for one fetch.
const FETCH_MS: i64 = 4_000;

/// Why the daemon does not take it (none: it does), and what is served.
struct Case {
    name: &'static str,
    refused: Option<&'static str>,
    serve: Serve,
}

const fn case(name: &'static str, refused: &'static str, serve: Serve) -> Case {
    Case { name, refused: Some(refused), serve }
}

const fn taken(name: &'static str, serve: Serve) -> Case {
    Case { name, refused: None, serve }
}

type Made = Result<Served, DevPkiError>;

/// A response of this responder to this very request.
fn by(responder: &OcspResponder, singles: &[OcspSingle], asked: &Asked) -> Made {
    responder.answer(singles, Some(&asked.nonce), moment()).map(Served::Body)
}

/// "Good", by a responder with such a certificate.
fn by_delegate(bench: &Bench, asked: &Asked, certificate: Certify<'_>) -> Made {
    by(&certificate.responder()?, &[bench.good()?], asked)
}

/// These words of the issuing authority itself.
fn says(bench: &Bench, asked: &Asked, singles: &[OcspSingle]) -> Made {
    by(&bench.issuing.responder(), singles, asked)
}

fn good(bench: &Bench, asked: &Asked) -> Result<Vec<u8>, DevPkiError> {
    bench.issuing.responder().answer(&[bench.good()?], Some(&asked.nonce), moment())
}

fn with_nonce(bench: &Bench, nonce: Option<&[u8]>) -> Made {
    bench.issuing.responder().answer(&[bench.good()?], nonce, moment()).map(Served::Body)
}

/// The same words for another certificate.
fn about(bench: &Bench, cert_id: Vec<u8>) -> Result<OcspSingle, DevPkiError> {
    Ok(OcspSingle { cert_id, ..bench.good()? })
}

fn altered(mut octets: Vec<u8>) -> Served {
    if let Some(last) = octets.last_mut() {
        *last ^= 1;
    }
    Served::Body(octets)
}

/// More is said than comes.
fn cut_short(kind: &str, body: &[u8]) -> Served {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    Served::Octets([head.as_bytes(), &body[..body.len() / 2]].concat())
}

fn status(line: &str, more: &str, body: &[u8]) -> Served {
    let head = format!("HTTP/1.1 {line}\r\n{more}content-length: {}\r\n\r\n", body.len());
    Served::Octets([head.as_bytes(), body].concat())
}

fn sm3() -> MessageDigest {
    MessageDigest::sm3()
}

#[rustfmt::skip]
const RESPONSES: &[Case] = &[
    case("ocsp/silent", "deadline", |_, _| Ok(Served::Silence)),
    case("ocsp/one-octet-a-second", "deadline", |b, a| Ok(Served::Slowly(good(b, a)?))),
    case("ocsp/closed-without-an-answer", "unreachable", |_, _| Ok(Served::Octets(Vec::new()))),
    case("ocsp/no-http", "unreachable", |_, _| Ok(Served::Octets(b"220 responder ESMTP ready\r\n".to_vec()))),
    case("ocsp/cut-short", "unreachable", |b, a| Ok(cut_short("application/ocsp-response", &good(b, a)?))),
    case("ocsp/status-500", "status", |b, a| Ok(status("500 Internal Server Error", "", &good(b, a)?))),
    case("ocsp/status-404", "status", |_, _| Ok(status("404 Not Found", "", b""))),
    case("ocsp/redirect", "status", |b, a| Ok(status("302 Found", "location: /honest/ocsp-of-the-issuer\r\n", &good(b, a)?))),
    case("ocsp/larger-than-any-response", "too-large", |b, a| Ok(Served::Body([good(b, a)?, vec![0; 64 << 10]].concat()))),
    case("ocsp/without-end", "too-large", |_, _| Ok(Served::Endlessly(vec![0x30; 4096]))),
    case("ocsp/empty", "unreadable", |_, _| Ok(Served::Body(Vec::new()))),
    case("ocsp/page", "unreadable", |_, _| Ok(Served::Typed("text/html", b"<html>Please log in to the network.</html>".to_vec()))),
    case("ocsp/garbage", "unreadable", |_, _| Ok(Served::Body(b"\x30\x82\xff\xff not a response".to_vec()))),
    case("ocsp/half-of-one", "unreadable", |b, a| { let mut half = good(b, a)?; half.truncate(half.len() / 2); Ok(Served::Body(half)) }),
    case("ocsp/octets-after-it", "unreadable", |b, a| Ok(Served::Body([good(b, a)?, vec![0, 0]].concat()))),
    case("ocsp/twice", "unreadable", |b, a| Ok(Served::Body(good(b, a)?.repeat(2)))),
    case("ocsp/malformed-request", "unreadable", |_, _| Ok(Served::Body(ocsp_error(1)))),
    case("ocsp/internal-error", "unreadable", |_, _| Ok(Served::Body(ocsp_error(2)))),
    case("ocsp/try-later", "unreadable", |_, _| Ok(Served::Body(ocsp_error(3)))),
    case("ocsp/signature-required", "unreadable", |_, _| Ok(Served::Body(ocsp_error(5)))),
    case("ocsp/unauthorized", "unreadable", |_, _| Ok(Served::Body(ocsp_error(6)))),
    case("ocsp/success-and-nothing-more", "unreadable", |_, _| Ok(Served::Body(ocsp_error(0)))),
    case("ocsp/nothing-said", "unreadable", |b, a| says(b, a, &[])),
    case("ocsp/without-an-end", "unreadable", |b, a| says(b, a, &[OcspSingle { next_update: None, ..b.good()? }])),
    case("ocsp/unknown", "unknown", |b, a| says(b, a, &[b.says(OcspStatus::Unknown, -60, HOUR)?])),
    case("ocsp/stale", "ended", |b, a| says(b, a, &[b.says(OcspStatus::Good, -2 * HOUR, -HOUR)?])),
    case("ocsp/ended-a-moment-ago", "ended", |b, a| says(b, a, &[b.says(OcspStatus::Good, -HOUR, -1)?])),
    case("ocsp/ends-before-it-begins", "ended", |b, a| says(b, a, &[b.says(OcspStatus::Good, -60, -120)?])),
    case("ocsp/from-the-future", "future", |b, a| says(b, a, &[b.says(OcspStatus::Good, HOUR, 2 * HOUR)?])),
    case("ocsp/about-another-certificate", "not-about", |b, a| says(b, a, &[about(b, cert_id(sm3(), &b.sibling, &b.issuing.certificate)?)?])),
    case("ocsp/about-another-issuers", "not-about", |b, a| says(b, a, &[about(b, cert_id(sm3(), &b.signer.certificate, &b.root.certificate)?)?])),
    case("ocsp/about-a-namesakes", "not-about", |b, a| says(b, a, &[about(b, cert_id(sm3(), &b.signer.certificate, &b.namesake.certificate)?)?])),
    case("ocsp/good-and-revoked", "not-about", |b, a| says(b, a, &[b.good()?, b.says(OcspStatus::Revoked, -60, HOUR)?])),
    case("ocsp/nonce-missing", "nonce", |b, _| with_nonce(b, None)),
    case("ocsp/nonce-empty", "nonce", |b, _| with_nonce(b, Some(b""))),
    case("ocsp/nonce-of-another-request", "nonce", |b, _| with_nonce(b, Some(&[7; 32]))),
    case("ocsp/nonce-cut", "nonce", |b, a| with_nonce(b, a.nonce.get(..31))),
    case("ocsp/nonce-longer", "nonce", |b, a| with_nonce(b, Some(&[&a.nonce[..], &[0]].concat()))),
    case("ocsp/signature-altered", "signature", |b, a| Ok(altered(good(b, a)?))),
    case("ocsp/named-by-another-key", "signature", |b, a| by(&OcspResponder { certificate: b.sibling.clone(), by_name: false, ..b.issuing.responder() }, &[b.good()?], a)),
    case("ocsp/by-the-root", "signature", |b, a| by(&b.root.responder(), &[b.good()?], a)),
    case("ocsp/by-the-signer-itself", "signature", |b, a| by(&OcspResponder { include: vec![b.signer.certificate.clone()], ..b.signer.responder() }, &[b.good()?], a)),
    case("ocsp/by-another-authority", "signature", |b, a| by(&OcspResponder { include: vec![b.other.certificate.clone()], ..b.other.responder() }, &[b.good()?], a)),
    case("ocsp/by-another-key-of-the-issuers-name", "signature", |b, a| by(&OcspResponder { include: vec![b.namesake.certificate.clone()], ..b.namesake.responder() }, &[b.good()?], a)),
    case("ocsp/by-nobody-known", "signature", |b, a| { let responder = Certify::by(&b.issuing).responder()?; by(&OcspResponder { include: Vec::new(), ..responder }, &[b.good()?], a) }),
    case("ocsp/responder-of-the-root", "signature", |b, a| by_delegate(b, a, Certify::by(&b.root))),
    case("ocsp/responder-of-another-authority", "signature", |b, a| by_delegate(b, a, Certify::by(&b.other))),
    case("ocsp/responder-of-a-namesake", "signature", |b, a| by_delegate(b, a, Certify::by(&b.namesake))),
    case("ocsp/responder-without-ocsp-signing", "signature", |b, a| by_delegate(b, a, Certify { usage: None, ..Certify::by(&b.issuing) })),
    case("ocsp/responder-for-tls", "signature", |b, a| by_delegate(b, a, Certify { usage: Some("serverAuth"), ..Certify::by(&b.issuing) })),
    case("ocsp/responder-for-encryption", "signature", |b, a| by_delegate(b, a, Certify { encrypts: true, ..Certify::by(&b.issuing) })),
    case("ocsp/responder-that-is-an-authority", "signature", |b, a| by_delegate(b, a, Certify { authority: true, ..Certify::by(&b.issuing) })),
    case("ocsp/responder-expired", "signature", |b, a| by_delegate(b, a, Certify { validity: (-2 * HOUR, -HOUR), ..Certify::by(&b.issuing) })),
    case("ocsp/responder-not-yet-valid", "signature", |b, a| by_delegate(b, a, Certify { validity: (HOUR, 2 * HOUR), ..Certify::by(&b.issuing) })),
    case("ocsp/responder-revoked", "signature", |b, a| by(&b.revoked_responder, &[b.good()?], a)),
];

/// A word that is taken, and ends every answer of this signer.
const REVOKED: &[Case] = &[taken("ocsp/revoked", |b, a| says(b, a, &[b.says(OcspStatus::Revoked, -60, HOUR)?]))];

/// What a responder may do.
#[rustfmt::skip]
const HONEST_RESPONSES: &[Case] = &[
    taken("honest/ocsp-of-the-issuer", |b, a| says(b, a, &[b.good()?])),
    taken("honest/ocsp-by-key-id", |b, a| by(&OcspResponder { by_name: false, ..b.issuing.responder() }, &[b.good()?], a)),
    taken("honest/ocsp-with-null-parameters", |b, a| by(&OcspResponder { null_parameters: true, ..b.issuing.responder() }, &[b.good()?], a)),
    taken("honest/ocsp-of-a-responder", |b, a| by_delegate(b, a, Certify::by(&b.issuing))),
    taken("honest/ocsp-of-a-responder-that-the-list-clears", |b, a| by_delegate(b, a, Certify { nocheck: false, ..Certify::by(&b.issuing) })),
    taken("honest/ocsp-about-others-too", |b, a| says(b, a, &[about(b, cert_id(sm3(), &b.sibling, &b.issuing.certificate)?)?, b.good()?])),
    // The signature says whose it is; a type says nothing.
    taken("honest/ocsp-under-another-type", |b, a| Ok(Served::Typed("text/plain", good(b, a)?))),
    taken("honest/ocsp-in-chunks", |b, a| { let body = good(b, a)?; Ok(Served::Octets([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat())) }),
];

#[rustfmt::skip]
const LISTS: &[Case] = &[
    case("crl/silent", "deadline", |_, _| Ok(Served::Silence)),
    case("crl/one-octet-a-second", "deadline", |b, _| Ok(Served::Slowly(List::of(&b.issuing).der()?))),
    case("crl/cut-short", "unreachable", |b, _| Ok(cut_short("application/pkix-crl", &List::of(&b.issuing).der()?))),
    case("crl/chunks-without-their-end", "unreachable", |b, _| { let list = List::of(&b.issuing).der()?; Ok(Served::Octets([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", format!("{:x}\r\n", list.len()).as_bytes(), &list, b"\r\n"].concat())) }),
    case("crl/status-403", "status", |b, _| Ok(status("403 Forbidden", "", &List::of(&b.issuing).der()?))),
    case("crl/not-modified", "status", |_, _| Ok(status("304 Not Modified", "", b""))),
    case("crl/larger-than-any-list", "too-large", |_, _| Ok(Served::Body(vec![0x30; (16 << 20) + 1]))),
    case("crl/without-end", "too-large", |_, _| Ok(Served::Endlessly(vec![0x30; 64 << 10]))),
    case("crl/empty", "unreadable", |_, _| Ok(Served::Body(Vec::new()))),
    case("crl/page", "unreadable", |_, _| Ok(Served::Typed("text/html", b"<html>Please log in to the network.</html>".to_vec()))),
    case("crl/half-of-one", "unreadable", |b, _| { let mut half = List::of(&b.issuing).der()?; half.truncate(half.len() / 2); Ok(Served::Body(half)) }),
    case("crl/a-certificate", "unreadable", |b, _| Ok(Served::Body(b.issuing.certificate.to_der()?))),
    case("crl/delta-only", "unreadable", |b, _| Ok(Served::Body(List { critical: DELTA, ..List::of(&b.issuing) }.der()?))),
    case("crl/indirect", "unreadable", |b, _| Ok(Served::Body(List { critical: INDIRECT, ..List::of(&b.issuing) }.der()?))),
    case("crl/of-some-reasons-only", "unreadable", |b, _| Ok(Served::Body(List { critical: SOME_REASONS, ..List::of(&b.issuing) }.der()?))),
    case("crl/expired", "ended", |b, _| Ok(Served::Body(List::of(&b.issuing).expired().der()?))),
    case("crl/from-the-future", "future", |b, _| Ok(Served::Body(List { last: HOUR, ..List::of(&b.issuing) }.der()?))),
    case("crl/of-another-issuer", "signature", |b, _| Ok(Served::Body(List::of(&b.other).der()?))),
    case("crl/signed-by-another-key", "signature", |b, _| Ok(Served::Body(List { by: &b.other, ..List::of(&b.issuing) }.der()?))),
    case("crl/signed-by-another-of-the-same-name", "signature", |b, _| Ok(Served::Body(List::of(&b.namesake).der()?))),
    case("crl/signed-by-the-root", "signature", |b, _| Ok(Served::Body(List { by: &b.root, ..List::of(&b.issuing) }.der()?))),
    case("crl/signature-altered", "signature", |b, _| Ok(altered(List::of(&b.issuing).der()?))),
];

/// Beside a list in the store, number 9, on which the signer stands: without it again, as if it had never been.
#[rustfmt::skip]
const OLD_LISTS: &[Case] = &[
    case("crl/entry-removed-and-number-lower", "older", |b, _| Ok(Served::Body(List { number: 8, ..List::of(&b.issuing) }.der()?))),
    case("crl/entry-removed-and-made-earlier", "older", |b, _| Ok(Served::Body(List { number: 9, last: -HOUR, ..List::of(&b.issuing) }.der()?))),
    case("crl/of-yesterday-played-back", "older", |b, _| Ok(Served::Body(List { number: 1, last: -24 * HOUR, ..List::of(&b.issuing) }.der()?))),
];

#[rustfmt::skip]
const HONEST_LISTS: &[Case] = &[
    taken("honest/crl-in-der", |b, _| Ok(Served::Typed("application/pkix-crl", List::of(&b.issuing).der()?))),
    taken("honest/crl-in-pem-under-another-type", |b, _| Ok(Served::Typed("text/plain", List::of(&b.issuing).pem()?))),
];

/// Nobody listens here.
const NOBODY: &str = "http://127.0.0.1:1/ocsp";
const DOWN: &str = "ocsp/down";

/// Names of these rows.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let tables = [RESPONSES, REVOKED, HONEST_RESPONSES, LISTS, OLD_LISTS, HONEST_LISTS];
    tables.into_iter().flatten().map(|case| case.name).chain([DOWN])
}

/// One look at everything that some of the cases serve.
struct Round<'a> {
    how: &'static str,
    cases: &'a [Case],
    settings: Vec<(&'static str, Value)>,
    /// How every check ends; none: it is believed.
    ends: Option<Reason>,
}

pub(crate) async fn run(drill: &mut Drill, bench: Arc<Bench>) -> Result<Vec<Trial>, HarnessError> {
    let tables = [RESPONSES, REVOKED, HONEST_RESPONSES, LISTS, OLD_LISTS, HONEST_LISTS];
    let all = tables.into_iter().flatten().map(|case| (case.name, case.serve));
    let server = Responder::start(Arc::clone(&bench), all)?;
    let store = drill.site.places().trust();
    let wrong = |error: std::io::Error| failed("trust store", &error);
    // The store knows the signer ahead, so that responders are asked about it at once; about its like that is revoked, none is.
    std::fs::remove_file(store.join("signing/signing-revoked.pem")).map_err(wrong)?;
    let list = |content: Result<Vec<u8>, openssl::error::ErrorStack>| {
        let content = content.map_err(|error| failed("list", &error))?;
        std::fs::write(store.join("crls/issuing.pem"), content).map_err(wrong)
    };
    let no_list = || std::fs::remove_file(store.join("crls/issuing.pem")).map_err(wrong);
    let issuing = bench.issuing.certificate.to_pem().map_err(DevPkiError::from).and_then(|pem| key_id(&pem));
    let issuing = issuing.map_err(|error| failed("issuing", &error))?;
    let responders = |cases: &[Case], down: bool| {
        let urls = cases.iter().map(|case| server.url(case.name)).chain(down.then(|| NOBODY.to_owned()));
        ("responder", Value::Array(urls.map(|url| responder(&url, &issuing)).collect()))
    };
    let places = |cases: &[Case]| {
        ("crl_urls", Value::Array(cases.iter().map(|case| Value::from(server.url(case.name))).collect()))
    };
    let nowhere = || ("crl_urls", Value::Array(Vec::new()));

    let mut trials = Vec::new();
    // A good list does not help where the responder decides or has to agree; without one, it would do alone.
    for (decides, listed) in [("ocsp", true), ("both", true), ("either", false)] {
        if listed {
            list(bench.list_with_responder())?;
        } else {
            no_list()?;
        }
        let common = [("signer", Value::from(decides)), ("fetch_ms", FETCH_MS.into()), nowhere()];
        let with = |more| common.iter().cloned().chain([more]).collect();
        let ends = Some(Reason::PlatformRevocationStale);
        let bad = Round { how: decides, cases: RESPONSES, settings: with(responders(RESPONSES, true)), ends };
        trials.extend(bad.run(drill, &server).await?);
        list(bench.list_with_responder())?;
        let ends = Some(Reason::PlatformSignerRevoked);
        let revoked = Round { how: decides, cases: REVOKED, settings: with(responders(REVOKED, false)), ends };
        trials.extend(revoked.run(drill, &server).await?);
        let good = responders(HONEST_RESPONSES, false);
        let honest = Round { how: decides, cases: HONEST_RESPONSES, settings: with(good), ends: None };
        trials.extend(honest.run(drill, &server).await?);
    }
    let crl = |more| vec![("signer", Value::from("crl")), ("responder", Value::Array(Vec::new())), more];
    no_list()?;
    let ends = Some(Reason::PlatformRevocationStale);
    trials.extend(Round { how: "crl", cases: LISTS, settings: crl(places(LISTS)), ends }.run(drill, &server).await?);
    list((|| List { number: 9, revoked: vec![bench.serial()?], ..List::of(&bench.issuing) }.pem())())?;
    let ends = Some(Reason::PlatformSignerRevoked);
    let old = Round { how: "crl", cases: OLD_LISTS, settings: crl(places(OLD_LISTS)), ends };
    trials.extend(old.run(drill, &server).await?);
    no_list()?;
    let honest = Round { how: "crl", cases: HONEST_LISTS, settings: crl(places(HONEST_LISTS)), ends: None };
    trials.extend(honest.run(drill, &server).await?);
    list(List::of(&bench.issuing).pem())?;
    Ok(trials)
}

/// Asked about what this authority issued: about the signer, that is.
fn responder(url: &str, authority: &str) -> Value {
    let members = [("url", url), ("authority", authority), ("nonce", "require")];
    Value::Table(members.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect())
}

impl Round<'_> {
    /// Has the daemon ask everywhere, and judges every case when it has: by what was said of its place, and by how a check ends.
    async fn run(self, drill: &mut Drill, server: &Responder) -> Result<Vec<Trial>, HarnessError> {
        let log = drill.site.places().daemon_log();
        let before = std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
        // What an earlier round left must not help this one.
        let fetched = drill.site.places().state().join("revocation");
        drill.stop()?;
        match std::fs::remove_dir_all(&fetched) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed("revocation/", &error)),
            _ => {}
        }
        drill.restart_with(&self.settings).await?;
        let mut places: Vec<_> =
            self.cases.iter().map(|case| (case.name, server.url(case.name), case.refused)).collect();
        if self.cases.iter().any(|case| case.name == "ocsp/silent") {
            places.push((DOWN, NOBODY.to_owned(), Some("unreachable")));
        }
        let taken = places.iter().filter(|(_, _, refused)| refused.is_none()).count();
        let began = Instant::now();
        let said = loop {
            let said = said_of(&log, before)?;
            let heard = places.iter().filter(|(_, url, refused)| refused.is_some() && said.contains_key(url)).count();
            if (heard == places.len() - taken && drill.fetched().await? >= taken) || began.elapsed() > SOON {
                break said;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let reply = changed(drill, |reply| Ok(reply.code() == self.ends.map_or("match", Reason::code))).await?;
        let stopped = self.ends.map(|reason| (Check::Step(StepName::Revocation), reason));
        let mut trials = Vec::new();
        for (name, url, refused) in places {
            let row = Row { name, stopped, subject: Subject::Fields, patient: false };
            let own = said.get(&url).map(String::as_str);
            let problem = if own == refused {
                drill.judge_alone(row, &reply)?
            } else {
                Some(format!("fetching came to {own:?} and not to {refused:?}"))
            };
            trials.push(Trial { row, how: self.how, problem });
        }
        Ok(trials)
    }
}

/// What the daemon's log says since then of each place from which it took nothing: the last reason.
fn said_of(log: &std::path::Path, since: u64) -> Result<BTreeMap<String, String>, HarnessError> {
    let log = std::fs::read(log).map_err(|error| failed("log", &error))?;
    let since = usize::try_from(since).unwrap_or(usize::MAX).min(log.len());
    let text = String::from_utf8_lossy(&log[since..]).into_owned();
    let value = |line: &str, key: &str| {
        let (_, rest) = line.split_once(&format!("{key}="))?;
        Some(rest.split_whitespace().next()?.trim_matches('"').to_owned())
    };
    let lines = text.lines().filter(|line| line.contains("revocation data not taken"));
    Ok(lines.filter_map(|line| Some((value(line, "url")?, value(line, "reason")?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use yanqian_trust::FetchError;

    #[test]
    fn every_reason_for_which_nothing_is_taken_has_a_row() {
        let cases = || [RESPONSES, LISTS, OLD_LISTS].into_iter().flatten();
        // Two implementations that disagree, and the disk, are tried elsewhere.
        let own = FetchError::CODES.into_iter().filter(|code| *code != "disputed");
        for code in own.chain(["deadline", "unreachable", "status", "too-large"]) {
            assert!(cases().any(|case| case.refused == Some(code)), "{code} has no row");
        }
    }
}
