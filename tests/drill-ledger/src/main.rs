//! `yanqian-drill-ledger`: every way to die between a record and its acknowledgement, and what is there afterwards.
//!
//! It exits with 0 only when every fault happened, no acknowledged record was lost and everything verified.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // telling is what it is for

mod appender;
mod faults;
mod judge;
mod judge_tree;
mod kills;
mod seam;
#[path = "../../../appliance/ledger/tests/support/mod.rs"]
mod support;
mod template;
mod trace;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use judge::Tally;

/// Fails and kills the ledger at each of its system calls, then the whole daemon under load, and looks for every record that was
/// acknowledged.
///
/// Example: yanqian-drill-ledger --rounds 300
#[derive(Parser, Debug)]
#[command(name = "yanqian-drill-ledger", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// How often the daemon is killed
    #[arg(long, value_name = "N", default_value_t = 20)]
    rounds: u32,
    /// Where chance begins, to repeat a drill; tells when it is not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Strike through the ledger's seam to the disk, as where no process may trace another
    #[arg(long)]
    without_strace: bool,
    #[command(subcommand)]
    appender: Option<Appender>,
}

#[derive(clap::Subcommand, Debug)]
enum Appender {
    /// What is struck: works in a directory and prints what was acknowledged
    Append {
        task: appender::Task,
        root: PathBuf,
        #[arg(long)]
        fault: Option<seam::Order>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Appender::Append { task, root, fault }) = &arguments.appender {
        return if appender::run(*task, root, *fault) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let drilled = tokio::runtime::Runtime::new()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(drill(&arguments)));
    match drilled {
        Ok(tally) => {
            for problem in tally.problems.iter().take(40) {
                eprintln!("PROBLEM {problem}");
            }
            println!("{}", tally.line());
            if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("the drill failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn drill(arguments: &Arguments) -> Result<Tally, String> {
    let directory = tempfile::Builder::new().prefix("yanqian-drill-").tempdir().map_err(|error| error.to_string())?;
    let traced = match trace::permitted().await {
        _ if arguments.without_strace => false,
        Ok(()) => true,
        Err(why) => {
            println!(
                "NO PROCESS MAY BE TRACED HERE ({why}): faults come through the ledger's seam to the disk instead,"
            );
            println!("at each of its operations in place of each system call, and archive and tree are left out.");
            false
        }
    };
    println!("{}, failed and killed one by one", if traced { "System calls" } else { "Operations of the disk" });
    let say = |line: &str| println!("{line}");
    let mut total = tokio::select! {
        struck = faults::run(directory.path(), traced, say) => struck?,
        _ = tokio::signal::ctrl_c() => return Err("interrupted; everything is stopped and removed".to_owned()),
    };
    let seed = arguments.seed.unwrap_or_else(|| u64::from(std::process::id()) ^ 0x5eed_0000);
    println!("The daemon, killed under load {} times (--seed {seed})", arguments.rounds);
    let killed = tokio::select! {
        killed = kills::run(arguments.rounds, seed, say) => killed.map_err(|error| error.to_string())?,
        _ = tokio::signal::ctrl_c() => return Err("interrupted; everything is stopped and removed".to_owned()),
    };
    println!("  {:<20} {}", "daemon", killed.line());
    total.add(killed);
    Ok(total)
}
