use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use yanqian_evidence::{Body, Intent, Outcome};
use yanqian_ledger::read_records;
use yanqian_ledger::search::{Check, End, walk};
use yanqian_vocabulary::{ContentDigest, Nonce, Timestamp};

use super::super::output::{note, say};
use super::view::Period;

pub(super) const HELP: &str = "\
`sent`: the request was sent and no usable answer came. `cut-off`: a crash ended the check; whether it was sent, the ledger does not say. `open`:
under way, or cut off by a crash that no start has followed. Ask the platform by request digest, nonce and time whether it has the request and
what it decided (docs/operation.md).

Example:
  yanqian ledger unknown --json --from 2027-01-01 /var/lib/yanqian/ledger";

#[derive(Args, Debug)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    period: Period,
    /// One JSON document: {"v":1,"checks":[…]}
    #[arg(long)]
    json: bool,
    /// The ledger's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// What an operator asks the platform about: the request that nobody knows the fate of.
struct Question<'a> {
    check: &'a Check,
    intent: &'a Intent,
    outcome: Option<&'a Outcome>,
    /// Of the last request of the check whose answer is not known.
    request: ContentDigest,
    nonce: Nonce,
    /// Before the request, where an application was accepted first.
    serial: Option<String>,
}

impl<'a> Question<'a> {
    /// None of a check whose end is known.
    fn of(check: &'a Check) -> Option<Self> {
        let Body::Intent(intent) = &check.first.record.body else { return None };
        let outcome = match check.last.as_ref().map(|last| &last.record.body) {
            Some(Body::Outcome(outcome)) => Some(outcome),
            _ => None,
        };
        let exchange = check.exchanges.last().and_then(|entry| match &entry.record.body {
            Body::Exchange(exchange) => Some(exchange),
            _ => None,
        });
        let (request, nonce) =
            exchange.map_or((intent.request, intent.nonce), |exchange| (exchange.next.request, exchange.next.nonce));
        let serial = outcome.and_then(|outcome| outcome.platform_serial.as_ref());
        let serial = serial.or_else(|| exchange.and_then(|exchange| exchange.platform_serial.as_ref()));
        let serial = serial.map(ToString::to_string);
        check.end.is_unknown().then_some(Self { check, intent, outcome, request, nonce, serial })
    }

    const fn state(&self) -> &'static str {
        match self.check.end {
            End::CutOff => "cut-off",
            End::Open => "open",
            _ => "sent",
        }
    }

    fn sent(&self) -> Option<Timestamp> {
        self.outcome.and_then(|outcome| outcome.times.sent)
    }

    fn json(&self) -> Value {
        let Self { check, intent, request, nonce, serial, .. } = self;
        let context = &check.first.record.context;
        json!({
            "state": self.state(),
            "verification": intent.verification.to_string(),
            "caller": intent.caller.as_str(),
            "purpose": intent.purpose.as_str(),
            "mode": intent.mode.as_str(),
            "received": intent.received.to_string(),
            "recorded": check.first.record.time.to_string(),
            "sent": self.sent().map(|time| time.to_string()),
            "platform": context.platform.as_str(),
            "key": context.key.to_string(),
            "request": request.to_string(),
            "nonce": nonce.to_string(),
            "platform_serial": serial,
            "steps_done": check.exchanges.len(),
            "intent": check.first.record.sequence,
            "last": check.last.as_ref().map(|last| last.record.sequence),
        })
    }

    fn line(&self) -> String {
        let Self { intent, request, nonce, serial, .. } = self;
        let sent = self.sent().map_or_else(|| "-".to_owned(), |time| time.to_string());
        let serial = serial.as_deref().unwrap_or("-");
        format!(
            "{:<7}  {}  {}\n    received {}  sent {sent}  serial {serial}\n    request {request}  nonce {nonce}",
            self.state(),
            intent.verification,
            intent.caller,
            intent.received
        )
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), String> {
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", arguments.directory.display());
    let Period { from, until } = arguments.period;
    let mut checks = Vec::new();
    let records = read_records(&arguments.directory).map_err(|error| fail(&error))?;
    let keep = |check: Check| {
        let received = check.head.received;
        let within = from.is_none_or(|from| received >= from) && until.is_none_or(|until| received < until);
        if within && check.end.is_unknown() {
            checks.push(check);
        }
    };
    walk(records, keep, |_| {}).map_err(|error| fail(&error))?;
    checks.sort_by_key(|check| check.first.record.sequence);
    let questions = checks.iter().filter_map(Question::of);
    if arguments.json {
        say(json!({ "v": 1, "checks": questions.map(|question| question.json()).collect::<Vec<_>>() }));
        return Ok(());
    }
    questions.for_each(|question| say(question.line()));
    if checks.is_empty() {
        note("the end of every check is known");
    }
    Ok(())
}
