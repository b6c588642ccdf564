//! `yanqian hsm bench`: signatures a second, and the threads to give the worker.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use yanqian_hsm::bench::{self, Bench as Order, BenchError};
use yanqian_hsm::worker::{EXIT_CREDENTIALS, WorkerConfig};

use super::EXIT_CONFIG;
use super::output::{complain, say};
use crate::hardening;

#[derive(Args, Debug)]
pub(super) struct Bench {
    /// The worker's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A key of the token to sign with, where it makes none for a session
    #[arg(long)]
    label: Option<String>,
    /// Sessions at most
    #[arg(long, default_value_t = 32)]
    sessions: usize,
    /// Seconds for each number of sessions
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

pub(super) fn run(arguments: Bench) -> ExitCode {
    match measure(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, problem)) => {
            complain(&problem);
            ExitCode::from(code)
        }
    }
}

fn measure(arguments: Bench) -> Result<(), (u8, String)> {
    // A latch that root made could not be read by the worker.
    hardening::refuse_root("yanqian hsm bench").map_err(|problem| (EXIT_CONFIG, problem))?;
    let config = WorkerConfig::load(&arguments.config).map_err(|error| (EXIT_CONFIG, error.to_string()))?;
    let order = Order {
        config,
        key: arguments.label,
        most: arguments.sessions.clamp(1, 1024),
        time: Duration::from_secs(arguments.seconds.clamp(1, 600)),
    };
    let steps = bench::bench(&order).map_err(|error| match error {
        BenchError::Latch(_) | BenchError::Pin(_) => (EXIT_CREDENTIALS, error.to_string()),
        BenchError::Profile(_) => (EXIT_CONFIG, error.to_string()),
        other => (1, other.to_string()),
    })?;
    say("sessions  signatures/s  failures");
    for step in &steps {
        say(format_args!("{:8}  {:12.0}  {:8}", step.sessions, step.per_second, step.failures));
    }
    let threads = bench::advice(&steps).ok_or_else(|| (1, "the token signed nothing".to_owned()))?;
    say(format_args!("threads = {threads}"));
    Ok(())
}
