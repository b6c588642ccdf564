//! `yanqian ledger verify`.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use yanqian_ledger::tree::{Checkpoints, ProvenTree, TreePlaces, prove_tree};
use yanqian_ledger::{Absent, Archive, Depth, Progress, Sound, VerifySummary, sound_dir};

use crate::cli::output::say;
use crate::record_json::summary_text;

#[derive(Args, Debug)]
pub(in crate::cli) struct Verify {
    /// The ledger's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Only that no octet has changed: the mark, all headers, each sealed file by its hash, the records of the last segment
    #[arg(long, conflicts_with = "full")]
    fast: bool,
    /// Every record of every segment, too, and the checkpoints and tiles [default]
    #[arg(long)]
    full: bool,
    /// The archive's directory [default: archive beside the ledger]
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Leave the archive out: neither its files nor whether it holds what records name
    #[arg(long, conflicts_with = "archive")]
    without_archive: bool,
    /// The tree's directory, with the tiles [default: tree beside the ledger]
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
}

pub(super) fn verify(arguments: &Verify) -> Result<(), String> {
    let directory = arguments.directory.as_path();
    let depth = if arguments.fast { Depth::Fast } else { Depth::Full };
    let places = places(arguments);
    // Before the ledger is looked at: it grows.
    let sizes = match depth {
        Depth::Full => Checkpoints::new(&places.checkpoints).sizes().map_err(|error| error.to_string())?,
        Depth::Fast => Vec::new(),
    };
    let mut bar = Bar::begin();
    let found = sound_dir(directory, depth, &mut |progress| bar.show(progress));
    let took = bar.end();
    let sound = found.map_err(|error| format!("{}: {error}", directory.display()))?;
    let archived = if arguments.without_archive { None } else { Some(prove_archive(arguments, &sound)?) };
    let tree = match depth {
        Depth::Full => prove_tree(&places, &sizes, sound.provable(&sizes)),
        Depth::Fast => Ok(ProvenTree::default()),
    };
    let tree = tree.map_err(|error| format!("{}: {error}", directory.display()))?;
    say(report(&sound, depth, archived.as_ref(), tree, took));
    Ok(())
}

/// Every archived file against its name, and that none is missing which a proven record names.
fn prove_archive(arguments: &Verify, sound: &Sound) -> Result<Archived, String> {
    let beside = || arguments.directory.parent().unwrap_or_else(|| Path::new("")).join("archive");
    let directory = arguments.archive.clone().unwrap_or_else(beside);
    let archive = Archive::read_only(&directory);
    let proven = archive.verify().and_then(|files| {
        sound.named.are_in(&archive)?;
        Ok(Archived { files, named: sound.named.len() })
    });
    proven.map_err(|error| format!("{}: {error}", directory.display()))
}

/// What an archive was found to hold.
struct Archived {
    files: u64,
    named: usize,
}

/// The tree and the checkpoints of a ledger, where the daemon has them unless told otherwise.
fn places(arguments: &Verify) -> TreePlaces {
    let beside = arguments.directory.parent().unwrap_or_else(|| Path::new(""));
    let mut places = TreePlaces { ledger: arguments.directory.clone(), ..TreePlaces::in_state(beside) };
    if let Some(tree) = &arguments.tree {
        places.tree.clone_from(tree);
    }
    places
}

fn report(sound: &Sound, depth: Depth, archived: Option<&Archived>, tree: ProvenTree, took: Duration) -> String {
    let mut lines = match depth {
        Depth::Full => {
            let Sound { summary, absent, incomplete_tail, durable, .. } = sound.clone();
            vec![summary_text(&VerifySummary { summary, absent, incomplete_tail, durable })]
        }
        Depth::Fast => vec![
            "no octet of the ledger has changed".to_owned(),
            format!("  records       {} in {} segments", sound.records, sound.segments),
            format!("  chain         {}", sound.summary.chain),
        ],
    };
    if let Some(Archived { files, named }) = archived {
        lines.push(format!(
            "  archive       {files} files, each as its name says, with all {named} that these records name"
        ));
    }
    if let Some(Absent { segments, records }) = sound.absent {
        lines.push(format!(
            "  not read      segments 1 to {segments}, records 1 to {records}: in the archive only; yanqian archive verify reads them"
        ));
    }
    if tree.checkpoints > 0 {
        let ProvenTree { checkpoints, covered, tiles, signatures } = tree;
        let signed = if signatures { "" } else { "; no keys are beside them, so their signatures were not proven" };
        lines.push(format!(
            "  checkpoints   {checkpoints}, up to record {covered}, and {tiles} tiles: each over these records{signed}"
        ));
    }
    // Rates for people: 2^53 records are more than any ledger holds.
    #[allow(clippy::cast_precision_loss)]
    let (proven, octets) = (sound.proven as f64, sound.octets as f64);
    let seconds = took.as_secs_f64().max(1e-6);
    lines.push(format!(
        "  proven        {} records one by one, {:.1} MB in {seconds:.1} s: {:.0} records/s, {:.0} MB/s",
        sound.proven,
        octets / 1e6,
        proven / seconds,
        octets / 1e6 / seconds
    ));
    lines.join("\n")
}

/// A bar on standard error while that is a terminal; nothing otherwise.
struct Bar {
    begun: Instant,
    shown: Option<Instant>,
    on_terminal: bool,
}

impl Bar {
    const WIDTH: u64 = 30;
    const STEP: Duration = Duration::from_millis(100);

    fn begin() -> Self {
        Self { begun: Instant::now(), shown: None, on_terminal: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, progress: Progress) {
        if !self.on_terminal || self.shown.is_some_and(|shown| shown.elapsed() < Self::STEP) {
            return;
        }
        self.shown = Some(Instant::now());
        let _ = write!(std::io::stderr(), "\r{}", line(progress, self.begun.elapsed())); // nobody to tell that to
    }

    fn end(self) -> Duration {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        self.begun.elapsed()
    }
}

fn line(progress: Progress, took: Duration) -> String {
    let Progress { octets, of, records } = progress;
    // Segments grow beside the reader: never more than all.
    let parts = octets.min(of).saturating_mul(Bar::WIDTH).checked_div(of).unwrap_or(Bar::WIDTH);
    let width = |parts: u64| usize::try_from(parts).unwrap_or(0);
    let (done, rest) = ("#".repeat(width(parts)), ".".repeat(width(Bar::WIDTH - parts)));
    let percent = octets.min(of).saturating_mul(100).checked_div(of).unwrap_or(100);
    format!("[{done}{rest}] {percent:>3} %  {} MB  {records} records  {} s", octets / 1_000_000, took.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_says_how_far_it_is_and_never_passes_its_end() {
        let at = |octets, of| line(Progress { octets, of, records: 7 }, Duration::from_secs(2));
        assert!(at(0, 100).starts_with("[..............................]   0 %"), "{}", at(0, 100));
        assert!(at(50, 100).starts_with("[###############...............]  50 %"), "{}", at(50, 100));
        assert!(at(300, 100).starts_with("[##############################] 100 %"), "{}", at(300, 100));
        assert!(at(0, 0).ends_with("7 records  2 s"), "{}", at(0, 0));
    }
}
