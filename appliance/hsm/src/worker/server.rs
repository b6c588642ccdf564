//! The socket's side of the worker: who may connect, how long they may take, how much may be in flight.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

use super::door::Door;
use super::engine::{Engine, count, unavailable};
use super::health::Away;
use super::job::{self, Job, Outgoing, Place, ReplyTo};
use super::socket::Socket;
use crate::client::SOFTWARE;
use crate::protocol::{
    self, FrameError, Hello, MAX_FRAME, Outcome, PROTOCOL, Refusal, Request, Welcome, codes, read_frame, write_frame,
};

/// For the greeting.
const GREETING_LIMIT: Duration = Duration::from_secs(2);
/// From the first octet of a frame to its last, and for writing one.
const FRAME_LIMIT: Duration = Duration::from_secs(5);
/// Between frames.
const IDLE_LIMIT: Duration = Duration::from_mins(10);
/// Octets of waiting answers that go in one write; one frame more may follow them.
const BATCH: usize = 8 * 1024;
/// A frame with its length.
const FRAME_ROOM: usize = MAX_FRAME + 4;
/// For answers on their way when the worker ends.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);
/// For what has been read when a successor has taken over; as long as a slow management call may take.
const DRAIN_LIMIT: Duration = Duration::from_mins(1);

/// Why serving stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The worker ends.
    End,
    /// A successor accepts connections on the same socket.
    Succeeded,
}

/// Who may do what, by uid.
#[derive(Debug, Clone)]
pub(super) struct Peers {
    clients: HashSet<u32>,
    admins: HashSet<u32>,
}

impl Peers {
    /// Root and the worker's own uid are administrators always: both can read the PIN anyway.
    pub(super) fn new(clients: &[u32], admins: &[u32], own: u32) -> Self {
        let admins: HashSet<u32> = admins.iter().copied().chain([0, own]).collect();
        Self { clients: clients.iter().copied().chain(admins.iter().copied()).collect(), admins }
    }
}

/// Serves until `stop` is done. When a successor has taken over, answers everything that was read before it returns.
pub(super) async fn serve(
    engine: &Arc<Engine>,
    socket: Socket,
    peers: &Peers,
    max_connections: usize,
    stop: impl Future<Output = Stop>,
) {
    let room = Arc::new(Semaphore::new(max_connections));
    let mut connections = JoinSet::new();
    let (closing, closed) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    let why = loop {
        tokio::select! {
            why = &mut stop => break why,
            Some(_) = connections.join_next() => {}
            accepted = socket.listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // One connection too many is closed without a word.
                    if let Ok(place) = Arc::clone(&room).try_acquire_owned() {
                        let (engine, peers, closed) = (Arc::clone(engine), peers.clone(), closed.clone());
                        connections.spawn(async move {
                            if let Err(error) = connection(&engine, &peers, stream, closed).await {
                                tracing::warn!(%error, "a client's connection ended");
                            }
                            drop(place);
                        });
                    } else {
                        tracing::warn!(max_connections, "no room for another connection");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    };
    if why == Stop::Succeeded {
        // New clients are the successor's; the others are told by the kernel that they can send no more here.
        socket.leave();
        closing.send_replace(true);
        let ended = async { while connections.join_next().await.is_some() {} };
        if timeout(DRAIN_LIMIT, ended).await.is_err() {
            tracing::warn!("some requests are not answered in time");
        }
    } else {
        // New clients find no socket; the others get what is on its way, and the rest of their requests answered.
        drop(socket);
    }
    engine.queue.close();
    let answered = async {
        while engine.in_flight.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if timeout(FLUSH_LIMIT, answered).await.is_err() {
        tracing::warn!("some requests stay without an answer");
    }
    connections.shutdown().await;
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
struct Peer {
    uid: u32,
    admin: bool,
}

/// What a peer may do, or why it may not connect.
fn admit(peers: &Peers, stream: &UnixStream) -> Result<Peer, Refusal> {
    let uid =
        stream.peer_cred().map_err(|error| Refusal::new(codes::PEER, format!("peer credentials: {error}")))?.uid();
    if !peers.clients.contains(&uid) {
        return Err(Refusal::new(codes::PEER, format!("uid {uid} is not among client_uids or admin_uids")));
    }
    Ok(Peer { uid, admin: peers.admins.contains(&uid) })
}

async fn connection(
    engine: &Arc<Engine>,
    peers: &Peers,
    mut stream: UnixStream,
    closing: watch::Receiver<bool>,
) -> Result<(), FrameError> {
    let admitted = admit(peers, &stream);
    let mut admitted = admitted.inspect_err(|refusal| tracing::warn!("refused a peer: {}", refusal.message));
    let greeting = async {
        // A stranger's octets are not even read.
        if admitted.is_ok() {
            let Some(content) = read_frame(&mut stream, GREETING_LIMIT, GREETING_LIMIT).await? else {
                return Ok(false);
            };
            let hello: Hello = protocol::decode(&content)?;
            if hello.protocol != PROTOCOL {
                let why = format!("this worker speaks version {PROTOCOL}, the client {}", hello.protocol);
                admitted = Err(Refusal::new(codes::PROTOCOL_VERSION, why));
            }
        }
        let welcome =
            Welcome { protocol: PROTOCOL, software: SOFTWARE.to_owned(), refusal: admitted.as_ref().err().cloned() };
        write_frame(&mut stream, &protocol::encode(&welcome)?).await?;
        Ok::<_, FrameError>(admitted.is_ok())
    };
    match timeout(GREETING_LIMIT, greeting).await {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => return Ok(()),
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err(FrameError::Slow),
    }
    let Ok(peer) = admitted else { return Ok(()) };
    let (reader, writer) = stream.into_split();
    let (answers, outgoing) = mpsc::unbounded_channel();
    // Answers that wait for a client that does not read are bounded by the places on its connection.
    let places = Arc::new(Semaphore::new(engine.queue.capacity() + engine.threads as usize + 16));
    let mut writing = tokio::spawn(write_answers(writer, outgoing));
    let result = tokio::select! {
        read = read_requests(engine, peer, Door::new(reader, closing), &answers, &places) => {
            drop(answers);
            // The client may have closed its sending half only; its answers still go out.
            if read.is_ok() { (&mut writing).await.unwrap_or(Ok(())) } else { read }
        }
        written = &mut writing => written.unwrap_or(Ok(())),
    };
    writing.abort();
    result
}

async fn read_requests(
    engine: &Arc<Engine>,
    peer: Peer,
    door: Door,
    answers: &UnboundedSender<Outgoing>,
    places: &Arc<Semaphore>,
) -> Result<(), FrameError> {
    let mut reader = BufReader::new(door);
    loop {
        let content = match read_frame(&mut reader, IDLE_LIMIT, FRAME_LIMIT).await {
            Ok(Some(content)) => content,
            Ok(None) | Err(FrameError::Idle) => return Ok(()),
            // Half a request: its client knows that it could not send the rest.
            Err(FrameError::Io(_)) if reader.get_ref().is_closed() => return Ok(()),
            Err(error) => return Err(error),
        };
        let Request { id, operation } = protocol::decode(&content)?;
        // Never closed; without a place the connection waits, and with it only this client.
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return Ok(()) };
        let reply = ReplyTo { id, way: Some((answers.clone(), Place::new(engine, place))) };
        submit(engine, peer.admin, Job { operation, operator: peer.uid, reply });
    }
}

fn submit(engine: &Engine, admin: bool, job: Job) {
    if job::is_management(&job.operation) && !admin {
        let why = format!("{} is for administrators: root, the worker's uid, admin_uids", job.operation.name());
        return job.reply.finish(Outcome::Refused(Refusal::new(codes::NOT_PERMITTED, why)));
    }
    if let Err(refusal) = job.operation.check() {
        return job.reply.finish(Outcome::Refused(refusal));
    }
    let Some(line) = job::line(&job.operation) else {
        let outcome = engine.answer_without_token(&job.operation);
        return job.reply.finish(outcome);
    };
    // A short absence costs a wait, a long one an answer at once.
    if let Some(away) = engine.health.away().filter(Away::is_long) {
        return job.reply.finish(unavailable(&away));
    }
    if let Err(job) = engine.queue.push(line, job) {
        // Dropped, the job says that the worker is ending.
        if engine.queue.is_closed() {
            return;
        }
        count(&engine.counters.busy);
        job.reply.finish(Outcome::Busy);
    }
}

async fn write_answers(
    mut writer: OwnedWriteHalf,
    mut outgoing: UnboundedReceiver<Outgoing>,
) -> Result<(), FrameError> {
    // Wiped, because it may hold session keys, and with room for all that it ever holds: growing would leave a copy behind.
    let mut batch = Zeroizing::new(Vec::with_capacity(BATCH + FRAME_ROOM));
    let mut places: Vec<Place> = Vec::new();
    while let Some((frame, place)) = outgoing.recv().await {
        batch.extend_from_slice(&frame);
        places.push(place);
        // What is there already goes in one write.
        while batch.len() < BATCH
            && let Ok((frame, place)) = outgoing.try_recv()
        {
            batch.extend_from_slice(&frame);
            places.push(place);
        }
        timeout(FRAME_LIMIT, write_frame(&mut writer, &batch)).await.map_err(|_| FrameError::Slow)??;
        batch.as_mut_slice().zeroize();
        batch.clear();
        places.clear();
    }
    Ok(())
}
