//! The records of a receipt as one story: what was signed, request by request, and what came back.

use yanqian_evidence::{
    Answer, Body, Context, Decision, Exchange, Intent, Outcome, Record, Refusal, RequestSignature, Revocation, Signer,
    Step, ToBeSigned,
};
use yanqian_vocabulary::{CertificateHash, ContentDigest, Nonce, Timestamp};

/// The last record of a receipt.
pub(crate) enum End<'a> {
    Outcome(&'a Outcome),
    Unknown,
    Refusal(&'a Refusal),
}

/// One request and its answer.
pub(crate) struct Part<'a> {
    /// The exchange's step label, or `final`; absent when the check took one request.
    pub(crate) name: Option<&'a str>,
    pub(crate) request: ContentDigest,
    pub(crate) nonce: Nonce,
    pub(crate) to_be_signed: &'a ToBeSigned,
    pub(crate) signature: Option<&'a RequestSignature>,
    pub(crate) answer: Option<&'a Answer>,
    pub(crate) signer: Option<&'a Signer>,
    pub(crate) chain: &'a [CertificateHash],
    pub(crate) revocation: &'a [Revocation],
    pub(crate) steps: &'a [Step],
    pub(crate) serial: Option<&'a str>,
    /// Whether the check went on from here: then everything about this part must be proven.
    pub(crate) accepted: bool,
}

impl Part<'_> {
    /// Whether the record says that this check of the answer was made and passed.
    pub(crate) fn passed(&self, step: &str) -> bool {
        self.steps.iter().any(|made| made.name.as_str() == step && made.refused.is_none())
    }

    /// What has to be proven: what the record says has passed, and everything when the check went on from here.
    pub(crate) fn claims(&self, step: &str) -> bool {
        self.accepted || self.passed(step)
    }
}

/// A receipt's records, once it is known that they belong together.
pub(crate) struct Case<'a> {
    pub(crate) context: &'a Context,
    /// Absent for a refusal, and for an outcome-unknown alone.
    pub(crate) intent: Option<&'a Intent>,
    pub(crate) parts: Vec<Part<'a>>,
    pub(crate) end: End<'a>,
    /// The last record's time.
    pub(crate) ended: Timestamp,
}

impl<'a> Case<'a> {
    /// The story of records in the order that [`yanqian_evidence::receipt::check_of`] has approved.
    pub(crate) fn of(records: &'a [Record]) -> Option<Self> {
        let (first, last) = (records.first()?, records.last()?);
        let end = match &last.body {
            Body::Outcome(outcome) => End::Outcome(outcome),
            Body::OutcomeUnknown(_) => End::Unknown,
            Body::Refusal(refusal) => End::Refusal(refusal),
            _ => return None,
        };
        let intent = match &first.body {
            Body::Intent(intent) => Some(intent),
            _ => None,
        };
        let mut parts = Vec::new();
        if let Some(intent) = intent {
            let mut next = (intent.request, intent.nonce, &intent.to_be_signed);
            for record in records {
                let Body::Exchange(exchange) = &record.body else { continue };
                parts.push(of_exchange(exchange, next));
                next = (exchange.next.request, exchange.next.nonce, &exchange.next.to_be_signed);
            }
            if let End::Outcome(outcome) = &end {
                parts.push(of_outcome(outcome, next, (!parts.is_empty()).then_some("final")));
            }
        }
        Some(Self { context: &first.context, intent, parts, end, ended: last.time })
    }
}

type Next<'a> = (ContentDigest, Nonce, &'a ToBeSigned);

fn of_exchange<'a>(exchange: &'a Exchange, (request, nonce, to_be_signed): Next<'a>) -> Part<'a> {
    Part {
        name: Some(exchange.step.as_str()),
        request,
        nonce,
        to_be_signed,
        signature: Some(&exchange.signature),
        answer: Some(&exchange.answer),
        signer: Some(&exchange.signer),
        chain: &exchange.chain,
        revocation: &exchange.revocation,
        steps: &exchange.steps,
        serial: exchange.platform_serial.as_ref().map(yanqian_evidence::PlatformSerial::as_str),
        accepted: true,
    }
}

fn of_outcome<'a>(
    outcome: &'a Outcome,
    (request, nonce, to_be_signed): Next<'a>,
    name: Option<&'static str>,
) -> Part<'a> {
    Part {
        name,
        request,
        nonce,
        to_be_signed,
        signature: outcome.signature.as_ref(),
        answer: outcome.answer.as_ref(),
        signer: outcome.signer.as_ref(),
        chain: &outcome.chain,
        revocation: &outcome.revocation,
        steps: &outcome.steps,
        serial: outcome.platform_serial.as_ref().map(yanqian_evidence::PlatformSerial::as_str),
        accepted: matches!(outcome.decision, Decision::Verdict { .. }),
    }
}
