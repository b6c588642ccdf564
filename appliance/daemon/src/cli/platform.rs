//! `yanqian platform`: the route to the platform, for an operator.

use std::process::ExitCode;

use clap::Subcommand;
use yanqian_platform::Route;

use super::output::{complain, say};
use super::{ConfigArgument, EXIT_CONFIG};
use crate::config::Config;
use crate::parts;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Open the route again after two verifications of a signature disagreed
    #[command(
        after_help = "Run it as the daemon's user, after the cause is found: docs/operation.md. A running daemon serves again within a second.\n\nExample:\n  yanqian platform resume --config /etc/yanqian/yanqian.toml"
    )]
    Resume(ConfigArgument),
}

pub(super) fn run(command: &Command) -> ExitCode {
    let Command::Resume(argument) = command;
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
