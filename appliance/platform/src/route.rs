//! Whether anything may be asked of the platform. Where independent verifications of its signatures disagree, one of them
//! is wrong, and nobody here can tell which: the route stops, durably, and only an operator opens it again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
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

#[derive(Debug)]
enum State {
    Open,
    Stopped {
        why: String,
        /// Whether the file says so. While it does not, no operator can have taken it away.
        durable: bool,
    },
}

/// One platform's route, stopped exactly while its file exists.
#[derive(Debug)]
pub struct Route {
    file: PathBuf,
    state: Mutex<State>,
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stopped at {} by {}, verification {}", self.at, self.reason, self.verification)
    }
}

impl Route {
    /// `file` need not exist; then the route is open.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        let state = Self::written(&file).map_or(State::Open, |why| State::Stopped { why, durable: true });
        Self { file, state: Mutex::new(state) }
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_open(&self) -> bool {
        matches!(*self.state(), State::Open)
    }

    /// Why it is stopped, for operators.
    pub fn stopped(&self) -> Option<String> {
        match &*self.state() {
            State::Open => None,
            State::Stopped { why, .. } => Some(why.clone()),
        }
    }

    /// Stops the route, at once for everybody who asks, and durably before this returns. Blocks. True when it was open.
    pub fn stop(&self, stop: &Stop) -> bool {
        let mut state = self.state();
        if !matches!(*state, State::Open) {
            return false;
        }
        tracing::error!(verification = stop.verification, "the platform's route is stopped until an operator opens it");
        let durable = self.write(stop).inspect_err(|error| {
            tracing::error!(%error, file = %self.file.display(), "that the route is stopped cannot be written");
        });
        *state = State::Stopped { why: stop.to_string(), durable: durable.is_ok() };
        true
    }

    fn write(&self, stop: &Stop) -> io::Result<()> {
        let written = Written {
            v: 1,
            at: stop.at.to_string(),
            reason: stop.reason.to_string(),
            verification: stop.verification.clone(),
        };
        let text = serde_json::to_string(&written)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.file)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        sync_directory(&self.file)
    }

    /// Looks whether an operator opened the route, or stopped it. True when it changed.
    pub fn refresh(&self) -> bool {
        let mut state = self.state();
        let next = match (&*state, Self::written(&self.file)) {
            (State::Open, Some(why)) => State::Stopped { why, durable: true },
            (State::Stopped { durable: true, .. }, None) => State::Open,
            _ => return false,
        };
        *state = next;
        true
    }

    /// Opens a route that its file stops, for an operator; gives what the file said. A running daemon sees it by itself.
    pub fn reopen(file: &Path) -> io::Result<Option<String>> {
        let Some(why) = Self::written(file) else { return Ok(None) };
        fs::remove_file(file)?;
        sync_directory(file)?;
        Ok(Some(why))
    }
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
