//! The token directory: locked, replaced atomically, flushed before anyone is told that it was written.
//!
//! Several processes may use one token. Each access holds `flock` on the file `lock`; a file is replaced by
//! temporary file, `fsync`, `rename`, `fsync` of the directory, so a crash leaves the old or the new content.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use cryptoki_sys::CKR_DEVICE_ERROR;
use minicbor::{Decode, Encode};
use rustix::fs::FlockOperation;

use crate::format::{FORMAT, ObjectFile, ObjectId, RetryFile, TokenFile, TokenId};
use crate::rv::Rv;

/// No file of a token comes near this; a larger one is damage.
const MAX_FILE: u64 = 1024 * 1024;
const TOKEN: &str = "token.cbor";
const OBJECTS: &str = "objects";
const TEMPORARY: &str = ".tmp";

/// What can be wrong with the directory. Callers see `CKR_DEVICE_ERROR`; the reason goes to standard error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is damaged: {reason}")]
    Damaged { path: PathBuf, reason: &'static str },
    #[error("the system's random source failed")]
    Random,
    #[error("sealing failed: out of memory?")]
    Seal,
}

impl From<StoreError> for Rv {
    fn from(error: StoreError) -> Self {
        complain(&error);
        Self(CKR_DEVICE_ERROR)
    }
}

/// A return code cannot say which file is damaged; standard error can. Never carries anything a PIN protects.
#[allow(clippy::print_stderr)]
pub(crate) fn complain(what: &dyn std::fmt::Display) {
    eprintln!("yanqian-softtoken: {what}");
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Io { action, path, source }
}

/// Distinguishes two versions of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    inode: u64,
    modified: (i64, i64),
    length: u64,
}

/// A token directory.
pub(crate) struct Store {
    directory: PathBuf,
}

/// Proof that the lock is held; dropping it releases the lock. Reading needs any, writing the exclusive one.
pub(crate) struct Locked<'a> {
    store: &'a Store,
    _lock: File,
}

/// Proof that the lock is held exclusively.
pub(crate) struct Exclusive<'a>(Locked<'a>);

impl<'a> std::ops::Deref for Exclusive<'a> {
    type Target = Locked<'a>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Store {
    /// Opens the directory, making it (mode 0700) where it does not exist.
    pub(crate) fn open(directory: PathBuf) -> Result<Self, StoreError> {
        for path in [directory.clone(), directory.join(OBJECTS)] {
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
                Err(error) => return Err(io_error("make directory", &path)(error)),
            }
        }
        Ok(Self { directory })
    }

    /// Whether `C_InitToken` has been here. Takes no lock, since the file is replaced as a whole: opening a session
    /// need not wait for a PIN check.
    pub(crate) fn initialised(&self) -> Result<bool, StoreError> {
        Ok(read_token(&self.directory)?.is_some())
    }

    /// Waits for the shared lock.
    pub(crate) fn shared(&self) -> Result<Locked<'_>, StoreError> {
        self.lock(FlockOperation::LockShared)
    }

    /// Waits for the exclusive lock.
    pub(crate) fn exclusive(&self) -> Result<Exclusive<'_>, StoreError> {
        Ok(Exclusive(self.lock(FlockOperation::LockExclusive)?))
    }

    fn lock(&self, operation: FlockOperation) -> Result<Locked<'_>, StoreError> {
        let path = self.directory.join("lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("open", &path))?;
        loop {
            match rustix::fs::flock(&file, operation) {
                Ok(()) => return Ok(Locked { store: self, _lock: file }),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io_error("lock", &path)(error.into())),
            }
        }
    }
}

impl Locked<'_> {
    /// The token, or `None` before `C_InitToken`.
    pub(crate) fn token(&self) -> Result<Option<TokenFile>, StoreError> {
        read_token(&self.store.directory)
    }

    /// The PIN counters. Missing ones are damage: else deleting the file would give free tries.
    pub(crate) fn retries(&self, token: &TokenId) -> Result<RetryFile, StoreError> {
        let path = self.retry_path(token);
        match read::<RetryFile>(&path)? {
            Some(file) if file.format == FORMAT => Ok(file),
            Some(_) => Err(unknown_format(path)),
            None => Err(StoreError::Damaged { path, reason: "missing" }),
        }
    }

    /// Ids and versions of all object files, in no particular order.
    pub(crate) fn objects(&self) -> Result<Vec<(ObjectId, Version)>, StoreError> {
        let directory = self.store.directory.join(OBJECTS);
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).map_err(io_error("list", &directory))? {
            let entry = entry.map_err(io_error("list", &directory))?;
            let Some(id) = entry.file_name().to_str().and_then(object_id) else { continue };
            let metadata = entry.metadata().map_err(io_error("inspect", &entry.path()))?;
            found.push((id, version(&metadata)));
        }
        Ok(found)
    }

    /// One object file; `None` when it is gone.
    pub(crate) fn object(&self, id: &ObjectId) -> Result<Option<ObjectFile>, StoreError> {
        let path = self.object_path(id);
        match read::<ObjectFile>(&path)? {
            Some(file) if file.format != FORMAT => Err(unknown_format(path)),
            Some(file) if file.object != *id => Err(StoreError::Damaged { path, reason: "named like another object" }),
            other => Ok(other),
        }
    }

    /// The path of an object, for messages.
    pub(crate) fn object_path(&self, id: &ObjectId) -> PathBuf {
        self.store.directory.join(OBJECTS).join(format!("{}.cbor", hexadecimal(id)))
    }

    fn retry_path(&self, token: &TokenId) -> PathBuf {
        self.store.directory.join(format!("retry-{}.cbor", hexadecimal(token)))
    }
}

impl Exclusive<'_> {
    /// Replaces the token file.
    pub(crate) fn put_token(&self, token: &TokenFile) -> Result<(), StoreError> {
        replace(&self.store.directory, TOKEN, token)
    }

    /// Replaces the PIN counters; on return they are on disk.
    pub(crate) fn put_retries(&self, token: &TokenId, retries: RetryFile) -> Result<(), StoreError> {
        replace(&self.store.directory, &format!("retry-{}.cbor", hexadecimal(token)), &retries)
    }

    /// Writes an object and returns its version.
    pub(crate) fn put_object(&self, file: &ObjectFile) -> Result<Version, StoreError> {
        replace(&self.store.directory.join(OBJECTS), &format!("{}.cbor", hexadecimal(&file.object)), file)?;
        let path = self.object_path(&file.object);
        Ok(version(&fs::metadata(&path).map_err(io_error("inspect", &path))?))
    }

    /// Removes an object; one that is gone already is no error.
    pub(crate) fn remove_object(&self, id: &ObjectId) -> Result<(), StoreError> {
        remove(&self.object_path(id))?;
        sync_directory(&self.store.directory.join(OBJECTS))
    }

    /// Removes what a crash or an earlier initialisation left: temporary files, other tokens' counters and objects.
    pub(crate) fn sweep(&self, token: &TokenId) -> Result<(), StoreError> {
        let keep = self.retry_path(token);
        for directory in [self.store.directory.clone(), self.store.directory.join(OBJECTS)] {
            for entry in fs::read_dir(&directory).map_err(io_error("list", &directory))? {
                let path = entry.map_err(io_error("list", &directory))?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let counters = name.starts_with("retry-") && path != keep;
                let object = match object_id(name) {
                    Some(_) => read::<ObjectFile>(&path).is_ok_and(|file| file.is_none_or(|file| file.token != *token)),
                    None => false,
                };
                if name.ends_with(TEMPORARY) || counters || object {
                    remove(&path)?;
                }
            }
        }
        Ok(())
    }
}

fn read_token(directory: &Path) -> Result<Option<TokenFile>, StoreError> {
    let path = directory.join(TOKEN);
    match read::<TokenFile>(&path)? {
        Some(token) if token.format != FORMAT => Err(unknown_format(path)),
        other => Ok(other),
    }
}

fn read<T: for<'b> Decode<'b, ()>>(path: &Path) -> Result<Option<T>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let mut octets = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut octets).map_err(io_error("read", path))?;
    let damaged = |reason| StoreError::Damaged { path: path.to_path_buf(), reason };
    if octets.len() as u64 > MAX_FILE {
        return Err(damaged("too large"));
    }
    let mut decoder = minicbor::Decoder::new(&octets);
    let value = decoder.decode().map_err(|_| damaged("not the CBOR it should be"))?;
    if decoder.position() == octets.len() { Ok(Some(value)) } else { Err(damaged("octets after the end")) }
}

fn replace<T: Encode<()>>(directory: &Path, name: &str, value: &T) -> Result<(), StoreError> {
    let target = directory.join(name);
    let temporary = directory.join(format!("{name}{TEMPORARY}"));
    let octets = minicbor::to_vec(value)
        .map_err(|_| StoreError::Damaged { path: target.clone(), reason: "cannot be encoded" })?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(io_error("create", &temporary))?;
    file.write_all(&octets).map_err(io_error("write", &temporary))?;
    file.sync_all().map_err(io_error("flush", &temporary))?;
    fs::rename(&temporary, &target).map_err(io_error("rename to", &target))?;
    sync_directory(directory)
}

fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    File::open(directory).and_then(|handle| handle.sync_all()).map_err(io_error("flush", directory))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}

fn unknown_format(path: PathBuf) -> StoreError {
    StoreError::Damaged { path, reason: "a format this version does not know" }
}

fn version(metadata: &fs::Metadata) -> Version {
    Version { inode: metadata.ino(), modified: (metadata.mtime(), metadata.mtime_nsec()), length: metadata.len() }
}

pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut digits, octet| {
        for nibble in [octet >> 4, octet & 15] {
            digits.extend(char::from_digit(u32::from(nibble), 16));
        }
        digits
    })
}

fn object_id(name: &str) -> Option<ObjectId> {
    let digits = name.strip_suffix(".cbor")?;
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit() && !digit.is_ascii_uppercase()) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}
