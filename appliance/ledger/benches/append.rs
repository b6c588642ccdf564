//! Appends per second with one and with many waiters, beside the disk's own rate of write and sync.
//! `YANQIAN_BENCH_DIR` chooses the disk; `figure` and `ratio` lines are for machines.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{clock, config, context, intent};
use yanqian_ledger::Ledger;

const FOR: Duration = Duration::from_secs(2);

/// A bare loop of append and fdatasync, with records of the same size.
fn bare(directory: &Path, octets: usize) -> f64 {
    let mut file = std::fs::File::create(directory.join("bare")).unwrap();
    let begin = Instant::now();
    let mut count = 0u32;
    while begin.elapsed() < FOR {
        file.write_all(&vec![7; octets]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / begin.elapsed().as_secs_f64()
}

fn appends(directory: &Path, waiters: u64) -> (f64, f64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let (ledger, _) = Ledger::open(&directory.join(format!("ledger-{waiters}")), config(), clock()).unwrap();
    let ledger = Arc::new(ledger);
    let begin = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..waiters)
            .map(|waiter| {
                let ledger = Arc::clone(&ledger);
                tokio::spawn(async move {
                    for n in 0.. {
                        if begin.elapsed() >= FOR {
                            break;
                        }
                        ledger.append(context(), intent(waiter << 32 | n)).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let stats = ledger.stats();
    let rate = |count: u64| f64::from(u32::try_from(count).unwrap()) / begin.elapsed().as_secs_f64();
    (rate(stats.appends), rate(stats.syncs))
}

fn main() {
    let root = std::env::var_os("YANQIAN_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let directory = tempfile::tempdir_in(root).unwrap();
    let bare = bare(directory.path(), 900);
    println!("figure bare-write-and-sync-per-second {bare:.0}");
    let (one, one_syncs) = appends(directory.path(), 1);
    println!("figure appends-per-second-1-waiter {one:.0}");
    let (many, many_syncs) = appends(directory.path(), 64);
    println!("figure appends-per-second-64-waiters {many:.0}");
    println!("ratio syncs-1-waiter-to-bare {:.2}", one_syncs / bare);
    println!("ratio syncs-64-waiters-to-bare {:.2}", many_syncs / bare);
    println!("ratio appends-64-waiters-to-1 {:.2}", many / one);
}
