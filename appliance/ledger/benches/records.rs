//! What a ledger of `RECORDS` records (100000 unless set) costs: appending them, proving them at both depths, starting on them,
//! the tree over them, making the index, finding a document, counting; the time and the peak of memory of each.
//!
//! Half of the records are intents and half are outcomes with a signed answer of `ANSWER` octets (2200 unless set: then a check is
//! as large as most real ones; with 0 all ends are those of a platform that could not be reached). `YANQIAN_BENCH_DIR` chooses the disk; with `KEEP=1` the ledger stays there and is used again.
//! `figure` lines are for machines.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::{clock, config, context, intent, outcome};
use yanqian_evidence::{
    Answer, Decision, Der, Label, Octets, Origin, Outcome, RequestSignature, Revocation, RevocationKind, SignatureLine,
    SignedCheckpoint, Signer, Step,
};
use yanqian_ledger::search::{Column, EpochKey, Index, Query, Report};
use yanqian_ledger::tree::{Checkpoints, TreeKeeper, TreePlaces, prove_tree};
use yanqian_ledger::{Depth, Ledger, LedgerConfig, read_records, sound_dir};
use yanqian_vocabulary::{CertificateHash, ContentDigest, DocumentType, Reason, Timestamp};

/// Checks that wait together.
const BATCH: u64 = 2000;
/// Checks of one document on average.
const OF_ONE: u64 = 5;
/// Documents that are looked for.
const SEARCHES: u64 = 200;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Begins the kernel's count of this process's peak of memory again; without that, later peaks are those of before at least.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Megabytes of memory that were in use at once since [`forget_peak`].
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

/// Does one thing and tells what it took; gives its seconds, too.
fn measured<T>(name: &str, work: impl FnOnce() -> T) -> (T, f64) {
    forget_peak();
    let began = Instant::now();
    let done = work();
    let seconds = began.elapsed().as_secs_f64();
    println!("figure records/{name}_seconds {seconds:.2}");
    println!("figure records/{name}_peak_megabytes {}", peak());
    (done, seconds)
}

fn tag(document: u64) -> yanqian_evidence::Search {
    let key = EpochKey::new(1, Timestamp::from_unix_millis(0), [7; 32]);
    key.search(DocumentType::PrcPassport, &format!("E{document:08}"))
}

/// A DER value of that many octets of content, at most 65535.
fn der(tag: u8, content: usize) -> Der {
    let length = u16::try_from(content).unwrap().to_be_bytes();
    let mut octets = match content {
        0..128 => vec![tag, length[1]],
        128..256 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    octets.resize(octets.len() + content, 0x55);
    Der::new(octets).unwrap()
}

/// An outcome with everything that one with a verdict holds, each part as long as in a real one; without an answer that of a check
/// whose platform could not be reached, which is as small as outcomes after a signature are.
fn ended(n: u64, intent: u64, answer: usize) -> Outcome {
    let signature = || der(0x30, 68);
    let ours = Some(RequestSignature { signature: signature(), attributes: Some(der(0x31, 110)) });
    if answer == 0 {
        let decision = Decision::Refused { reason: Reason::PlatformUnreachable };
        return Outcome { decision, signature: ours, platform_status: None, ..outcome(n, intent) };
    }
    let steps = ["envelope", "signature", "signer", "chain", "revocation", "time", "nonce", "binding", "replay"];
    Outcome {
        signature: ours,
        answer: Some(Answer {
            octets: Octets::new(vec![b'a'; answer]),
            signature: Some(signature()),
            attributes: Some(der(0x31, 110)),
        }),
        signer: Some(Signer { hash: CertificateHash::new([5; 32]), certificate: der(0x30, 520) }),
        chain: vec![CertificateHash::new([6; 32]), CertificateHash::new([7; 32])],
        revocation: [8, 9]
            .map(|hash| Revocation {
                kind: RevocationKind::Crl,
                hash: ContentDigest::new([hash; 32]),
                issuer: der(0x30, 60),
                this_update: Timestamp::from_unix_millis(1_764_000_000_000),
                next_update: Some(Timestamp::from_unix_millis(1_764_086_400_000)),
            })
            .to_vec(),
        steps: steps.map(|name| Step { name: Label::new(name), refused: None }).to_vec(),
        ..outcome(n, intent)
    }
}

fn options() -> LedgerConfig {
    LedgerConfig { queue: usize::try_from(BATCH).unwrap(), patience: Duration::from_mins(5), ..config() }
}

/// Checks of documents in no order.
async fn fill(directory: &Path, checks: u64, answer: usize) {
    let (ledger, _) = Ledger::open(directory, options(), clock()).unwrap();
    let document = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (checks / OF_ONE).max(1);
    for first in (0..checks).step_by(usize::try_from(BATCH).unwrap()) {
        let numbers = first..(first + BATCH).min(checks);
        let mut begun = Vec::new();
        for n in numbers.clone() {
            let intent = yanqian_evidence::Intent { search: Some(tag(document(n))), ..intent(n) };
            begun.push(ledger.submit(context(), intent).unwrap());
        }
        let mut ends = Vec::new();
        for (n, append) in numbers.zip(begun) {
            let sequence = append.await.unwrap().sequence;
            ends.push((n, sequence));
        }
        let mut appended = Vec::new();
        for (n, sequence) in ends {
            appended.push(ledger.submit(context(), ended(n, sequence, answer)).unwrap());
        }
        for append in appended {
            append.await.unwrap();
        }
    }
}

fn octets_in(directory: &Path) -> u64 {
    let mut octets = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        octets += if metadata.is_dir() { octets_in(&entry.path()) } else { metadata.len() };
    }
    octets
}

/// Every record at both depths, as `ledger verify` does, and a start.
fn prove(places: &TreePlaces, records: u64) {
    for (name, depth) in [("verify_full", Depth::Full), ("verify_fast", Depth::Fast)] {
        let (sound, took) = measured(name, || sound_dir(&places.ledger, depth, &mut |_| {}).unwrap());
        assert_eq!(sound.records, records);
        println!("figure records/{name}_records_per_second {:.0}", records as f64 / took);
        println!("figure records/{name}_megabytes_per_second {:.0}", sound.octets as f64 / took / 1e6);
    }
    measured("restart", || drop(Ledger::open(&places.ledger, options(), clock()).unwrap()));
}

/// The tree made from nothing, opened again as a start does, and proven over all records.
fn tree(places: &TreePlaces, records: u64) {
    let origin = config().origin;
    let now = Timestamp::from_unix_millis(1_764_000_000_000);
    let mut keeper = TreeKeeper::open(places.clone(), origin.clone(), records).unwrap();
    if keeper.covered() < records {
        let (checkpoint, _) = measured("tree", || keeper.advance(records, now).unwrap().unwrap());
        // Whether somebody signed it is not what is measured.
        let line = SignatureLine { name: origin.clone(), key_id: [1; 4], signature: [2; 64] };
        keeper.publish(SignedCheckpoint::new(checkpoint, line)).unwrap();
    }
    drop(keeper);
    println!("figure records/tree_bytes {}", octets_in(&places.tree));
    measured("tree_restart", || TreeKeeper::open(places.clone(), Origin::clone(&origin), records).unwrap());
    let sizes = Checkpoints::new(&places.checkpoints).sizes().unwrap();
    let (proven, took) = measured("verify_tree", || prove_tree(places, &sizes, records).unwrap());
    assert_eq!(proven.covered, records);
    println!("figure records/verify_tree_records_per_second {:.0}", records as f64 / took);
}

fn search(ledger: &Path, file: &Path, records: u64) {
    let _ = std::fs::remove_file(file);
    let (_, took) = measured("index", || Index::open(file).unwrap().update(ledger, |_| {}).unwrap());
    println!("figure records/index_records_per_second {:.0}", records as f64 / took);
    println!("figure records/index_bytes {}", std::fs::metadata(file).unwrap().len());
    let documents = (records / 2 / OF_ONE).max(1);
    let mut found = 0;
    forget_peak();
    let mut times: Vec<Duration> = (0..SEARCHES)
        .map(|n| {
            let query = Query { tags: Some(vec![tag(n.wrapping_mul(7919) % documents)]), ..Query::default() };
            let began = Instant::now();
            // As the command does: open, see what is new, look.
            let mut index = Index::open(file).unwrap();
            index.update(ledger, |_| {}).unwrap();
            found += index.find(ledger, &query, 1000, &mut std::collections::BTreeSet::new()).unwrap().len();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("figure records/document_found {found}");
    println!("figure records/document_ms_median {:.1}", times[times.len() / 2].as_secs_f64() * 1000.0);
    println!("figure records/document_ms_worst {:.1}", times[times.len() - 1].as_secs_f64() * 1000.0);
    println!("figure records/document_peak_megabytes {}", peak());
}

fn main() {
    let root = std::env::var_os("YANQIAN_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let (checks, kept) = (setting("RECORDS", 100_000) / 2, setting("KEEP", 0) == 1);
    let answer = usize::try_from(setting("ANSWER", 2200)).unwrap();
    let scratch = tempfile::Builder::new().prefix("records").tempdir_in(&root).unwrap();
    let base = if kept { root.join("records-bench") } else { scratch.path().to_owned() };
    std::fs::create_dir_all(&base).unwrap();
    let (places, records) = (TreePlaces::in_state(&base), checks * 2);
    if !places.ledger.exists() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let ((), took) = measured("append", || runtime.block_on(fill(&places.ledger, checks, answer)));
        println!("figure records/append_records_per_second {:.0}", records as f64 / took);
    }
    println!("figure records/records {records}");
    let octets = octets_in(&places.ledger);
    println!("figure records/ledger_bytes {octets}");
    println!("figure records/bytes_per_check {}", octets.checked_div(checks).unwrap_or_default());
    prove(&places, records);
    tree(&places, records);
    search(&places.ledger, &base.join("search.sqlite"), records);
    let (count, _) = measured("read_all", || read_records(&places.ledger).unwrap().count());
    assert_eq!(u64::try_from(count).unwrap(), records);
    let columns = [Column::Caller, Column::Purpose, Column::Mode, Column::Day];
    let (report, _) = measured("report", || Report::make(&places.ledger, &columns, None, None).unwrap());
    assert_eq!(report.total.checks, checks);
}
