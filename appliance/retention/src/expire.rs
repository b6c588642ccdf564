//! Segments that leave the archive: those of which every record is past its days and none is held.

use std::sync::Arc;

use minicbor::{Decode, Encode};
use yanqian_evidence::{Body, ChainValue, Record, SegmentHash};
use yanqian_ledger::{Entry, Exported, exported};
use yanqian_vocabulary::Timestamp;

use crate::archive::{Archive, Object, blocking};
use crate::error::ArchiveError;
use crate::hold::{Hold, holds};
use crate::name::Name;
use crate::seal::ObjectError;

/// Records that are kept equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Intents, exchanges, outcomes, refusals and what counts them (Measures art. 14).
    Access,
    Management,
}

impl Class {
    pub const fn of(record: &Record) -> Self {
        match record.body {
            Body::Management(_) => Self::Management,
            Body::Intent(_)
            | Body::Exchange(_)
            | Body::Outcome(_)
            | Body::OutcomeUnknown(_)
            | Body::Refusal(_)
            | Body::Aggregate(_) => Self::Access,
        }
    }
}

/// Days of each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    pub access_days: u32,
    pub management_days: u32,
}

impl Keep {
    /// Whether a record is past its days.
    pub fn is_past(&self, record: &Record, now: Timestamp) -> bool {
        let days = match Class::of(record) {
            Class::Access => self.access_days,
            Class::Management => self.management_days,
        };
        now.millis_since(record.time) > i64::from(days).saturating_mul(86_400_000)
    }
}

/// What keeps a segment, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expirable {
    Now,
    /// A record that is not past its days.
    Young,
    /// A record that this hold covers.
    Held(u64),
}

/// What is to become of the records of one segment.
pub fn expirable<'a>(
    entries: &[Entry],
    keep: &Keep,
    in_force: impl IntoIterator<Item = &'a Hold>,
    now: Timestamp,
) -> Expirable {
    if entries.iter().any(|entry| !keep.is_past(&entry.record, now)) {
        return Expirable::Young;
    }
    let held = |hold: &&Hold| entries.iter().any(|entry| hold.range.covers(&entry.record));
    in_force.into_iter().find(held).map_or(Expirable::Now, |hold| Expirable::Held(hold.hold))
}

/// What is left of a segment that was expired: enough to go on with the next.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Tombstone {
    #[n(0)]
    pub(crate) first: u64,
    #[n(1)]
    last: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    hash: [u8; 32],
    #[cbor(n(3), with = "minicbor::bytes")]
    chain: [u8; 32],
    /// UTC milliseconds since 1970.
    #[n(4)]
    expired: u64,
}

impl Tombstone {
    pub(crate) fn decode(object: &Object) -> Result<Self, ArchiveError> {
        let name = Name::Expired(object.header.number);
        let refused = |_| ArchiveError::Object { name, error: ObjectError::Content };
        minicbor::decode(&object.content).map_err(refused)
    }

    pub(crate) fn end(&self) -> (SegmentHash, ChainValue, u64) {
        (SegmentHash::new(self.hash), ChainValue::new(self.chain), self.last)
    }
}

/// Deletes a segment from the archive if the policy and the holds, read now, let it. `record` is called once all of that is known, and
/// the object goes only after it: it puts the expiry on record. Gives what was found; [`Expirable::Now`] means that it is gone.
pub async fn expire<F: Future<Output = Result<(), ArchiveError>>>(
    archive: &Archive,
    line: &Exported,
    keep: &Keep,
    now: Timestamp,
    record: impl FnOnce() -> F,
) -> Result<Expirable, ArchiveError> {
    let segment = line.segment;
    let Some(object) = archive.read(Name::Segment(segment)).await? else {
        // Gone already: then its tombstone is there, or it was lost.
        return archive.must(Name::Expired(segment)).await.map(|_| Expirable::Now);
    };
    if SegmentHash::of_file(&object.content) != line.hash {
        return Err(ArchiveError::Differs(Name::Segment(segment)));
    }
    let location = archive.location().to_owned();
    let (known, entries) = blocking(move || exported(&object.content, &location)).await?;
    let placed = holds(archive).await?;
    let in_force = placed.values().filter(|(_, release)| release.is_none()).map(|(hold, _)| hold);
    let found = expirable(&entries, keep, in_force, now);
    if found != Expirable::Now {
        return Ok(found);
    }
    record().await?;
    // A crash may have left a tombstone of an earlier attempt, with its own time.
    if archive.read(Name::Expired(segment)).await?.is_none() {
        let tombstone = Tombstone {
            first: known.first,
            last: known.last,
            hash: *known.hash.as_bytes(),
            chain: *known.chain.as_bytes(),
            expired: u64::try_from(now.unix_millis()).unwrap_or(0),
        };
        let octets = minicbor::to_vec(&tombstone).unwrap_or_default(); // writing into memory does not fail
        archive.put(Name::Expired(segment), (known.first, known.last), Arc::new(octets)).await?;
    }
    archive.store.delete(&Name::Segment(segment).to_string()).await?;
    Ok(Expirable::Now)
}
