//! The index beside a ledger: an SQLite file that leads from a condition to the places of a check's records.
//!
//! It is made from records that were proven as they were read, continues where it ended, and is thrown away when the ledger
//! does not have the chain values any more with which it was made. What it leads to is read from the ledger and proven there;
//! a row that leads elsewhere is an error, never a result. It holds names, times and the first half of tags and ids, and
//! nothing that the ledger does not hold in the clear.

mod rows;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior, params_from_iter};
use yanqian_evidence::verify::{Place, Verifier};
use yanqian_evidence::{ChainValue, Mark};

use self::rows::{insert, put_reached, reached_in, signed, statement, unsigned};
use super::checks::Check;
use super::query::Query;
use super::tail::Tail;
use crate::error::{Doing, OpenError};
use crate::exported::ExportedList;
use crate::place::{PlaceError, read_entry_at};
use crate::read::{contiguous_segments, read_header, read_mark, read_segment};
use crate::storage::{Directory, Storage};

/// `PRAGMA user_version`; an index of another is made anew.
const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE segment (
    number INTEGER PRIMARY KEY,
    last_sequence INTEGER NOT NULL,
    last_place INTEGER NOT NULL,
    chain BLOB NOT NULL            -- after that record: commits to all before it
) STRICT;
CREATE TABLE entry (
    sequence INTEGER PRIMARY KEY,  -- of the check's first record
    segment INTEGER NOT NULL,
    place INTEGER NOT NULL,
    verification INTEGER NOT NULL, -- its last eight octets
    received_ms INTEGER NOT NULL,
    caller TEXT NOT NULL,
    mode TEXT NOT NULL,
    purpose TEXT,
    epoch INTEGER,
    tag INTEGER,                   -- its first eight octets
    verdict TEXT NOT NULL,
    reason TEXT
) STRICT;
CREATE INDEX entry_tag ON entry (tag) WHERE tag IS NOT NULL;
CREATE INDEX entry_verification ON entry (verification);
CREATE INDEX entry_received ON entry (received_ms);
CREATE TABLE later (               -- exchanges and ends
    first INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (first, sequence)
) STRICT, WITHOUT ROWID;
";

/// Why an index could not be made or asked.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error(transparent)]
    Ledger(#[from] OpenError),
    #[error("index: {0}")]
    Store(#[from] rusqlite::Error),
    /// A row leads to a place where its record does not stand.
    #[error("the index does not fit the ledger at record {sequence} ({problem}); make it anew")]
    Unfit { sequence: u64, problem: String },
}

/// What bringing an index up to date did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Indexed {
    /// Records added.
    pub records: u64,
    /// Sequence of the last record in the index.
    pub last_sequence: u64,
    /// The index was of another ledger, or of this one as it is no more, and was made anew.
    pub anew: bool,
}

/// The index of one ledger.
#[derive(Debug)]
pub struct Index {
    connection: Connection,
}

/// How far an index reaches: the last record in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) segment: u64,
    pub(super) sequence: u64,
    /// Where it begins, in octets from the start of the segment.
    pub(super) place: u64,
    /// After it: commits to all before.
    pub(super) chain: ChainValue,
}

impl Index {
    /// Opens or creates the file. One of another version is emptied.
    pub fn open(file: &Path) -> Result<Self, IndexError> {
        let connection = Connection::open(file)?;
        connection.busy_timeout(Duration::from_mins(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // What a power failure takes away is made again.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "cache_size", -(256 << 10))?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found != VERSION {
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE; DROP TABLE IF EXISTS segment; DROP TABLE IF EXISTS entry; DROP TABLE IF EXISTS later;
                 {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
            ))?;
        }
        Ok(Self { connection })
    }

    /// Takes in what the ledger has beyond it, proving each segment that it reads. `progress` hears of the last sequence
    /// after each. Takes no lock of the ledger.
    pub fn update(&mut self, directory: &Path, mut progress: impl FnMut(u64)) -> Result<Indexed, IndexError> {
        let storage = Directory::read_only(directory).doing("opening the ledger's directory")?;
        let mut indexed = Indexed::default();
        loop {
            match self.extend(&storage, &mut indexed, &mut progress)? {
                Extended::Whole => return Ok(indexed),
                Extended::Overtaken => {}
                Extended::OtherLedger => {
                    self.connection.execute_batch(
                        "BEGIN IMMEDIATE; DELETE FROM segment; DELETE FROM entry; DELETE FROM later; COMMIT;",
                    )?;
                    indexed = Indexed { anew: true, ..Indexed::default() };
                }
            }
        }
    }

    fn extend(
        &mut self,
        storage: &dyn Storage,
        indexed: &mut Indexed,
        progress: &mut impl FnMut(u64),
    ) -> Result<Extended, IndexError> {
        // What is reached first, then the mark: what others write later can only lie beyond them.
        let mut reached = reached_in(&self.connection)?;
        let mark = read_mark(storage)?;
        let segments = contiguous_segments(storage)?;
        let (Some(&oldest), Some(&newest)) = (segments.first(), segments.last()) else { return Ok(Extended::Whole) };
        if let Some(before) = reached {
            indexed.last_sequence = before.sequence;
            if mark.is_some_and(|mark| mark.sequence == before.sequence && mark.chain == before.chain) {
                return Ok(Extended::Whole);
            }
            if before.segment > newest {
                return Ok(Extended::OtherLedger);
            }
            let gone = before.segment < oldest;
            if gone && (before.segment + 1 < oldest || !is_sealed_at(storage, &before, newest)?) {
                // What followed it is in the archive only; rows of it are made when it is restored, in an index made anew.
                let list = ExportedList::read(storage)?;
                let whole = list.of(before.segment).filter(|known| known.last <= before.sequence);
                if whole.is_some_and(|known| known.chain != before.chain) {
                    return Ok(Extended::OtherLedger);
                }
            } else if !is_sealed_at(storage, &before, newest)? {
                match self.extend_segment(storage, &before, mark)? {
                    Followed::To(after) => reached = Some(after),
                    Followed::Overtaken => return Ok(Extended::Overtaken),
                    Followed::OtherLedger => return Ok(Extended::OtherLedger),
                }
            }
        }
        if let Some(after) = reached {
            indexed.records += after.sequence - indexed.last_sequence;
            indexed.last_sequence = after.sequence;
            let sealed = (oldest..newest).contains(&after.segment);
            if sealed && !is_sealed_at(storage, &after, newest)? {
                return Ok(Extended::OtherLedger);
            }
        }
        let begin = reached.map_or(oldest, |reached| (reached.segment + 1).max(oldest));
        let mut verifier = match begin {
            1 => Verifier::new(mark),
            _ if begin > newest => return Ok(Extended::Whole),
            _ => Verifier::starting_at(&read_header(storage, begin)?, mark),
        };
        for segment in begin..=newest {
            let octets = read_segment(storage, segment)?;
            let place = if segment == newest { last(mark) } else { Place::Sealed };
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if reached_in(&transaction)? != reached {
                return Ok(Extended::Overtaken);
            }
            let (mut problem, mut records, mut end) = (Ok(()), 0, None);
            let taken = verifier.segment(&octets, place, |found| {
                if problem.is_ok() {
                    problem = insert(&transaction, found.record, segment, found.offset);
                }
                records += 1;
                end = Some(Reached {
                    segment,
                    sequence: found.frame.sequence,
                    place: found.offset,
                    chain: found.frame.chain,
                });
            });
            taken.map_err(OpenError::from)?;
            problem?;
            let Some(after) = end else { continue };
            put_reached(&transaction, &after)?;
            transaction.commit()?;
            reached = end;
            indexed.records += records;
            indexed.last_sequence = after.sequence;
            progress(after.sequence);
        }
        Ok(Extended::Whole)
    }

    /// Takes in what follows in the segment in which the index ends, without reading what is before.
    fn extend_segment(
        &mut self,
        storage: &dyn Storage,
        before: &Reached,
        mark: Option<Mark>,
    ) -> Result<Followed, IndexError> {
        let Some(tail) = Tail::after(storage, before)? else { return Ok(Followed::OtherLedger) };
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if reached_in(&transaction)?.as_ref() != Some(before) {
            return Ok(Followed::Overtaken);
        }
        let mut after = *before;
        for found in tail.records(mark) {
            let (reached, record) = found?;
            insert(&transaction, &record, reached.segment, reached.place)?;
            after = reached;
        }
        put_reached(&transaction, &after)?;
        transaction.commit()?;
        Ok(Followed::To(after))
    }

    /// The checks that the query is met by, the oldest first, each read from the ledger and proven there; at most `limit`. One whose
    /// records are in the archive only is left out, and its segment is put into `absent`.
    pub fn find(
        &self,
        directory: &Path,
        query: &Query,
        limit: usize,
        absent: &mut BTreeSet<u64>,
    ) -> Result<Vec<Check>, IndexError> {
        let away = crate::read::absent(directory)?.map_or(0, |absent| absent.segments);
        let (sql, values) = statement(query);
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(row) = rows.next()?
        {
            let first =
                Stand { sequence: unsigned(row.get(0)?), segment: unsigned(row.get(1)?), place: unsigned(row.get(2)?) };
            match self.read(directory, first) {
                // Half a tag or id may be another's.
                Ok(check) if query.is_met_by(&check) => found.push(check),
                Ok(_) => {}
                Err(IndexError::Ledger(OpenError::SegmentMissing(segment))) if segment <= away => {
                    absent.insert(segment);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn read(&self, directory: &Path, first: Stand) -> Result<Check, IndexError> {
        let unfit = |problem: String| IndexError::Unfit { sequence: first.sequence, problem };
        let read = |stand: Stand| {
            let entry = read_entry_at(directory, stand.segment, stand.place).map_err(|error| match error {
                PlaceError::Ledger(error @ (OpenError::Io { .. } | OpenError::SegmentMissing(_))) => {
                    IndexError::Ledger(error)
                }
                other => unfit(other.to_string()),
            })?;
            if entry.record.sequence == stand.sequence {
                Ok(entry)
            } else {
                Err(unfit("another record stands there".to_owned()))
            }
        };
        let mut check = Check::begin(read(first)?).ok_or_else(|| unfit("the record begins no check".to_owned()))?;
        let mut later = self
            .connection
            .prepare_cached("SELECT sequence, segment, place FROM later WHERE first = ?1 ORDER BY sequence")?;
        let stands = later.query_map([signed(first.sequence)], |row| {
            Ok(Stand { sequence: unsigned(row.get(0)?), segment: unsigned(row.get(1)?), place: unsigned(row.get(2)?) })
        })?;
        for stand in stands {
            let entry = read(stand?)?;
            if entry.record.body.verification() != Some(check.head.verification) {
                return Err(unfit("a later record is of another check".to_owned()));
            }
            check.follow(entry);
        }
        Ok(check)
    }

    /// How many records hold tags of each epoch.
    pub fn tags_by_epoch(&self) -> Result<Vec<(u32, u64)>, IndexError> {
        let mut statement = self
            .connection
            .prepare("SELECT epoch, COUNT(*) FROM entry WHERE epoch IS NOT NULL GROUP BY epoch ORDER BY epoch")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1).map(unsigned)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Whether the next segment follows right after where the index ends.
fn is_sealed_at(storage: &dyn Storage, reached: &Reached, newest: u64) -> Result<bool, OpenError> {
    Ok(reached.segment < newest && read_header(storage, reached.segment + 1)?.previous_chain == reached.chain)
}

enum Extended {
    Whole,
    /// By another process that brings the same index up to date.
    Overtaken,
    OtherLedger,
}

enum Followed {
    To(Reached),
    Overtaken,
    OtherLedger,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
struct Stand {
    sequence: u64,
    segment: u64,
    place: u64,
}

fn last(mark: Option<Mark>) -> Place {
    Place::Last { durable: mark.map_or(0, |mark| mark.sequence) }
}
