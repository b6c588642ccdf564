//! One connection of an internal system, from its handshake to its end.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::activity::{Activity, End};
use super::caller::certificate_names;
use super::seats::{Full, Handshake, Seats};
use super::server::{Http2Limits, ServerLimits};
use super::service::Asker;
use super::wire::{FrameWatch, HeadGuard, Watch, Watched};
use crate::core::Core;
use crate::metrics::RejectCause;

/// What all connections of a listener have in common.
pub(crate) struct Listener {
    pub(crate) core: Arc<Core>,
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) seats: Seats,
    pub(crate) limits: ServerLimits,
}

impl Listener {
    /// Takes a connection to its end. `stop` changes when no new requests are wanted.
    pub(crate) async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        place: Handshake,
        mut stop: watch::Receiver<bool>,
    ) {
        // Replies are one small write each; waiting to fill a packet only adds delay.
        let _ = stream.set_nodelay(true);
        let stream = tokio::select! {
            stream = self.handshake(stream, peer, place) => stream,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let Some(stream) = stream else { return };
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let names: Arc<[String]> = certificate.map(|der| certificate_names(der)).unwrap_or_default().into();
        let caller = self.core.caller(&names).ok();
        let seat = match self.seats.take(caller.as_ref()) {
            Ok(seat) => seat,
            Err(full) => {
                let cause = match full {
                    Full::Everywhere => RejectCause::ConnectionLimit,
                    Full::ForCaller => RejectCause::CallerConnectionLimit,
                };
                self.core.count_rejected(cause);
                tracing::debug!(%peer, cause = cause.as_str(), "connection refused");
                return;
            }
        };
        let activity = Activity::new(self.limits.waits);
        let asker = Arc::new(Asker {
            core: Arc::clone(&self.core),
            names,
            peer: peer.ip(),
            caller: caller.clone(),
            seat,
            activity: Arc::clone(&activity),
            max_requests: self.limits.max_requests,
            max_headers: self.limits.max_headers,
        });
        let ended = self.speak(stream, asker, &activity, stop).await;
        let caller = caller.as_ref().map_or("unknown", |caller| caller.as_str());
        let problem = match &ended {
            Ended::Closed => None,
            Ended::Failed(error) => Some(error.to_string()),
            Ended::Overdue(end) => Some(format!("{end:?}")),
        };
        if let Some(cause) = cause_of(&activity, &ended) {
            self.core.count_rejected(cause);
            tracing::warn!(%peer, caller, cause = cause.as_str(), problem, "connection ended");
        } else {
            tracing::debug!(%peer, caller, problem, "connection ended");
        }
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        mut place: Handshake,
    ) -> Option<TlsStream<TcpStream>> {
        let handshake = timeout(self.limits.handshake, self.acceptor.accept(stream));
        let (cause, problem) = tokio::select! {
            done = handshake => match done {
                Ok(Ok(stream)) => return Some(stream),
                Ok(Err(error)) => (RejectCause::TlsHandshake, error.to_string()),
                Err(_) => (RejectCause::TlsHandshake, "too slow".to_owned()),
            },
            _ = &mut place.evicted => (RejectCause::ConnectionLimit, "its place was needed".to_owned()),
        };
        self.core.count_rejected(cause);
        tracing::debug!(%peer, problem, "TLS handshake failed");
        None
    }

    /// Speaks the protocol that the handshake agreed on: HTTP/2 only where both sides named it.
    async fn speak(
        &self,
        stream: TlsStream<TcpStream>,
        asker: Arc<Asker>,
        activity: &Arc<Activity>,
        stop: watch::Receiver<bool>,
    ) -> Ended {
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let watch = if http2 {
            Watch::Http2(FrameWatch::new(self.limits.http2.frames, Instant::now()))
        } else {
            Watch::Http1(HeadGuard::new())
        };
        let io = TokioIo::new(Watched::new(stream, watch, Arc::clone(activity)));
        let service = service_fn(move |request| asker.answer(request));
        if http2 {
            drive(http2_builder(&self.limits).serve_connection(io, service), activity, stop).await
        } else {
            drive(http1_builder(&self.limits).serve_connection(io, service), activity, stop).await
        }
    }
}

fn http1_builder(limits: &ServerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The account has the deadlines of both protocols.
        .header_read_timeout(None)
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_head_bytes)
        .half_close(false)
        .keep_alive(true);
    builder
}

fn http2_builder(limits: &ServerLimits) -> http2::Builder<TokioExecutor> {
    let Http2Limits { max_streams, stream_window, connection_window, max_frame, ping, ping_timeout, frames } =
        limits.http2;
    let max_resets = usize::try_from(frames.max_resets).unwrap_or(usize::MAX);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(max_streams)
        .max_header_list_size(u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(stream_window)
        .initial_connection_window_size(connection_window)
        .max_frame_size(max_frame)
        .max_pending_accept_reset_streams(max_resets)
        .max_local_error_reset_streams(max_resets)
        .keep_alive_interval(ping)
        .keep_alive_timeout(ping_timeout);
    builder
}

/// How a connection ended.
enum Ended {
    Closed,
    /// By the protocol's library.
    Failed(hyper::Error),
    /// By its account.
    Overdue(End),
}

/// Drives a connection and watches its account.
async fn drive<C>(connection: C, activity: &Arc<Activity>, mut stop: watch::Receiver<bool>) -> Ended
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = std::pin::pin!(connection);
    let mut timer = std::pin::pin!(sleep_until(Instant::now()));
    let mut leaving = false;
    loop {
        if !leaving && (activity.is_draining() || *stop.borrow()) {
            leaving = true;
            activity.drain();
            connection.as_mut().graceful_shutdown();
        }
        let deadline = activity.arm();
        if let Some(at) = deadline {
            timer.as_mut().reset(at);
        }
        tokio::select! {
            // The account first: a connection that is to leave says so in the reply that it writes next.
            biased;
            () = activity.changed.notified() => {}
            _ = stop.changed(), if !leaving => {}
            result = connection.as_mut() => return result.map_or_else(Ended::Failed, |()| Ended::Closed),
            () = timer.as_mut(), if deadline.is_some() => {}
        }
        match activity.ended().or_else(|| activity.overdue(Instant::now())) {
            None => {}
            Some(End::Idle) if !leaving => {
                activity.drain();
            }
            Some(end) => return Ended::Overdue(end),
        }
    }
}

/// What the end of a connection counts as; none when it is an ordinary one.
fn cause_of(activity: &Activity, ended: &Ended) -> Option<RejectCause> {
    let end = match ended {
        Ended::Overdue(end) => Some(*end),
        _ => activity.ended(),
    };
    match (end, ended) {
        (Some(End::Head), _) => Some(RejectCause::HeadTimeout),
        (Some(End::Reply), _) => Some(RejectCause::ReplyTimeout),
        (Some(End::Flood), _) => Some(RejectCause::HttpFlood),
        (Some(End::Idle | End::Drained), _) | (None, Ended::Closed | Ended::Overdue(_)) => None,
        (None, Ended::Failed(error)) => {
            let http2 = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
            match http2 {
                Some(error) if error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) => Some(RejectCause::HttpFlood),
                // The peer's own farewell and a broken wire are no fault of the protocol.
                Some(error) if error.is_go_away() && !error.is_remote() => Some(RejectCause::HttpMalformed),
                _ if error.is_parse_too_large() => Some(RejectCause::HeadTooLarge),
                _ if error.is_parse() => Some(RejectCause::HttpMalformed),
                _ => None,
            }
        }
    }
}
