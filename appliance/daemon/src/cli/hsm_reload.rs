//! `yanqian hsm reload`: has the worker replaced, and says whether it was.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use yanqian_hsm::worker::WorkerConfig;
use yanqian_hsm::{ClientConfig, WorkerClient};

use super::output::{complain, say};
use super::{EXIT_CONFIG, small_runtime};

/// Between looks whether another worker serves.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Args, Debug)]
pub(super) struct Reload {
    /// The worker's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Seconds to wait for the successor
    #[arg(long, value_name = "SECONDS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

pub(super) fn run(arguments: &Reload) -> ExitCode {
    let failed = |code: u8, problem: &dyn std::fmt::Display| {
        complain(problem);
        ExitCode::from(code)
    };
    let config = match WorkerConfig::load(&arguments.config) {
        Ok(config) => config,
        // The worker would not start with it either.
        Err(error) => return failed(EXIT_CONFIG, &error),
    };
    let client = WorkerClient::new(ClientConfig::new(config.socket));
    let runtime = match small_runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(1, &error),
    };
    match runtime.block_on(replace(&client, Duration::from_secs(arguments.timeout))) {
        Ok((before, now)) => {
            say(format_args!("the worker {before} has been replaced by {now}"));
            ExitCode::SUCCESS
        }
        Err(problem) => failed(1, &problem),
    }
}

/// Process ids of the worker and of its successor.
async fn replace(client: &WorkerClient, limit: Duration) -> Result<(u32, u32), String> {
    let before = client.status().await.map_err(|error| error.to_string())?;
    let pid = i32::try_from(before.pid).ok().and_then(Pid::from_raw).ok_or("the worker tells no process id")?;
    kill_process(pid, Signal::HUP).map_err(|error| format!("the worker, process {}: {error}", before.pid))?;
    let deadline = Instant::now() + limit;
    loop {
        tokio::time::sleep(LOOK).await;
        // One that cannot be asked now may be one that ends: the deadline decides.
        match client.status().await {
            Ok(now) if now.pid != before.pid => return Ok((before.pid, now.pid)),
            Ok(now) if now.replacement_failures_total > before.replacement_failures_total => {
                let why = now.replacement_problem.unwrap_or_default();
                return Err(format!("the worker goes on, because its successor does not come up: {why}"));
            }
            Err(error) if Instant::now() >= deadline => return Err(error.to_string()),
            _ if Instant::now() >= deadline => return Err(format!("no successor serves within {limit:?}")),
            _ => {}
        }
    }
}
