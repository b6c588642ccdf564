use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, Dir, FallocateFlags, FileType, FlockOperation, Mode, OFlags, Stat};

use super::{FileId, FileState, NamesStamp, Storage, StoredFile};

/// A directory of the real file system. Every operation goes through its descriptor, so a directory that is moved or
/// replaced is noticed and never written to by its name.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    fd: OwnedFd,
    /// Where readers find what is not in the directory itself; the one who writes never looks there.
    restored: Option<&'static str>,
}

/// Directory within a ledger's for copies of segments that the archive gave back.
pub const RESTORED: &str = "restored";

impl Directory {
    /// Opens a directory for reading only; takes no lock, so a ledger in use can be read.
    /// What is missing there is opened from [`RESTORED`] within it.
    pub fn read_only(path: &Path) -> io::Result<Self> {
        let fd = fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { path: path.to_owned(), fd, restored: Some(RESTORED) })
    }

    /// Opens a directory, making it if need be, and locks it for this process; `WouldBlock` when another has it.
    pub fn exclusive(path: &Path) -> io::Result<Self> {
        match fs::mkdir(path, Mode::RWXU | Mode::RGRP | Mode::XGRP) {
            Ok(()) => sync_parent(path)?,
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let directory = Self { restored: None, ..Self::read_only(path)? };
        fs::flock(&directory.fd, FlockOperation::NonBlockingLockExclusive)?;
        Ok(directory)
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fd = fs::open(parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(fs::fsync(fd)?)
}

fn state_of(stat: &Stat) -> FileState {
    FileState {
        id: FileId { device: stat.st_dev, inode: stat.st_ino },
        length: u64::try_from(stat.st_size).unwrap_or(0),
    }
}

impl Storage for Directory {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let regular = match entry.file_type() {
                FileType::Unknown => {
                    let stat = fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                }
                known => known == FileType::RegularFile,
            };
            if regular {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn stamp(&self) -> io::Result<NamesStamp> {
        let open = fs::fstat(&self.fd)?;
        let named = fs::stat(&self.path)?;
        if (open.st_dev, open.st_ino) != (named.st_dev, named.st_ino) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the ledger's directory was replaced"));
        }
        Ok(NamesStamp { seconds: open.st_ctime, nanoseconds: i64::try_from(open.st_ctime_nsec).unwrap_or(0) })
    }

    fn state(&self, name: &str) -> io::Result<FileState> {
        Ok(state_of(&fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn StoredFile>> {
        let access = if writable { OFlags::RDWR } else { OFlags::RDONLY };
        let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = match (fs::openat(&self.fd, name, flags, Mode::empty()), self.restored) {
            (Err(rustix::io::Errno::NOENT), Some(restored)) => {
                fs::openat(&self.fd, format!("{restored}/{name}"), flags, Mode::empty())?
            }
            (opened, _) => opened?,
        };
        Ok(Box::new(PlainFile { fd }))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StoredFile>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP)?;
        Ok(Box::new(PlainFile { fd }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.fd)?)
    }
}

#[derive(Debug)]
struct PlainFile {
    fd: OwnedFd,
}

impl StoredFile for PlainFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pread(&self.fd, buffer, offset)?)
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwrite(&self.fd, octets, offset)?)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fs::fdatasync(&self.fd)?)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        Ok(fs::ftruncate(&self.fd, length)?)
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        Ok(fs::fallocate(&self.fd, FallocateFlags::KEEP_SIZE, 0, length)?)
    }

    fn state(&self) -> io::Result<Option<FileState>> {
        let stat = fs::fstat(&self.fd)?;
        Ok((stat.st_nlink > 0).then(|| state_of(&stat)))
    }
}
