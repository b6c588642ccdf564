//! Replacing a worker without losing a request: the successor is started from what is on disk now (program, configuration,
//! profile, module, PIN), loads, logs in behind the same latch, proves its keys, and takes over; only then does this one end.
//! A successor that does not come up changes nothing.

use std::ffi::OsString;
use std::io;
use std::pin::Pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sd_notify::NotifyState;
use tokio::sync::oneshot;

use super::engine::Engine;
use super::exit::{EXIT_CONFIG, EXIT_CREDENTIALS, EXIT_HANG, EXIT_SOCKET, EXIT_TOKEN, WorkerExit};
use super::heritage::{Channel, Heritage, PREDECESSOR, Word};
use super::server::Stop;
use super::socket::Socket;
use crate::binding::ffi;

/// From its start to its first word. A successor bounds each of its own calls into the module.
const START_LIMIT: Duration = Duration::from_mins(3);
/// Between looks at a successor that has said nothing.
const LOOK: Duration = Duration::from_millis(50);
/// From the order to take over to the answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How this process was started, before it changed its own environment.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Launch {
    /// Must be asked before the module's environment is set.
    pub(super) fn of_this_process() -> Self {
        // What the service manager passed for this process only.
        let own = |name: &OsString| name.to_str().is_some_and(|name| name.starts_with("LISTEN_"));
        let environment = std::env::vars_os().filter(|(name, _)| !own(name)).collect();
        Self { arguments: std::env::args_os().collect(), environment }
    }

    fn command(&self) -> io::Result<Command> {
        let (program, arguments) = self.arguments.split_first().ok_or(io::ErrorKind::NotFound)?;
        // By the path that it was started with, which an upgrade has given another file.
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(self.environment.iter().cloned());
        command.env(PREDECESSOR, std::process::id().to_string());
        Ok(command)
    }
}

/// Tells the service manager, where there is one.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// Waits for the reason to stop. Each SIGHUP is a request to be replaced; one that comes meanwhile is heeded afterwards, because
/// what is on disk may have changed since the successor read it.
pub(super) async fn until_stopped(
    engine: &Engine,
    launch: &Launch,
    heritage: &Heritage,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
    hangups: &mut tokio::signal::unix::Signal,
) -> Stop {
    loop {
        tokio::select! {
            () = &mut shutdown => {
                tracing::info!("the HSM worker stops");
                return Stop::End;
            }
            _ = engine.exit.requested() => return Stop::End,
            _ = hangups.recv() => {}
        }
        let now = NotifyState::monotonic_usec_now().unwrap_or(NotifyState::MonotonicUsec(0));
        notify(&[NotifyState::Reloading, now]);
        let raised = tokio::select! {
            () = &mut shutdown => return Stop::End,
            _ = engine.exit.requested() => return Stop::End,
            raised = raise(launch.clone(), heritage) => raised,
        };
        match raised {
            Ok(pid) => {
                tracing::info!(pid, "a successor serves; this worker answers what it has read and ends");
                // In one message: after it the successor is the main process, and this one has no more say.
                notify(&[NotifyState::MainPid(pid), NotifyState::Ready]);
                tokio::select! {
                    biased;
                    _ = hangups.recv() => hang_up(pid),
                    () = std::future::ready(()) => {}
                }
                return Stop::Succeeded;
            }
            Err(why) => {
                tracing::error!(why, "the successor does not come up; this worker goes on");
                notify(&[NotifyState::Ready, NotifyState::Status("serving; the last replacement failed")]);
                engine.not_replaced(why);
            }
        }
    }
}

/// Passes on a request to be replaced that came too late for this process.
fn hang_up(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::HUP);
    }
}

/// The successor's side: says that it is ready, is told to take over, and has the socket.
pub(super) fn take_over(predecessor: &Channel, heritage: Heritage) -> Result<Socket, WorkerExit> {
    let gone = |what: &dyn std::fmt::Display| WorkerExit::Token(format!("the predecessor does not make way: {what}"));
    let mut socket = Socket::inherit(heritage)?;
    let heard = predecessor
        .say(&Word::Ready)
        .and_then(|()| predecessor.wait_at_most(ANSWER_LIMIT))
        .and_then(|()| predecessor.hear())
        .map_err(|error| gone(&error))?;
    if heard != Some(Word::TakeOver) {
        return Err(gone(&format_args!("{heard:?}")));
    }
    // One that cannot be told goes on serving, so this one must not.
    predecessor.say(&Word::Serving).map_err(|error| gone(&error))?;
    socket.own();
    Ok(socket)
}

/// Starts a successor and lets it take over. Gives its process id; it serves then. Given up when the future is dropped.
async fn raise(launch: Launch, heritage: &Heritage) -> Result<u32, String> {
    let heritage = heritage.copy().map_err(|error| format!("the socket: {error}"))?;
    let given_up = Arc::new(AtomicBool::new(false));
    let _guard = GiveUp(Arc::clone(&given_up));
    let (done, result) = oneshot::channel();
    // Not on the runtime, which must not wait for it.
    let thread = std::thread::Builder::new().name("succession".into());
    let work = move || {
        let _ = done.send(bring_up(&launch, &heritage, &given_up));
    };
    thread.spawn(work).map_err(|error| format!("a thread: {error}"))?;
    result.await.unwrap_or_else(|_| Err("the thread panicked".into()))
}

struct GiveUp(Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A successor whose channel closes ends by itself, so nothing is killed here: it might be inside `C_Login`.
fn bring_up(launch: &Launch, heritage: &Heritage, given_up: &AtomicBool) -> Result<u32, String> {
    let failed = |what: &str, error: &io::Error| format!("{what}: {error}");
    let (channel, theirs) = Channel::pair().map_err(|error| failed("a channel", &error))?;
    channel.wait_at_most(LOOK).map_err(|error| failed("a channel", &error))?;
    channel.bequeath(heritage).map_err(|error| failed("leaving it the socket", &error))?;
    // Whatever the module has open is not the successor's.
    ffi::keep_descriptors().map_err(|error| failed("its descriptors", &error))?;
    let mut command = launch.command().map_err(|error| failed("its command line", &error))?;
    let mut child =
        command.stdin(Stdio::from(theirs)).spawn().map_err(|error| failed("it cannot be started", &error))?;
    // The command holds the other end, too: without this its end would never show.
    drop(command);
    tracing::info!(pid = child.id(), "a successor starts");
    expect(&channel, &mut child, &Word::Ready, START_LIMIT, given_up)?;
    channel.say(&Word::TakeOver).map_err(|error| failed("it is gone", &error))?;
    expect(&channel, &mut child, &Word::Serving, ANSWER_LIMIT, given_up)?;
    // Not waited for from here on: its end is the service manager's business.
    Ok(child.id())
}

fn expect(
    channel: &Channel,
    child: &mut Child,
    word: &Word,
    limit: Duration,
    given_up: &AtomicBool,
) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    loop {
        match channel.hear() {
            Ok(Some(heard)) if heard == *word => return Ok(()),
            Ok(Some(Word::Failed(why))) => {
                let _ = ended(child);
                return Err(why);
            }
            Ok(Some(other)) => return Err(format!("it said {other:?} instead of {word:?}")),
            Ok(None) => return Err(ended(child).map_or_else(|| "it closed the channel".into(), describe)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(format!("its channel: {error}")),
        }
        // A module may have started something that keeps the channel open.
        if let Ok(Some(status)) = child.try_wait() {
            return Err(describe(status));
        }
        if given_up.load(Ordering::Relaxed) {
            return Err("this worker ends".into());
        }
        if Instant::now() >= deadline {
            return Err(format!("it is not {word:?} within {limit:?}"));
        }
    }
}

/// The status of a child that has closed its channel, which it does last.
fn ended(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + ANSWER_LIMIT;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Ok(status) => return status,
            Err(_) => return None,
        }
    }
}

fn describe(status: ExitStatus) -> String {
    let meaning = match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(EXIT_CONFIG) => ": configuration or profile are wrong",
        Some(EXIT_CREDENTIALS) => ": the PIN was refused or cannot be used",
        Some(EXIT_TOKEN) => ": the token or the module is in trouble",
        Some(EXIT_HANG) => ": a call into the module hung",
        Some(EXIT_SOCKET) => ": the socket cannot be used",
        _ => "",
    };
    format!("it ended with {status}{meaning}; what it logged says more")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_successor_removes_the_socket_that_it_has_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let lock = std::fs::File::create(directory.path().join("lock")).unwrap();
        let left = Heritage { listener: listener.into(), made: Some((path.clone(), lock.into())), sessions: 1 };

        let (here, there) = Channel::pair().unwrap();
        drop(there);
        assert!(take_over(&here, left.copy().unwrap()).is_err(), "the predecessor is gone");
        assert!(path.exists());

        let (here, there) = Channel::pair().unwrap();
        let predecessor = Channel::of(there);
        predecessor.say(&Word::TakeOver).unwrap();
        let socket = take_over(&here, left.copy().unwrap()).unwrap();
        assert_eq!(predecessor.hear().unwrap(), Some(Word::Ready));
        assert_eq!(predecessor.hear().unwrap(), Some(Word::Serving));
        drop(socket);
        assert!(!path.exists());
    }
}
