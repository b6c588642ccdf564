//! The small program whose system calls are made to fail: it opens an archive, a ledger and its tree, appends, seals, makes a
//! checkpoint and ends, and prints each acknowledgement the moment it has it. One record after the other: who waits together is a matter of chance, and the calls
//! of two runs must be the same.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use yanqian_evidence::Body;
use yanqian_ledger::storage::{Directory, Storage};
use yanqian_ledger::{Archive, Archived, Ledger, LedgerConfig, LedgerError};

use crate::judge::{archive_of, ledger_of};
use crate::seam::{Faulty, Order};
use crate::support::{clock, config, context, intent, outcome, refusal, software};
use crate::tree;

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Task {
    /// Archives two certificates and a list.
    Archive,
    /// Opens the ledger and ends what the last run left open, no more.
    Open,
    /// Opens the ledger, waits for a line on standard input, appends over a seal, and ends.
    Append,
    /// Makes a ledger with a tree and a checkpoint over it.
    Begin,
    /// Opens ledger and tree, waits for a line, appends over a seal, and makes tiles and a checkpoint.
    Checkpoint,
    /// Opens ledger and tree, and brings the tree up to date.
    Tree,
}

/// Segments of a few records, and no work of the ledger's own between appends, so that every run makes the same calls.
pub(crate) fn small() -> LedgerConfig {
    let mut config = config();
    config.segment_octets = 2500;
    config.reserve_octets = 16 << 10;
    config.watch = Duration::from_hours(1);
    config
}

pub(crate) fn say(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    // A reader that went away ends nothing: the run is judged by what it read.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Runs in `root`; tells whether the ledger could be opened.
pub(crate) fn run(task: Task, root: &Path, order: Option<Order>) -> bool {
    // Where a process may only be traced by its parents: the drill is a sister of this one's tracer.
    let _ = rustix::process::set_ptracer(rustix::process::PTracer::Any);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return false };
    match task {
        Task::Archive => archive(root),
        Task::Open => runtime.block_on(append(root, order, false)),
        Task::Append => runtime.block_on(append(root, order, true)),
        Task::Begin => runtime.block_on(tree::begin(root)),
        Task::Checkpoint => runtime.block_on(tree::go_on(root, true)),
        Task::Tree => runtime.block_on(tree::go_on(root, false)),
    }
}

fn archive(root: &Path) -> bool {
    let Ok(archive) = Archive::open(&archive_of(root)) else { return false };
    let files =
        [(Archived::Certificate, "a certificate"), (Archived::Certificate, "another"), (Archived::Crl, "a list")];
    for (kind, octets) in files {
        if let Ok(hash) = archive.put(kind, octets.as_bytes()) {
            let word = if kind == Archived::Crl { "list" } else { "archived" };
            say(format_args!("{word} {}", yanqian_vocabulary::ContentDigest::new(hash)));
        }
    }
    true
}

async fn append(root: &Path, order: Option<Order>, more: bool) -> bool {
    let opened = Directory::exclusive(&ledger_of(root)).map_err(|error| error.to_string()).and_then(|directory| {
        let storage: Box<dyn Storage> = match order {
            Some(order) => Box::new(Faulty::new(directory, order)),
            None => Box::new(directory),
        };
        Ledger::open_storage(storage, small(), clock()).map_err(|error| error.to_string())
    });
    let (ledger, recovery) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            say(format_args!("unopened {error}"));
            return false;
        }
    };
    if more {
        say(format_args!("opened"));
        let _ = std::io::stdin().lock().read_line(&mut String::new());
    }
    if let Err(error) = ledger.close_dangling(&recovery, &software()).await {
        say(format_args!("refused {}", error.code()));
    }
    if more {
        let ledger = Writer(Arc::new(ledger));
        if let Some(begun) = ledger.write(intent(1)).await {
            ledger.write(outcome(1, begun)).await;
        }
        ledger.write(intent(2)).await; // never ended: the next start must
        for n in 3..=6 {
            ledger.write(refusal(n)).await;
        }
    }
    true
}

pub(crate) struct Writer(pub(crate) Arc<Ledger>);

impl Writer {
    /// Appends one record, and again once the ledger has been opened again after a failure: as the daemon goes on.
    pub(crate) async fn write(&self, body: impl Into<Body>) -> Option<u64> {
        let body = body.into();
        for _ in 0..3 {
            match self.0.append(context(), body.clone()).await {
                Ok(appended) => {
                    say(format_args!("acknowledged {} {}", appended.sequence, appended.leaf));
                    return Some(appended.sequence);
                }
                Err(LedgerError::Failed) => self.recover().await,
                Err(error) => {
                    say(format_args!("refused {}", error.code()));
                    return None;
                }
            }
        }
        None
    }

    async fn recover(&self) {
        if let Err(error) = self.0.reopen().await {
            say(format_args!("refused {error}"));
        }
    }
}
