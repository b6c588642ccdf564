//! `yanqian agreement`: reads agreements and asks them, without a daemon.

mod explain;
mod facts;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use yanqian_agreement::{Agreement, QuotaDay, block};
use yanqian_gateway::{Clock, SystemClock};
use yanqian_sm::sm3;
use yanqian_vocabulary::AgreementHash;

use super::EXIT_CONFIG;
use super::output::{complain, say};
use facts::facts;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Read an agreement and say what is wrong with it, or what is left open
    #[command(
        after_help = "Exits with 78 when it cannot be used.\n\nExample:\n  yanqian agreement check /etc/yanqian/agreement.toml"
    )]
    Check(FileArgument),
    /// Print what an agreement says, one fact a line
    #[command(after_help = "Example:\n  yanqian agreement show /etc/yanqian/agreement.toml --json")]
    Show(ShowArgument),
    /// Print what another version of an agreement changes
    #[command(
        after_help = "`-` a fact that goes, `+` one that comes, `~` one that changes. Exits with 0 when nothing changes, with 1 otherwise.\n\nExample:\n  yanqian agreement diff /etc/yanqian/agreement.toml agreement-2027.toml"
    )]
    Diff(DiffArgument),
    /// Say which rule of an agreement decides about a request, and why
    #[command(
        after_help = "REQUEST is JSON: {\"caller\", \"mode\", \"document_type\", \"purpose\", \"fields\"} and, where they matter, \"from\" (an address; without it an operator asks), \"time\" (RFC 3339; now without it), \"left_today\": {\"agreement\", \"purpose\", \"caller\"}. It holds no personal data. Exits with 0 when it is allowed, with 1 when it is refused, with 2 when REQUEST cannot be read.\n\nExample:\n  yanqian agreement explain --agreement /etc/yanqian/agreement.toml request.json"
    )]
    Explain(explain::Arguments),
}

#[derive(Args, Debug)]
pub(super) struct FileArgument {
    /// The agreement (TOML)
    #[arg(value_name = "AGREEMENT")]
    file: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct ShowArgument {
    /// The agreement (TOML)
    #[arg(value_name = "AGREEMENT")]
    file: PathBuf,
    /// Print JSON: {"v":1,"hash","facts":{…}}
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct DiffArgument {
    /// The agreement as it is
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// As it is to be
    #[arg(value_name = "NEW")]
    new: PathBuf,
}

pub(super) fn run(command: &Command) -> ExitCode {
    let done = match command {
        Command::Check(argument) => check(&argument.file),
        Command::Show(argument) => show(argument),
        Command::Diff(argument) => diff(argument),
        Command::Explain(arguments) => explain::run(arguments),
    };
    done.unwrap_or_else(|problem| {
        complain(&problem);
        ExitCode::from(EXIT_CONFIG)
    })
}

/// The agreement and its hash, as records have it.
fn read(file: &Path) -> Result<(Agreement, AgreementHash), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let agreement = Agreement::parse(&text, file).map_err(|error| error.to_string())?;
    Ok((agreement, AgreementHash::new(sm3(&[text.as_bytes()]))))
}

fn check(file: &Path) -> Result<ExitCode, String> {
    let (agreement, hash) = read(file)?;
    say(format_args!("ok    version {}, {hash}", agreement.version));
    let now = SystemClock.now();
    if !(agreement.effective_from..agreement.effective_until).contains(&now) {
        say("warn  it is not in force today: every check is refused");
    }
    if agreement.quota.per_day.is_none() {
        say("warn  the checks of a day are not limited");
    }
    for purpose in agreement.purposes() {
        if !agreement.callers().any(|caller| caller.purposes.contains(&purpose.code)) {
            say(format_args!("warn  purpose `{}` is open to no caller", purpose.code));
        }
    }
    for caller in agreement.callers() {
        if caller.networks.is_empty() {
            say(format_args!("warn  caller `{}` may connect from anywhere", caller.id));
        }
    }
    let quotas = [agreement.quota].into_iter();
    let quotas = quotas.chain(agreement.purposes().map(|purpose| purpose.quota));
    let lost: u64 = quotas
        .chain(agreement.callers().map(|caller| caller.quota))
        .filter_map(|quota| quota.per_day)
        .map(block)
        .max()
        .unwrap_or(0);
    if lost > 0 {
        let left = QuotaDay::millis_left(now) / 60_000;
        say(format_args!(
            "ok    a crash takes {lost} checks at most from a day's quota; this day ends in {left} minutes"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(argument: &ShowArgument) -> Result<ExitCode, String> {
    let (agreement, hash) = read(&argument.file)?;
    let facts = facts(&agreement);
    if argument.json {
        say(json!({ "v": 1, "hash": hash.to_string(), "facts": facts }));
    } else {
        say(format_args!("hash: {hash}"));
        for (key, value) in &facts {
            say(format_args!("{key}: {value}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn diff(argument: &DiffArgument) -> Result<ExitCode, String> {
    let ((old, _), (new, _)) = (read(&argument.old)?, read(&argument.new)?);
    let changes = facts::changes(&facts(&old), &facts(&new));
    changes.iter().for_each(say);
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
