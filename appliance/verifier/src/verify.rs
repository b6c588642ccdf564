use yanqian_evidence::Receipt;
use yanqian_evidence::commitment;
use yanqian_vocabulary::Timestamp;

use crate::asked::Asked;
use crate::case::{Case, End};
use crate::evidence::Evidence;
use crate::report::{Held, Report};
use crate::steps::platform::Sight;
use crate::steps::{self, decision, ours, platform, records};
use crate::trust::Trust;

/// What to prove beside what a receipt says by itself.
#[derive(Debug, Default)]
pub struct Options {
    /// The time as of which certificates and lists are judged; that of the receipt's last record when absent. An anchor that
    /// holds shows that all of it existed at the checkpoint's time, so a later one counts as that.
    pub at: Option<Timestamp>,
    /// What the caller says it asked: opens the commitment.
    pub asked: Option<Asked>,
}

/// Proves a receipt file from its octets.
pub fn verify_json(json: &[u8], trust: &Trust, options: &Options) -> Report {
    match Receipt::from_json(json) {
        Ok(receipt) => verify(&receipt, trust, options),
        Err(error) => {
            let mut report = Report::new();
            report.note("format", None, Err(error.to_string()));
            report
        }
    }
}

/// Proves a receipt, step by step. A step that fails does not keep the others from being looked at where they can be.
pub fn verify(receipt: &Receipt, trust: &Trust, options: &Options) -> Report {
    let mut report = Report::new();
    report.verification = Some(receipt.verification);
    report.note("format", None, Ok("the file is a receipt of version 1, each value in its one spelling".to_owned()));
    let records = match records::decode(receipt) {
        Ok((records, says)) => {
            report.note("records", None, Ok(says));
            records
        }
        Err(says) => {
            report.note("records", None, Err(says));
            return report;
        }
    };
    if !report.note("story", None, records::belong_together(receipt, &records)) {
        return report;
    }
    let Some(case) = Case::of(&records) else { return report };
    let anchored = receipt.anchor.as_ref().map(|anchor| {
        let held = steps::anchor::prove(anchor, receipt, &records, trust.ledgers.as_ref());
        (anchor, held)
    });
    let existed =
        anchored.as_ref().filter(|(_, held)| held.is_ok()).map(|(anchor, _)| anchor.checkpoint.checkpoint.time);
    let at = options.at.map_or(case.ended, |at| existed.map_or(at, |existed| at.min(existed)));
    report.at = Some(at);
    let evidence = Evidence::of(receipt, &case);
    signatures(&mut report, &case, &evidence, trust, at);
    let sight = Sight { evidence: &evidence, trust, at };
    let mut last = None;
    for part in &case.parts {
        last = platform::prove(&mut report, part, &sight);
    }
    report.platform_said = last.as_ref().map(|signed| signed.object.clone().into_owned());
    report.note("decision", None, decision::consistent(&case));
    if let Some(held) = decision::reading(&case, last.as_ref()) {
        report.note("reading", None, held);
    }
    report.note("evidence", None, records::nothing_else(&evidence));
    match &options.asked {
        Some(asked) => {
            report.note("commitment", None, opens(receipt, &case, asked));
        }
        None => report.skip("commitment", None, "what was asked was not given, so the commitment stays closed"),
    }
    let Some((anchor, held)) = anchored else {
        report.skip("anchor", None, "pending: the records are not yet under a checkpoint of the ledger");
        return report;
    };
    report.note("anchor", None, held);
    report.skip(
        "timestamp",
        None,
        match anchor.timestamp {
            Some(_) => "there is a time-stamp token, which its authority's own tools judge",
            None => "there is no time-stamp token",
        },
    );
    report
}

fn signatures(report: &mut Report, case: &Case<'_>, evidence: &Evidence<'_>, trust: &Trust, at: Timestamp) {
    let certificate = match ours::certificate(case.context, evidence) {
        Ok((certificate, says)) => {
            report.note("entity-certificate", None, Ok(says));
            certificate
        }
        Err(says) => {
            report.note("entity-certificate", None, Err(says));
            return;
        }
    };
    let mut signed = false;
    for part in &case.parts {
        if part.signature.is_none() && part.answer.is_none() && !part.accepted {
            report.skip("request-signature", part.name, "the token made no signature");
            continue;
        }
        signed = true;
        report.note("request-signature", part.name, ours::signature(part, &certificate));
    }
    if case.parts.is_empty() {
        let says = match case.end {
            End::Refusal(_) => "nothing was signed",
            _ => "whether anything was signed is not known",
        };
        report.skip("request-signature", None, says);
    }
    let held = ours::chain(&certificate, evidence, trust, at);
    if signed {
        report.note("entity-chain", None, held);
    } else {
        report.skip("entity-chain", None, "there is no signature of the entity to vouch for");
    }
}

fn opens(receipt: &Receipt, case: &Case<'_>, asked: &Asked) -> Held {
    let intent = case.intent.ok_or("there is no intent, so nothing was committed to")?;
    let salt = receipt.salt.ok_or("the receipt holds no salt, so the commitment cannot be opened")?;
    if asked.purpose.as_ref().is_some_and(|purpose| *purpose != intent.purpose) {
        return Err("another purpose was asked".to_owned());
    }
    let claim = asked.claim(intent.mode, intent.received)?;
    if claim.fields().iter().ne(&intent.fields) || claim.document_type() != intent.document_type {
        return Err("other fields or another document type were asked".to_owned());
    }
    if commitment(&salt, &claim) != intent.commitment {
        return Err("the commitment does not open: something else was asked".to_owned());
    }
    Ok("the commitment opens: this is what was asked".to_owned())
}
