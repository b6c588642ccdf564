//! The open files of a ledger and what is known of them: the segment being written, the mark, the reserve, and the
//! sealed segments, which must stay as they are.

use std::collections::BTreeMap;
use std::io;

use yanqian_evidence::segment::{SegmentHeader, file_name};
use yanqian_evidence::verify::OpenIntent;
use yanqian_evidence::{ChainValue, Management, Mark, SegmentHash, mark};
use yanqian_sm::Sm3;
use yanqian_vocabulary::{Timestamp, VerificationId};

use crate::config::LedgerConfig;
use crate::storage::{FileId, FileState, NamesStamp, Storage, StoredFile, wide, write_all};

/// Length of the mark's file: two slots in sectors of their own.
const MARK_LENGTH: usize = 1024;
const RESERVE: &str = "reserve";
/// A segment is made under this ending and renamed when its header is durable.
pub(crate) const UNFINISHED: &str = ".new";

/// The segment being written.
pub(crate) struct Current {
    pub(crate) file: Box<dyn StoredFile>,
    pub(crate) id: FileId,
    pub(crate) header: SegmentHeader,
    pub(crate) start: ChainValue,
    /// Octets up to the end of the last durable frame.
    pub(crate) length: u64,
    /// Octets for which space is reserved, or was asked for where the file system cannot.
    pub(crate) reserved: u64,
    /// Over those octets, so that sealing needs no second reading.
    pub(crate) hasher: Sm3,
}

/// The last durable record, and the chain's value that the next one follows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Last {
    pub(crate) sequence: u64,
    pub(crate) time: Option<Timestamp>,
    pub(crate) chain: ChainValue,
}

/// A check that has begun and not ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenCheck {
    pub(crate) verification: VerificationId,
    /// Sequence of its last exchange record.
    pub(crate) exchange: Option<u64>,
}

impl From<&OpenIntent> for OpenCheck {
    fn from(intent: &OpenIntent) -> Self {
        Self { verification: intent.verification, exchange: intent.exchange }
    }
}

pub(crate) struct Files {
    pub(crate) current: Current,
    pub(crate) last: Last,
    /// Intents without an outcome, by sequence.
    pub(crate) open: BTreeMap<u64, OpenCheck>,
    /// Events that the next record's context will be written with.
    pub(crate) notes: Vec<Management>,
    pub(crate) mark: Mark,
    pub(crate) reserve_held: bool,
    mark_file: Box<dyn StoredFile>,
    /// Files that nobody may touch: sealed segments and the mark.
    pub(crate) watched: BTreeMap<String, FileState>,
    pub(crate) stamp: NamesStamp,
}

/// The disk or the quota is full: the one failure that leaves the files in a known state.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// An error after which the files are not known to be as they were, even if it says that the disk is full: once a segment has
/// its name, going on in the one before would contradict it.
fn unsure(error: io::Error) -> io::Error {
    io::Error::other(error)
}

fn changed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reserves space where the file system can; where it cannot, a full disk shows when a write fails.
pub(crate) fn reserve_space(file: &dyn StoredFile, length: u64) -> io::Result<()> {
    match file.reserve(length) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        result => result,
    }
}

/// A segment's space is reserved in steps of this size, or of a whole segment where that is less.
const STEP: u64 = 4 << 20;

pub(crate) fn step(config: &LedgerConfig) -> u64 {
    STEP.min(config.segment_octets)
}

impl Current {
    /// Reserves space for at least `octets` more, and for a whole step where the disk still has it.
    pub(crate) fn ensure_space(&mut self, octets: u64, step: u64) -> io::Result<()> {
        let needed = self.length + octets;
        if needed <= self.reserved {
            return Ok(());
        }
        let ahead = needed + step;
        self.reserved = match reserve_space(&*self.file, ahead) {
            Err(error) if is_full(&error) => reserve_space(&*self.file, needed).map(|()| needed)?,
            result => result.map(|()| ahead)?,
        };
        Ok(())
    }
}

/// Makes an empty mark, durable before any segment exists.
pub(crate) fn create_mark(storage: &dyn Storage) -> io::Result<Box<dyn StoredFile>> {
    let file = storage.create(mark::FILE_NAME)?;
    write_all(&*file, &[0; MARK_LENGTH], 0)?;
    file.sync()?;
    storage.sync_names()?;
    Ok(file)
}

/// Makes a segment whose name appears only once its header is durable.
pub(crate) fn create_segment(storage: &dyn Storage, header: SegmentHeader, space: u64) -> io::Result<Current> {
    let name = file_name(header.segment);
    let unfinished = name.clone() + UNFINISHED;
    match storage.remove(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = storage.create(&unfinished)?;
    let octets = header.encode();
    let written = reserve_space(&*file, space).and_then(|()| write_all(&*file, &octets, 0)).and_then(|()| file.sync());
    if let Err(error) = written {
        let _ = storage.remove(&unfinished); // a full disk gets its space back; the next start removes it otherwise
        return Err(error);
    }
    if let Err(error) = storage.rename(&unfinished, &name) {
        let untouched = storage.state(&name).is_err_and(|state| state.kind() == io::ErrorKind::NotFound);
        return Err(if untouched { error } else { unsure(error) });
    }
    storage.sync_names().map_err(unsure)?;
    let id = file.state().map_err(unsure)?.ok_or_else(|| changed("a new segment vanished"))?.id;
    let mut hasher = Sm3::new();
    hasher.update(&octets);
    let (start, length) = (ChainValue::of_header(&octets), wide(octets.len()));
    Ok(Current { file, id, header, start, length, reserved: space, hasher })
}

impl Files {
    /// Takes over files that recovery has proven; writes the mark.
    pub(crate) fn new(
        storage: &dyn Storage,
        current: Current,
        last: Last,
        open: BTreeMap<u64, OpenCheck>,
        mark_file: Box<dyn StoredFile>,
        mark: Mark,
        sealed: &[u64],
    ) -> io::Result<Self> {
        let mut watched = BTreeMap::new();
        for segment in sealed {
            let name = file_name(*segment);
            let state = storage.state(&name)?;
            watched.insert(name, state);
        }
        let stamp = storage.stamp()?;
        let mut files =
            Self { current, last, open, notes: Vec::new(), mark, reserve_held: false, mark_file, watched, stamp };
        files.write_mark()?;
        files.mark_file.sync()?;
        let state = storage.state(mark::FILE_NAME)?;
        files.watched.insert(mark::FILE_NAME.to_owned(), state);
        Ok(files)
    }

    /// Notes how far the ledger is durable. Not synced: see [`yanqian_evidence::mark`].
    pub(crate) fn write_mark(&mut self) -> io::Result<()> {
        let Last { sequence, chain, .. } = self.last;
        let update = self.mark.update.wrapping_add(1);
        // A segment without records proves nothing yet: the mark stays with the last record's place.
        if sequence >= self.current.header.first_sequence {
            let segment = self.current.header.segment;
            self.mark = Mark { update, sequence, segment, length: self.current.length, chain };
        } else {
            self.mark.update = update;
        }
        let (octets, at) = self.mark.encode();
        write_all(&*self.mark_file, &octets, at)
    }

    pub(crate) fn sync_mark(&self) -> io::Result<()> {
        self.mark_file.sync()
    }

    /// Fails when a file of the ledger was deleted, replaced, cut or grown by someone else.
    pub(crate) fn check(&mut self, storage: &dyn Storage) -> io::Result<()> {
        let open = self.current.file.state()?.ok_or_else(|| changed("the segment being written was deleted"))?;
        if open.length != self.current.length {
            return Err(changed("the segment being written was changed by another process"));
        }
        let name = file_name(self.current.header.segment);
        if storage.state(&name)?.id != self.current.id {
            return Err(changed("the segment being written was replaced"));
        }
        let stamp = storage.stamp()?;
        if stamp != self.stamp {
            self.check_watched(storage)?;
            self.stamp = stamp;
        }
        Ok(())
    }

    pub(crate) fn check_watched(&self, storage: &dyn Storage) -> io::Result<()> {
        for (name, known) in &self.watched {
            if storage.state(name)? != *known {
                return Err(changed("a sealed segment or the mark was replaced"));
            }
        }
        Ok(())
    }

    /// Whether the segment being written is due to be sealed.
    pub(crate) fn is_due(&self, config: &LedgerConfig, now: Timestamp) -> bool {
        let has_records = self.last.sequence >= self.current.header.first_sequence;
        let age = u128::try_from(now.millis_since(self.current.header.created)).unwrap_or(0);
        let old = age >= config.segment_age.as_millis();
        has_records && (self.current.length >= config.segment_octets || old)
    }

    /// Seals the segment being written and begins the next. On a full disk nothing has changed.
    pub(crate) fn rotate(&mut self, storage: &dyn Storage, config: &LedgerConfig, now: Timestamp) -> io::Result<()> {
        // Gives space back that was reserved beyond the end; every octet before it is durable already.
        self.current.file.set_length(self.current.length)?;
        let header = SegmentHeader {
            node: config.node.clone(),
            origin: config.origin.clone(),
            segment: self.current.header.segment + 1,
            first_sequence: self.last.sequence + 1,
            oldest_open: self.open.keys().next().copied().unwrap_or(self.last.sequence + 1),
            previous_chain: self.last.chain,
            previous_segment: SegmentHash::new(self.current.hasher.clone().finish()),
            created: self.last.time.map_or(now, |last| last.max(now)),
        };
        let next = create_segment(storage, header, step(config))?;
        let sealed = std::mem::replace(&mut self.current, next);
        self.last.chain = self.current.start;
        let state = sealed.file.state().map_err(unsure)?;
        let state = state.ok_or_else(|| changed("a segment vanished while it was sealed"))?;
        self.watched.insert(file_name(sealed.header.segment), state);
        self.check_watched(storage).map_err(unsure)?;
        self.stamp = storage.stamp().map_err(unsure)?;
        Ok(())
    }

    /// Sets space aside; `false` when there is none.
    pub(crate) fn take_reserve(&mut self, storage: &dyn Storage, config: &LedgerConfig) -> io::Result<bool> {
        if self.reserve_held {
            return Ok(true);
        }
        self.drop_reserve(storage)?;
        let taken =
            fill_reserve(storage, config.reserve_octets).and_then(|()| self.current.ensure_space(1, step(config)));
        match taken {
            Ok(()) => self.reserve_held = true,
            Err(error) if is_full(&error) => self.drop_reserve(storage)?,
            Err(error) => return Err(error),
        }
        self.stamp = storage.stamp()?;
        Ok(self.reserve_held)
    }

    /// Whether the reserve that is held was removed by someone else.
    pub(crate) fn has_lost_reserve(&self, storage: &dyn Storage) -> bool {
        self.reserve_held && storage.state(RESERVE).is_err()
    }

    /// Gives the reserve's space to the segment being written.
    pub(crate) fn release_reserve(&mut self, storage: &dyn Storage, config: &LedgerConfig) -> io::Result<()> {
        self.drop_reserve(storage)?;
        let reserved = self.current.length + config.reserve_octets;
        match reserve_space(&*self.current.file, reserved) {
            Ok(()) => self.current.reserved = self.current.reserved.max(reserved),
            Err(error) if is_full(&error) => {} // someone else took it; the next write will tell
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn drop_reserve(&mut self, storage: &dyn Storage) -> io::Result<()> {
        self.reserve_held = false;
        match storage.remove(RESERVE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.check_watched(storage)?;
        self.stamp = storage.stamp()?;
        Ok(())
    }
}

/// Where space cannot be reserved, zeros take it.
fn fill_reserve(storage: &dyn Storage, octets: u64) -> io::Result<()> {
    let file = storage.create(RESERVE)?;
    match file.reserve(octets) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            let zeros = vec![0; 1 << 16];
            for at in (0..octets).step_by(zeros.len()) {
                let rest = usize::try_from(octets - at).unwrap_or(usize::MAX).min(zeros.len());
                write_all(&*file, &zeros[..rest], at)?;
            }
            file.sync()
        }
        Err(error) => Err(error),
        Ok(()) => file.sync(),
    }
}
