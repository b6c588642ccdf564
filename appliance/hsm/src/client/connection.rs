use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use zeroize::Zeroizing;

use super::{SOFTWARE, WorkerError};
use crate::protocol::{
    self, FrameError, Hello, Operation, Outcome, PROTOCOL, Reply, Request, Welcome, read_frame, write_frame,
};

/// Frames that may wait for the socket; more than that means the worker does not read.
const WRITE_QUEUE: usize = 1024;

/// Calls have their own deadlines.
const FOR_EVER: Duration = Duration::MAX;
/// From the first octet of a reply to its last.
const FRAME_LIMIT: Duration = Duration::from_secs(10);

/// One connection with several requests in flight. Ends for good at the first failure; the client makes a new one.
pub(super) struct Connection {
    outgoing: mpsc::Sender<(u64, Zeroizing<Vec<u8>>)>,
    shared: Arc<Shared>,
    next_id: AtomicU64,
    tasks: [AbortHandle; 2],
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<u64, Waiter>,
    /// Set once, when nothing more can be asked on this connection.
    ended: Option<WorkerError>,
    last_used: Option<Instant>,
}

struct Waiter {
    reply: oneshot::Sender<Result<Outcome, Lost>>,
    /// The whole frame is with the kernel, so the worker may have read it.
    sent: bool,
}

/// A call that got no reply because its connection ended.
#[derive(Debug, Clone)]
pub(super) struct Lost {
    pub(super) error: WorkerError,
    /// Whether the worker may have done the work.
    pub(super) sent: bool,
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // The map stays whole whatever happened to a thread that held the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody who waits.
    fn end(&self, error: WorkerError) {
        let mut state = self.state();
        for (_, waiter) in state.waiting.drain() {
            let _ = waiter.reply.send(Err(Lost { error: error.clone(), sent: waiter.sent }));
        }
        state.ended.get_or_insert(error);
    }

    /// Nothing more can be sent. What was sent may still be answered: a worker that makes way for its successor answers everything
    /// that it lets in.
    fn end_sending(&self, error: &WorkerError) {
        let mut state = self.state();
        for (_, waiter) in state.waiting.extract_if(|_, waiter| !waiter.sent) {
            let _ = waiter.reply.send(Err(Lost { error: error.clone(), sent: false }));
        }
        state.ended.get_or_insert_with(|| error.clone());
    }
}

impl Connection {
    /// Connects, checks who listens, and exchanges greetings.
    pub(super) async fn open(socket: &Path, expected_uid: Option<u32>) -> Result<Self, WorkerError> {
        let unavailable = |what: &str, error: &dyn std::fmt::Display| {
            WorkerError::Unavailable(format!("{what} {}: {error}", socket.display()))
        };
        let mut stream = UnixStream::connect(socket).await.map_err(|error| unavailable("connecting to", &error))?;
        if let Some(expected) = expected_uid {
            let uid = stream.peer_cred().map_err(|error| unavailable("reading peer credentials of", &error))?.uid();
            if uid != expected {
                return Err(WorkerError::Protocol(format!(
                    "{} is served by uid {uid} instead of {expected}",
                    socket.display()
                )));
            }
        }
        let hello = Hello { protocol: PROTOCOL, software: SOFTWARE.to_owned() };
        let hello = protocol::encode(&hello).map_err(|error| frame_error(&error))?;
        // A worker that refuses this uid may have closed already; what it said is still there to read.
        let written = write_frame(&mut stream, &hello).await;
        let welcome = match read_frame(&mut stream, FOR_EVER, FRAME_LIMIT).await {
            Ok(Some(welcome)) => welcome,
            Ok(None) => {
                written.map_err(|error| frame_error(&error))?;
                return Err(WorkerError::Unavailable("the worker closed the connection".into()));
            }
            Err(error) => return Err(frame_error(&error)),
        };
        let welcome: Welcome = protocol::decode(&welcome).map_err(|error| frame_error(&error))?;
        if let Some(refusal) = welcome.refusal {
            return Err(WorkerError::Refused { code: refusal.code, message: refusal.message });
        }
        if welcome.protocol != PROTOCOL {
            return Err(WorkerError::Protocol(format!(
                "the worker speaks version {}, this client {PROTOCOL}",
                welcome.protocol
            )));
        }
        let shared = Arc::new(Shared::default());
        let (outgoing, frames) = mpsc::channel(WRITE_QUEUE);
        let (reader, writer) = stream.into_split();
        let reading = tokio::spawn(read_replies(reader, Arc::clone(&shared)));
        let writing = tokio::spawn(write_requests(writer, frames, Arc::clone(&shared)));
        Ok(Self {
            outgoing,
            shared,
            next_id: AtomicU64::new(1),
            tasks: [reading.abort_handle(), writing.abort_handle()],
        })
    }

    /// Whether it can still be used: alive, and not idle for so long that the worker may be closing it.
    pub(super) fn usable(&self, idle_limit: Duration) -> bool {
        let state = self.shared.state();
        state.ended.is_none()
            && (!state.waiting.is_empty() || state.last_used.is_none_or(|used| used.elapsed() < idle_limit))
    }

    pub(super) async fn call(&self, operation: Operation) -> Result<Outcome, Lost> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let not_sent = |error| Lost { error, sent: false };
        let frame = protocol::encode(&Request { id, operation })
            .map_err(|error| Lost { error: frame_error(&error), sent: true })?;
        let (reply, received) = oneshot::channel();
        {
            let mut state = self.shared.state();
            if let Some(error) = &state.ended {
                return Err(not_sent(error.clone()));
            }
            state.last_used = Some(Instant::now());
            state.waiting.insert(id, Waiter { reply, sent: false });
        }
        // Taken out again also when the caller gives up.
        let _waiting = Waiting { shared: &self.shared, id };
        // Fails only when the writer has ended, and then the waiter has been told why.
        let _ = self.outgoing.send((id, frame)).await;
        received.await.unwrap_or_else(|_| Err(not_sent(WorkerError::Unavailable("the connection ended".into()))))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

struct Waiting<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.state().waiting.remove(&self.id);
    }
}

fn frame_error(error: &FrameError) -> WorkerError {
    match error {
        FrameError::Io(error) => WorkerError::Unavailable(format!("the connection failed: {error}")),
        other => WorkerError::Protocol(other.to_string()),
    }
}

/// Without a buffer between: it would keep octets of session keys that nobody wipes.
async fn read_replies(mut reader: OwnedReadHalf, shared: Arc<Shared>) {
    let error = loop {
        let content = match read_frame(&mut reader, FOR_EVER, FRAME_LIMIT).await {
            Ok(Some(content)) => content,
            Ok(None) => break WorkerError::Unavailable("the worker closed the connection".into()),
            Err(error) => break frame_error(&error),
        };
        match protocol::decode::<Reply>(&content) {
            // A reply that nobody waits for is one whose caller gave up.
            Ok(reply) => {
                let waiting = shared.state().waiting.remove(&reply.id);
                if let Some(waiter) = waiting {
                    let _ = waiter.reply.send(Ok(reply.outcome));
                }
            }
            Err(error) => break frame_error(&error),
        }
    };
    shared.end(error);
}

async fn write_requests(
    mut writer: OwnedWriteHalf,
    mut frames: mpsc::Receiver<(u64, Zeroizing<Vec<u8>>)>,
    shared: Arc<Shared>,
) {
    while let Some((id, frame)) = frames.recv().await {
        // A frame that is not written whole is never acted on.
        if let Err(error) = write_frame(&mut writer, &frame).await {
            shared.end_sending(&frame_error(&error));
            return;
        }
        if let Some(waiter) = shared.state().waiting.get_mut(&id) {
            waiter.sent = true;
        }
    }
}
