use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use yanqian_ledger::search::{Epoch, newest_epoch};

use super::super::output::say;
use super::document::{KEYS, beside, ring};
use super::forget::{confirmed, socket};
use crate::control::{Order, order};

pub(super) const DESTROY_HELP: &str = "\
The key's file is overwritten and unlinked, and a record names who ordered it. The key in use is not destroyed: begin another epoch first. What was
copied from the directory of keys, by a backup or by storage that never writes in place, is not reached; keep the keys out of backups.

Example:
  yanqian ledger destroy-epoch 3 --config /etc/yanqian/yanqian.toml";

#[derive(Args, Debug)]
pub(in crate::cli) struct List {
    /// Directory of the search keys, if not `search-keys` beside the ledger
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// One JSON document: {"v":1,"epochs":[{"epoch","state","begun","destroyed","operator","recorded"}]}
    #[arg(long)]
    json: bool,
    /// The ledger's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Begin {
    /// Configuration file of the daemon (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Destroy {
    /// The epoch's number
    #[arg(value_name = "EPOCH")]
    epoch: u32,
    /// Configuration file of the daemon (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Epochs that are listed as missing, at most: more were never begun.
const MOST_MISSING: usize = 10_000;

/// `in-use` is the newest while it has a key; of a `missing` one there is neither a key nor word of its destruction.
fn state(epoch: Option<&Epoch>, is_last: bool) -> &'static str {
    match epoch {
        None => "missing",
        Some(Epoch { destroyed: Some(_), .. }) => "destroyed",
        Some(_) if is_last => "in-use",
        Some(_) => "kept",
    }
}

pub(super) fn list(arguments: &List) -> Result<(), String> {
    let ring = ring(&arguments.keys.clone().unwrap_or_else(|| beside(&arguments.directory, KEYS)))?;
    let epochs = ring.epochs().map_err(|error| error.to_string())?;
    let named = newest_epoch(&arguments.directory).map_err(|error| error.to_string())?;
    // Numbers are given one after the other, so whatever has no file was lost.
    let last = epochs.last().map(|epoch| epoch.number).max(named).unwrap_or(0);
    let missing = usize::try_from(last).unwrap_or(usize::MAX).saturating_sub(epochs.len());
    if missing > MOST_MISSING {
        return Err(format!("epoch {last}: {missing} up to it have no file; is one misnamed?"));
    }
    let all = (1..=last).map(|number| (number, epochs.iter().find(|epoch| epoch.number == number)));
    if arguments.json {
        let told: Vec<Value> = all
            .map(|(number, epoch)| {
                let destroyed = epoch.and_then(|epoch| epoch.destroyed);
                json!({
                    "epoch": number,
                    "state": state(epoch, number == last),
                    "begun": epoch.map(|epoch| epoch.begun.to_string()),
                    "destroyed": destroyed.map(|destroyed| destroyed.at.to_string()),
                    "operator": destroyed.map(|destroyed| destroyed.operator),
                    "recorded": destroyed.map(|destroyed| destroyed.recorded),
                })
            })
            .collect();
        say(json!({ "v": 1, "epochs": told }));
        return Ok(());
    }
    for (number, epoch) in all {
        let destroyed = epoch.and_then(|epoch| epoch.destroyed).map_or_else(String::new, |destroyed| {
            let record = if destroyed.recorded { "" } else { ", not yet recorded" };
            format!("  at {} by uid {}{record}", destroyed.at, destroyed.operator)
        });
        let begun = epoch.map_or_else(|| format!("{:24}", "-"), |epoch| epoch.begun.to_string());
        say(format_args!("{number:>6}  {begun}  {}{destroyed}", state(epoch, number == last)));
    }
    Ok(())
}

pub(super) fn begin(arguments: &Begin) -> Result<(), String> {
    let done = order(&socket(&arguments.config)?, &Order::BeginEpoch {}).map_err(|error| error.to_string())?;
    say(format_args!("epoch {} began; record {}", done.epoch.unwrap_or_default(), done.sequence));
    Ok(())
}

pub(super) fn destroy(arguments: &Destroy) -> Result<(), String> {
    let epoch = arguments.epoch;
    let socket = socket(&arguments.config)?;
    confirmed(arguments.yes, &format!("Records of epoch {epoch} will never be found by a document again."))?;
    let done = order(&socket, &Order::DestroyEpoch { epoch }).map_err(|error| error.to_string())?;
    say(format_args!("the key of epoch {epoch} is destroyed; record {}", done.sequence));
    Ok(())
}
