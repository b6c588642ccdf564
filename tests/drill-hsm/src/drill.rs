//! One site through all scenarios, under load all the time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use yanqian_harness::chaos::Function;
use yanqian_harness::{File, HarnessError, Options, Site};

use crate::load::{End, Load};
use crate::operators::Operators;
use crate::scenario::{Scenario, io};
use crate::throughput::{self, Throughput};

/// Label of a second signing key in the token.
pub(crate) const OTHER_KEY: &str = "yanqian-other";
/// Sessions that sign; one more holds the login.
pub(crate) const SIGNERS: i64 = 8;
/// A call that takes longer ends the worker. More than the slow token takes.
const CALL_TIMEOUT_MS: i64 = 4000;
/// How long a site may take to become well again before the drill gives up on it.
const PATIENCE: Duration = Duration::from_mins(1);
/// A trial without a fault, and within what a check is prompt in it.
const TRIAL: Duration = Duration::from_secs(3);
const PROMPT: Duration = Duration::from_millis(500);
/// Below this a rate is not lowered.
const LEAST_RATE: u32 = 20;
/// After a recovery, before the next fault.
const REST: Duration = Duration::from_millis(500);
/// Codes of a check that the token could not serve: it is told to come again.
const AWAY: [&str; 3] = ["signer-unavailable", "signer-busy", "overloaded"];
/// Those that the token is to blame for.
const AWAY_OF_TOKEN: [&str; 2] = ["signer-unavailable", "signer-busy"];

/// How hard and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) name: &'static str,
    /// Checks a second.
    pub(crate) rate: u32,
    pub(crate) burst: Duration,
    pub(crate) hang: Duration,
    pub(crate) gone: Duration,
    pub(crate) slow: Duration,
    /// Of each measurement of signatures a second.
    pub(crate) measure: Duration,
}

impl Scale {
    pub(crate) const FULL: Self = Self {
        name: "full",
        rate: 200,
        burst: Duration::from_secs(3),
        hang: Duration::from_secs(30),
        gone: Duration::from_secs(20),
        slow: Duration::from_secs(8),
        measure: Duration::from_secs(3),
    };
    pub(crate) const SHORT: Self = Self {
        name: "short",
        rate: 50,
        burst: Duration::from_secs(1),
        hang: Duration::from_secs(6),
        gone: Duration::from_secs(2),
        slow: Duration::from_secs(3),
        measure: Duration::from_secs(1),
    };
}

/// What a scenario cost.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) checks: usize,
    pub(crate) good: usize,
    pub(crate) refused: BTreeMap<String, usize>,
    pub(crate) wrong: usize,
    pub(crate) unanswered: usize,
    pub(crate) daemon_restarts: usize,
    pub(crate) initialised: usize,
    /// From the fault's end to the first good answer to a check sent after it.
    pub(crate) recovery: Option<Duration>,
    /// One of two tokens: from the fault's end until checks are signed by the token that was struck again.
    pub(crate) back: Option<Duration>,
    /// What is not as it must be.
    pub(crate) problems: Vec<String>,
}

pub(crate) struct Drill {
    // Before the site: nothing may ask a site that is being taken down.
    load: Load,
    operators: Option<Operators>,
    site: Site,
    scale: Scale,
    daemon: Option<u32>,
}

/// The daemon's name of the token that is struck where there are two.
const STRUCK: &str = "a";

impl Drill {
    /// A site with one token, and the rate that the machine carries.
    pub(crate) async fn begin(options: Options, scale: Scale) -> Result<Self, HarnessError> {
        let options = options.with(File::Worker, "threads", SIGNERS);
        let mut options = options.with(File::Worker, "call_timeout_ms", CALL_TIMEOUT_MS);
        options.chaos = true;
        options.progress = |step| println!("  {step}");
        println!("A site on loopback, its token behind a module that fails on demand ({})", options.users.describe());
        let site = Site::build(options).await?;
        let config = site.places().worker_config().display().to_string();
        let made = site.yanqian_as_worker(&["hsm", "keygen", "--config", &config, "--label", OTHER_KEY])?;
        if made.code != Some(0) {
            return Err(HarnessError::Unexpected(format!("a second key: {}", made.all())));
        }
        let pair = site.options().second_token;
        let load = Load::start(&site, scale.rate).await?;
        let operators = (!pair).then(|| Operators::start(&site));
        let daemon = site.daemon_pid();
        let mut drill = Self { load, operators, site, scale, daemon };
        if pair {
            drill.settle().await?;
        } else {
            drill.pace().await?;
        }
        Ok(drill)
    }

    fn is_pair(&self) -> bool {
        self.site.options().second_token
    }

    /// Calls that the token to be struck has answered, and whether its breaker is closed.
    async fn struck_token(&self) -> Result<(f64, bool), HarnessError> {
        let metrics = self.site.metrics().await?;
        let value = |series: &str| metrics.value(series).unwrap_or_default();
        let calls = value(&format!("yanqian_hsm_calls_total{{result=\"ok\",token=\"{STRUCK}\"}}"));
        let closed = value(&format!("yanqian_hsm_breaker_state{{state=\"closed\",token=\"{STRUCK}\"}}"));
        Ok((calls, closed > 0.0))
    }

    /// Waits until the struck token signs again; since when, if it ever does.
    async fn until_back(&self, since: Instant) -> Result<Option<Duration>, HarnessError> {
        let mut calls = None;
        while since.elapsed() < PATIENCE {
            let (now, closed) = self.struck_token().await?;
            if closed {
                if now > *calls.get_or_insert(now) {
                    return Ok(Some(since.elapsed()));
                }
            } else {
                calls = None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(None)
    }

    /// Lowers the rate until the machine carries it without a fault: what the token costs must not be hidden by what the machine
    /// costs.
    async fn pace(&mut self) -> Result<(), HarnessError> {
        loop {
            self.settle().await?;
            let began = Instant::now();
            tokio::time::sleep(TRIAL).await;
            let ended = Instant::now();
            eventually(PATIENCE, || self.load.ended_before(ended)).await;
            let sent = self.load.sent_between(began, ended);
            let good = sent.iter().filter(|sample| sample.end == End::Good && sample.took() < PROMPT).count();
            if good * 100 >= sent.len() * 98 || self.scale.rate <= LEAST_RATE {
                return Ok(());
            }
            println!("  without a fault, {good} of {} checks were good and prompt: less load", sent.len());
            self.scale.rate = (self.scale.rate * 2 / 3).max(LEAST_RATE);
            self.load.stop().await;
            self.load = Load::start(&self.site, self.scale.rate).await?;
        }
    }

    /// Checks a second, as paced.
    pub(crate) fn rate(&self) -> u32 {
        self.scale.rate
    }

    /// Waits until checks are good, and then a little.
    async fn settle(&self) -> Result<(), HarnessError> {
        let well = |load: &Load| load.good_of_last(20) == 20;
        if !eventually(PATIENCE, || well(&self.load)).await {
            return Err(HarnessError::Unexpected(format!("the site is not well in {PATIENCE:?}")));
        }
        tokio::time::sleep(REST).await;
        Ok(())
    }

    pub(crate) async fn run(&mut self, scenario: Scenario) -> Result<Row, HarnessError> {
        let name = if self.is_pair() { format!("one of two: {}", scenario.name()) } else { scenario.name().to_owned() };
        println!("  {name}");
        if let Some(operators) = &self.operators {
            // Waits for a look that is under way.
            tokio::task::block_in_place(|| operators.may_load_the_module(scenario.is_for_everybody()));
        }
        let chaos = self.site.chaos().ok_or_else(|| HarnessError::Unexpected("a site without faults".to_owned()))?;
        let (began, before) = (Instant::now(), chaos.calls().map_err(io)?);
        let struck = scenario.strike(&mut self.site, self.scale).await?;
        let first_good = || self.load.first_good_since(struck.ended);
        eventually(PATIENCE, || first_good().is_some()).await;
        let recovery = first_good().map(|good| good.duration_since(struck.ended));
        let back = if self.is_pair() { self.until_back(struck.ended).await? } else { None };
        let settled = self.settle().await;
        let ended = Instant::now();
        eventually(PATIENCE, || self.load.ended_before(ended)).await;
        let mut row = self.tally(name, scenario, began, ended);
        row.recovery = recovery;
        row.back = back;
        let calls = chaos.calls().map_err(io)?;
        row.initialised = calls.since(&before).of(Function::C_Initialize);
        let logins = calls.since(&struck.before).of(Function::C_Login);
        if scenario.logins().is_some_and(|most| logins > most) {
            row.problem(format!("{logins} C_Login"));
        }
        if self.is_pair() {
            if back.is_none() {
                row.problem("the token does not come back".to_owned());
            }
            let failed = row.checks - row.good;
            if failed > 0 {
                row.problem(format!("{failed} checks failed over a fault of one of two tokens"));
            }
        }
        let lost: usize = AWAY_OF_TOKEN.iter().filter_map(|code| row.refused.get(*code)).sum();
        if scenario.costs_nothing() && lost > 0 {
            row.problem(format!("{lost} checks refused over a fault that others could have served"));
        }
        row.problems.extend(struck.problems);
        if recovery.is_none() {
            row.problems.push("no good signature after the fault".to_owned());
        }
        row.problems.extend(settled.err().map(|error| error.to_string()));
        Ok(row)
    }

    /// Judges every check that was sent in a span of time.
    fn tally(&mut self, name: String, scenario: Scenario, from: Instant, to: Instant) -> Row {
        let mut row = Row { name, ..Row::default() };
        let also: &[&str] = if self.is_pair() { &[] } else { scenario.also_refused() };
        for sample in self.load.sent_between(from, to) {
            row.count(sample.end, also);
        }
        if self.site.daemon_pid() != self.daemon || self.site.daemon_ended().is_some() {
            row.daemon_restarts += 1;
        }
        row
    }

    /// Stops everything and looks at what is left: the ledger, the platform's view, and how the processes end. With one token,
    /// signatures a second are measured in between.
    pub(crate) async fn end(mut self, logs: Option<&Path>) -> Result<(Row, Option<Throughput>), HarnessError> {
        self.load.stop().await;
        eventually(PATIENCE, || self.load.ended_before(Instant::now())).await;
        let name = if self.is_pair() { "afterwards, two tokens" } else { "afterwards" };
        let mut row = Row { name: name.to_owned(), ..Row::default() };
        if let Some(seen) = self.operators.take().map(Operators::stop) {
            println!("  the command line looked {} times and found {} times all well", seen.looks, seen.well);
            row.problems.extend(seen.crashes);
        }
        let mut throughput = None;
        if !self.is_pair() {
            println!("  signatures a second");
            throughput = Some(throughput::measure(&self.site, self.scale.measure).await?);
        }
        if self.load.left_out() > 0 {
            println!("  {} checks of the plan were left out: too many were under way", self.load.left_out());
        }
        let platform = self.site.sim().stats().await?;
        let verified = self.site.ledger_verify()?;
        for (count, what) in [(platform.refused, "refused by the platform"), (platform.duplicates, "sent twice")] {
            for _ in 0..count {
                row.wrong(what.to_owned());
            }
        }
        if verified.code != Some(0) {
            row.problem(format!("the ledger: {}", verified.all()));
        }
        if let Some(directory) = logs {
            keep(&self.site, &if self.is_pair() { directory.join("two-tokens") } else { directory.to_owned() })?;
        }
        let (daemon, worker) = self.site.stop();
        for (process, status) in [("daemon", daemon), ("worker", worker)] {
            if !status.is_some_and(|status| status.success()) {
                row.problem(format!("the {process} did not stop in order: {status:?}"));
            }
        }
        Ok((row, throughput))
    }
}

impl Row {
    /// Counts one check. Besides a token that is away or busy, `also` are codes that it may be refused with.
    fn count(&mut self, end: End, also: &[&str]) {
        self.checks += 1;
        match end {
            End::Good => self.good += 1,
            End::Refused(code) if AWAY.contains(&&*code) || also.contains(&&*code) => {
                *self.refused.entry(code).or_default() += 1;
            }
            End::Refused(code) => self.wrong(format!("refused with {code}")),
            End::Wrong(what) => self.wrong(what),
            End::Unanswered(why) => {
                self.unanswered += 1;
                self.problem(why);
            }
        }
    }

    fn wrong(&mut self, what: String) {
        self.wrong += 1;
        self.problem(what);
    }

    /// Told once, however often.
    fn problem(&mut self, what: String) {
        if !self.problems.contains(&what) {
            self.problems.push(what);
        }
    }
}

/// Copies the logs out of a site that goes with its directory.
fn keep(site: &Site, directory: &Path) -> Result<(), HarnessError> {
    let failed = |source| HarnessError::Io { what: directory.display().to_string(), source };
    std::fs::create_dir_all(directory).map_err(failed)?;
    for log in std::fs::read_dir(site.places().logs()).map_err(failed)? {
        let log = log.map_err(failed)?.path();
        std::fs::copy(&log, directory.join(log.file_name().unwrap_or_default())).map_err(failed)?;
    }
    Ok(())
}

/// Whether it holds within `limit`.
pub(crate) async fn eventually(limit: Duration, holds: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > limit {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_must_be_is_counted_and_told_once() {
        let mut row = Row::default();
        for code in AWAY {
            row.count(End::Refused(code.into()), &[]);
        }
        row.count(End::Good, &[]);
        row.count(End::Refused("signature-defective".into()), &["signature-defective"]);
        assert_eq!((row.checks, row.good, row.wrong, row.problems.len()), (5, 1, 0, 0));
        for end in [End::Refused("signature-defective".into()), End::Refused("outcome-unknown".into())] {
            row.count(end.clone(), &[]);
            row.count(end, &[]);
        }
        row.count(End::Wrong("verdict".into()), &[]);
        row.count(End::Unanswered("reset".into()), &[]);
        assert_eq!((row.wrong, row.unanswered, row.problems.len()), (5, 1, 4));
    }
}
