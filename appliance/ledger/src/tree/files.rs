//! Files that appear whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::TreeError;

/// Names the file of an error.
pub(super) fn at<T>(file: &Path, result: io::Result<T>) -> Result<T, TreeError> {
    result.map_err(|source| TreeError::Io { file: file.to_owned(), source })
}

/// The file's octets, `None` when there is no such file. One octet more than `limit` is read of a longer one.
pub(super) fn read(file: &Path, limit: usize) -> Result<Option<Vec<u8>>, TreeError> {
    let opened = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => at(file, opened)?,
    };
    let mut octets = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    at(file, opened.take(limit).read_to_end(&mut octets))?;
    Ok(Some(octets))
}

/// Makes `octets` the file's content, durably; a reader sees the old content or the new. Directories below `root`, which must
/// have a parent, are made as needed; others may read what is in them, as the umask allows.
pub(super) fn write(root: &Path, file: &Path, octets: &[u8]) -> Result<(), TreeError> {
    let directory = file.parent().unwrap_or(root);
    make(root, directory)?;
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = Path::new(&unfinished);
    let written = (|| {
        let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let mut out = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .custom_flags(flags)
            .open(unfinished)?;
        out.write_all(octets)?;
        out.sync_all()?;
        fs::rename(unfinished, file)
    })();
    at(file, written)?;
    at(directory, sync(directory))
}

/// Makes `directory` and those above it, `root` included, each name durable before anything is put into it.
pub(super) fn make(root: &Path, directory: &Path) -> Result<(), TreeError> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().unwrap_or(root);
    if directory != root && directory.starts_with(root) {
        make(root, parent)?;
    }
    match DirBuilder::new().mode(0o755).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => at(directory, made)?,
    }
    at(parent, sync(parent))
}

pub(super) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
