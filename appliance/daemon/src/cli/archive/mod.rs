//! `yanqian archive`: what becomes of sealed segments. Orders go to the daemon, which alone writes the ledger; what only reads, reads
//! the archive itself.

mod held;
mod look;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use yanqian_ledger::{exported_list, made};
use yanqian_retention::{Archive, Name, restore, restore_whole};

use super::ledger::{confirmed, socket};
use super::output::{complain, note, say};
use super::small_runtime;
use crate::config::Config;
use crate::control::{Order, order, wake};
use crate::parts;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Have the running daemon export what is sealed now, and wait for it
    #[command(after_help = "Example:\n  yanqian archive export --config /etc/yanqian/yanqian.toml")]
    Export(Export),
    /// List the segments in the archive, and what is on the node
    #[command(after_help = "Example:\n  yanqian archive list --config /etc/yanqian/yanqian.toml")]
    List(look::List),
    /// Prove the archive from its objects alone, and that the node's ledger goes on from it
    #[command(
        after_help = "Needs the archive, its keys and, for the signatures of checkpoints, the ledger key of `[checkpoints]`. `yanqian ledger verify` proves what is on the node.\n\nExample:\n  yanqian archive verify --config /etc/yanqian/yanqian.toml"
    )]
    Verify(look::Verify),
    /// Bring segments back from the archive
    #[command(
        after_help = "Into `restored/` of the ledger, where searches, receipts and `ledger` commands find them; remove them when they are not needed any more. With --out, a ledger of its own.\n\nExamples:\n  yanqian archive restore --config /etc/yanqian/yanqian.toml 17 18\n  yanqian archive restore --config /etc/yanqian/yanqian.toml --out /mnt/restored"
    )]
    Restore(Restore),
    /// Keep records whatever the policy says (legal hold)
    #[command(
        after_help = "Examples:\n  yanqian archive hold --config /etc/yanqian/yanqian.toml --reason 'case 17' --from 2026-01-01T00:00:00Z --until 2026-02-01T00:00:00Z\n  yanqian archive hold --config /etc/yanqian/yanqian.toml --reason 'case 17' --verification 0193e0a8-5a0b-7c3e-9d53-000000000001"
    )]
    Hold(held::Place),
    /// End a hold
    #[command(
        after_help = "Example:\n  yanqian archive release 3 --reason 'case 17 is closed' --config /etc/yanqian/yanqian.toml"
    )]
    Release(held::End),
    /// List holds, those that ended too
    #[command(after_help = "Example:\n  yanqian archive holds --config /etc/yanqian/yanqian.toml")]
    Holds(held::Holds),
    /// Delete segments from the archive of which every record is past its days and none is held
    #[command(
        after_help = "Only segments that are not on the node any more. Their leaf hashes and checkpoints stay, so the rest still verifies.\n\nExample:\n  yanqian archive expire --config /etc/yanqian/yanqian.toml"
    )]
    Expire(Expire),
}

#[derive(Args, Debug)]
struct ConfigOf {
    /// Configuration file of the daemon (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct Export {
    #[command(flatten)]
    of: ConfigOf,
    /// Seconds to wait
    #[arg(long, default_value_t = 60)]
    wait: u64,
}

#[derive(Args, Debug)]
pub(super) struct Restore {
    #[command(flatten)]
    of: ConfigOf,
    /// Numbers of segments that go back beside the ledger
    #[arg(value_name = "SEGMENT", required_unless_present = "out", conflicts_with = "out")]
    segments: Vec<u64>,
    /// Directory for a ledger of its own, with `ledger/` and `archive/`
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Its first segment
    #[arg(long, default_value_t = 1, value_name = "SEGMENT", requires = "out")]
    from: u64,
}

#[derive(Args, Debug)]
pub(super) struct Expire {
    #[command(flatten)]
    of: ConfigOf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(command: &Command) -> ExitCode {
    let result = match command {
        Command::Export(arguments) => export(arguments),
        Command::List(arguments) => look::list(arguments),
        Command::Verify(arguments) => look::verify(arguments),
        Command::Restore(arguments) => bring_back(arguments),
        Command::Hold(arguments) => held::place(arguments),
        Command::Release(arguments) => held::end(arguments),
        Command::Holds(arguments) => held::list(arguments),
        Command::Expire(arguments) => expire(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

/// The configuration and its archive.
fn archive(file: &Path) -> Result<(Config, Archive), String> {
    let config = Config::load(file).map_err(|error| error.to_string())?;
    let archive = parts::archive(&config).map_err(|error| error.to_string())?;
    let archive = archive.ok_or_else(|| format!("{}: key `retention.archive`: is not set", file.display()))?;
    Ok((config, archive))
}

fn waiting<T>(work: impl Future<Output = Result<T, yanqian_retention::ArchiveError>>) -> Result<T, String> {
    let runtime = small_runtime().map_err(|error| error.to_string())?;
    runtime.block_on(work).map_err(|error| error.to_string())
}

/// Segments on the list, those removed, and those that are sealed.
fn counts(ledger: &Path) -> Result<(u64, u64, u64), String> {
    let told = |error: yanqian_ledger::OpenError| format!("{}: {error}", ledger.display());
    let list = exported_list(ledger).map_err(told)?;
    let exported = u64::try_from(list.segments.len()).unwrap_or(u64::MAX);
    let sealed = (exported..=u64::MAX - 2).take_while(|segment| made(ledger, segment + 2).is_ok()).last();
    Ok((exported, list.removed, sealed.map_or(exported, |segment| segment + 1)))
}

fn export(arguments: &Export) -> Result<(), String> {
    let config = Config::load(&arguments.of.config).map_err(|error| error.to_string())?;
    let ledger = parts::ledger_directory(&config);
    let sealed = counts(&ledger)?.2;
    wake(&socket(&arguments.of.config)?, &Order::Export {}).map_err(|error| error.to_string())?;
    let (began, limit) = (Instant::now(), Duration::from_secs(arguments.wait));
    loop {
        let exported = counts(&ledger)?.0;
        if exported >= sealed {
            say(format_args!("{exported} segments are in the archive"));
            return Ok(());
        }
        if began.elapsed() >= limit {
            let rest = sealed - exported;
            return Err(format!("{exported} segments are in the archive and {rest} wait; the daemon's log says why"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn bring_back(arguments: &Restore) -> Result<(), String> {
    let (config, archive) = archive(&arguments.of.config)?;
    if let Some(out) = &arguments.out {
        let (first, last) = waiting(restore_whole(&archive, out, arguments.from))?;
        say(format_args!("segments {first} to {last} are in {}", out.join("ledger").display()));
        return Ok(());
    }
    let ledger = parts::ledger_directory(&config);
    let list = exported_list(&ledger).map_err(|error| format!("{}: {error}", ledger.display()))?;
    for segment in &arguments.segments {
        let line =
            list.of(*segment).ok_or_else(|| format!("{}: was not exported from here", Name::Segment(*segment)))?;
        waiting(restore(&archive, &ledger, line))?;
        say(format_args!("segment {segment}, records {} to {}, is back", line.first, line.last));
    }
    Ok(())
}

fn expire(arguments: &Expire) -> Result<(), String> {
    let (config, archive) = archive(&arguments.of.config)?;
    let ledger = parts::ledger_directory(&config);
    let removed = counts(&ledger)?.1;
    let there = waiting(archive.numbers(yanqian_retention::Kind::Segment))?;
    let candidates: Vec<u64> = there.into_iter().filter(|segment| *segment <= removed).collect();
    confirmed(arguments.yes, "Segments that are past their days will be deleted from the archive for good.")?;
    let (mut gone, mut kept) = (0u64, 0u64);
    for segment in candidates {
        match order(&parts::control_socket(&config), &Order::Expire { segment }) {
            Ok(done) => {
                say(format_args!("segment {segment} is deleted; record {}", done.sequence));
                gone += 1;
            }
            Err(crate::control::OrderError::Refused(why)) => {
                note(why);
                kept += 1;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    say(format_args!("{gone} segments deleted, {kept} kept"));
    Ok(())
}
