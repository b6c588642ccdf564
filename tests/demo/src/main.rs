//! `yanqian-demo`: the whole line on one machine, told step by step. An internal system asks, the appliance signs with a key
//! in a PKCS#11 token, the platform answers, the appliance proves the answer and only then replies; in all three services, and
//! where it must, it refuses. Exits with 0 only when every line of the table is what it should be.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // telling is what it is for

mod account;
mod cases;
mod curl;
mod paint;
mod receipt;
mod show;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use yanqian_harness::{Binaries, HarnessError, Options, Site};

/// Shows the main job of Yanqian on real processes: platform simulator, HSM worker with a soft token, daemon.
///
/// Example: yanqian-demo --keep-running
#[derive(Parser, Debug)]
#[command(name = "yanqian-demo", version)]
struct Arguments {
    /// Set everything up, print curl lines to paste, and wait for Ctrl-C
    #[arg(long)]
    keep_running: bool,
    /// Directory with the executables [default: where this one lies]
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
    /// Wire form of the platform: reference, second or two-step
    #[arg(long, default_value = "reference")]
    form: yanqian_harness::Form,
}

/// As a shell reports a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// Within which a signal that ended the children has reached this process, too.
const MOMENT: std::time::Duration = std::time::Duration::from_millis(100);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Before anything is made: from here on a signal finds somebody who tidies up.
    let interrupted = match interrupted() {
        Ok(interrupted) => interrupted,
        Err(error) => {
            eprintln!("yanqian-demo: signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut interrupted = std::pin::pin!(interrupted);
    // Whichever of the two ends, the other is dropped, and with it the site: its processes and its directory.
    let ended = tokio::select! {
        ended = run(arguments) => Some(ended),
        () = &mut interrupted => None,
    };
    // A terminal's Ctrl-C reaches the children, too, so that the interruption may first show as their failure.
    let failed = !matches!(ended, Some(Ok(_)));
    if ended.is_none() || failed && tokio::time::timeout(MOMENT, interrupted).await.is_ok() {
        println!("\ninterrupted; everything is stopped and removed");
        return ExitCode::from(INTERRUPTED);
    }
    match ended.unwrap_or(Ok(false)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{} {error}", paint::bad("the demo failed:"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<bool, HarnessError> {
    let site = build(&arguments).await?;
    if arguments.keep_running {
        curl::tell(&site);
        return std::future::pending().await;
    }
    let lines = show::all(&site).await?;
    let (daemon, worker) = site.stop();
    let stopped = table::Line::of_end(daemon, worker);
    let lines: Vec<_> = lines.into_iter().chain([stopped]).collect();
    table::print(&lines);
    Ok(lines.iter().all(table::Line::is_good))
}

async fn build(arguments: &Arguments) -> Result<Site, HarnessError> {
    let binaries = match &arguments.binaries {
        Some(directory) => Binaries::locate(directory)?,
        None => Binaries::beside_this_program()?,
    };
    println!("{}", paint::title("Setting up a site on loopback"));
    let mut options = Options::new(binaries).form(arguments.form);
    options.checkpoints = Some(1);
    options.progress = |step| println!("  {step}");
    println!("  {}", options.users.describe());
    let site = Site::build(options).await?;
    let addresses = site.addresses();
    println!("  serving on https://{} (metrics on http://{}/metrics)", addresses.api, addresses.metrics);
    println!("  {}\n", paint::faint("the token is software: development grade, and every record says so"));
    Ok(site)
}

fn interrupted() -> std::io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
