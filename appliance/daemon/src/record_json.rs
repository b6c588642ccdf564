//! Records as JSON, for operators and tests. The record itself is CBOR; this is a view of it, not a format of evidence.

use serde_json::{Map, Value, json};
use yanqian_evidence::{
    Aggregate, Answer, Body, Context, Decision, Exchange, Intent, Kind, Management, Outcome, Refusal, Revocation,
    RevocationKind, Step, Times, ToBeSigned,
};
use yanqian_ledger::{Entry, VerifySummary};
use yanqian_vocabulary::Timestamp;

fn text(value: &dyn std::fmt::Display) -> Value {
    Value::String(value.to_string())
}

fn optional<T: std::fmt::Display>(value: Option<&T>) -> Value {
    value.map_or(Value::Null, |value| text(value))
}

/// One record with its place.
pub(crate) fn record_json(entry: &Entry) -> Value {
    let record = &entry.record;
    json!({
        "sequence": record.sequence,
        "time": text(&record.time),
        "kind": record.body.kind().as_str(),
        "leaf": text(&entry.leaf),
        "segment": entry.segment,
        "offset": entry.offset,
        "context": context(&record.context),
        "body": body(&record.body),
    })
}

fn context(context: &Context) -> Value {
    json!({
        "entity": text(&context.entity),
        "node": text(&context.node),
        "software": text(&context.software),
        "agreement": text(&context.agreement),
        "platform": text(&context.platform),
        "platform_profile": text(&context.platform_profile),
        "key": text(&context.key),
        "certificate": text(&context.certificate),
        "grade": text(&context.grade),
        "encryption_key": optional(context.encryption_key.as_ref()),
        "encryption_certificate": optional(context.encryption_certificate.as_ref()),
    })
}

fn body(body: &Body) -> Value {
    match body {
        Body::Intent(intent) => intent_json(intent),
        Body::Exchange(exchange) => exchange_json(exchange),
        Body::Outcome(outcome) => outcome_json(outcome),
        Body::Refusal(refusal) => refusal_json(refusal),
        Body::OutcomeUnknown(unknown) => {
            json!({ "verification": text(&unknown.verification), "intent": unknown.intent })
        }
        Body::Aggregate(aggregate) => aggregate_json(aggregate),
        Body::Management(event) => management_json(event),
    }
}

fn intent_json(intent: &Intent) -> Value {
    json!({
        "verification": text(&intent.verification),
        "caller": text(&intent.caller),
        "mode": intent.mode.as_str(),
        "purpose": text(&intent.purpose),
        "document_type": intent.document_type.as_str(),
        "rule": text(&intent.rule),
        "fields": intent.fields.iter().map(|field| field.as_str()).collect::<Vec<_>>(),
        "request": text(&intent.request),
        "nonce": text(&intent.nonce),
        "to_be_signed": to_be_signed_json(&intent.to_be_signed),
        "search": intent.search.map(|search| json!({ "epoch": search.epoch, "tag": text(&search.tag) })),
        "commitment": text(&intent.commitment),
        "idempotency": optional(intent.idempotency.as_ref()),
        "received": text(&intent.received),
    })
}

fn to_be_signed_json(to_be_signed: &ToBeSigned) -> Value {
    match to_be_signed {
        ToBeSigned::Attributes { der } => json!({ "attributes": hex::encode(der.as_bytes()) }),
        ToBeSigned::Content { e } => json!({ "e": text(e) }),
    }
}

fn revocation_json(lists: &[Revocation]) -> Vec<Value> {
    lists
        .iter()
        .map(|list| json!({ "kind": kind(list.kind), "hash": text(&list.hash), "this_update": text(&list.this_update), "next_update": optional(list.next_update.as_ref()) }))
        .collect()
}

const fn kind(kind: RevocationKind) -> &'static str {
    match kind {
        RevocationKind::Crl => "crl",
        RevocationKind::Ocsp => "ocsp",
    }
}

fn steps_json(steps: &[Step]) -> Vec<Value> {
    steps
        .iter()
        .map(
            |step| json!({ "name": step.name.as_str(), "refused": step.refused.map(yanqian_vocabulary::Reason::code) }),
        )
        .collect()
}

fn times_json(times: &Times) -> Value {
    json!({
        "received": text(&times.received),
        "signed": optional::<Timestamp>(times.signed.as_ref()),
        "sent": optional::<Timestamp>(times.sent.as_ref()),
        "answered": optional::<Timestamp>(times.answered.as_ref()),
    })
}

fn answer_text(answer: &Answer) -> String {
    String::from_utf8_lossy(answer.octets.as_bytes()).into_owned()
}

fn exchange_json(exchange: &Exchange) -> Value {
    json!({
        "verification": text(&exchange.verification),
        "intent": exchange.intent,
        "step": exchange.step.as_str(),
        "signature": hex::encode(exchange.signature.signature.as_bytes()),
        "answer": answer_text(&exchange.answer),
        "answer_signature": exchange.answer.signature.as_ref().map(|der| hex::encode(der.as_bytes())),
        "signer": text(&exchange.signer.hash),
        "chain": exchange.chain.iter().map(|hash| text(hash)).collect::<Vec<_>>(),
        "revocation": revocation_json(&exchange.revocation),
        "platform_status": exchange.platform_status,
        "platform_time": optional(exchange.platform_time.as_ref()),
        "platform_serial": optional(exchange.platform_serial.as_ref()),
        "steps": steps_json(&exchange.steps),
        "times": times_json(&exchange.times),
        "trust": text(&exchange.trust),
        "next": {
            "request": text(&exchange.next.request),
            "nonce": text(&exchange.next.nonce),
            "to_be_signed": to_be_signed_json(&exchange.next.to_be_signed),
        },
    })
}

fn outcome_json(outcome: &Outcome) -> Value {
    let decision = match &outcome.decision {
        Decision::Verdict { overall, fields } => {
            let fields: Map<String, Value> =
                fields.iter().map(|(field, verdict)| (field.to_string(), text(verdict))).collect();
            json!({ "verdict": overall.as_str(), "fields": fields })
        }
        Decision::Refused { reason } => json!({ "refused": reason.code() }),
    };
    json!({
        "verification": text(&outcome.verification),
        "intent": outcome.intent,
        "exchange": outcome.exchange,
        "decision": decision,
        "signature": outcome.signature.as_ref().map(|signature| hex::encode(signature.signature.as_bytes())),
        "answer": outcome.answer.as_ref().map(answer_text),
        "answer_signature": outcome.answer.as_ref().and_then(|answer| answer.signature.as_ref()).map(|der| hex::encode(der.as_bytes())),
        "signer": outcome.signer.as_ref().map(|signer| text(&signer.hash)),
        "chain": outcome.chain.iter().map(|hash| text(hash)).collect::<Vec<_>>(),
        "revocation": revocation_json(&outcome.revocation),
        "reading": optional(outcome.reading.as_ref()),
        "platform_status": outcome.platform_status,
        "platform_time": optional(outcome.platform_time.as_ref()),
        "platform_serial": optional(outcome.platform_serial.as_ref()),
        "steps": steps_json(&outcome.steps),
        "times": times_json(&outcome.times),
        "trust": optional(outcome.trust.as_ref()),
    })
}

fn refusal_json(refusal: &Refusal) -> Value {
    json!({
        "verification": text(&refusal.verification),
        "caller": text(&refusal.caller),
        "mode": refusal.mode.as_str(),
        "decision": { "refused": refusal.reason.code() },
        "field": optional(refusal.field.as_ref()),
        "purpose": optional(refusal.purpose.as_ref()),
        "document_type": refusal.document_type.map(yanqian_vocabulary::DocumentType::as_str),
        "rule": optional(refusal.rule.as_ref()),
        "idempotency": optional(refusal.idempotency.as_ref()),
        "earlier": optional(refusal.earlier.as_ref()),
        "received": text(&refusal.received),
    })
}

fn aggregate_json(aggregate: &Aggregate) -> Value {
    let rejected: Map<String, Value> =
        aggregate.rejected.iter().map(|entry| (entry.cause.as_str().to_owned(), entry.count.into())).collect();
    let shed: Map<String, Value> =
        aggregate.shed.iter().map(|entry| (entry.reason.code().to_owned(), entry.count.into())).collect();
    json!({ "from": text(&aggregate.from), "until": text(&aggregate.until), "rejected": rejected, "shed": shed })
}

fn management_json(event: &Management) -> Value {
    match event {
        Management::Started {} => json!({ "event": "started" }),
        Management::Stopped { cause } => json!({ "event": "stopped", "cause": cause.as_str() }),
        Management::ConfigurationLoaded { configuration, trust, certificate, transport, tls_key, tls_key_grade } => {
            json!({
                "event": "configuration-loaded",
                "configuration": text(configuration),
                "trust": optional(trust.as_ref()),
                "certificate": certificate.as_ref().map(|der| hex::encode(der.as_bytes())),
                "transport": transport.as_ref().map(yanqian_evidence::Label::as_str),
                "tls_key": optional(tls_key.as_ref()),
                "tls_key_grade": tls_key_grade.as_ref().map(yanqian_evidence::Label::as_str),
            })
        }
        Management::TrustLoaded { trust } => json!({ "event": "trust-loaded", "trust": text(trust) }),
        Management::SelfProof { refused } => {
            json!({ "event": "self-proof", "refused": refused.map(yanqian_vocabulary::Reason::code) })
        }
        Management::CertificateRequested { request } => {
            json!({ "event": "certificate-requested", "request": text(request) })
        }
        Management::KeyGenerated { key } => json!({ "event": "key-generated", "key": text(key) }),
        Management::CertificateImported { certificate } => {
            json!({ "event": "certificate-imported", "certificate": text(certificate) })
        }
        Management::ClockStepped { milliseconds } => {
            json!({ "event": "clock-stepped", "milliseconds": milliseconds })
        }
        Management::ServiceState { state, reason } => json!({
            "event": "service-state",
            "state": state.as_str(),
            "reason": reason.map(yanqian_vocabulary::Reason::code),
        }),
        Management::ReserveReleased {} => json!({ "event": "reserve-released" }),
        Management::ReserveRestored {} => json!({ "event": "reserve-restored" }),
        Management::TailRepaired { segment, offset, octets } => {
            json!({ "event": "tail-repaired", "segment": segment, "offset": offset, "octets": octets })
        }
        Management::KeyChanged { usage, key, certificate, former } => json!({
            "event": "key-changed",
            "usage": usage.as_str(),
            "key": text(key),
            "certificate": hex::encode(certificate.as_bytes()),
            "former": optional(former.as_ref()),
        }),
        Management::SearchEpochBegun { epoch, operator } => {
            json!({ "event": "search-epoch-begun", "epoch": epoch, "operator": operator })
        }
        Management::SearchEpochDestroyed { epoch, operator } => {
            json!({ "event": "search-epoch-destroyed", "epoch": epoch, "operator": operator })
        }
        Management::TokenAdministered { token, operation, result, key, object, operator, at } => json!({
            "event": "token-administered",
            "token": token.as_str(),
            "operation": operation.as_str(),
            "result": result.as_str(),
            "key": optional(key.as_ref()),
            "object": optional(object.as_ref()),
            "operator": operator,
            "at": text(at),
        }),
        Management::SegmentRemoved { segment, hash } => {
            json!({ "event": "segment-removed", "segment": segment, "hash": text(hash) })
        }
        Management::SegmentExpired { segment, hash, operator } => {
            json!({ "event": "segment-expired", "segment": segment, "hash": text(hash), "operator": operator })
        }
        Management::HoldPlaced { hold, text: said, operator } => {
            json!({ "event": "hold-placed", "hold": hold, "text": text(said), "operator": operator })
        }
        Management::HoldReleased { hold, text: said, operator } => {
            json!({ "event": "hold-released", "hold": hold, "text": text(said), "operator": operator })
        }
        Management::SaltDestroyed { verification, operator } => {
            json!({ "event": "salt-destroyed", "verification": text(verification), "operator": operator })
        }
    }
}

/// The result of `ledger verify` for people.
pub(crate) fn summary_text(verified: &VerifySummary) -> String {
    let summary = &verified.summary;
    let time = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
    let mut lines = vec![
        "ledger verifies".to_owned(),
        format!("  records       {} in {} segments", summary.records, summary.segments),
    ];
    for kind in Kind::ALL {
        lines.push(format!("    {:<15} {}", kind.as_str(), summary.counts.kinds.get(kind).copied().unwrap_or(0)));
    }
    lines.push(format!("  open intents  {}", summary.open_intents));
    lines.push(format!("  first record  {}", time(summary.first_time)));
    lines.push(format!("  last record   {}", time(summary.last_time)));
    // Over a part of the records it would be no tree of this ledger.
    if verified.absent.is_none() {
        lines.push(format!("  tree hash     {}", summary.root));
    }
    lines.push(format!("  chain         {}", summary.chain));
    if let Some(tail) = &verified.incomplete_tail {
        lines.push(format!("  at the end    {tail:?}: being written, or torn by a crash; not acknowledged"));
    }
    lines.join("\n")
}
