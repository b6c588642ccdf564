//! Runs the cases and judges each by what three independent sides say: the reply, the ledger, and the counters of token and
//! platform.

use yanqian_harness::{HarnessError, Record, Reply, Site};

use crate::cases::{self, Case, Expected};
use crate::table::Line;
use crate::{account, paint, receipt};

/// What a case led to, from all sides.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) reply: Reply,
    /// The check's own records, oldest first.
    pub(crate) records: Vec<Record>,
    /// Signatures that the token made for it.
    pub(crate) signatures: u64,
    /// Requests that reached the platform, and whether each had a good signature.
    pub(crate) at_platform: Vec<bool>,
}

/// Shows all cases, then the ledger.
pub(crate) async fn all(site: &Site) -> Result<Vec<Line>, HarnessError> {
    let mut lines = Vec::new();
    for (number, case) in (1..).zip(cases::all(site).await?) {
        println!("{}", paint::title(&format!("{number}. {}", case.title)));
        println!("   {}", paint::faint(case.story));
        let evidence = run(site, &case).await?;
        account::tell(&case, &evidence);
        let problems = judge(&case, &evidence);
        for problem in &problems {
            println!("   {}     {problem}", paint::bad("WRONG"));
        }
        println!();
        lines.push(Line::of_case(&case, &evidence, &problems));
    }
    lines.push(nonces(site).await?);
    lines.push(ledger(site)?);
    lines.extend(receipt::all(site).await?);
    Ok(lines)
}

async fn run(site: &Site, case: &Case) -> Result<Evidence, HarnessError> {
    let signatures = site.signatures_beside_checkpoints()?;
    let seen = site.sim().seen().await?.len();
    if let Some(misbehaviour) = case.misbehaviour {
        site.sim().misbehave(misbehaviour, 1).await?;
    }
    let reply = site.caller(case.caller)?.ask(&case.request).await?;
    let records = site.records_of(&reply.id())?;
    let signatures = u64::try_from(site.signatures_beside_checkpoints()? - signatures).unwrap_or(0);
    let at_platform = site.sim().seen().await?.iter().skip(seen).map(|request| request.signature_ok).collect();
    Ok(Evidence { reply, records, signatures, at_platform })
}

/// Everything that is not as it must be.
fn judge(case: &Case, evidence: &Evidence) -> Vec<String> {
    let expected = case.expected;
    let mut problems = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            problems.push(what);
        }
    };
    let (status, code) = (evidence.reply.status, evidence.reply.code());
    must(
        status == expected.status() && code == expected.code(),
        format!("the reply is {status} {code}, not {} {}", expected.status(), expected.code()),
    );
    let signatures = case.signatures();
    must(
        evidence.signatures == signatures,
        format!("the token made {} signatures, not {signatures}", evidence.signatures),
    );
    let asked = u64::try_from(evidence.at_platform.len()).unwrap_or(u64::MAX);
    must(asked == signatures, format!("the platform was asked {asked} times, not {signatures}"));
    must(evidence.at_platform.iter().all(|good| *good), "the platform found a bad signature".to_owned());

    let kinds: Vec<String> = evidence.records.iter().map(Record::kind).collect();
    let wanted: &[&str] = match signatures {
        0 => &["refusal"],
        1 => &["intent", "outcome"],
        _ => &["intent", "exchange", "outcome"],
    };
    must(kinds == wanted, format!("the ledger holds {kinds:?}, not {wanted:?}"));
    let end = evidence.records.last();
    let (reason, verdict) = (end.map(Record::reason), end.map(Record::verdict));
    match expected {
        Expected::Verdict(word, odd) => {
            must(verdict.as_deref() == Some(word), format!("the ledger's verdict is {verdict:?}, not {word}"));
            must(fields_hold(evidence, odd), "the verdicts by field are not as they must be".to_owned());
        }
        Expected::RefusedUnsigned(_, code) | Expected::AnswerRefused(_, code) => {
            must(reason.as_deref() == Some(code), format!("the ledger's reason is {reason:?}, not {code}"));
        }
    }
    problems
}

/// All fields match but the odd one; none at all for a document that does not exist.
fn fields_hold(evidence: &Evidence, odd: Option<&str>) -> bool {
    let reply = evidence.reply.json();
    let Some(fields) = reply["fields"].as_object() else { return false };
    let nobody = evidence.reply.code() == "not-found";
    fields.is_empty() == nobody
        && fields.iter().all(|(name, verdict)| verdict == if Some(name.as_str()) == odd { "mismatch" } else { "match" })
}

async fn nonces(site: &Site) -> Result<Line, HarnessError> {
    let stats = site.sim().stats().await?;
    let got = format!("{} requests, {} nonces, {} twice", stats.requests, stats.nonces, stats.duplicates);
    let good = stats.requests == stats.nonces && stats.duplicates == 0;
    Ok(Line::new("Nonces at the platform", "each once", &got, good))
}

fn ledger(site: &Site) -> Result<Line, HarnessError> {
    println!("{}", paint::title("The ledger"));
    let output = site.ledger_verify()?;
    for line in output.all().lines() {
        println!("   {line}");
    }
    println!();
    let good = output.code == Some(0);
    Ok(Line::new("yanqian ledger verify", "verifies", if good { "verifies" } else { "does not verify" }, good))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn reply(status: u16, body: &Value) -> Reply {
        Reply { status, headers: http::HeaderMap::new(), body: body.to_string().into() }
    }

    fn record(kind: &str, decision: &Value) -> Record {
        Record(json!({ "kind": kind, "body": { "decision": decision } }))
    }

    /// What a match leaves behind.
    fn matched() -> (Case, Evidence) {
        let case = cases::printed().swap_remove(0);
        let evidence = Evidence {
            reply: reply(200, &json!({ "verdict": "match", "fields": { "number": "match" } })),
            records: vec![record("intent", &Value::Null), record("outcome", &json!({ "verdict": "match" }))],
            signatures: 1,
            at_platform: vec![true],
        };
        (case, evidence)
    }

    /// What a refusal by the agreement leaves behind.
    fn refused() -> (Case, Evidence) {
        let case = cases::printed().swap_remove(5);
        let evidence = Evidence {
            reply: reply(403, &json!({ "code": "agreement-purpose" })),
            records: vec![record("refusal", &json!({ "refused": "agreement-purpose" }))],
            signatures: 0,
            at_platform: Vec::new(),
        };
        (case, evidence)
    }

    #[test]
    fn what_is_as_it_should_be_has_no_problems() {
        for (case, evidence) in [matched(), refused()] {
            assert_eq!(judge(&case, &evidence), Vec::<String>::new(), "{}", case.title);
        }
    }

    #[test]
    fn every_deviation_is_a_problem() {
        let spoil: [fn(&mut Evidence); 7] = [
            |evidence| evidence.reply.status = 201,
            |evidence| evidence.reply.body = json!({ "verdict": "other", "code": "other" }).to_string().into(),
            |evidence| evidence.signatures += 1,
            |evidence| evidence.at_platform.push(true),
            |evidence| evidence.at_platform = vec![false],
            |evidence| drop(evidence.records.pop()),
            |evidence| {
                let kind = evidence.records.pop().map(|record| record.kind()).unwrap_or_default();
                evidence.records.push(record(&kind, &json!({ "refused": "other", "verdict": "other" })));
            },
        ];
        for (number, spoil) in spoil.iter().enumerate() {
            for (case, mut evidence) in [matched(), refused()] {
                spoil(&mut evidence);
                assert!(!judge(&case, &evidence).is_empty(), "{}: {number}", case.title);
            }
        }
        let (case, mut evidence) = matched();
        evidence.reply.body = json!({ "verdict": "match", "fields": { "number": "mismatch" } }).to_string().into();
        assert!(!judge(&case, &evidence).is_empty());
    }
}
