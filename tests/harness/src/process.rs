//! One child process: its log, its signals, and its end, which comes at the latest with this value's.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Doing as _, HarnessError};
use crate::users::User;

/// How often a child is looked at while something waits for it.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// A running child. Children stay in the process group of the harness: whoever ends the group (a terminal, a test
/// runner's timeout) ends them too.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    /// Set once the child has been waited for: its number may then belong to somebody else.
    status: Option<ExitStatus>,
    log: PathBuf,
}

impl Process {
    /// Starts `command` as `user` with an environment that holds nothing of ours and an empty input; its output is added to
    /// `log`.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        log: &Path,
        user: Option<User>,
    ) -> Result<Self, HarnessError> {
        Self::start_with_input(name, command.stdin(Stdio::null()), log, user)
    }

    /// As [`Self::start`], with the input that the command has.
    pub(crate) fn start_with_input(
        name: &'static str,
        command: &mut Command,
        log: &Path,
        user: Option<User>,
    ) -> Result<Self, HarnessError> {
        let out = File::options().create(true).append(true).open(log).doing(|| log.display().to_string())?;
        let error = out.try_clone().doing(|| log.display().to_string())?;
        prepare(command, user);
        let child = command.stdout(out).stderr(error).spawn().doing(|| format!("starting {name}"))?;
        Ok(Self { name, child, status: None, log: log.to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.status = self.status.or_else(|| self.child.try_wait().ok().flatten());
        self.status
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let (None, Some(pid)) = (self.status, pid) {
            let _ = kill_process(pid, signal);
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.status = self.status.or_else(|| self.child.wait().ok());
    }

    /// SIGTERM; None when it has not ended within `limit` and was killed.
    pub(crate) fn stop(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let began = Instant::now();
        while began.elapsed() < limit {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            std::thread::sleep(LOOK);
        }
        self.kill();
        None
    }

    /// An error about this process with the end of its log.
    pub(crate) fn failure(&self, problem: impl Into<String>) -> HarnessError {
        HarnessError::Process { process: self.name, problem: problem.into(), log: tail(&self.log) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// User, environment and directory that every child gets; what the command sets itself is kept.
pub(crate) fn prepare(command: &mut Command, user: Option<User>) {
    let kept: Vec<_> =
        command.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
    command.env_clear().envs(kept).env("PATH", "/usr/bin:/bin").env("RUST_BACKTRACE", "1").current_dir("/");
    if let Some(user) = user {
        // The standard library drops supplementary groups by itself when root gives up its user.
        command.uid(user.uid).gid(user.gid);
    }
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = std::fs::read(log).map(|octets| String::from_utf8_lossy(&octets).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sleeper(log: &Path) -> Process {
        Process::start("sleeper", Command::new("sleep").arg("60"), log, None).unwrap()
    }

    #[test]
    fn a_process_ends_with_its_handle() {
        let directory = tempfile::tempdir().unwrap();
        let process = sleeper(&directory.path().join("log"));
        let entry = PathBuf::from(format!("/proc/{}", process.pid()));
        assert!(entry.exists());
        drop(process);
        assert!(!entry.exists());
    }

    #[test]
    fn a_stopped_process_tells_how_it_ended() {
        use std::os::unix::process::ExitStatusExt as _;
        let directory = tempfile::tempdir().unwrap();
        let status = sleeper(&directory.path().join("log")).stop(Duration::from_secs(5)).unwrap();
        assert_eq!(status.signal(), Some(15));
    }
}
