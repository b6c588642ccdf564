//! `yanqian platform conform`: the script of joint debugging (Measures art. 7(3)) against the platform's endpoints for tests, and a
//! report of it to hand over.
//!
//! It runs in the daemon's place, over the same pipeline and the same ledger, whose lock it holds: so every request has its durable
//! intent, and no way to send a wrong one exists in a daemon that serves.

mod body;
mod cases;
mod facts;
mod file;
mod judge;
mod markdown;
mod report;
mod run;
mod script;
mod stranger;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use yanqian_gateway::{Clock as _, SystemClock};
use yanqian_platform::Profile;

use crate::cli::output::{complain, say};
use crate::cli::{EXIT_CONFIG, check, start_logging_at};
use crate::config::Config;
use crate::way::Way;
use crate::{hardening, parts};
use cases::Cases;
use report::{NamedHash, Report};
use script::Script;

pub(crate) use file::schema as cases_schema;
pub(crate) use report::schema as report_schema;

/// Wrong use: the command line or the cases file.
const EXIT_USAGE: u8 = 2;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Configuration file of the daemon (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What to ask and what must come of it (TOML); samples/conform-cases.toml explains every key
    #[arg(long, value_name = "FILE")]
    cases: PathBuf,
    /// Directory for the report; it is made, and must not be there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Why there was no run.
struct NoRun(u8, String);

impl NoRun {
    fn usage(problem: impl std::fmt::Display) -> Self {
        Self(EXIT_USAGE, problem.to_string())
    }

    fn configuration(problem: impl std::fmt::Display) -> Self {
        Self(EXIT_CONFIG, problem.to_string())
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    start_logging_at("warn");
    match make(arguments) {
        Ok(code) => code,
        Err(NoRun(code, problem)) => {
            complain(&problem);
            ExitCode::from(code)
        }
    }
}

fn make(arguments: &Arguments) -> Result<ExitCode, NoRun> {
    let config = Config::load(&arguments.config).map_err(NoRun::configuration)?;
    hardening::refuse_root("yanqian platform conform").map_err(NoRun::configuration)?;
    hardening::deny_core_dumps().map_err(NoRun::configuration)?;
    let (agreement, agreement_hash) = parts::agreement(&config).map_err(NoRun::configuration)?;
    let profile = Profile::load(&config.platform.profile).map_err(NoRun::configuration)?;
    parts::services(&config, &agreement, &profile).map_err(NoRun::configuration)?;
    let began = SystemClock.now();
    let way = Way::of(&config, &profile).map_err(NoRun::configuration)?;
    if let Some(url) = way.serving(&profile) {
        let problem = format!("`{url}` is where the platform serves, by its profile; nothing is tried out there");
        return Err(NoRun::configuration(problem));
    }
    let endpoints: Vec<String> = way.endpoints.iter().map(|(url, _)| url.clone()).collect();
    let cases = Cases::load(&arguments.cases, &agreement, &endpoints, began).map_err(NoRun::usage)?;
    let out = report::make_directory(&arguments.out)
        .map_err(|error| NoRun::usage(format_args!("--out {}: {error}", arguments.out.display())))?;

    let mut script = Script::plan(check::rows(&config), &cases, &endpoints, profile.applies_first());
    script.end(script::COVERAGE, judge::coverage(&cases, &agreement));
    let runtime = tokio::runtime::Runtime::new().map_err(|error| NoRun(1, error.to_string()))?;
    runtime.block_on(run::run(&config, &cases, &mut script));
    runtime.shutdown_timeout(run::LONGEST_END);
    let report = Report {
        v: Report::version(),
        software: env!("CARGO_PKG_VERSION").to_owned(),
        entity: config.entity.to_string(),
        credit_code: config.credit_code.clone(),
        node: config.node.to_string(),
        platform: config.platform.id.to_string(),
        caller: cases.caller.to_string(),
        profile: NamedHash { name: profile.name().to_owned(), hash: profile.hash().to_string() },
        agreement: NamedHash { name: agreement.version.clone(), hash: agreement_hash.to_string() },
        configuration: hex::encode(config.hash()),
        trust: trust_hash(&config),
        way: way.in_words(&config),
        began: began.to_string(),
        ended: SystemClock.now().to_string(),
        summary: script.summary(),
        steps: script.steps,
    };
    tell(&report, &out)
}

/// None when the trust store cannot be used, as its step says.
fn trust_hash(config: &Config) -> Option<String> {
    let store = parts::trust(config).ok()?.current().ok()?;
    Some(hex::encode(store.hash()))
}

fn tell(report: &Report, out: &Path) -> Result<ExitCode, NoRun> {
    for step in &report.steps {
        say(format_args!("{:<8} {:<28} {}", step.result.as_str(), step.name, step.reason));
    }
    report.write(out).map_err(|error| NoRun(1, format!("{}: {error}", out.display())))?;
    let summary = report.summary;
    say(format_args!(
        "{} steps: {} passed, {} failed, {} not done; report in {}",
        report.steps.len(),
        summary.passed,
        summary.failed,
        summary.not_done,
        out.display()
    ));
    let good = summary.failed == 0 && summary.not_done == 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
