//! The command line. Exit codes: 0 done, 1 failed, 2 wrong usage, 77 the token refused the PIN, 78 wrong configuration
//! (as `sysexits.h` has it).

mod agreement;
mod archive;
mod bench;
pub(crate) mod check;
mod check_tokens;
mod enveloped;
mod hsm;
mod hsm_reload;
mod ledger;
mod ledger_tree;
pub(crate) mod output;
mod platform;
mod probe;
mod reload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use output::{complain, say};

/// A configuration file is wrong or cannot be used.
pub(crate) const EXIT_CONFIG: u8 = 78;

#[derive(Parser, Debug)]
#[command(name = "yanqian", version, about, long_about = None, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  yanqian check --config /etc/yanqian/yanqian.toml
  yanqian hsm keygen --config /etc/yanqian-hsm/worker.toml --label yanqian-sign
  yanqian ledger verify /var/lib/yanqian/ledger";

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve internal systems (the daemon)
    #[command(after_help = "Example:\n  yanqian serve --config /etc/yanqian/yanqian.toml")]
    Serve(ConfigArgument),
    /// Hold the token and sign for the daemon (the worker; its own process and user)
    #[command(after_help = "Example:\n  yanqian hsm-worker --config /etc/yanqian-hsm/worker.toml")]
    HsmWorker(ConfigArgument),
    /// Check configuration, profiles, certificates and the token's reachability
    #[command(
        after_help = "Prints a table of ok, warn and FAIL. Exits with 78 when anything fails; a warning is no failure.\n\nExample:\n  yanqian check --config /etc/yanqian/yanqian.toml --worker-config /etc/yanqian-hsm/worker.toml"
    )]
    Check(CheckArgument),
    /// Have a running daemon read the entity's key pairs again
    #[command(
        after_help = "Exits with 78 and the reason when the reload was refused; nothing is changed then.\n\nExample:\n  yanqian reload --config /etc/yanqian/yanqian.toml --pid $(systemctl show --property MainPID --value yanqian)"
    )]
    Reload(reload::Arguments),
    /// Keys and certificates in the token, through the worker
    #[command(subcommand)]
    Hsm(hsm::Command),
    /// The agreement: what it says, what a change of it changes, why it decides as it does
    #[command(subcommand)]
    Agreement(agreement::Command),
    /// The route to the platform
    #[command(subcommand)]
    Platform(platform::Command),
    /// The evidence on disk
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Sealed segments in the archive: export, proof, holds, restoration, expiry
    #[command(subcommand)]
    Archive(archive::Command),
    /// Print the JSON Schema of a configuration file, for editors and checks before roll-out
    #[command(
        after_help = "docs/configuration.md is made from these schemas.\n\nExample:\n  yanqian schema agreement.toml"
    )]
    Schema(SchemaArgument),
    /// Write the manual pages of all commands
    #[command(after_help = "Example:\n  yanqian man --out /usr/local/share/man/man1")]
    Man(ManArgument),
}

#[derive(Args, Debug)]
struct ManArgument {
    /// Directory for the pages
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Args, Debug)]
struct SchemaArgument {
    /// Which file
    file: SchemaFile,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum SchemaFile {
    #[value(name = "yanqian.toml")]
    Daemon,
    #[value(name = "hsm-worker.toml")]
    Worker,
    #[value(name = "agreement.toml")]
    Agreement,
    #[value(name = "conform-cases.toml")]
    ConformCases,
    /// The report of `yanqian platform conform`
    #[value(name = "report.json")]
    Report,
}

impl SchemaFile {
    fn schema(self) -> schemars::Schema {
        match self {
            Self::Daemon => crate::config::schema(),
            Self::Worker => yanqian_hsm::worker::WorkerConfig::schema(),
            Self::Agreement => yanqian_agreement::Agreement::schema(),
            Self::ConformCases => crate::conform::cases_schema(),
            Self::Report => crate::conform::report_schema(),
        }
    }
}

#[derive(Args, Debug)]
struct CheckArgument {
    /// Configuration file of the daemon (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Configuration file of the HSM worker, to check it and its token profile too
    #[arg(long, value_name = "FILE")]
    worker_config: Option<PathBuf>,
    /// Print JSON: {"v":1,"checks":[{"check","result":"ok|warn|fail","note"}],"warnings","failures"}
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct ConfigArgument {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command to its exit code.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Serve(argument) => crate::serve::run(&argument.config),
        Command::HsmWorker(argument) => hsm::run_worker(&argument.config),
        Command::Check(argument) => check::run(&argument.config, argument.worker_config.as_deref(), argument.json),
        Command::Reload(arguments) => reload::run(&arguments),
        Command::Hsm(command) => hsm::run(command),
        Command::Agreement(command) => agreement::run(&command),
        Command::Platform(command) => platform::run(&command),
        Command::Ledger(command) => ledger::run(&command),
        Command::Archive(command) => archive::run(&command),
        Command::Schema(argument) => {
            say(format_args!("{:#}", argument.file.schema().as_value()));
            ExitCode::SUCCESS
        }
        Command::Man(argument) => match clap_mangen::generate_to(Arguments::command(), &argument.out) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&format_args!("{}: {error}", argument.out.display()));
                ExitCode::FAILURE
            }
        },
    }
}

/// Logs to standard error: JSON when `YANQIAN_LOG_FORMAT=json`, plain lines otherwise; level by `YANQIAN_LOG`.
pub(crate) fn start_logging() {
    start_logging_at("info");
}

/// As [`start_logging`], at this level unless `YANQIAN_LOG` sets another.
pub(crate) fn start_logging_at(level: &str) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("YANQIAN_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    let started = if std::env::var_os("YANQIAN_LOG_FORMAT").is_some_and(|format| format == "json") {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    if let Err(error) = started {
        complain(&error);
    }
}

/// A runtime for short commands.
fn small_runtime() -> Result<tokio::runtime::Runtime, std::io::Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
