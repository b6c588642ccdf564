//! What the service manager does for the HSM worker: starts it again when it ends, but not after an exit status that says
//! that starting again would do harm (`RestartPreventExitStatus=`), and not for ever.

use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::HarnessError;
use crate::notify::Notify;
use crate::process::{LOOK, Process};

/// When to start again, as systemd.service(5) and systemd.unit(5) have it.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// Between an end and the next start (`RestartSec=`).
    pause: Duration,
    /// Starts within a window at most (`StartLimitBurst=`, `StartLimitIntervalSec=`).
    limit: Option<(usize, Duration)>,
    /// Exit statuses after which it stays down (`RestartPreventExitStatus=`).
    prevent: Vec<i32>,
}

impl Policy {
    /// The policy of a unit file that restarts always; none when it does not say all of it, or in units not expected here.
    pub(crate) fn of_unit(unit: &str) -> Option<Self> {
        let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let span = |key| match value(key)? {
            text if text.ends_with("ms") => Some(Duration::from_millis(text.trim_end_matches("ms").parse().ok()?)),
            text => Some(Duration::from_secs(text.parse().ok()?)),
        };
        let limit = match span("StartLimitIntervalSec")? {
            Duration::ZERO => None,
            window => Some((value("StartLimitBurst")?.parse().ok()?, window)),
        };
        let prevent = value("RestartPreventExitStatus")?.split_whitespace().map(str::parse).collect::<Result<_, _>>();
        (value("Restart")? == "always").then_some(Self { pause: span("RestartSec")?, limit, prevent: prevent.ok()? })
    }
}

struct State {
    process: Process,
    starts: Vec<Instant>,
    stopping: bool,
    gave_up: Option<String>,
}

/// A process that is kept running.
pub(crate) struct Supervisor {
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// `notify` tells when another process has become the main one.
    pub(crate) fn start(
        policy: Policy,
        notify: Option<Notify>,
        start: impl Fn() -> Result<Process, HarnessError> + Send + 'static,
    ) -> Result<Self, HarnessError> {
        let first = State { process: start()?, starts: vec![Instant::now()], stopping: false, gave_up: None };
        let state = Arc::new(Mutex::new(first));
        let watched = Arc::clone(&state);
        let thread = std::thread::spawn(move || watch(&watched, &policy, notify.as_ref(), &start));
        Ok(Self { state, thread: Some(thread) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.state().process.pid()
    }

    /// Starts so far.
    pub(crate) fn starts(&self) -> usize {
        self.state().starts.len()
    }

    /// Why it is not started again, if it is not.
    pub(crate) fn gave_up(&self) -> Option<String> {
        self.state().gave_up.clone()
    }

    /// SIGKILL; the supervisor then does what it does.
    pub(crate) fn kill(&self) {
        self.state().process.signal(rustix::process::Signal::KILL);
    }

    pub(crate) fn failure(&self, problem: impl Into<String>) -> HarnessError {
        self.state().process.failure(problem)
    }

    /// SIGTERM and no new start; None when it did not end within `limit`, and was killed, or had ended before.
    pub(crate) fn stop(mut self, limit: Duration) -> Option<ExitStatus> {
        self.end(Some(limit))
    }

    fn end(&mut self, limit: Option<Duration>) -> Option<ExitStatus> {
        self.state().stopping = true;
        let ended = limit.and_then(|limit| self.state().process.stop(limit));
        self.state().process.kill();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        ended
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Supervisor(pid {})", self.pid())
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch(
    state: &Mutex<State>,
    policy: &Policy,
    notify: Option<&Notify>,
    start: &dyn Fn() -> Result<Process, HarnessError>,
) {
    loop {
        std::thread::sleep(LOOK);
        {
            let mut state = lock(state);
            if state.stopping {
                return;
            }
            let ended = state.process.ended();
            // After the look at the process: who names a successor does it before it ends.
            if let Some(main) = notify.and_then(Notify::main_process) {
                state.process.succeeded_by(main);
                continue;
            }
            let Some(status) = ended else { continue };
            if let Some(reason) = refuse(&state.starts, policy, status) {
                state.gave_up = Some(reason);
                return;
            }
        }
        std::thread::sleep(policy.pause);
        let mut state = lock(state);
        if state.stopping {
            return;
        }
        match start() {
            Ok(process) => {
                state.process = process;
                state.starts.push(Instant::now());
            }
            Err(error) => {
                state.gave_up = Some(error.to_string());
                return;
            }
        }
    }
}

fn refuse(starts: &[Instant], policy: &Policy, status: ExitStatus) -> Option<String> {
    if status.code().is_some_and(|code| policy.prevent.contains(&code)) {
        return Some(format!("ended with {status}, after which it is not started again"));
    }
    let (limit, window) = policy.limit?;
    let recent = starts.iter().filter(|at| at.elapsed() < window).count();
    (recent >= limit).then(|| format!("ended with {status} after {recent} starts in a short time"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    const QUICK: &str = "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=3\n[Service]\nRestart=always\nRestartSec=5ms\n\
                         RestartPreventExitStatus=77 78\n";

    fn supervised(script: &'static str) -> (Supervisor, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let start = move || Process::start("script", Command::new("sh").args(["-c", script]), &log, None);
        (Supervisor::start(Policy::of_unit(QUICK).unwrap(), None, start).unwrap(), directory)
    }

    fn settled(supervisor: &Supervisor) -> String {
        for _ in 0..500 {
            if let Some(reason) = supervisor.gave_up() {
                return reason;
            }
            std::thread::sleep(LOOK);
        }
        panic!("it never gave up");
    }

    #[test]
    fn a_unit_file_says_when_to_start_again_or_is_not_taken() {
        let policy = Policy::of_unit(QUICK).unwrap();
        assert_eq!((policy.pause, policy.prevent), (Duration::from_millis(5), vec![77, 78]));
        assert_eq!(policy.limit, Some((3, Duration::from_mins(1))));
        let unlimited = QUICK.replace("IntervalSec=60", "IntervalSec=0");
        assert_eq!(Policy::of_unit(&unlimited).unwrap().limit, None);
        for (from, to) in [("always", "no"), ("RestartSec=5ms\n", ""), ("IntervalSec=60", "IntervalSec=1min")] {
            assert!(Policy::of_unit(&QUICK.replace(from, to)).is_none(), "{to}");
        }
    }

    #[test]
    fn a_killed_process_is_started_again_under_another_pid() {
        let (supervisor, _directory) = supervised("sleep 60");
        let first = supervisor.pid();
        supervisor.kill();
        for _ in 0..500 {
            if supervisor.pid() != first {
                return;
            }
            std::thread::sleep(LOOK);
        }
        panic!("never started again");
    }

    #[test]
    fn it_gives_up_on_a_process_that_ends_again_and_again() {
        let (supervisor, _directory) = supervised("exit 1");
        assert!(settled(&supervisor).contains("3 starts"));
    }

    #[test]
    fn an_exit_status_that_forbids_it_is_not_followed_by_a_start() {
        let (supervisor, _directory) = supervised("exit 78");
        settled(&supervisor);
        assert_eq!(supervisor.starts(), 1);
    }
}
