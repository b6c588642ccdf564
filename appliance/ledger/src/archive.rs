//! The archive beside the ledger: certificates and revocation lists as they were used, each once, named by its SM3.
//!
//! Records name them by hash; the archive keeps their octets, so that a receipt is whole years after a certificate was
//! replaced or a list expired. Layout: `<64 hexadecimal digits>.der` in `certificates/`, `crls/` and `ocsp/`.
//! Files are added and never changed or removed; since the name says what the content must be, a damaged file is told
//! from a whole one, and writing the same octets again is no change. One process writes; any may read.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use yanqian_sm::sm3;

/// Octets of one archived file at most: a revocation list of a large authority with room to spare.
pub const MAX_ARCHIVED: usize = 8 << 20;

/// What is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Archived {
    /// A DER certificate: ours, a signer's, or one above.
    Certificate,
    /// A DER revocation list.
    Crl,
    /// A DER OCSP response.
    Ocsp,
}

impl Archived {
    const fn folder(self) -> &'static str {
        match self {
            Self::Certificate => "certificates",
            Self::Crl => "crls",
            Self::Ocsp => "ocsp",
        }
    }

    /// Path below the archive's directory of what has this SM3.
    pub(crate) fn file_name(self, hash: &[u8; 32]) -> String {
        format!("{}/{}.der", self.folder(), hex(hash))
    }
}

/// Why something was not archived or not found.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
    /// Nothing of that hash was ever archived, or somebody removed it.
    #[error("the archive does not hold it")]
    Absent,
    /// The file's octets are not those that its name promises.
    #[error("the archived file is damaged")]
    Damaged,
    #[error("more than {MAX_ARCHIVED} octets")]
    TooLarge,
    /// A file in the archive's folders, by its path there, whose octets are not those that its name promises, or whose name
    /// promises nothing.
    #[error("{0}: not what its name says")]
    OtherContent(String),
    /// A record names a file, by its path in the archive, that is not there.
    #[error("{file}: missing, and record {sequence} names it")]
    Missing { file: String, sequence: u64 },
}

trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, ArchiveError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T, ArchiveError> {
        self.map_err(|source| ArchiveError::Io { doing, source })
    }
}

/// An archive directory. All operations block on the disk.
#[derive(Debug)]
pub struct Archive {
    directory: PathBuf,
    /// What this process knows to be durable: the same few certificates come with every check. Held while writing.
    kept: Mutex<HashSet<(Archived, [u8; 32])>>,
}

impl Archive {
    /// Opens the archive in `directory` for writing, making it if need be.
    pub fn open(directory: &Path) -> Result<Self, ArchiveError> {
        for kind in [Archived::Certificate, Archived::Crl, Archived::Ocsp] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(directory.join(kind.folder()))
                .doing("making the archive")?;
        }
        sync_directory(directory).doing("syncing the archive")?;
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_directory(parent).doing("syncing the archive's parent")?;
        }
        Ok(Self { directory: directory.to_owned(), kept: Mutex::default() })
    }

    /// An archive that is only read; the directory need not exist.
    pub fn read_only(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), kept: Mutex::default() }
    }

    /// Keeps `octets`; gives their SM3. When this returns, they are durable. Keeping them again changes nothing, but a
    /// damaged file is written anew.
    pub fn put(&self, kind: Archived, octets: &[u8]) -> Result<[u8; 32], ArchiveError> {
        if octets.len() > MAX_ARCHIVED {
            return Err(ArchiveError::TooLarge);
        }
        let hash = sm3(&[octets]);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.contains(&(kind, hash)) {
            match self.get(kind, &hash) {
                // An earlier process may have been killed between the rename and the sync of the name.
                Ok(_) => sync_directory(&self.directory.join(kind.folder())).doing("syncing the archive")?,
                Err(ArchiveError::Absent) => self.write(kind, &hash, octets)?,
                Err(ArchiveError::Damaged | ArchiveError::TooLarge) => {
                    tracing::error!(hash = hex(&hash), "an archived file was damaged and is written anew");
                    self.write(kind, &hash, octets)?;
                }
                Err(error) => return Err(error),
            }
            kept.insert((kind, hash));
        }
        Ok(hash)
    }

    fn write(&self, kind: Archived, hash: &[u8; 32], octets: &[u8]) -> Result<(), ArchiveError> {
        let path = self.path(kind, hash);
        let unfinished = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0))
            .open(&unfinished)
            .doing("making an archived file")?;
        file.write_all(octets).doing("writing an archived file")?;
        file.sync_all().doing("syncing an archived file")?;
        std::fs::rename(&unfinished, &path).doing("naming an archived file")?;
        sync_directory(&self.directory.join(kind.folder())).doing("syncing the archive")
    }

    /// The octets that have this SM3.
    pub fn get(&self, kind: Archived, hash: &[u8; 32]) -> Result<Vec<u8>, ArchiveError> {
        let file = match File::open(self.path(kind, hash)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ArchiveError::Absent),
            result => result.doing("opening an archived file")?,
        };
        let mut octets = Vec::new();
        let limit = u64::try_from(MAX_ARCHIVED).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_end(&mut octets).doing("reading an archived file")?;
        if octets.len() > MAX_ARCHIVED {
            return Err(ArchiveError::TooLarge);
        }
        if sm3(&[&octets]) == *hash { Ok(octets) } else { Err(ArchiveError::Damaged) }
    }

    /// Whether there is a file of that name, whatever is in it.
    pub(crate) fn has(&self, kind: Archived, hash: &[u8; 32]) -> Result<bool, ArchiveError> {
        self.path(kind, hash).try_exists().doing("looking for an archived file")
    }

    /// Reads every file and compares it with its name; gives their number. An unfinished file of a killed process is none.
    pub fn verify(&self) -> Result<u64, ArchiveError> {
        let mut whole = 0;
        for kind in [Archived::Certificate, Archived::Crl, Archived::Ocsp] {
            let entries = match std::fs::read_dir(self.directory.join(kind.folder())) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.doing("listing the archive")?,
            };
            for entry in entries {
                let name = entry.doing("listing the archive")?.file_name();
                let name = name.to_string_lossy();
                if name.ends_with(".new") {
                    continue;
                }
                let other = || ArchiveError::OtherContent(format!("{}/{name}", kind.folder()));
                let hash = name.strip_suffix(".der").and_then(hash_of).ok_or_else(other)?;
                match self.get(kind, &hash) {
                    Ok(_) => whole += 1,
                    Err(ArchiveError::Damaged | ArchiveError::TooLarge) => return Err(other()),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(whole)
    }

    fn path(&self, kind: Archived, hash: &[u8; 32]) -> PathBuf {
        self.directory.join(kind.file_name(hash))
    }
}

fn hash_of(name: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    for (at, octet) in hash.iter_mut().enumerate() {
        *octet = u8::from_str_radix(name.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    (hex(&hash) == name).then_some(hash)
}

fn hex(hash: &[u8; 32]) -> String {
    yanqian_vocabulary::ContentDigest::new(*hash).to_string()
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
