use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use yanqian_agreement::{Agreement, Counters, Explained, Moment, Request, Source, Standing, Told, explain};
use yanqian_gateway::{Clock, SystemClock};
use yanqian_vocabulary::{CallerId, DocumentType, Field, Mode, PurposeCode, Timestamp};

use super::read;
use crate::cli::output::{complain, say};

#[derive(Args, Debug)]
pub(in crate::cli) struct Arguments {
    /// The agreement (TOML)
    #[arg(long, value_name = "AGREEMENT")]
    agreement: PathBuf,
    /// What would be asked (JSON)
    #[arg(value_name = "REQUEST")]
    request: PathBuf,
    /// Print JSON: {"v":1,"allowed","rules":[{"rule","says":"allows|decides|would-refuse","reason","agreed","asked"}]}
    #[arg(long)]
    json: bool,
}

/// What the agreement looks at of a check.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    caller: CallerId,
    mode: Mode,
    document_type: DocumentType,
    purpose: PurposeCode,
    fields: Vec<Field>,
    #[serde(default)]
    from: Option<IpAddr>,
    #[serde(default)]
    time: Option<String>,
    #[serde(default)]
    left_today: Left,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Left {
    agreement: Option<u64>,
    purpose: Option<u64>,
    caller: Option<u64>,
}

fn rules(agreement: &Agreement, asked: &Asked) -> Result<Vec<Explained>, String> {
    let caller = agreement.caller(&asked.caller);
    let caller = caller.ok_or_else(|| format!("key `caller`: the agreement has no caller `{}`", asked.caller))?;
    let time = match &asked.time {
        None => SystemClock.now(),
        Some(text) => Timestamp::from_rfc3339(text).map_err(|error| format!("key `time`: {error}"))?,
    };
    let standing = |left: Option<u64>| Standing { left_today: left.unwrap_or(u64::MAX), ..Standing::UNUSED };
    let counters = Counters {
        agreement: standing(asked.left_today.agreement),
        purpose: standing(asked.left_today.purpose),
        caller: standing(asked.left_today.caller),
    };
    let request = Request {
        mode: asked.mode,
        document_type: asked.document_type,
        purpose: &asked.purpose,
        fields: &asked.fields,
        source: asked.from.map_or(Source::Operator, Source::Peer),
    };
    Ok(explain(agreement, caller, &request, &counters, Moment { time, uptime: Duration::ZERO }))
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let (agreement, _) = read(&arguments.agreement)?;
    let file = arguments.request.display();
    let read = std::fs::read(&arguments.request).map_err(|error| error.to_string());
    let asked = read.and_then(|octets| serde_json::from_slice::<Asked>(&octets).map_err(|error| error.to_string()));
    let rules = match asked.and_then(|asked| rules(&agreement, &asked)) {
        Ok(rules) => rules,
        Err(problem) => {
            complain(&format_args!("{file}: {problem}"));
            return Ok(ExitCode::from(2));
        }
    };
    let allowed = rules.iter().all(|rule| rule.told == Told::Allows);
    if arguments.json {
        let rules: Vec<_> = rules.iter().map(in_json).collect();
        say(json!({ "v": 1, "allowed": allowed, "rules": rules }));
    } else {
        for Explained { rule, told, agreed, asked } in &rules {
            let (says, reason) = words(*told);
            say(format_args!(
                "{says:<12} {rule:<28} agreed: {agreed}; asked: {asked}{}",
                reason.map_or_else(String::new, |reason| format!(" ({reason})"))
            ));
        }
        say(if allowed { "allowed" } else { "refused" });
    }
    Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn words(told: Told) -> (&'static str, Option<&'static str>) {
    match told {
        Told::Allows => ("allows", None),
        Told::Decides(reason) => ("decides", Some(reason.code())),
        Told::WouldRefuse(reason) => ("would-refuse", Some(reason.code())),
    }
}

fn in_json(rule: &Explained) -> serde_json::Value {
    let (says, reason) = words(rule.told);
    json!({ "rule": rule.rule, "says": says, "reason": reason, "agreed": rule.agreed, "asked": rule.asked })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    const REQUEST: &str = r#"{"caller": "branch-kiosk", "mode": "real-name", "document_type": "prc-passport",
        "purpose": "account-opening", "fields": ["number", "name"], "from": "10.20.3.4", "time": "2026-11-26T03:00:00Z"}"#;

    fn told(request: &str) -> Result<Vec<(&'static str, &'static str)>, String> {
        let sample = include_str!("../../../../../samples/agreement.toml")
            .replace("# hours", "hours")
            .replace("# networks", "networks");
        let agreement = Agreement::parse(&sample, Path::new("agreement.toml")).unwrap();
        let asked = serde_json::from_str(request).map_err(|error| error.to_string())?;
        let rules = rules(&agreement, &asked)?;
        let refusing = rules.iter().filter(|rule| rule.told != Told::Allows);
        Ok(refusing.map(|rule| (words(rule.told).0, rule.rule)).collect())
    }

    #[test]
    fn the_rule_that_decides_is_told_and_those_that_would_refuse_too() {
        assert_eq!(told(REQUEST).unwrap(), []);
        assert_eq!(told(&REQUEST.replace("10.20.3.4", "10.21.3.4")).unwrap(), [("decides", "caller.networks")]);
        assert_eq!(told(&REQUEST.replace("T03", "T13")).unwrap(), [("decides", "caller.hours")]);
        let both = REQUEST.replace("T03", "T13").replace("account-opening", "remittance");
        assert_eq!(told(&both).unwrap(), [("decides", "caller.hours"), ("would-refuse", "caller.purposes")]);
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_key() {
        for (from, to, named) in [
            ("branch-kiosk", "nobody", "key `caller`"),
            ("\"2026-11-26T03:00:00Z\"", "\"yesterday\"", "key `time`"),
            ("\"from\"", "\"form\"", "unknown field `form`"),
            ("real-name", "by-ear", "unknown mode"),
            ("10.20.3.4", "here", "IP"),
        ] {
            let problem = told(&REQUEST.replace(from, to)).unwrap_err();
            assert!(problem.contains(named), "{to}: {problem}");
        }
    }
}
