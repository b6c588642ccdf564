//! The steps of a run, all of them known before the first is made: what was not come to stands in the report as not done.

use super::cases::{Case, Cases, RefusalCase};
use super::report::{Step, StepResult, Summary};
use crate::cli::check::{Found, Level, Row};

/// Names of steps that are there once.
pub(super) const COVERAGE: &str = "coverage";
pub(super) const KEYS: &str = "keys";
pub(super) const CLOCK: &str = "clock-difference";
pub(super) const LEDGER: &str = "evidence";

pub(super) fn endpoint(index: usize) -> String {
    format!("endpoint/{}", index + 1)
}

pub(super) fn case(case: &Case) -> String {
    format!("case/{}", case.name)
}

pub(super) fn refusal(refusal: &RefusalCase) -> String {
    format!("refusal/{}", refusal.name)
}

pub(super) struct Script {
    pub(super) steps: Vec<Step>,
}

fn step(name: impl Into<String>, claim: impl Into<String>, done: impl Into<String>) -> Step {
    Step {
        name: name.into(),
        claim: claim.into(),
        done: done.into(),
        result: StepResult::NotDone,
        reason: "a step before it failed".to_owned(),
        keys: Vec::new(),
        addresses: Vec::new(),
        check: None,
        clock: None,
        ledger: None,
    }
}

impl Script {
    /// `rows`: what `yanqian check` found; `two_steps`: whether the platform wants an application first.
    pub(super) fn plan(rows: Vec<Row>, cases: &Cases, endpoints: &[String], two_steps: bool) -> Self {
        let mut steps: Vec<Step> = rows.into_iter().map(of_row).collect();
        steps.push(step(
            COVERAGE,
            "every service of the agreement has a case that is expected to match",
            "the cases file compared with the agreement",
        ));
        steps.push(step(
            KEYS,
            "the entity's keys prove themselves at the token, and the ledger takes what is recorded",
            "ledger and state opened as the daemon opens them; each key signed or opened a fresh challenge",
        ));
        for (index, url) in endpoints.iter().enumerate() {
            let claim = format!("{url} is reached over a connection that the trust store vouches for");
            steps.push(step(endpoint(index), claim, "each address connected to; no octet of a request sent"));
        }
        let exchange =
            if two_steps { "an application, and the check that follows from its answer" } else { "one check" };
        for one in &cases.checks {
            let claim = format!(
                "{} of a {} ends with `{}`, and the answer passes every check",
                one.mode, one.document_type, one.expect
            );
            let done = format!("{exchange}, each request signed under a durable intent and sent once");
            steps.push(step(case(one), claim, done));
        }
        for one in &cases.refusals {
            let about = cases.checks.get(one.case).map_or("", |case| case.name.as_str());
            let claim = format!("the platform refuses a request with `{}`", one.wrong.as_str());
            let done = format!("the data of case `{about}` sent so, under a durable intent and once");
            steps.push(step(refusal(one), claim, done));
        }
        let most = cases.max_clock_difference_millis / 1000;
        steps.push(step(
            CLOCK,
            format!("the platform's clock and this machine's differ by at most {most} s"),
            "the times in proven answers compared with the moments of sending and receiving",
        ));
        steps.push(step(
            LEDGER,
            "everything that was done stands in the ledger, and the ledger verifies",
            "every record of the ledger read and proven",
        ));
        Self { steps }
    }

    pub(super) fn step(&mut self, name: &str) -> Option<&mut Step> {
        self.steps.iter_mut().find(|step| step.name == name)
    }

    /// Notes a step's end.
    pub(super) fn end(&mut self, name: &str, ended: Result<String, String>) {
        let Some(step) = self.step(name) else { return };
        (step.result, step.reason) = match ended {
            Ok(reason) => (StepResult::Pass, reason),
            Err(reason) => (StepResult::Fail, reason),
        };
    }

    pub(super) fn fail(&mut self, name: &str, reason: impl std::fmt::Display) {
        self.end(name, Err(reason.to_string()));
    }

    /// Says why a step was not made.
    pub(super) fn leave(&mut self, name: &str, reason: &str) {
        if let Some(step) = self.step(name) {
            reason.clone_into(&mut step.reason);
        }
    }

    pub(super) fn summary(&self) -> Summary {
        let count = |result| self.steps.iter().filter(|step| step.result == result).count();
        Summary {
            passed: count(StepResult::Pass),
            failed: count(StepResult::Fail),
            not_done: count(StepResult::NotDone),
        }
    }
}

/// A warning is no failure, here as in `yanqian check`; its note stays.
fn of_row(Row { key, found: Found(level, note) }: Row) -> Step {
    let claim = format!("`{key}` is in order");
    let result = if level == Level::Fail { StepResult::Fail } else { StepResult::Pass };
    let reason = if level == Level::Warn { format!("warning: {note}") } else { note };
    Step {
        result,
        reason,
        ..step(format!("site/{}", key.replace(' ', "/")), claim, "looked at as `yanqian check` does")
    }
}
