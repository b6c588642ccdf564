//! `yanqian platform`: the route to the platform, for an operator.

use std::process::ExitCode;

use clap::Subcommand;
use yanqian_platform::Route;

use super::output::{complain, say};
use super::{ConfigArgument, EXIT_CONFIG};
use crate::config::Config;
use crate::{conform, parts};

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Open the route again after two verifications of a signature disagreed
    #[command(
        after_help = "Run it as the daemon's user, after the cause is found: docs/operation.md. A running daemon serves again within a second.\n\nExample:\n  yanqian platform resume --config /etc/yanqian/yanqian.toml"
    )]
    Resume(ConfigArgument),
    /// Go through the script of joint debugging at the platform's endpoints for tests, and write a report
    #[command(
        after_help = "The daemon must be stopped: the command takes its place, and every request it sends has its intent in the ledger. Run it as the daemon's user. Exits with 0 when every step passed, with 1 otherwise, with 2 when the cases file cannot be used, with 78 when the configuration cannot.\n\nExample:\n  yanqian platform conform --config /etc/yanqian/yanqian.toml --cases conform-cases.toml --out report-2026-11-26"
    )]
    Conform(conform::Arguments),
}

pub(super) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Resume(argument) => resume(argument),
        Command::Conform(arguments) => conform::run(arguments),
    }
}

fn resume(argument: &ConfigArgument) -> ExitCode {
    let config = match Config::load(&argument.config) {
        Ok(config) => config,
        Err(error) => {
            complain(&error);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let file = parts::route_file(&config);
    match Route::reopen(&file) {
        Ok(Some(why)) => say(format_args!("the route is open again; it was {why}")),
        Ok(None) => say("the route was not stopped"),
        Err(error) => {
            complain(&format_args!("{}: {error}", file.display()));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
