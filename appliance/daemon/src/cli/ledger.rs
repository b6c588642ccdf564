mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use yanqian_ledger::read_records;

use super::output::{complain, say};
use crate::record_json::record_json;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Prove every record, the chain and the tree of a ledger, and its archive; says exactly where it does not hold
    #[command(
        after_help = "Reads only; works beside a running daemon. Exits with 1 when the ledger does not verify.\n\nExample:\n  yanqian ledger verify /var/lib/yanqian/ledger\n  yanqian ledger verify --fast /var/lib/yanqian/ledger"
    )]
    Verify(verify::Verify),
    /// Print the records, oldest first
    #[command(
        after_help = "Example:\n  yanqian ledger show --json /var/lib/yanqian/ledger | jq 'select(.kind == \"outcome\")'"
    )]
    Show(Show),
}

#[derive(Args, Debug)]
pub(super) struct Show {
    /// The ledger's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// One JSON object per record
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Command) -> ExitCode {
    let result = match command {
        Command::Verify(arguments) => verify::verify(arguments),
        Command::Show(arguments) => show(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

fn show(arguments: &Show) -> Result<(), String> {
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", arguments.directory.display());
    let records = read_records(&arguments.directory).map_err(|error| fail(&error))?;
    for entry in records {
        let entry = entry.map_err(|error| fail(&error))?;
        if arguments.json {
            say(record_json(&entry));
        } else {
            let record = &entry.record;
            let body = record_json(&entry)["body"].clone();
            say(format_args!("{:>8}  {}  {:<15} {body}", record.sequence, record.time, record.body.kind()));
        }
    }
    Ok(())
}
