//! Appends beside what the disk itself can do, in the same run and in turns. `YANQIAN_BENCH_DIR` chooses the disk; `figure` and
//! `ratio` lines are for machines.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, fdatasync};
use support::{clock, config, context, intent, outcome};
use yanqian_ledger::Ledger;

const FOR: Duration = Duration::from_secs(2);
const TURNS: u64 = 5;
/// Checks that wait together.
const WAITERS: u64 = 64;
/// As the ledger reserves space ahead of its writes.
const STEP: u64 = 4 << 20;

/// How the space of a file is had before it is written.
#[derive(Clone, Copy)]
enum Space {
    Appended,
    /// `fallocate` with `KEEP_SIZE`: what the ledger does.
    Reserved,
    /// `fallocate` that makes the file longer: reads as zeros.
    Lengthened,
    /// Zeros, written and synced.
    Written,
}

fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn p99(latencies: &mut [Duration]) -> Duration {
    latencies.sort_unstable();
    latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A bare loop of write and fdatasync of `octets` each; gives the time of each round.
fn bare(directory: &Path, octets: usize, space: Space) -> Vec<Duration> {
    let file = tempfile::NamedTempFile::new_in(directory).unwrap();
    let file = file.as_file();
    let data = vec![7; octets];
    let (mut at, mut had, mut took) = (0, 0, Vec::new());
    let begin = Instant::now();
    let mut aside = Duration::ZERO;
    while begin.elapsed() < FOR + aside {
        if at + octets as u64 > had {
            let ahead = Instant::now();
            match space {
                Space::Appended => {}
                Space::Reserved => fallocate(file, FallocateFlags::KEEP_SIZE, had, STEP).unwrap(),
                Space::Lengthened => fallocate(file, FallocateFlags::empty(), had, STEP).unwrap(),
                Space::Written => {
                    file.write_all_at(&vec![0; usize::try_from(STEP).unwrap()], had).unwrap();
                    fdatasync(file).unwrap();
                }
            }
            had += STEP;
            aside += ahead.elapsed();
        }
        let round = Instant::now();
        file.write_all_at(&data, at).unwrap();
        fdatasync(file).unwrap();
        took.push(round.elapsed());
        at += octets as u64;
    }
    took
}

struct Appends {
    per_second: f64,
    syncs_per_second: f64,
    octets_per_sync: usize,
    latencies: Vec<Duration>,
}

fn appends(directory: &Path, waiters: u64) -> Appends {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let directory = tempfile::tempdir_in(directory).unwrap();
    let (ledger, _) = Ledger::open(directory.path(), config(), clock()).unwrap();
    let (ledger, latencies) = (Arc::new(ledger), Arc::new(Mutex::new(Vec::new())));
    let begin = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..waiters)
            .map(|waiter| {
                let (ledger, latencies) = (Arc::clone(&ledger), Arc::clone(&latencies));
                tokio::spawn(async move {
                    let mut mine = Vec::new();
                    for n in 0.. {
                        if begin.elapsed() >= FOR {
                            break;
                        }
                        let n = waiter << 32 | n;
                        let asked = Instant::now();
                        let sequence = ledger.append(context(), intent(n)).await.unwrap().sequence;
                        mine.push(asked.elapsed());
                        let asked = Instant::now();
                        ledger.append(context(), outcome(n, sequence)).await.unwrap();
                        mine.push(asked.elapsed());
                    }
                    latencies.lock().unwrap().extend(mine);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let took = begin.elapsed();
    let stats = ledger.stats();
    let latencies = std::mem::take(&mut *latencies.lock().unwrap());
    Appends {
        per_second: rate(stats.appends, took),
        syncs_per_second: rate(stats.syncs, took),
        octets_per_sync: usize::try_from(stats.octets / stats.syncs).unwrap(),
        latencies,
    }
}

/// The ledger and the bare disk in turns; the disk writes as many octets with each sync as the ledger did just before.
fn compare(directory: &Path, waiters: u64) {
    let (mut per_second, mut ratios, mut p99s) = (Vec::new(), Vec::new(), Vec::new());
    let (mut appended, mut raw) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TURNS {
        let mut ledger = appends(directory, waiters);
        let mut disk = bare(directory, ledger.octets_per_sync, Space::Reserved);
        let records_per_sync = ledger.per_second / ledger.syncs_per_second;
        let limit = rate(disk.len() as u64, disk.iter().sum()) * records_per_sync;
        (appended, raw) = (p99(&mut ledger.latencies), p99(&mut disk));
        per_second.push(ledger.per_second);
        ratios.push(ledger.per_second / limit);
        p99s.push(appended.as_secs_f64() / raw.as_secs_f64());
    }
    println!("figure appends-per-second-{waiters}-waiters {:.0}", median(&mut per_second));
    println!("figure append-p99-us-{waiters}-waiters {}", appended.as_micros());
    println!("figure disk-sync-p99-us-{waiters}-waiters {}", raw.as_micros());
    println!("ratio appends-{waiters}-waiters-to-bare-disk {:.2}", median(&mut ratios));
    println!("ratio append-p99-{waiters}-waiters-to-disk-sync-p99 {:.2}", median(&mut p99s));
}

/// What each way to have space costs every sync.
fn spaces(directory: &Path) {
    for (name, space) in [
        ("appended", Space::Appended),
        ("reserved", Space::Reserved),
        ("lengthened", Space::Lengthened),
        ("written", Space::Written),
    ] {
        let mut took = bare(directory, 4096, space);
        let mean = took.iter().sum::<Duration>() / u32::try_from(took.len()).unwrap();
        println!("figure sync-us-{name} {} p99 {}", mean.as_micros(), p99(&mut took).as_micros());
    }
}

fn main() {
    let root = std::env::var_os("YANQIAN_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let directory = tempfile::tempdir_in(root).unwrap();
    spaces(directory.path());
    compare(directory.path(), 1);
    compare(directory.path(), WAITERS);
}
