use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use yanqian_ledger::search::{Query, scan};
use yanqian_vocabulary::VerificationId;

use super::super::output::{note, say};
use super::document::DocumentArguments;
use crate::config::Config;
use crate::control::{Order, order};
use crate::parts;

pub(super) const HELP: &str = "\
The records stay and verify; the receipt of such a check says that its salt is gone. Receipts that callers fetched before hold the salt and are not
reached. By a document, the whole ledger is read for the checks of it, in the epochs whose keys are there.

Examples:
  yanqian ledger forget --verification 0193e0a8-5a0b-7c3e-9d53-000000000001 --config /etc/yanqian/yanqian.toml
  yanqian ledger forget --document prc-passport --config /etc/yanqian/yanqian.toml";

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what").required(true).args(["verification", "document", "document_file"])))]
pub(in crate::cli) struct Arguments {
    /// The check's id
    #[arg(long, value_name = "ID")]
    verification: Option<VerificationId>,
    #[command(flatten)]
    document: DocumentArguments,
    /// Configuration file of the daemon (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Where the daemon with this configuration takes orders.
pub(in crate::cli) fn socket(config: &Path) -> Result<PathBuf, String> {
    let config = Config::load(config).map_err(|error| error.to_string())?;
    Ok(parts::control_socket(&config))
}

/// Has somebody at a terminal say yes to what cannot be taken back.
pub(in crate::cli) fn confirmed(yes: bool, what: &str) -> Result<(), String> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(format!("{what} Nobody can be asked here: give --yes"));
    }
    note(format_args!("{what} Type yes to go on:"));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
    if line.trim() == "yes" { Ok(()) } else { Err("nothing was changed".to_owned()) }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), String> {
    let config = Config::load(&arguments.config).map_err(|error| error.to_string())?;
    let checks = checks(arguments, &config)?;
    if checks.is_empty() {
        note("no such check");
        return Ok(());
    }
    confirmed(arguments.yes, &format!("The salts of {} checks will be destroyed.", checks.len()))?;
    let mut failed = 0;
    for check in &checks {
        match order(&parts::control_socket(&config), &Order::Forget { verification: check.to_string() }) {
            Ok(done) => say(format_args!("{check}: the salt is destroyed; record {}", done.sequence)),
            Err(error) => {
                note(format_args!("{check}: {error}"));
                failed += 1;
            }
        }
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} checks", checks.len())) }
}

fn checks(arguments: &Arguments, config: &Config) -> Result<Vec<VerificationId>, String> {
    if let Some(check) = arguments.verification {
        return Ok(vec![check]);
    }
    let directory = parts::ledger_directory(config);
    let Some(document) = arguments.document.tags(&config.search.keys_dir)? else { return Ok(Vec::new()) };
    for epoch in &document.destroyed {
        note(format_args!("epoch {}: its key is destroyed; checks of it are not found", epoch.number));
    }
    let query = Query { tags: Some(document.tags), ..Query::default() };
    let mut checks = Vec::new();
    scan(&directory, &query, |check| checks.push(check.head.verification))
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(checks)
}
