use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{ArgGroup, Args};
use serde_json::{Value, json};
use yanqian_ledger::absent;
use yanqian_ledger::search::{Check, Index, Query, Wanted, scan};
use yanqian_vocabulary::{CallerId, Mode, PurposeCode, Reason, Verdict, VerificationId};

use super::super::output::{note, say};
use super::document::{DocumentArguments, KEYS, Tags, beside};
use super::view::{Period, check_json, check_line};

pub(super) const HELP: &str = "\
All conditions must hold. A document is found by its tag in every epoch whose key is there; of the others the command says how many records
it cannot search. Run it as the daemon's user, who alone can read the keys.

The index beside the ledger is brought up to date first; what it leads to is read from the ledger and proven. --scan does without it and
reads the whole ledger.

Examples:
  yanqian ledger search --document prc-passport /var/lib/yanqian/ledger
  pass show case-17 | yanqian ledger search --document-file - --json /var/lib/yanqian/ledger
  yanqian ledger search --caller core-banking --verdict unknown --from 2027-01-01 /var/lib/yanqian/ledger";

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("end").args(["verdict", "reason"])))]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    document: DocumentArguments,
    /// Directory of the search keys, if not `search-keys` beside the ledger
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The check's id
    #[arg(long, value_name = "ID")]
    verification: Option<VerificationId>,
    #[arg(long, value_name = "NAME")]
    caller: Option<CallerId>,
    #[arg(long, value_name = "NAME")]
    purpose: Option<PurposeCode>,
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    #[command(flatten)]
    period: Period,
    /// match, mismatch, not-found, undecided, refused, unknown or open
    #[arg(long, value_parser = verdict)]
    verdict: Option<String>,
    /// Code of a reason, such as agreement-purpose
    #[arg(long, value_parser = reason)]
    reason: Option<String>,
    /// Checks to show at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
    /// One JSON document: {"v":1,"checks":[…],"more","unsearchable":[{"epoch","records","destroyed"}]}
    #[arg(long)]
    json: bool,
    /// Read the whole ledger and not the index
    #[arg(long)]
    scan: bool,
    /// The index, if not `search.sqlite` beside the ledger
    #[arg(long, value_name = "FILE", conflicts_with = "scan")]
    index: Option<PathBuf>,
    /// The ledger's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct IndexArguments {
    /// The index, if not `search.sqlite` beside the ledger
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Make it anew from the whole ledger
    #[arg(long)]
    anew: bool,
    /// The ledger's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

fn verdict(text: &str) -> Result<String, String> {
    let known = Verdict::ALL.iter().map(|verdict| verdict.as_str()).chain(["refused", "unknown", "open"]);
    let known: Vec<_> = known.collect();
    if known.contains(&text) { Ok(text.to_owned()) } else { Err(format!("expected one of {}", known.join(", "))) }
}

fn reason(text: &str) -> Result<String, String> {
    let known = Reason::ALL.iter().any(|reason| reason.code() == text);
    if known { Ok(text.to_owned()) } else { Err("no such reason; docs/internal-api.md lists them".to_owned()) }
}

/// Records that no key finds by a document any more.
struct Unsearchable {
    epoch: u32,
    /// Not known without an index.
    records: Option<u64>,
    destroyed: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), String> {
    let directory = &arguments.directory;
    let keys = arguments.keys.clone().unwrap_or_else(|| beside(directory, KEYS));
    let document = arguments.document.tags(&keys)?;
    let query = Query {
        tags: document.as_ref().map(|document| document.tags.clone()),
        verification: arguments.verification,
        caller: arguments.caller.clone(),
        purpose: arguments.purpose.clone(),
        mode: arguments.mode,
        end: match (&arguments.verdict, &arguments.reason) {
            (Some(verdict), _) => Some(Wanted::Verdict(verdict.clone())),
            (None, reason) => reason.clone().map(Wanted::Reason),
        },
        from: arguments.period.from,
        until: arguments.period.until,
    };
    if let Some(absent) = absent(directory).map_err(|error| format!("{}: {error}", directory.display()))? {
        let how = if arguments.scan { "are not read" } else { "are found only as far as the index reached before" };
        note(format_args!("records 1 to {} are in the archive only and {how}", absent.records));
    }
    let (mut checks, counts) = if arguments.scan {
        let mut checks = Vec::new();
        scan(directory, &query, |check| {
            // One more than is shown tells that there are more.
            if checks.len() <= arguments.limit {
                checks.push(check);
            }
        })
        .map_err(|error| format!("{}: {error}", directory.display()))?;
        (checks, None)
    } else {
        let index = up_to_date(directory, arguments.index.as_deref(), false)?.0;
        let mut absent = BTreeSet::new();
        let found = index.find(directory, &query, arguments.limit.saturating_add(1), &mut absent);
        for segment in absent {
            note(format_args!(
                "segment {segment} may hold more; it is in the archive only: yanqian archive restore {segment}"
            ));
        }
        let counts = index.tags_by_epoch().map_err(|error| error.to_string())?;
        (found.map_err(|error| error.to_string())?, Some(counts))
    };
    let more = checks.len() > arguments.limit;
    checks.truncate(arguments.limit);
    let unsearchable = document.map(|document| unsearchable(&document, counts.as_deref())).unwrap_or_default();
    tell(arguments, &checks, more, &unsearchable);
    Ok(())
}

fn unsearchable(document: &Tags, counts: Option<&[(u32, u64)]>) -> Vec<Unsearchable> {
    let count =
        |epoch| counts.map(|counts| counts.iter().find(|(known, _)| *known == epoch).map_or(0, |(_, count)| *count));
    let destroyed = document.destroyed.iter().map(|epoch| Unsearchable {
        epoch: epoch.number,
        records: count(epoch.number),
        destroyed: epoch.destroyed.map(|destroyed| destroyed.at.to_string()),
    });
    let known = |epoch: u32| {
        document.tags.iter().any(|search| search.epoch == epoch)
            || document.destroyed.iter().any(|destroyed| destroyed.number == epoch)
    };
    let lost = counts.unwrap_or_default().iter().filter(|(epoch, _)| !known(*epoch));
    let lost = lost.map(|(epoch, records)| Unsearchable { epoch: *epoch, records: Some(*records), destroyed: None });
    destroyed.chain(lost).collect()
}

fn tell(arguments: &Arguments, checks: &[Check], more: bool, unsearchable: &[Unsearchable]) {
    if arguments.json {
        let unsearchable: Vec<Value> = unsearchable
            .iter()
            .map(|gone| json!({ "epoch": gone.epoch, "records": gone.records, "destroyed": gone.destroyed }))
            .collect();
        let checks: Vec<Value> = checks.iter().map(check_json).collect();
        say(json!({ "v": 1, "checks": checks, "more": more, "unsearchable": unsearchable }));
        return;
    }
    for check in checks {
        say(check_line(check));
    }
    if checks.is_empty() {
        note("no such check");
    }
    if more {
        note(format_args!("there are more than {}; narrow the search or raise --limit", arguments.limit));
    }
    for gone in unsearchable {
        let records = gone.records.map_or_else(|| "its records".to_owned(), |count| format!("{count} records of it"));
        let why = gone
            .destroyed
            .as_ref()
            .map_or_else(|| "there is no key of it".to_owned(), |at| format!("its key was destroyed at {at}"));
        note(format_args!("epoch {}: {why}; {records} cannot be searched by a document", gone.epoch));
    }
}

/// Opens the index and brings it up to date; gives how many records were added.
fn up_to_date(directory: &Path, index: Option<&Path>, anew: bool) -> Result<(Index, u64), String> {
    let file = index.map_or_else(|| beside(directory, "search.sqlite"), Path::to_owned);
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    if anew {
        for ending in ["", "-wal", "-shm"] {
            let mut gone = file.clone().into_os_string();
            gone.push(ending);
            match std::fs::remove_file(&gone) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(&error)),
                _ => {}
            }
        }
    }
    // SQLite's own would be open to all; its companions take after it.
    OpenOptions::new().append(true).create(true).mode(0o600).open(&file).map_err(|error| fail(&error))?;
    let mut index = Index::open(&file).map_err(|error| fail(&error))?;
    let indexed = index.update(directory, |_| {}).map_err(|error| fail(&error))?;
    if indexed.anew {
        note(format_args!("{}: was of another ledger, and was made anew", file.display()));
    }
    Ok((index, indexed.records))
}

pub(super) fn index(arguments: &IndexArguments) -> Result<(), String> {
    let began = Instant::now();
    let (_, records) = up_to_date(&arguments.directory, arguments.index.as_deref(), arguments.anew)?;
    say(format_args!("{records} records indexed in {:.1} s", began.elapsed().as_secs_f64()));
    Ok(())
}
