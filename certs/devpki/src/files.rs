//! Writing: every file appears whole (temporary name, then rename), private keys never with more than mode 0600.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::DevPkiError;

pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> DevPkiError + '_ {
    move |source| DevPkiError::Io { path: path.to_owned(), source }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, DevPkiError> {
    fs::read(path).map_err(io(path))
}

pub(crate) fn write_public(path: &Path, content: &[u8]) -> Result<(), DevPkiError> {
    write(path, content, 0o644)
}

pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), DevPkiError> {
    write(path, content, 0o600)
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), DevPkiError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(io(parent))?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    match fs::remove_file(temporary) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io(temporary)(e)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(temporary).map_err(io(temporary))?;
    file.write_all(content).map_err(io(temporary))?;
    drop(file);
    fs::rename(temporary, path).map_err(io(path))
}
