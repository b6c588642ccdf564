//! What searching costs over a ledger of `RECORDS` records (100000 unless set): making the index, finding a document, counting.
//! `YANQIAN_BENCH_DIR` chooses the disk; a ledger that it already holds is used again. `figure` lines are for machines.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use support::{clock, config, context, intent, outcome};
use yanqian_evidence::{Answer, Der, Octets, RequestSignature};
use yanqian_ledger::search::{Column, EpochKey, Index, Query, Report};
use yanqian_ledger::{Ledger, read_records};
use yanqian_vocabulary::{DocumentType, Timestamp};

/// Checks that wait together.
const BATCH: u64 = 500;
/// Checks of one document on average.
const OF_ONE: u64 = 5;
/// Documents that are looked for.
const SEARCHES: u64 = 1000;

fn tag(document: u64) -> yanqian_evidence::Search {
    let key = EpochKey::new(1, Timestamp::from_unix_millis(0), [7; 32]);
    key.search(DocumentType::PrcPassport, &format!("E{document:08}"))
}

/// Checks of documents in no order, with a signed answer of `answer` octets.
async fn fill(directory: &Path, checks: u64, answer: usize) {
    let (ledger, _) = Ledger::open(directory, config(), clock()).unwrap();
    let signature = || Der::new([0x30, 0]).unwrap();
    for batch in 0..checks / BATCH {
        let numbers: Vec<u64> = (batch * BATCH..(batch + 1) * BATCH).collect();
        let document = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (checks / OF_ONE).max(1);
        let begun = numbers.iter().map(|n| {
            let intent = yanqian_evidence::Intent { search: Some(tag(document(*n))), ..intent(*n) };
            ledger.submit(context(), intent).unwrap()
        });
        let begun: Vec<_> = begun.collect();
        let mut ended = Vec::new();
        for (n, append) in numbers.iter().zip(begun) {
            let mut outcome = outcome(*n, append.await.unwrap().sequence);
            outcome.signature =
                Some(RequestSignature { signature: signature(), attributes: Some(Der::new([0x31, 0]).unwrap()) });
            outcome.answer = Some(Answer {
                octets: Octets::new(vec![b'a'; answer]),
                signature: Some(signature()),
                attributes: None,
            });
            ended.push(ledger.submit(context(), outcome).unwrap());
        }
        for append in ended {
            append.await.unwrap();
        }
    }
}

fn seconds<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed().as_secs_f64())
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    let root = std::env::var_os("YANQIAN_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let kept = setting("KEEP", 0) == 1;
    let records = setting("RECORDS", 100_000);
    let answer = usize::try_from(setting("ANSWER", 2500)).unwrap();
    let scratch = tempfile::Builder::new().prefix("search").tempdir_in(&root).unwrap();
    let base = if kept { root.join("search-bench") } else { scratch.path().to_owned() };
    std::fs::create_dir_all(&base).unwrap();
    let (ledger, file) = (base.join("ledger"), base.join("search.sqlite"));
    if !ledger.exists() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let ((), time) = seconds(|| runtime.block_on(fill(&ledger, records / 2, answer)));
        println!("figure search/append_seconds {time:.1}");
    }
    let size = |directory: &Path| -> u64 {
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    println!("figure search/ledger_bytes {}", size(&ledger));
    let _ = std::fs::remove_file(&file);
    let mut index = Index::open(&file).unwrap();
    let (indexed, time) = seconds(|| index.update(&ledger, |_| {}).unwrap());
    println!("figure search/records {}", indexed.records);
    println!("figure search/index_seconds {time:.1}");
    println!("figure search/index_bytes {}", std::fs::metadata(&file).unwrap().len());
    drop(index);

    let documents = (indexed.records / 2 / OF_ONE).max(1);
    let mut found = 0;
    let mut times: Vec<Duration> = (0..SEARCHES)
        .map(|n| {
            let query = Query { tags: Some(vec![tag(n.wrapping_mul(7919) % documents)]), ..Query::default() };
            let began = Instant::now();
            // As the command does: open, see what is new, look.
            let mut index = Index::open(&file).unwrap();
            index.update(&ledger, |_| {}).unwrap();
            found += index.find(&ledger, &query, 1000).unwrap().len();
            began.elapsed()
        })
        .take(if indexed.records > 1_000_000 { 30 } else { 200 })
        .collect();
    times.sort_unstable();
    println!("figure search/found {found}");
    println!("figure search/document_ms_median {:.1}", times[times.len() / 2].as_secs_f64() * 1000.0);
    println!("figure search/document_ms_worst {:.1}", times[times.len() - 1].as_secs_f64() * 1000.0);
    let (count, time) = seconds(|| read_records(&ledger).unwrap().count());
    println!("figure search/read_all_records_per_second {:.0}", f64::from(u32::try_from(count).unwrap()) / time);
    let columns = [Column::Caller, Column::Purpose, Column::Mode, Column::Day];
    let (report, time) = seconds(|| Report::make(&ledger, &columns, None, None).unwrap());
    println!("figure search/report_seconds {time:.1}");
    assert_eq!(report.total.checks, indexed.records / 2);
}
