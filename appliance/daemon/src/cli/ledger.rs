mod document;
mod epochs;
mod forget;
mod report;
mod search;
mod unknown;
mod verify;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use yanqian_ledger::read_records;

pub(super) use forget::{confirmed, socket};

use super::ledger_tree;
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
    /// Find checks by document, id, caller, purpose, mode, time or end
    #[command(after_help = search::HELP)]
    Search(search::Arguments),
    /// Bring the index that searches use up to date
    #[command(
        after_help = "A search does so too; a timer that runs this now and then keeps searches short. Run it as the daemon's user.\n\nExample:\n  yanqian ledger index /var/lib/yanqian/ledger"
    )]
    Index(search::IndexArguments),
    /// Count checks and how they ended, per caller, purpose, mode, day and so on
    #[command(after_help = report::HELP)]
    Report(report::Arguments),
    /// List the checks of which nobody here knows what the platform decided, with what to ask it
    #[command(after_help = unknown::HELP)]
    Unknown(unknown::Arguments),
    /// List the epochs of search keys
    #[command(after_help = "Example:\n  yanqian ledger epochs /var/lib/yanqian/ledger")]
    Epochs(epochs::List),
    /// Have the running daemon begin another epoch of search keys
    #[command(after_help = "Example:\n  yanqian ledger begin-epoch --config /etc/yanqian/yanqian.toml")]
    BeginEpoch(epochs::Begin),
    /// Have the running daemon destroy the key of an epoch: its records are found by no document any more
    #[command(after_help = epochs::DESTROY_HELP)]
    DestroyEpoch(epochs::Destroy),
    /// Have the running daemon destroy the salts of checks: their commitments are opened with them no more
    #[command(after_help = forget::HELP)]
    Forget(forget::Arguments),
    /// Print the public half of the ledger key, from the token
    #[command(
        after_help = "Example:\n  yanqian ledger key --config /etc/yanqian/yanqian.toml --pem > /etc/yanqian/ledger-key.pem"
    )]
    Key(ledger_tree::Key),
    /// Checkpoints of this ledger
    #[command(subcommand)]
    Checkpoint(ledger_tree::Checkpoint),
    /// Prove what the last checkpoint says
    #[command(subcommand)]
    Prove(ledger_tree::Prove),
    /// Cosign another node's checkpoint, once it is consistent with the last one that was cosigned
    #[command(
        after_help = "Its ledger key must stand in `checkpoints.trust`. What was cosigned is kept in `checkpoints.witness_dir`; a ledger that was forked or rolled back since is refused.\n\nExample:\n  yanqian ledger witness --config /etc/yanqian/yanqian.toml --checkpoint node-1.checkpoint --tiles node-1.tree --out node-1.cosigned"
    )]
    Witness(ledger_tree::Cosign),
    /// Print a receipt with its anchor, once a checkpoint covers its records
    #[command(
        after_help = "Example:\n  yanqian ledger anchor --config /etc/yanqian/yanqian.toml pending.json > receipt.json"
    )]
    Anchor(ledger_tree::Anchor),
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
        Command::Search(arguments) => search::run(arguments),
        Command::Index(arguments) => search::index(arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Unknown(arguments) => unknown::run(arguments),
        Command::Epochs(arguments) => epochs::list(arguments),
        Command::BeginEpoch(arguments) => epochs::begin(arguments),
        Command::DestroyEpoch(arguments) => epochs::destroy(arguments),
        Command::Forget(arguments) => forget::run(arguments),
        Command::Key(arguments) => ledger_tree::key(arguments),
        Command::Checkpoint(command) => ledger_tree::checkpoint_command(command),
        Command::Prove(command) => ledger_tree::prove(command),
        Command::Witness(arguments) => ledger_tree::witness(arguments),
        Command::Anchor(arguments) => ledger_tree::anchor(arguments),
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
