//! Whether anything may be asked of the platform. Where independent verifications of its signatures disagree, one of them
//! is wrong, and nobody here can tell which: the route stops, durably, and only an operator opens it again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use yanqian_vocabulary::{Reason, Timestamp};

/// Why and when a route stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub at: Timestamp,
    pub reason: Reason,
    /// The check whose answer it was.
    pub verification: String,
}

/// The file's form.
#[derive(Serialize, Deserialize)]
struct Written {
    v: u32,
    at: String,
    reason: String,
    verification: String,
}

/// One platform's route, stopped exactly while its file exists.
#[derive(Debug)]
pub struct Route {
    /// What everybody asks; no disk is waited for.
    open: AtomicBool,
    why: Mutex<Option<String>>,
    file: Mutex<StopFile>,
}

#[derive(Debug)]
struct StopFile {
    path: PathBuf,
    /// Whether the file was seen or written. While it was not, no operator can have taken it away.
    there: bool,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stopped at {} by {}, verification {}", self.at, self.reason, self.verification)
    }
}

impl Route {
    /// `file` need not exist; then the route is open.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        let path = file.into();
        let why = Self::written(&path);
        let there = why.is_some();
        Self { open: AtomicBool::new(!there), why: Mutex::new(why), file: Mutex::new(StopFile { path, there }) }
    }

    /// What the file of a stopped route says; none while there is no such file. A file that cannot be read stops as well as any.
    pub fn written(file: &Path) -> Option<String> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(format!("stopped; {}: {error}", file.display())),
        };
        Some(serde_json::from_str(&text).map_or_else(
            |_| format!("stopped; {} cannot be read", file.display()),
            |Written { at, reason, verification, .. }| {
                format!("stopped at {at} by {reason}, verification {verification}")
            },
        ))
    }

    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Why it is stopped, for operators.
    pub fn stopped(&self) -> Option<String> {
        if self.is_open() { None } else { Some(lock(&self.why).clone().unwrap_or_else(|| "stopped".to_owned())) }
    }

    /// Stops the route, at once for everybody who asks, and durably before this returns. Blocks. True when it was open.
    pub fn stop(&self, stop: &Stop) -> bool {
        if !self.open.swap(false, Ordering::AcqRel) {
            return false;
        }
        *lock(&self.why) = Some(stop.to_string());
        tracing::error!(verification = stop.verification, "the platform's route is stopped until an operator opens it");
        let mut file = lock(&self.file);
        match write(&file.path, stop) {
            Ok(()) => file.there = true,
            Err(error) => {
                tracing::error!(%error, file = %file.path.display(), "that the route is stopped cannot be written");
            }
        }
        true
    }

    /// Looks whether an operator opened the route, or stopped it. Blocks. True when it changed.
    pub fn refresh(&self) -> bool {
        let mut file = lock(&self.file);
        match (self.is_open(), Self::written(&file.path)) {
            (true, Some(why)) => {
                *lock(&self.why) = Some(why);
                file.there = true;
                self.open.store(false, Ordering::Release);
                true
            }
            (false, None) if file.there => {
                file.there = false;
                self.open.store(true, Ordering::Release);
                true
            }
            _ => false,
        }
    }

    /// Opens a route that its file stops, for an operator; gives what the file said. A running daemon sees it by itself.
    pub fn reopen(file: &Path) -> io::Result<Option<String>> {
        let Some(why) = Self::written(file) else { return Ok(None) };
        fs::remove_file(file)?;
        sync_directory(file)?;
        Ok(Some(why))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(path: &Path, stop: &Stop) -> io::Result<()> {
    let (at, reason) = (stop.at.to_string(), stop.reason.to_string());
    let text = serde_json::to_string(&Written { v: 1, at, reason, verification: stop.verification.clone() })?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    sync_directory(path)
}

fn sync_directory(file: &Path) -> io::Result<()> {
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn stop() -> Stop {
        Stop {
            at: Timestamp::from_unix_millis(1_795_392_000_123),
            reason: Reason::PlatformSignatureDisputed,
            verification: "0193".to_owned(),
        }
    }

    #[test]
    fn a_stopped_route_stays_stopped_across_restarts_until_an_operator_opens_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("platform-stopped.json");
        let route = Route::new(&file);
        assert!(route.is_open() && !route.refresh());
        assert!(route.stop(&stop()) && !route.stop(&stop()), "once");
        assert!(!route.is_open() && !route.refresh());
        let again = Route::new(&file);
        assert_eq!(again.stopped(), route.stopped());
        assert!(again.stopped().unwrap().contains("platform-signature-disputed"));
        assert_eq!(Route::reopen(&file).unwrap(), route.stopped());
        assert!(route.refresh() && route.is_open() && again.refresh() && again.is_open());
        assert_eq!(Route::reopen(&file).unwrap(), None);
    }

    #[test]
    fn a_damaged_file_stops_too_and_one_that_cannot_be_written_stops_this_process() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("platform-stopped.json");
        let route = Route::new(&file);
        fs::write(&file, "{").unwrap();
        assert!(route.refresh() && !route.is_open());
        assert!(!Route::new(&file).is_open());

        let nowhere = Route::new(directory.path().join("missing/platform-stopped.json"));
        assert!(nowhere.stop(&stop()));
        assert!(!nowhere.refresh() && !nowhere.is_open(), "its file was never there, so nobody took it away");
    }
}
