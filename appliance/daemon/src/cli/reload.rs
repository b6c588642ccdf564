//! `yanqian reload`: asks a running daemon to read its configuration again, and waits for what became of it. The unit's
//! `ExecReload`, so that a refused reload is one for `systemctl` too.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::EXIT_CONFIG;
use super::output::{complain, say};
use crate::config::Config;
use crate::reload::Report;

/// How long the daemon may take: each new pair proves itself, one a second.
const LIMIT: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(50);

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Configuration file of the daemon (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The daemon's process; systemd knows it as $MAINPID
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(2..))]
    pid: i32,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            complain(&error);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let file = Report::file(&config);
    let before = Report::read(&file).map_or(0, |report| report.count);
    let asked = Pid::from_raw(arguments.pid).map(|pid| kill_process(pid, Signal::HUP));
    if !matches!(asked, Some(Ok(()))) {
        complain(&format_args!("process {} cannot be signalled", arguments.pid));
        return ExitCode::FAILURE;
    }
    let configuration = hex::encode(config.hash());
    let is_ours = |report: &Report| ["", configuration.as_str()].contains(&report.configuration.as_str());
    let began = Instant::now();
    while began.elapsed() < LIMIT {
        // Another reload that was under way may have read the file as it was before.
        let report = Report::read(&file);
        if let Some(report) = report.filter(|report| report.count > before && is_ours(report)) {
            return match report.refused {
                None => {
                    say("configuration loaded again");
                    ExitCode::SUCCESS
                }
                Some(problem) => {
                    complain(&format_args!("reload refused, nothing was changed: {problem}"));
                    ExitCode::from(EXIT_CONFIG)
                }
            };
        }
        std::thread::sleep(LOOK);
    }
    complain(&format_args!("the daemon did not tell within {} s what became of the reload", LIMIT.as_secs()));
    ExitCode::FAILURE
}
