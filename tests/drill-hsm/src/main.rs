//! `yanqian-drill-hsm`: what a token does to its users when it blinks, done to a whole site under load, one scenario after the
//! other. Nothing is mocked but the token's health: `tests/p11-chaos` stands between the worker and the soft token.
//!
//! It exits with 0 only when no answer was wrong, no check was left without one, the daemon stayed the same process, and every
//! scenario happened as it says. Seconds are reported and judged by the reader: machines differ.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // telling is what it is for

mod drill;
mod load;
mod operators;
mod scenario;
mod table;
mod throughput;

use std::process::ExitCode;

use clap::Parser;
use yanqian_harness::{Binaries, HarnessError, Options, Token};

use crate::drill::{Drill, Scale};
use crate::scenario::Scenario;

/// Drills a site through every fault of its token that can be thought of, under load, and tells what it cost.
///
/// Example: yanqian-drill-hsm --rate 200
#[derive(Parser, Debug)]
#[command(name = "yanqian-drill-hsm", version)]
struct Arguments {
    /// Short faults and less load, for every change
    #[arg(long)]
    short: bool,
    /// Checks a second, less where the machine does not carry it [default: 200, short: 50]
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Only scenarios whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Drill SoftHSM with SM2 in place of the soft token: its module, as tests/softhsm-sm2/build makes it
    #[arg(long, value_name = "FILE")]
    softhsm: Option<std::path::PathBuf>,
    /// Write the logs of daemon and worker here
    #[arg(long, value_name = "DIR")]
    logs: Option<std::path::PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    // Whichever of the two ends, the other is dropped, and with it the site: its processes and its directory.
    let ended = tokio::select! {
        ended = run(&arguments) => ended,
        _ = &mut interrupted => {
            eprintln!("interrupted; everything is stopped and removed");
            return ExitCode::from(130);
        }
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the drill failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<bool, HarnessError> {
    let scale = if arguments.short { Scale::SHORT } else { Scale::FULL };
    let scale = Scale { rate: arguments.rate.unwrap_or(scale.rate).max(1), ..scale };
    let mut options = Options::new(Binaries::beside_this_program()?);
    if let Some(module) = &arguments.softhsm {
        options.binaries.token_module.clone_from(module);
        options.token = Token::SoftHsm;
    }
    let wanted = |scenario: &&Scenario| scenario.name().contains(&arguments.only);
    let mut drill = Drill::begin(options.clone(), scale).await?;
    let (mut rows, carried) = (Vec::new(), drill.rate());
    for scenario in scenario::ALL.iter().filter(wanted) {
        rows.push(drill.run(*scenario).await?);
    }
    let (after_one, throughput) = drill.end(arguments.logs.as_deref()).await?;

    options.second_token = true;
    let mut drill = Drill::begin(options, Scale { rate: carried, ..scale }).await?;
    for scenario in scenario::OF_TWO.iter().filter(wanted) {
        rows.push(drill.run(*scenario).await?);
    }
    let (after_two, _) = drill.end(arguments.logs.as_deref()).await?;
    Ok(table::print(&rows, &[after_one, after_two], scale, carried, throughput))
}
