//! The keys of search tags, one file for each epoch. Where the file is gone, no tag of its epoch can be made again, and
//! nobody finds its records by a document any more.
//!
//! | file | what it says |
//! |---|---|
//! | `epoch-N.key` | when the epoch began, and its key |
//! | `epoch-N.destroyed` | when it began, when its key was destroyed and by whom, and whether the ledger has that |
//!
//! The second is durable before anything of the first is destroyed, so that a crash half-way is carried on with, and
//! keeps the number from being given again.

use std::fmt::{self, Write as _};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use yanqian_evidence::{Search, search_tag};
use yanqian_vocabulary::{DocumentType, Timestamp};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Why search keys could not be read, made or destroyed. Names the file, never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{}: {source}", .file.display())]
    Io { file: PathBuf, source: io::Error },
    #[error("{}: {problem}", .file.display())]
    Malformed { file: PathBuf, problem: &'static str },
    #[error("there is no epoch {0}")]
    NoSuchEpoch(u32),
    /// What is made now would be without a key.
    #[error("epoch {0} is in use; begin another first")]
    InUse(u32),
    #[error("the key of epoch {0} is destroyed already")]
    AlreadyDestroyed(u32),
}

/// The key of one epoch. Wiped when dropped, never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct EpochKey {
    #[zeroize(skip)]
    epoch: u32,
    #[zeroize(skip)]
    begun: Timestamp,
    key: [u8; 32],
}

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochKey({}, ..)", self.epoch)
    }
}

impl EpochKey {
    /// A key of 32 random octets.
    pub const fn new(epoch: u32, begun: Timestamp, key: [u8; 32]) -> Self {
        Self { epoch, begun, key }
    }

    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    pub const fn begun(&self) -> Timestamp {
        self.begun
    }

    /// What a record of this document holds in this epoch. The number is the one that stays with the holder.
    pub fn search(&self, document_type: DocumentType, lifetime_number: &str) -> Search {
        Search { epoch: self.epoch, tag: search_tag(&self.key, document_type, lifetime_number) }
    }
}

/// An epoch, as far as its files tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    pub number: u32,
    pub begun: Timestamp,
    /// None while its key is there.
    pub destroyed: Option<Destroyed>,
}

/// That an epoch's key was destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destroyed {
    pub at: Timestamp,
    /// Uid of who asked for it.
    pub operator: u32,
    /// Whether the ledger has it on record.
    pub recorded: bool,
}

/// The directory of search keys.
#[derive(Debug, Clone)]
pub struct KeyRing {
    directory: PathBuf,
}

const KEY: &str = "key";
const DESTROYED: &str = "destroyed";
/// A file is made under this ending and renamed when it is durable.
const UNFINISHED: &str = ".new";
/// Octets of a key's file at most.
const MAX_FILE: u64 = 1024;

impl KeyRing {
    /// Over a directory that may not be there yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Makes the directory, with mode 0700, and removes what a crash left unfinished in it. For its one writer.
    pub fn prepare(&self) -> Result<(), KeyError> {
        let fail = |source| io_error(&self.directory, source);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory).map_err(fail)?;
        for entry in fs::read_dir(&self.directory).map_err(fail)? {
            let file = entry.map_err(fail)?.path();
            if file.to_string_lossy().ends_with(UNFINISHED) {
                wipe(&file).map_err(|source| io_error(&file, source))?;
            }
        }
        Ok(())
    }

    /// Files that hold keys, for a look at who may read them.
    pub fn key_files(&self) -> Result<Vec<PathBuf>, KeyError> {
        let numbers = self.numbers(KEY)?;
        Ok(numbers.into_iter().map(|number| self.file(number, KEY)).collect())
    }

    /// All epochs, the oldest first.
    pub fn epochs(&self) -> Result<Vec<Epoch>, KeyError> {
        let mut epochs = Vec::new();
        for number in self.numbers(KEY)? {
            if let Some(key) = self.key(number)? {
                epochs.push(Epoch { number, begun: key.begun, destroyed: None });
            }
        }
        for number in self.numbers(DESTROYED)? {
            // Decided counts: a key that is still there is about to go.
            epochs.retain(|epoch| epoch.number != number);
            epochs.push(self.tombstone(number)?);
        }
        epochs.sort_unstable_by_key(|epoch| epoch.number);
        Ok(epochs)
    }

    /// The key of an epoch; none when there is none or when it is to be destroyed.
    pub fn key(&self, number: u32) -> Result<Option<EpochKey>, KeyError> {
        if self.file(number, DESTROYED).exists() {
            return Ok(None);
        }
        let file = self.file(number, KEY);
        let text = match read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|source| io_error(&file, source))?,
        };
        let malformed = |problem| KeyError::Malformed { file: file.clone(), problem };
        let mut lines = Lines::new(&text, "yanqian search key 1").ok_or_else(|| malformed("is no search key"))?;
        if lines.parsed("epoch") != Some(number) {
            return Err(malformed("names another epoch than its own"));
        }
        let begun = lines.time("begun").ok_or_else(|| malformed("does not say when the epoch began"))?;
        let mut key = Zeroizing::new([0; 32]);
        let digits = lines.value("key").unwrap_or_default();
        from_hex(digits, &mut key).ok_or_else(|| malformed("expected a key of 64 hexadecimal digits"))?;
        Ok(Some(EpochKey { epoch: number, begun, key: *key }))
    }

    /// Whether an epoch's key is still in its place.
    pub fn has_file(&self, number: u32) -> bool {
        self.file(number, KEY).exists()
    }

    /// The newest epoch that has a key: the one whose tags new records hold.
    pub fn newest(&self) -> Result<Option<EpochKey>, KeyError> {
        match self.epochs()?.last() {
            Some(Epoch { number, destroyed: None, .. }) => self.key(*number),
            _ => Ok(None),
        }
    }

    /// The number that the next epoch gets. `used` is the highest that records hold.
    pub fn next(&self, used: u32) -> Result<u32, KeyError> {
        let newest = self.epochs()?.last().map_or(0, |epoch| epoch.number);
        Ok(newest.max(used).saturating_add(1))
    }

    /// Makes a key's file, durable with its name when this returns.
    pub fn add(&self, key: &EpochKey) -> Result<(), KeyError> {
        let mut text = Zeroizing::new(String::with_capacity(256));
        // Writing into memory does not fail.
        let _ = write!(text, "yanqian search key 1\nepoch {}\nbegun {}\nkey ", key.epoch, key.begun);
        key.key.iter().for_each(|octet| {
            let _ = write!(text, "{octet:02x}");
        });
        text.push('\n');
        self.put(&self.file(key.epoch, KEY), &text)
    }

    /// Destroys the key of an epoch that is not the newest: its file is overwritten, unlinked, and the directory synced.
    pub fn destroy(&self, number: u32, now: Timestamp, operator: u32) -> Result<Destroyed, KeyError> {
        let epochs = self.epochs()?;
        let epoch = epochs.iter().find(|epoch| epoch.number == number).ok_or(KeyError::NoSuchEpoch(number))?;
        if let Some(decided) = epoch.destroyed {
            if decided.recorded {
                return Err(KeyError::AlreadyDestroyed(number));
            }
            // Decided before and perhaps not carried out: the order is taken up again.
            self.carry_out(number)?;
            return Ok(decided);
        }
        if epochs.last() == Some(epoch) {
            return Err(KeyError::InUse(number));
        }
        let destroyed = Destroyed { at: now, operator, recorded: false };
        self.put_tombstone(number, epoch.begun, &destroyed)?;
        self.carry_out(number)?;
        Ok(destroyed)
    }

    /// Does what a crash kept from being done.
    pub fn settle(&self) -> Result<(), KeyError> {
        self.numbers(DESTROYED)?.into_iter().try_for_each(|number| self.carry_out(number))
    }

    /// Notes that the ledger has the destruction on record.
    pub fn set_recorded(&self, number: u32) -> Result<(), KeyError> {
        let Epoch { begun, destroyed, .. } = self.tombstone(number)?;
        let destroyed = destroyed.ok_or(KeyError::NoSuchEpoch(number))?;
        self.put_tombstone(number, begun, &Destroyed { recorded: true, ..destroyed })
    }

    /// Destroys the key of an epoch whose destruction was decided; also when that was done before.
    pub fn carry_out(&self, number: u32) -> Result<(), KeyError> {
        let file = self.file(number, KEY);
        match wipe(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(&file, error)),
            _ => {}
        }
        // Also when the file was gone: the last run may have ended before this.
        sync_directory(&self.directory).map_err(|source| io_error(&self.directory, source))
    }

    fn put_tombstone(&self, number: u32, begun: Timestamp, destroyed: &Destroyed) -> Result<(), KeyError> {
        let Destroyed { at, operator, recorded } = destroyed;
        let text = format!(
            "yanqian search key destroyed 1\nepoch {number}\nbegun {begun}\ndestroyed {at}\noperator {operator}\nrecorded {recorded}\n"
        );
        self.put(&self.file(number, DESTROYED), &text)
    }

    fn tombstone(&self, number: u32) -> Result<Epoch, KeyError> {
        let file = self.file(number, DESTROYED);
        let text = read(&file).map_err(|source| io_error(&file, source))?;
        let read = || {
            let mut lines = Lines::new(&text, "yanqian search key destroyed 1")?;
            lines.parsed("epoch").filter(|epoch: &u32| *epoch == number)?;
            let begun = lines.time("begun")?;
            let at = lines.time("destroyed")?;
            let (operator, recorded) = (lines.parsed("operator")?, lines.parsed("recorded")?);
            Some(Epoch { number, begun, destroyed: Some(Destroyed { at, operator, recorded }) })
        };
        read().ok_or(KeyError::Malformed { file, problem: "does not tell of this epoch's destruction" })
    }

    fn file(&self, number: u32, ending: &str) -> PathBuf {
        self.directory.join(format!("epoch-{number}.{ending}"))
    }

    /// Numbers of the files with this ending, ascending; none when the directory is not there.
    fn numbers(&self, ending: &str) -> Result<Vec<u32>, KeyError> {
        let fail = |source| io_error(&self.directory, source);
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(fail)?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(fail)?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(ending)?.strip_suffix('.'));
            let number = stem.and_then(|stem| stem.strip_prefix("epoch-")?.parse::<u32>().ok());
            // One spelling for each number.
            numbers.extend(number.filter(|number| name.to_str() == Some(&format!("epoch-{number}.{ending}"))));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn put(&self, file: &Path, text: &str) -> Result<(), KeyError> {
        let unfinished = PathBuf::from(format!("{}{UNFINISHED}", file.display()));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.sync_all()))
            .and_then(|()| fs::rename(&unfinished, file))
            .and_then(|()| sync_directory(&self.directory));
        written.map_err(|source| io_error(file, source))
    }
}

fn io_error(file: &Path, source: io::Error) -> KeyError {
    KeyError::Io { file: file.to_owned(), source }
}

/// Overwrites a file's octets in place, has the disk take that, and unlinks it.
fn wipe(file: &Path) -> io::Result<()> {
    let mut out = OpenOptions::new().write(true).open(file)?;
    let length = out.metadata()?.len().min(MAX_FILE);
    out.write_all(&vec![0; usize::try_from(length).unwrap_or_default()])?;
    out.sync_all()?;
    fs::remove_file(file)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn read(file: &Path) -> io::Result<Zeroizing<String>> {
    if fs::metadata(file)?.len() > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "is too large"));
    }
    fs::read_to_string(file).map(Zeroizing::new)
}

fn from_hex(digits: &str, out: &mut [u8; 32]) -> Option<()> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != out.len() || !rest.is_empty() {
        return None;
    }
    for (octet, pair) in out.iter_mut().zip(pairs) {
        let nibble = |digit: u8| char::from(digit).to_digit(16).filter(|_| !digit.is_ascii_uppercase());
        *octet = u8::try_from(nibble(pair[0])? << 4 | nibble(pair[1])?).ok()?;
    }
    Some(())
}

/// Lines of a name, a space and a value, in their order.
struct Lines<'a>(std::str::Lines<'a>);

impl<'a> Lines<'a> {
    fn new(text: &'a str, first: &str) -> Option<Self> {
        let mut lines = text.lines();
        (lines.next()? == first).then_some(Self(lines))
    }

    fn value(&mut self, name: &str) -> Option<&'a str> {
        self.0.next()?.strip_prefix(name)?.strip_prefix(' ')
    }

    fn parsed<T: std::str::FromStr>(&mut self, name: &str) -> Option<T> {
        self.value(name)?.parse().ok()
    }

    fn time(&mut self, name: &str) -> Option<Timestamp> {
        Timestamp::from_rfc3339(self.value(name)?).ok()
    }
}

#[cfg(test)]
mod tests;
