//! What the ledger says of itself while its disk fails. Found by `yanqian-drill-ledger`.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use support::sim_disk::{Fault, SimDisk};
use support::{clock, config, context, refusal};
use yanqian_evidence::Mark;
use yanqian_ledger::{Ledger, LedgerConfig};

/// Records before anything fails.
const BEFORE: u64 = 5;

fn small() -> LedgerConfig {
    LedgerConfig { segment_octets: 3000, reserve_octets: 2000, watch: Duration::from_hours(1), ..config() }
}

fn append(ledger: &Ledger, n: u64) -> Option<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(ledger.append(context(), refusal(n))).ok().map(|appended| appended.sequence)
}

fn with_records() -> SimDisk {
    let disk = SimDisk::default();
    let (ledger, _) = Ledger::open_storage(Box::new(disk.clone()), small(), clock()).unwrap();
    for n in 0..BEFORE {
        append(&ledger, n).unwrap();
    }
    drop(ledger);
    disk
}

/// Else it would be taken for one that was rolled back under a checkpoint.
#[test]
fn a_ledger_that_fails_while_it_is_opened_still_says_how_many_records_it_has() {
    let mut failed = 0;
    for operation in 0.. {
        let disk = with_records();
        let begun = disk.operations();
        disk.fail_in(operation, Fault::Error);
        if let Ok((ledger, _)) = Ledger::open_storage(Box::new(disk.clone()), small(), clock()) {
            assert_eq!(ledger.stats().last_sequence, BEFORE, "operation {operation}");
            failed += u64::from(ledger.stats().state.as_str().starts_with("failed"));
        }
        if disk.operations() <= begun + operation {
            break;
        }
    }
    assert!(failed > 0, "a start whose reserve could not be taken was among them");
}

/// Behind an older mark, a frame that broke later would pass for one that nobody was promised, and be cut.
#[test]
fn no_record_is_acknowledged_before_the_mark_covers_it() {
    let (mut acknowledged, mut refused) = (0, 0);
    for operation in 0.. {
        let disk = with_records();
        let (ledger, _) = Ledger::open_storage(Box::new(disk.clone()), small(), clock()).unwrap();
        let begun = disk.operations();
        disk.fail_in(operation, Fault::Error);
        match append(&ledger, 100) {
            Some(sequence) => {
                let mark = Mark::decode(&disk.read("durable.mark").unwrap()).unwrap();
                assert!(mark.sequence >= sequence, "operation {operation}: {mark:?}");
                acknowledged += 1;
            }
            None => refused += 1,
        }
        if disk.operations() <= begun + operation {
            break;
        }
    }
    assert!(acknowledged > 0 && refused > 2, "{acknowledged} acknowledged, {refused} refused");
}
