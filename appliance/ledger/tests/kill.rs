//! `kill -9` of a real process in the middle of appending: this test runs itself as the child.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use support::{clock, config, context, intent, outcome, software};
use yanqian_ledger::{Ledger, read_records, verify_dir};

const DIRECTORY: &str = "YANQIAN_LEDGER_KILL_DIRECTORY";

/// Appends for ever from 16 tasks; prints each acknowledged sequence and leaf hash.
async fn append_for_ever(directory: &Path) {
    let mut config = config();
    config.segment_octets = 60_000;
    let (ledger, recovery) = Ledger::open(directory, config, clock()).unwrap();
    ledger.close_dangling(&recovery, &software()).await.unwrap();
    let ledger = std::sync::Arc::new(ledger);
    let tasks: Vec<_> = (0..16u64)
        .map(|task| {
            let ledger = std::sync::Arc::clone(&ledger);
            tokio::spawn(async move {
                for n in 0.. {
                    let n = task << 32 | n;
                    let sequence = ledger.append(context(), intent(n)).await.unwrap();
                    say(&sequence);
                    say(&ledger.append(context(), outcome(n, sequence.sequence)).await.unwrap());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn say(appended: &yanqian_ledger::Appended) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "acknowledged {} {}", appended.sequence, appended.leaf).unwrap();
    out.flush().unwrap();
}

#[test]
fn every_acknowledged_record_survives_kill_9() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        return runtime.block_on(append_for_ever(Path::new(&directory)));
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..12usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "every_acknowledged_record_survives_kill_9"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let before = acknowledged.len();
        // Other places in the work each round: after some records, and not on a boundary of anything.
        for line in lines {
            let line = line.unwrap();
            let mut words = line.split(' ');
            if line.starts_with("acknowledged ") && words.clone().count() == 3 {
                let sequence: u64 = words.nth(1).unwrap().parse().unwrap();
                acknowledged.push((sequence, words.next().unwrap().to_owned()));
            }
            if acknowledged.len() == before + 40 + round * 37 {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
        assert!(acknowledged.len() >= before + 40, "the child worked");
        verify_dir(directory.path()).unwrap();
        let records: std::collections::HashMap<_, _> = read_records(directory.path())
            .unwrap()
            .map(|entry| entry.map(|entry| (entry.record.sequence, entry.leaf.to_string())))
            .collect::<Result<_, _>>()
            .unwrap();
        for (sequence, leaf) in &acknowledged {
            assert_eq!(records.get(sequence), Some(leaf), "round {round}, sequence {sequence}");
        }
    }
    let (ledger, _) = Ledger::open(directory.path(), config(), clock()).unwrap();
    drop(ledger);
    assert_eq!(verify_dir(directory.path()).unwrap().incomplete_tail, None);
}
