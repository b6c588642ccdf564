//! Idempotency keys of checks that a crash cut off: the ledger knows whether anything can have been sent (I4).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use yanqian_gateway::{Core, Orphan, Place};
use yanqian_ledger::{Entry, exported_list, read_records};
use yanqian_vocabulary::{Timestamp, VerificationId};

use crate::config::Config;
use crate::parts;

type Places = BTreeMap<VerificationId, Vec<Place>>;

/// Settles those that the ledger decides about; the others stay taken.
pub(crate) async fn settle(config: &Config, core: &Arc<Core>) -> Result<(), String> {
    let orphans = core.orphans().await.map_err(|error| error.to_string())?;
    if orphans.is_empty() {
        return Ok(());
    }
    tracing::warn!(keys = orphans.len(), "settling idempotency keys of checks that the last run left open");
    let directory = parts::ledger_directory(config);
    let wanted: BTreeSet<VerificationId> = orphans.iter().map(|orphan| orphan.id).collect();
    let reading =
        tokio::task::spawn_blocking(move || Ok::<_, String>((places(&directory, &wanted)?, gone(&directory)?)));
    let (records, gone) = reading.await.map_err(|error| error.to_string())??;
    let (decided, old): (Vec<Orphan>, Vec<_>) =
        orphans.into_iter().partition(|orphan| is_decided(orphan.id, &records, gone));
    if !old.is_empty() {
        tracing::error!(
            keys = old.len(),
            "idempotency keys of checks whose records may be in the archive only stay taken"
        );
    }
    core.settle_orphans(decided, &records).await.map_err(|error| error.to_string())
}

fn places(directory: &Path, wanted: &BTreeSet<VerificationId>) -> Result<Places, String> {
    let mut records = Places::new();
    for entry in read_records(directory).map_err(|error| error.to_string())? {
        let Entry { segment, offset, leaf, record } = entry.map_err(|error| error.to_string())?;
        if let Some(check) = record.body.verification().filter(|check| wanted.contains(check)) {
            records.entry(check).or_default().push(Place { segment, offset, leaf });
        }
    }
    Ok(records)
}

/// When the last record was made that is in the archive only.
fn gone(directory: &Path) -> Result<Option<Timestamp>, String> {
    let list = exported_list(directory).map_err(|error| error.to_string())?;
    Ok(list.of(list.removed).map(|line| line.last_time))
}

/// Whether the records that are here say what became of a check: that there are none means something only of one that is younger
/// than all that went.
fn is_decided(id: VerificationId, records: &Places, gone: Option<Timestamp>) -> bool {
    records.contains_key(&id) || gone.is_none_or(|gone| id.made() > gone)
}

#[cfg(test)]
mod tests {
    use yanqian_evidence::LeafHash;

    use super::*;

    #[test]
    fn a_key_whose_check_may_be_in_the_archive_only_is_not_freed() {
        let at = Timestamp::from_unix_millis;
        let id = |millis| VerificationId::new(at(millis), [7; 10]);
        let place = Place { segment: 1, offset: 0, leaf: LeafHash::of_record(b"record") };
        let records = Places::from([(id(900), vec![place])]);
        let went = Some(at(1000));
        assert!(is_decided(id(900), &records, went), "its records are here");
        assert!(!is_decided(id(901), &records, went) && !is_decided(id(1000), &records, went));
        assert!(is_decided(id(1001), &records, went), "younger than all that went");
        assert!(is_decided(id(901), &records, None), "nothing went");
    }
}
