use std::path::Path;

use clap::Args;
use serde_json::{Value, json};
use yanqian_ledger::{ExportedList, exported_list};
use yanqian_retention::{Kind, Verified};

use super::{ConfigOf, archive, counts, waiting};
use crate::anchoring::checkpoint_key;
use crate::cli::output::{note, say};
use crate::parts;

#[derive(Args, Debug)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    of: ConfigOf,
    /// One JSON document: {"v":1,"archive","waiting","segments":[{"segment","first","last","octets","time","hash","place"}]}
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct Verify {
    #[command(flatten)]
    of: ConfigOf,
    /// One JSON document: {"v":1,"segments","records","expired","checkpoints","signed","evidence","octets","chain"}
    #[arg(long)]
    json: bool,
}

/// Where a segment of the list is: `both`, `archive`, `expired`; `lost` where it should be in the archive and is not.
fn place(segment: u64, list: &ExportedList, there: &[u64], expired: &[u64]) -> &'static str {
    match (there.contains(&segment), segment <= list.removed) {
        (true, false) => "both",
        (true, true) => "archive",
        (false, _) if expired.contains(&segment) => "expired",
        (false, _) => "lost",
    }
}

pub(super) fn list(arguments: &List) -> Result<(), String> {
    let (config, archive) = archive(&arguments.of.config)?;
    let ledger = parts::ledger_directory(&config);
    let list = exported_list(&ledger).map_err(|error| format!("{}: {error}", ledger.display()))?;
    let (exported, _, sealed) = counts(&ledger)?;
    let there = waiting(archive.numbers(Kind::Segment))?;
    let expired = waiting(archive.numbers(Kind::Expired))?;
    let of = |segment| place(segment, &list, &there, &expired);
    if arguments.json {
        let segments: Vec<Value> = list
            .segments
            .iter()
            .map(|line| {
                json!({
                    "segment": line.segment, "first": line.first, "last": line.last, "octets": line.octets,
                    "time": line.last_time.to_string(), "hash": line.hash.to_string(), "place": of(line.segment),
                })
            })
            .collect();
        say(json!({ "v": 1, "archive": archive.location(), "waiting": sealed - exported, "segments": segments }));
        return Ok(());
    }
    for line in &list.segments {
        let (segment, first, end) = (line.segment, line.first, line.last);
        say(format_args!("{segment:>8}  {first:>10} - {end:<10}  {}  {}", line.last_time, of(segment)));
    }
    note(format_args!("{}: {exported} segments; {} sealed ones wait", archive.location(), sealed - exported));
    Ok(())
}

pub(super) fn verify(arguments: &Verify) -> Result<(), String> {
    let (config, archive) = archive(&arguments.of.config)?;
    let key = config.checkpoints.as_ref().map(|settings| checkpoint_key(&config, settings)).transpose();
    let key = key.map_err(|error| error.to_string())?;
    let verified = waiting(yanqian_retention::verify(&archive, key.as_ref(), &mut |_| {}))?;
    let ledger = parts::ledger_directory(&config);
    let known = if ledger.is_dir() { goes_on(&ledger, &verified)? } else { 0 };
    let Verified { ends, expired, checkpoints, evidence, octets } = &verified;
    let last = ends.last();
    let (records, chain) = last.map_or((0, None), |(_, chain, last)| (*last, Some(chain.to_string())));
    if arguments.json {
        say(json!({
            "v": 1, "segments": ends.len(), "records": records, "expired": expired, "checkpoints": checkpoints,
            "signed": key.is_some(), "evidence": evidence, "octets": octets, "chain": chain,
        }));
        return Ok(());
    }
    say(format_args!("archive verifies: {}", archive.location()));
    say(format_args!("  records       {records} in {} segments; {expired} of these expired", ends.len()));
    let signed =
        if key.is_some() { "each signed by the ledger key" } else { "signatures not checked: no `checkpoints.key`" };
    say(format_args!("  checkpoints   over {checkpoints} segments, {signed}"));
    say(format_args!("  evidence      {evidence} certificates, lists and responses"));
    say(format_args!("  chain         {}", chain.unwrap_or_default()));
    say(format_args!("  on the node   {known} segments are listed as exported, each as it is there"));
    Ok(())
}

/// Whether the node's list, which its ledger is held against, says the same; gives how many segments it has.
fn goes_on(ledger: &Path, verified: &Verified) -> Result<usize, String> {
    let list = exported_list(ledger).map_err(|error| format!("{}: {error}", ledger.display()))?;
    for (at, line) in list.segments.iter().enumerate() {
        if verified.ends.get(at) != Some(&(line.hash, line.chain, line.last)) {
            return Err(format!(
                "segment {}: the archive's is not the one that was exported from this node",
                line.segment
            ));
        }
    }
    Ok(list.segments.len())
}
