//! `yanqian-drill-platform`: everything wrong that a platform, or somebody in its place, can answer, asked of a whole site: one
//! misbehaviour after the other, and with 64 checks in flight. Each must be refused by the check that is there for it, with the
//! reason that is its own; an honest platform with every oddity that is permitted must be believed.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // telling is what it is for

mod authority;
mod drill;
mod judge;
mod published;
mod responder;
mod restart;
mod rows;
mod store;
mod table;

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clap::{Parser, ValueEnum};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use yanqian_harness::{Binaries, Form, HarnessError, Options};

use crate::authority::Bench;
use crate::drill::{Drill, Trial};
use crate::table::Table;

/// What carries the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Transport {
    /// TLS 1.2 or later as both sides come to it.
    Tls,
    /// TLS 1.3 with SM2, SM3 and SM4 alone, and certificates on both sides.
    Rfc8998,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if *self == Self::Tls { "tls" } else { "rfc8998" })
    }
}

impl Transport {
    fn set(self, mut options: Options) -> Options {
        options.link.rfc8998 = self == Self::Rfc8998;
        options
    }
}

/// Drills a site through everything wrong that a platform can answer, and tells what was not refused for its own reason.
///
/// Example: yanqian-drill-platform --form second
#[derive(Parser, Debug)]
#[command(name = "yanqian-drill-platform", version)]
struct Arguments {
    /// Only this form of messages; repeat for more
    #[arg(long)]
    form: Vec<Form>,
    /// Only this transport; repeat for more
    #[arg(long)]
    transport: Vec<Transport>,
    /// So many sites at once: one alone leaves half of two cores idle
    #[arg(long, default_value = "2")]
    sites: NonZeroUsize,
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
    let forms = if arguments.form.is_empty() { Form::ALL.to_vec() } else { arguments.form.clone() };
    let transports = match arguments.transport.as_slice() {
        [] => Transport::value_variants(),
        chosen => chosen,
    };
    let table = Arc::new(Mutex::new(Table::new(transports.len())));
    let gate = Arc::new(Semaphore::new(arguments.sites.get()));
    let mut sites = JoinSet::new();
    for form in forms {
        for transport in transports.iter().copied() {
            let site = Job { options: transport.set(Options::new(Binaries::beside_this_program()?)), form, transport };
            let gate = Arc::clone(&gate);
            if form == Form::Reference {
                // They wait for the daemon to look, and to fetch, and take nobody's place.
                sites.spawn(stored(site.clone(), Arc::clone(&table)));
                sites.spawn(fetched(site.clone(), Arc::clone(&table)));
            }
            sites.spawn(answers(site, gate, Arc::clone(&table)));
        }
    }
    while let Some(ended) = sites.join_next().await {
        ended.map_err(|error| HarnessError::Unexpected(error.to_string()))??;
    }
    let table = table.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(table.print())
}

/// One form over one transport, with a site of its own.
#[derive(Clone)]
struct Job {
    options: Options,
    form: Form,
    transport: Transport,
}

/// The rows of the form.
async fn answers(job: Job, gate: Arc<Semaphore>, table: Arc<Mutex<Table>>) -> Result<(), HarnessError> {
    // Nobody closes the gate.
    let _place = gate.acquire().await;
    let began = Instant::now();
    let mut drill = Drill::begin(job.options.clone(), job.form).await?;
    let mut trials = vec![drill.run().await];
    job.count(&drill, &table).await?;
    if job.form == Form::Reference {
        trials.push(restart::run(&mut drill).await);
    }
    job.end(&drill, trials, began, &table).await
}

/// The rows about revocation data in the trust store; neither these nor the next know anything of forms.
async fn stored(job: Job, table: Arc<Mutex<Table>>) -> Result<(), HarnessError> {
    let began = Instant::now();
    let mut drill = Drill::begin(job.options.clone(), job.form).await?;
    let bench = Bench::of(&drill.site.places().pki())?;
    let trials = vec![store::run(&mut drill, &bench).await];
    job.end(&drill, trials, began, &table).await
}

/// The rows about revocation data that the daemon fetches.
async fn fetched(job: Job, table: Arc<Mutex<Table>>) -> Result<(), HarnessError> {
    let began = Instant::now();
    let mut drill = Drill::begin(job.options.clone(), job.form).await?;
    let bench = Arc::new(Bench::of(&drill.site.places().pki())?);
    let trials = vec![published::run(&mut drill, bench).await];
    job.end(&drill, trials, began, &table).await
}

impl Job {
    /// Whether every refusal was counted under its reason, once.
    async fn count(&self, drill: &Drill, table: &Mutex<Table>) -> Result<(), HarnessError> {
        if let Some(problem) = drill.miscounted().await? {
            let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
            table.wrong(self.transport, self.form, &problem);
        }
        Ok(())
    }

    async fn end(
        &self,
        drill: &Drill,
        trials: Vec<Result<Vec<Trial>, HarnessError>>,
        began: Instant,
        table: &Mutex<Table>,
    ) -> Result<(), HarnessError> {
        let stats = drill.site.sim().stats().await?;
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = BTreeSet::new();
        for trials in trials {
            rows.extend(trials.iter().flatten().map(|trial| trial.row.name));
            // What failed half-way is told beside what was found.
            table.add(self.transport, self.form, trials);
        }
        let (transport, form, rows, took) = (self.transport, self.form.name(), rows.len(), began.elapsed().as_secs());
        println!("{transport:<10} {form:<16} {rows:>5} rows {:>6} requests {took:>5} s", stats.requests);
        if stats.duplicates != 0 {
            table.wrong(self.transport, self.form, &format!("{} nonces were sent twice", stats.duplicates));
        }
        Ok(())
    }
}
