//! What is struck of the tree over the ledger: a seal, then tiles and a checkpoint, as the daemon makes them.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use yanqian_evidence::Checkpoint;
use yanqian_ledger::tree::{Checkpoints, TreeError, TreeKeeper, TreePlaces};
use yanqian_ledger::{Ledger, LedgerConfig};
use yanqian_vocabulary::Timestamp;

use crate::appender::{Writer, say, small};
use crate::support::owner::Owner;
use crate::support::{clock, config, context, intent, outcome, refusal, software};

/// Records of the ledger before it is struck: a few more fill a tile.
const BEFORE: u64 = 254;
/// After the time of every record, in UTC milliseconds.
const NOW: i64 = 1_764_100_000_000;

/// A ledger of one segment with a tree and a checkpoint over it.
pub(crate) async fn begin(root: &Path) -> bool {
    let places = TreePlaces::in_state(root);
    let Ok((ledger, _)) = Ledger::open(&places.ledger, LedgerConfig { watch: small().watch, ..config() }, clock())
    else {
        return false;
    };
    let submitted: Vec<_> = (0..BEFORE).map(|n| ledger.submit(context(), refusal(100 + n))).collect();
    for append in submitted {
        let Ok(append) = append else { return false };
        if append.await.is_err() {
            return false;
        }
    }
    checkpoint(&places, None, BEFORE).is_some()
}

/// Opens ledger and tree; `more` waits for a line on standard input, appends over a seal and over the end of a tile, and makes a
/// checkpoint; without it the tree is brought up to date.
pub(crate) async fn go_on(root: &Path, more: bool) -> bool {
    let places = TreePlaces::in_state(root);
    // The open segment has more octets than these, so the next append seals it.
    let (ledger, recovery) = match Ledger::open(&places.ledger, small(), clock()) {
        Ok(opened) => opened,
        Err(error) => {
            say(format_args!("unopened {error}"));
            return false;
        }
    };
    let mut keeper = None;
    if more {
        keeper = open(&places, ledger.stats().last_sequence).ok();
        say(format_args!("opened"));
        let _ = std::io::stdin().lock().read_line(&mut String::new());
    }
    if let Err(error) = ledger.close_dangling(&recovery, &software()).await {
        say(format_args!("refused {}", error.code()));
    }
    let ledger = Arc::new(ledger);
    if more {
        let writer = Writer(Arc::clone(&ledger));
        if let Some(begun) = writer.write(intent(1)).await {
            writer.write(outcome(1, begun)).await;
        }
        for n in 2..=3 {
            writer.write(refusal(n)).await;
        }
    }
    checkpoint(&places, keeper, ledger.stats().last_sequence).is_some()
}

fn open(places: &TreePlaces, durable: u64) -> Result<TreeKeeper, TreeError> {
    Checkpoints::new(&places.checkpoints).keep_keys(&[Owner::of_this_ledger().key()])?;
    TreeKeeper::open(places.clone(), config().origin, durable)
}

/// A checkpoint over everything, tried again after an error with a tree that was opened again: as the daemon goes on.
fn checkpoint(places: &TreePlaces, mut keeper: Option<TreeKeeper>, durable: u64) -> Option<()> {
    for _ in 0..3 {
        match attempt(places, keeper.take(), durable) {
            Ok(published) => {
                if let Some(Checkpoint { size, root, .. }) = published {
                    say(format_args!("published {size} {root}"));
                }
                return Some(());
            }
            // No fault of the disk makes another history out of this one.
            Err(error) if error.is_of_another_history() => say(format_args!("wrong {error}")),
            Err(error) => say(format_args!("refused {error}")),
        }
    }
    None
}

fn attempt(places: &TreePlaces, keeper: Option<TreeKeeper>, durable: u64) -> Result<Option<Checkpoint>, TreeError> {
    let mut keeper = keeper.map_or_else(|| open(places, durable), Ok)?;
    let Some(checkpoint) = keeper.advance(durable, Timestamp::from_unix_millis(NOW))? else { return Ok(None) };
    keeper.publish(Owner::of_this_ledger().signed(&checkpoint))?;
    Ok(Some(checkpoint))
}
