//! The process that loads the vendor's module, holds the PIN and owns the sessions.
//!
//! One thread holds the anchor session, which keeps the application logged in, and does management; N threads sign, each
//! with a session of its own. A token that a new session does not bring back gets the module initialised again, as often as
//! it takes, while the socket stays. A call that hangs ends the process ([`EXIT_HANG`]), and so does a module that stays broken
//! ([`EXIT_TOKEN`]): the service manager starts it again, which is the one recovery that every module survives. The daemon
//! keeps running meanwhile and finds the socket again.
//!
//! On SIGHUP a worker is replaced by a successor from what is on disk then, which shares its socket (`succession`).

mod algorithm;
mod config;
pub(crate) mod diagnosis;
mod door;
mod duty;
mod ecdsa;
mod engine;
mod exit;
mod fit;
pub(crate) mod hardening;
mod health;
mod heritage;
mod import;
pub(crate) mod in_use;
mod job;
mod journal;
mod keep_alive;
mod keys;
mod lane;
pub(crate) mod latch;
mod latency;
pub(crate) mod locate;
pub(crate) mod login;
pub(crate) mod management;
pub(crate) mod pin;
mod prove;
mod queue;
mod recover;
mod sealed;
mod server;
mod socket;
mod start;
mod succession;
pub(crate) mod token;
mod unseal;
mod usage;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

pub use config::{ConfigError, KeyRule, WorkerConfig};
pub use exit::{EXIT_CONFIG, EXIT_CREDENTIALS, EXIT_HANG, EXIT_SOCKET, EXIT_STOPPED, EXIT_TOKEN, WorkerExit};
pub use latch::LatchError;
pub use pin::{PinError, PinSource};
pub(crate) use start::SOFTWARE_TOKENS;

use self::engine::Engine;
use self::heritage::Channel;
use self::lane::Lane;
use self::queue::{Next, Role};
use self::server::Peers;
use self::socket::Socket;
use self::start::Ready;
use self::succession::{Launch, notify, until_stopped};
use crate::binding::ffi;
use crate::protocol::Outcome;

/// From the decision to end to the end, whatever the module does.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Runs a worker until `shutdown` is done or it has to end by itself.
///
/// Must be called from a process's only thread and outside any async runtime: it sets the module's environment, narrows
/// the process's rights for good, and starts its own runtime, in which `shutdown` is polled. The process ends at the latest
/// 5 seconds after `shutdown`, even if the module does not let go.
///
/// On SIGHUP a successor is started with this process's command line; when it serves, this returns as after `shutdown`. The service
/// manager is told by `sd_notify(3)`.
///
/// # Errors
///
/// Why the worker ended by itself; [`WorkerExit::exit_code`] is the status to exit with.
pub fn run(config: &WorkerConfig, shutdown: impl Future<Output = ()>) -> Result<(), WorkerExit> {
    let launch = Launch::of_this_process();
    hardening::apply();
    let predecessor = Channel::to_predecessor().map_err(WorkerExit::Config)?;
    let result = reign(config, &launch, predecessor.as_ref(), shutdown);
    if let (Some(predecessor), Err(exit)) = (&predecessor, &result) {
        predecessor.say_failed(&exit.to_string());
    }
    result
}

fn reign(
    config: &WorkerConfig,
    launch: &Launch,
    predecessor: Option<&Channel>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), WorkerExit> {
    let heritage =
        predecessor.map(|channel| channel.inherit(&config.socket)).transpose().map_err(WorkerExit::Config)?;
    let environment = config.module_env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    ffi::set_environment(environment).map_err(|why| WorkerExit::Config(format!("module_env: {why}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| WorkerExit::Config(format!("the runtime: {error}")))?;
    // Signal handlers that `shutdown` installs hold from here on: SIGTERM must not end the process inside C_Login, where
    // it would leave the latch set.
    let mut shutdown = pin!(shutdown);
    let stopped = runtime.block_on(poll_fn(|context| Poll::Ready(shutdown.as_mut().poll(context).is_ready())));
    if stopped {
        return Ok(());
    }
    let mut hangups = {
        let _context = runtime.enter();
        signal(SignalKind::hangup()).map_err(|error| WorkerExit::Config(format!("a signal handler: {error}")))?
    };
    let Ready { engine, anchor, signers, caller, in_use: _in_use } =
        start::start(config, heritage.as_ref().map(|left| left.sessions))?;

    let peers = Peers::new(&config.client_uids, &config.admin_uids, rustix::process::geteuid().as_raw());
    let sessions = u32::try_from(signers.len()).unwrap_or(u32::MAX).saturating_add(1);
    let role = if signers.is_empty() { Role::Sole } else { Role::Manage };
    let mut threads = vec![spawn("anchor".into(), anchor, role)?];
    for (index, lane) in signers.into_iter().enumerate() {
        threads.push(spawn(format!("signer-{index}"), lane, Role::Sign)?);
    }
    let serving = runtime.block_on(async {
        let socket = match predecessor.zip(heritage) {
            Some((predecessor, heritage)) => succession::take_over(predecessor, heritage)?,
            None => Socket::open(&config.socket, config.socket_gid)?,
        };
        let heritage = socket.heritage(sessions).map_err(|error| WorkerExit::Socket(error.to_string()))?;
        tracing::info!(socket = %config.socket.display(), threads = engine.threads, "the HSM worker serves");
        // Of a successor the predecessor says it, which is still the one that may.
        if predecessor.is_none() {
            notify(&[NotifyState::Ready]);
        }
        let stop = until_stopped(&engine, launch, &heritage, shutdown, &mut hangups);
        server::serve(&engine, socket, &peers, config.max_connections, stop).await;
        Ok(())
    });
    let result = serving.and(engine.exit.reason().map_or(Ok(()), Err));
    let status = result.as_ref().err().map_or(EXIT_STOPPED, WorkerExit::exit_code);
    end(&engine, threads, status);
    engine.usage.give_back();
    if result.is_ok()
        && let Err(error) = caller.finalise()
    {
        tracing::debug!(%error, "the module does not finalise");
    }
    result
}

/// A future that is done when the process is asked to end by SIGTERM or SIGINT.
pub async fn terminated() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signal handlers cannot be installed; only SIGKILL ends this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn spawn(name: String, mut lane: Lane, role: Role) -> Result<JoinHandle<()>, WorkerExit> {
    let work = move || {
        let engine = Arc::clone(&lane.engine);
        let _alarm = Alarm(&engine);
        let rests = |lane: &Lane| role == Role::Sign && !lane.has_session() && engine.duty.rest();
        if rests(&lane) {
            lane.wait_for_room();
        }
        while let Some(next) = engine.queue.pop(role, lane.next_keep_alive()) {
            let job = match next {
                Next::Job(job) => job,
                Next::Idle => {
                    lane.keep_alive();
                    continue;
                }
                Next::Recover => {
                    lane.recover(None);
                    continue;
                }
            };
            // Nobody waits for it any more: a signature would be for nobody.
            if job.reply.is_gone() {
                continue;
            }
            let outcome = if job::is_management(&job.operation) {
                lane.administer(&job.operation, job.operator)
            } else {
                lane.perform(&job.operation)
            };
            // No room for its session, and nothing done: another thread may have one.
            if matches!(outcome, Outcome::Busy) && rests(&lane) {
                engine.queue.put_back(job);
                lane.wait_for_room();
                continue;
            }
            job.reply.finish(outcome);
        }
        lane.end();
    };
    std::thread::Builder::new()
        .name(name)
        .spawn(work)
        .map_err(|error| WorkerExit::Token(format!("a thread for a session: {error}")))
}

/// A thread that panics takes the worker with it instead of silently leaving the pool.
struct Alarm<'a>(&'a Engine);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.exit.request(WorkerExit::Token("a session's thread panicked".into()));
        }
    }
}

/// Waits for the threads. From here on the process ends in bounded time, because a module may hang in its own clean-up.
fn end(engine: &Engine, threads: Vec<JoinHandle<()>>, status: u8) {
    engine.queue.close();
    let reaper = std::thread::Builder::new().name("reaper".into()).spawn(move || {
        std::thread::sleep(END_LIMIT);
        ffi::exit_now(status);
    });
    if let Err(error) = reaper {
        tracing::warn!(%error, "no thread to bound the end");
    }
    // When it ends over an error, others may be stuck in the module: starting again is more urgent than tidiness.
    let patience = if status == EXIT_STOPPED { END_LIMIT / 2 } else { Duration::from_millis(100) };
    let deadline = Instant::now() + patience;
    for thread in threads {
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            // Its panic, if any, has been told already.
            let _ = thread.join();
        }
    }
}
