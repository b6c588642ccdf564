//! Generated lives of a ledger on a disk in memory: appends, faults, kills, power failures, full disks, in any order. What fails is
//! shrunk to the few steps that matter. A disk that lies shows that the property can fail.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use support::sim_disk::{Chance, Fault, SimDisk};
use support::{clock, config, context, intent, outcome, refusal, software};
use yanqian_evidence::LeafHash;
use yanqian_evidence::verify::{Place, Verifier};
use yanqian_ledger::{Appended, Ledger, LedgerError, LedgerState, OpenError, Recovery, verify_storage};

#[derive(Debug, Clone, Copy)]
enum Step {
    Intent,
    /// Ends the open check with this number, counted around those that are open.
    Outcome(u8),
    /// Refusals that wait together.
    Refusals(u8),
    /// The disk does this to one of its next operations.
    Fault(u8, Fault),
    /// The process ends at once; the next step finds a new one.
    Kill,
    /// So does the machine.
    PowerFailure(u64),
    /// An orderly end and a new start.
    Restart,
    /// The disk has room for so many octets more.
    Fill(u16),
    Empty,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop::sample::select(vec![
        Fault::Error,
        Fault::Half,
        Fault::Full,
        Fault::FullAfter,
        Fault::Crash,
        Fault::CrashAfter,
    ]);
    prop_oneof![
        6 => Just(Step::Intent),
        4 => any::<u8>().prop_map(Step::Outcome),
        4 => (1u8..6).prop_map(Step::Refusals),
        4 => (0u8..40, fault).prop_map(|(operations, fault)| Step::Fault(operations, fault)),
        2 => Just(Step::Kill),
        2 => any::<u64>().prop_map(Step::PowerFailure),
        1 => Just(Step::Restart),
        1 => (0u16..4000).prop_map(Step::Fill),
        2 => Just(Step::Empty),
    ]
}

/// A ledger and what its users know.
struct Life {
    disk: SimDisk,
    ledger: Option<Ledger>,
    runtime: tokio::runtime::Runtime,
    acknowledged: BTreeMap<u64, LeafHash>,
    /// Checks that were begun and not ended, by the intent's sequence.
    open: BTreeMap<u64, u64>,
    next: u64,
}

type Checked = Result<(), TestCaseError>;

fn fail<T: std::fmt::Display>(error: T) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

impl Life {
    fn new(disk: SimDisk) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { disk, ledger: None, runtime, acknowledged: BTreeMap::new(), open: BTreeMap::new(), next: 1 }
    }

    fn start(&self) -> Result<(Ledger, Recovery), OpenError> {
        let mut config = config();
        config.segment_octets = 3000;
        config.reserve_octets = 2000;
        config.watch = Duration::from_millis(1);
        Ledger::open_storage(Box::new(self.disk.clone()), config, clock())
    }

    /// The open ledger. A start may meet a fault, and is then tried again without one: as a service manager does.
    fn ledger(&mut self) -> Result<(), TestCaseError> {
        if self.ledger.is_some() {
            return Ok(());
        }
        let (ledger, recovery) = if let Ok(opened) = self.start() {
            opened
        } else {
            self.disk.kill();
            self.disk.set_capacity(None);
            self.start().map_err(fail)?
        };
        let dangling: Vec<_> = recovery.dangling.iter().map(|intent| intent.sequence).collect();
        let missed = self.open.keys().find(|sequence| !dangling.contains(sequence));
        if let Some(missed) = missed {
            return Err(fail(format!("the open check of intent {missed} is not listed after a start")));
        }
        // Where it fails half-way, some of them are closed and some are not.
        let _ = self.runtime.block_on(ledger.close_dangling(&recovery, &software()));
        self.open.clear();
        self.ledger = Some(ledger);
        Ok(())
    }

    fn take(&mut self, result: Result<Appended, LedgerError>) -> Option<u64> {
        let appended = result.ok()?;
        self.acknowledged.insert(appended.sequence, appended.leaf);
        Some(appended.sequence)
    }

    fn append(&mut self, submitted: Result<yanqian_ledger::Append, LedgerError>) -> Option<u64> {
        let result = submitted.and_then(|append| self.runtime.block_on(append));
        self.take(result)
    }

    fn walk(&mut self, step: Step) -> Checked {
        if let Step::Fault(operations, fault) = step {
            self.disk.fail_in(operations.into(), fault);
            return Ok(());
        }
        self.ledger()?;
        let ledger = self.ledger.as_ref().unwrap();
        if matches!(ledger.state(), LedgerState::Failed(_)) {
            // As the daemon does when it looks: what cannot be opened stays failed, and nothing is acknowledged.
            let _ = self.runtime.block_on(ledger.reopen());
        }
        let n = self.next;
        self.next += 10;
        match step {
            Step::Intent => {
                let submitted = ledger.submit(context(), intent(n));
                if let Some(sequence) = self.append(submitted) {
                    self.open.insert(sequence, n);
                }
            }
            Step::Outcome(which) => {
                let Some((&sequence, &n)) = self.open.iter().nth(usize::from(which) % self.open.len().max(1)) else {
                    return Ok(());
                };
                let submitted = ledger.submit(context(), outcome(n, sequence));
                let tried = submitted.is_ok();
                if self.append(submitted).is_some() || tried {
                    // One that failed may have become durable all the same.
                    self.open.remove(&sequence);
                }
            }
            Step::Refusals(count) => {
                let waiting: Vec<_> = (0..u64::from(count)).map(|k| ledger.submit(context(), refusal(n + k))).collect();
                for append in waiting {
                    self.append(append);
                }
            }
            Step::Kill => {
                self.disk.freeze();
                self.ledger = None;
                self.disk.kill();
                return self.check();
            }
            Step::PowerFailure(seed) => {
                self.disk.freeze();
                self.ledger = None;
                self.disk.power_failure(&mut Chance(seed));
                return self.check();
            }
            Step::Restart => self.ledger = None,
            Step::Fill(room) => self.disk.set_capacity(Some(self.disk.used() + u64::from(room))),
            Step::Empty => self.disk.set_capacity(None),
            Step::Fault(..) => {}
        }
        Ok(())
    }

    /// What is there verifies, before any start repairs it, and holds all that was acknowledged.
    fn check(&self) -> Checked {
        if self.acknowledged.is_empty() {
            return Ok(()); // perhaps not even begun
        }
        verify_storage(&self.disk).map_err(fail)?;
        let mut found = BTreeMap::new();
        let mut verifier = Verifier::new(None);
        let names = self.disk.segments();
        for (at, name) in names.iter().enumerate() {
            let place = if at + 1 == names.len() { Place::Last { durable: 0 } } else { Place::Sealed };
            let octets = self.disk.read(name).unwrap();
            let visit = |located: yanqian_evidence::verify::Located<'_>| {
                found.insert(located.record.sequence, located.frame.leaf);
            };
            verifier.segment(&octets, place, visit).map_err(fail)?;
        }
        match self.acknowledged.iter().find(|(sequence, leaf)| found.get(sequence) != Some(leaf)) {
            Some((sequence, _)) => Err(fail(format!("acknowledged record {sequence} is lost"))),
            None => Ok(()),
        }
    }
}

fn live(disk: SimDisk, steps: &[Step]) -> Checked {
    let mut life = Life::new(disk);
    for step in steps {
        life.walk(*step)?;
    }
    life.disk.freeze();
    life.ledger = None;
    life.disk.power_failure(&mut Chance(7));
    life.check()?;
    life.disk.set_capacity(None);
    life.ledger()?;
    life.ledger = None;
    life.check()
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 4000, ..Config::default() })
}

#[test]
fn no_generated_life_loses_an_acknowledged_record() {
    let cases = Config::default().cases.max(256);
    let steps = prop::collection::vec(step(), 1..50);
    if let Err(error) = runner(cases).run(&steps, |steps| live(SimDisk::default(), &steps)) {
        panic!("{error}");
    }
}

/// A disk whose syncs do nothing loses records; the property must find that and shrink it to an append and a power failure.
#[test]
fn a_disk_that_lies_about_its_syncs_is_found_out_and_shrunk() {
    let steps = prop::collection::vec(step(), 1..50);
    let found = runner(2000).run(&steps, |steps| {
        let disk = SimDisk::default();
        disk.lie_about_syncs();
        live(disk, &steps)
    });
    let Err(TestError::Fail(why, smallest)) = found else { panic!("not found out: {found:?}") };
    assert!(smallest.len() <= 3, "shrunk to {smallest:?}: {why}");
}
