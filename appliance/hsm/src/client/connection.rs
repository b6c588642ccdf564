use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::{SOFTWARE, WorkerError};
use crate::protocol::{
    self, FrameError, Hello, Operation, Outcome, PROTOCOL, Reply, Request, Welcome, read_frame, write_frame,
};

/// Frames that may wait for the socket; more than that means the worker does not read.
const WRITE_QUEUE: usize = 1024;

/// One connection with several requests in flight. Ends for good at the first failure; the client makes a new one.
pub(super) struct Connection {
    outgoing: mpsc::Sender<Vec<u8>>,
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
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
    /// Set once, when the connection has ended.
    ended: Option<WorkerError>,
    last_used: Option<Instant>,
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // The map stays whole whatever happened to a thread that held the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everybody who waits; they find `ended`.
    fn end(&self, error: WorkerError) {
        let mut state = self.state();
        state.ended.get_or_insert(error);
        state.waiting.clear();
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
        write_frame(&mut stream, &protocol::encode(&hello).map_err(|error| frame_error(&error))?)
            .await
            .map_err(|error| frame_error(&error))?;
        let welcome = read_frame(&mut stream, || {}).await.map_err(|error| frame_error(&error))?;
        let welcome = welcome.ok_or_else(|| WorkerError::Unavailable("the worker closed the connection".into()))?;
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

    pub(super) async fn call(&self, operation: Operation) -> Result<Outcome, WorkerError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let frame = protocol::encode(&Request { id, operation }).map_err(|error| frame_error(&error))?;
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.shared.state();
            if let Some(error) = &state.ended {
                return Err(error.clone());
            }
            state.last_used = Some(Instant::now());
            state.waiting.insert(id, sender);
        }
        // Taken out again also when the caller gives up.
        let _waiting = Waiting { shared: &self.shared, id };
        if self.outgoing.send(frame).await.is_err() {
            return Err(self.why_ended());
        }
        receiver.await.map_err(|_| self.why_ended())
    }

    fn why_ended(&self) -> WorkerError {
        self.shared.state().ended.clone().unwrap_or_else(|| WorkerError::Unavailable("the connection ended".into()))
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

async fn read_replies(mut reader: OwnedReadHalf, shared: Arc<Shared>) {
    let error = loop {
        let content = match read_frame(&mut reader, || {}).await {
            Ok(Some(content)) => content,
            Ok(None) => break WorkerError::Unavailable("the worker closed the connection".into()),
            Err(error) => break frame_error(&error),
        };
        match protocol::decode::<Reply>(&content) {
            // A reply that nobody waits for is one whose caller gave up.
            Ok(reply) => {
                let waiting = shared.state().waiting.remove(&reply.id);
                if let Some(waiting) = waiting {
                    let _ = waiting.send(reply.outcome);
                }
            }
            Err(error) => break frame_error(&error),
        }
    };
    shared.end(error);
}

async fn write_requests(mut writer: OwnedWriteHalf, mut frames: mpsc::Receiver<Vec<u8>>, shared: Arc<Shared>) {
    while let Some(frame) = frames.recv().await {
        if let Err(error) = write_frame(&mut writer, &frame).await {
            shared.end(frame_error(&error));
            return;
        }
    }
}
