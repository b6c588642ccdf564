//! What the report tells of a check, from its records in the ledger; and of certificates, keys and addresses.

use std::collections::BTreeMap;

use yanqian_evidence::{
    Body, Decision, Exchange, Intent, Outcome, Record, Revocation, RevocationKind, Signer, Step, Times,
};
use yanqian_gateway::Tried;
use yanqian_messages::Certificate;
use yanqian_platform::{LookFailure, LookedAddress, Profile};
use yanqian_trust::TrustStore;
use yanqian_vocabulary::{CertificateHash, ContentDigest, FieldVerdicts, Nonce, Reason, Timestamp, Verdict};

use super::cases::Case;
use super::report::{
    AddressFacts, AnswerCheck, CertificateFacts, CheckFacts, ExchangeFacts, RecordFacts, RevocationFacts, StepResult,
};

/// How a check ended.
pub(super) enum Ending {
    Verdict { overall: Verdict, fields: FieldVerdicts },
    Refused { reason: Reason, field: Option<String>, http_status: Option<u16> },
}

/// The last record of a check says how it ended.
pub(super) fn ending(tried: &Tried) -> Option<Ending> {
    match &tried.records.last()?.body {
        Body::Outcome(outcome) => Some(match &outcome.decision {
            Decision::Verdict { overall, fields } => Ending::Verdict { overall: *overall, fields: fields.clone() },
            Decision::Refused { reason } => {
                Ending::Refused { reason: *reason, field: None, http_status: outcome.platform_status }
            }
        }),
        Body::Refusal(refusal) => {
            let field = refusal.field.as_ref().map(ToString::to_string);
            Some(Ending::Refused { reason: refusal.reason, field, http_status: None })
        }
        _ => None,
    }
}

/// The nonce of a check's first request, once it was sent.
pub(super) fn sent_nonce(tried: &Tried) -> Option<Nonce> {
    let intent = tried.records.iter().find_map(|record| match &record.body {
        Body::Intent(intent) => Some(intent.nonce),
        _ => None,
    });
    exchanges(tried).first().is_some_and(|(_, times)| times.sent.is_some()).then_some(intent)?
}

/// How far the platform's clock was ahead at least and at most, in milliseconds, by each proven answer.
pub(super) fn clock_differences(tried: &Tried, profile: &Profile) -> Vec<(i64, i64)> {
    // A time of whole seconds may have been written at any moment of its second.
    let span = profile.time_span_millis();
    let of = |time: Option<Timestamp>, times: &Times| {
        let time = time?;
        Some((time.millis_since(times.answered?), time.millis_since(times.sent?) + span))
    };
    let body = |record: &Record| match &record.body {
        Body::Exchange(exchange) => of(exchange.platform_time, &exchange.times),
        Body::Outcome(outcome) => of(outcome.platform_time, &outcome.times),
        _ => None,
    };
    tried.records.iter().filter_map(body).collect()
}

pub(super) fn check(case: &Case, expected: &str, tried: &Tried) -> CheckFacts {
    let (found, fields) = match ending(tried) {
        Some(Ending::Verdict { overall, fields }) => (overall.as_str().to_owned(), fields),
        Some(Ending::Refused { reason, .. }) => (reason.code().to_owned(), FieldVerdicts::new()),
        None => ("no end".to_owned(), FieldVerdicts::new()),
    };
    let exchanges = exchanges(tried);
    let received = exchanges.first().map(|(_, times)| times.received);
    let answered = exchanges.last().and_then(|(_, times)| times.answered);
    CheckFacts {
        mode: case.mode.to_string(),
        document_type: case.document_type.to_string(),
        purpose: case.purpose.clone(),
        expected: expected.to_owned(),
        found,
        fields: fields
            .iter()
            .map(|(field, verdict)| (field.to_string(), verdict.to_string()))
            .collect::<BTreeMap<_, _>>(),
        verification: tried.verification.to_string(),
        latency_ms: answered.zip(received).map(|(answered, received)| answered.millis_since(received)),
        code: tried.code.clone(),
        exchanges: exchanges.into_iter().map(|(facts, _)| facts).collect(),
        records: tried
            .records
            .iter()
            .zip(&tried.places)
            .map(|(record, place)| record_facts(record, &place.leaf))
            .collect(),
    }
}

fn record_facts(record: &Record, leaf: &dyn std::fmt::Display) -> RecordFacts {
    RecordFacts { kind: record.body.kind().as_str().to_owned(), sequence: record.sequence, leaf_hash: leaf.to_string() }
}

/// Every request of a check with what came back; each record but the last names the request that follows it.
fn exchanges(tried: &Tried) -> Vec<(ExchangeFacts, Times)> {
    let mut found = Vec::new();
    let mut asked: Option<(ContentDigest, Nonce)> = None;
    for record in &tried.records {
        let end = match &record.body {
            Body::Intent(Intent { request, nonce, .. }) => {
                asked = Some((*request, *nonce));
                continue;
            }
            Body::Exchange(exchange) => End::of_exchange(exchange),
            Body::Outcome(outcome) => End::of_outcome(outcome),
            _ => continue,
        };
        if let Some((request, nonce)) = asked {
            found.push((end.facts(record, request, nonce), end.times.clone()));
        }
        if let Body::Exchange(exchange) = &record.body {
            asked = Some((exchange.next.request, exchange.next.nonce));
        }
    }
    found
}

/// What both kinds of record say of an answer.
struct End<'a> {
    step: &'a str,
    times: &'a Times,
    http_status: Option<u16>,
    platform_serial: Option<String>,
    platform_time: Option<Timestamp>,
    signer: Option<&'a Signer>,
    chain: &'a [CertificateHash],
    revocation: &'a [Revocation],
    steps: &'a [Step],
}

impl<'a> End<'a> {
    fn of_exchange(exchange: &'a Exchange) -> Self {
        Self {
            step: exchange.step.as_str(),
            times: &exchange.times,
            http_status: Some(exchange.platform_status),
            platform_serial: exchange.platform_serial.as_ref().map(ToString::to_string),
            platform_time: exchange.platform_time,
            signer: Some(&exchange.signer),
            chain: &exchange.chain,
            revocation: &exchange.revocation,
            steps: &exchange.steps,
        }
    }

    fn of_outcome(outcome: &'a Outcome) -> Self {
        Self {
            step: "check",
            times: &outcome.times,
            http_status: outcome.platform_status,
            platform_serial: outcome.platform_serial.as_ref().map(ToString::to_string),
            platform_time: outcome.platform_time,
            signer: outcome.signer.as_ref(),
            chain: &outcome.chain,
            revocation: &outcome.revocation,
            steps: &outcome.steps,
        }
    }

    fn facts(&self, record: &Record, request: ContentDigest, nonce: Nonce) -> ExchangeFacts {
        let latency = self.times.answered.zip(self.times.sent);
        let signer = self.signer.and_then(|signer| Certificate::from_der(signer.certificate.as_bytes()).ok());
        ExchangeFacts {
            step: self.step.to_owned(),
            request: request.to_string(),
            nonce: nonce.to_string(),
            key: record.context.key.to_string(),
            sent: self.times.sent.map(|time| time.to_string()),
            latency_ms: latency.map(|(answered, sent)| answered.millis_since(sent)),
            http_status: self.http_status,
            platform_serial: self.platform_serial.clone(),
            platform_time: self.platform_time.map(|time| time.to_string()),
            signer: signer.as_ref().map(certificate),
            chain: self.chain.iter().map(ToString::to_string).collect(),
            revocation: self.revocation.iter().map(revocation).collect(),
            checks: self.steps.iter().map(answer_check).collect(),
        }
    }
}

fn answer_check(step: &Step) -> AnswerCheck {
    AnswerCheck {
        name: step.name.to_string(),
        result: if step.refused.is_none() { StepResult::Pass } else { StepResult::Fail },
        reason: step.refused.map(|reason| reason.code().to_owned()),
    }
}

fn revocation(used: &Revocation) -> RevocationFacts {
    RevocationFacts {
        kind: match used.kind {
            RevocationKind::Crl => "crl",
            RevocationKind::Ocsp => "ocsp",
        }
        .to_owned(),
        hash: used.hash.to_string(),
        this_update: used.this_update.to_string(),
        next_update: used.next_update.map(|time| time.to_string()),
    }
}

pub(super) fn certificate(certificate: &Certificate) -> CertificateFacts {
    let time = |seconds: i64| Timestamp::from_unix_millis(seconds.saturating_mul(1000)).to_string();
    CertificateFacts {
        subject: certificate.subject().to_owned(),
        issuer: certificate.issuer().to_owned(),
        serial: hex::encode(certificate.serial()),
        not_before: time(certificate.not_before()),
        not_after: time(certificate.not_after()),
        hash: hex::encode(certificate.hash()),
    }
}

pub(super) fn failure((stage, problem): LookFailure) -> String {
    format!("{}: {problem}", stage.as_str())
}

pub(super) fn address(looked: &LookedAddress, trust: &TrustStore) -> AddressFacts {
    let tls = looked.connected.as_ref().ok().and_then(Option::as_ref);
    AddressFacts {
        address: looked.address.to_string(),
        connected: looked.connected.is_ok(),
        problem: looked.connected.as_ref().err().map(|failed| failure(*failed)),
        tls: tls.map(|tls| tls.version.clone()),
        suite: tls.map(|tls| tls.suite.clone()),
        protocol: tls.and_then(|tls| tls.protocol.clone()),
        pinned: tls.map(|_| trust.pins_tls()),
        chain: tls.map(|tls| tls.chain.iter().map(certificate).collect()).unwrap_or_default(),
    }
}
