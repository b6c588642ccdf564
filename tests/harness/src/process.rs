//! One child process: its log, its signals, and its end, which comes at the latest with this value's.

use std::fs::File;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

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
    /// Who took the child's place: no child of ours before its parent has ended.
    successor: Option<Pid>,
    /// Those that were replaced and have not been waited for.
    replaced: Vec<Pid>,
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
        Ok(Self { name, child, successor: None, replaced: Vec::new(), status: None, log: log.to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process().as_raw_nonzero().get().unsigned_abs()
    }

    fn process(&self) -> Pid {
        self.successor.unwrap_or_else(|| Pid::from_child(&self.child))
    }

    /// Another process has taken this one's place; what is left of this one ends by itself.
    pub(crate) fn succeeded_by(&mut self, pid: Pid) {
        let replaced = self.process();
        self.replaced.push(replaced);
        self.successor = Some(pid);
        self.status = None;
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.replaced.retain(|pid| !is_over(*pid));
        if self.status.is_none() {
            self.status = waited_for(self.process());
        }
        self.status
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            let _ = kill_process(self.process(), signal);
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let _ = self.ended();
        for pid in &self.replaced {
            let _ = kill_process(*pid, Signal::KILL);
        }
        self.signal(Signal::KILL);
        // A successor becomes a child of ours a moment after the end of the one before it.
        for _ in 0..500 {
            if self.ended().is_some() && self.replaced.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
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

/// The status of a process that has ended; none while it runs, and while it is not our child yet.
fn waited_for(pid: Pid) -> Option<ExitStatus> {
    let (_, status) = waitpid(Some(pid), WaitOptions::NOHANG).ok()??;
    Some(ExitStatus::from_raw(status.as_raw()))
}

/// Whether a process that was replaced needs no more waiting for.
fn is_over(pid: Pid) -> bool {
    waited_for(pid).is_some() || rustix::process::test_kill_process(pid).is_err()
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
        let directory = tempfile::tempdir().unwrap();
        let status = sleeper(&directory.path().join("log")).stop(Duration::from_secs(5)).unwrap();
        assert_eq!(status.signal(), Some(15));
    }
}
