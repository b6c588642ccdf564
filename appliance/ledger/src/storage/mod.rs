//! The seam to the disk: everything the ledger asks of a file system, so that tests can own it and fail any operation.
//!
//! The contract is POSIX's, at its weakest: written octets may be lost, torn or reordered until [`StoredFile::sync`]
//! returns, and names may be lost until [`Storage::sync_names`] returns.

mod directory;

use std::io;

pub use directory::{Directory, RESTORED};

/// Tells one file from another that took its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    pub device: u64,
    pub inode: u64,
}

/// What the file system says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    pub id: FileId,
    /// Octets.
    pub length: u64,
}

/// Changes whenever a name is added to the directory or removed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamesStamp {
    pub seconds: i64,
    pub nanoseconds: i64,
}

/// The directory of one ledger.
pub trait Storage: Send {
    /// Names of all regular files.
    fn names(&self) -> io::Result<Vec<String>>;

    /// A stamp of the set of names; an error when the directory itself is gone or replaced.
    fn stamp(&self) -> io::Result<NamesStamp>;

    /// The state of the file that has this name now.
    fn state(&self, name: &str) -> io::Result<FileState>;

    /// Opens an existing file, for writing too when asked.
    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn StoredFile>>;

    /// Makes a new, empty file; fails when the name exists.
    fn create(&self, name: &str) -> io::Result<Box<dyn StoredFile>>;

    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every change of names durable.
    fn sync_names(&self) -> io::Result<()>;
}

/// One open file.
pub trait StoredFile: Send {
    /// Reads at most `buffer.len()` octets at `offset`; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some octets at `offset`; may write fewer than given.
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes the file's octets and its length durable.
    fn sync(&self) -> io::Result<()>;

    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Reserves space up to `length` without changing the file's length. `Unsupported` is not a failure.
    fn reserve(&self, length: u64) -> io::Result<()>;

    /// State of the open file, whatever its name is now; `None` when it no longer has any name.
    fn state(&self) -> io::Result<Option<FileState>>;
}

/// Reads a whole file.
pub fn read_all(file: &dyn StoredFile) -> io::Result<Vec<u8>> {
    const STEP: usize = 1 << 20;
    let mut octets = Vec::new();
    loop {
        let have = octets.len();
        octets.resize(have + STEP, 0);
        let read = retry(|| file.read_at(&mut octets[have..], wide(have)))?;
        octets.truncate(have + read);
        if read == 0 {
            return Ok(octets);
        }
    }
}

/// Writes all octets at `offset`, in as many writes as it takes.
pub fn write_all(file: &dyn StoredFile, mut octets: &[u8], mut offset: u64) -> io::Result<()> {
    while !octets.is_empty() {
        let written = retry(|| file.write_at(octets, offset))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        octets = octets.get(written..).ok_or(io::ErrorKind::InvalidData)?;
        offset += wide(written);
    }
    Ok(())
}

fn retry(mut operation: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

pub(crate) fn wide(octets: usize) -> u64 {
    u64::try_from(octets).unwrap_or(u64::MAX)
}
