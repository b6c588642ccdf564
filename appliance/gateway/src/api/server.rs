//! The listener for internal systems: mutual TLS, HTTP/1.1 and HTTP/2, and every limit with a timer behind it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::activity::Waits;
use super::connection::Listener;
use super::seats::{Handshakes, Seats};
use super::wire::FrameLimits;
use crate::core::Core;
use crate::metrics::Present;

/// Limits of the listener.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// With a verified certificate.
    pub max_connections: usize,
    pub max_connections_per_caller: usize,
    /// Requests of one caller under way at once, over all its connections.
    pub max_requests_per_caller: usize,
    /// Connections whose handshake has not ended.
    pub max_handshakes: usize,
    pub handshake: Duration,
    /// After so many requests a connection is ended in good order.
    pub max_requests: u64,
    pub max_headers: usize,
    /// Of a head in HTTP/1.1, of a decoded header list in HTTP/2; at least 8192.
    pub max_head_bytes: usize,
    /// `drain` also bounds the stop: how long requests under way may take then.
    pub waits: Waits,
    pub http2: Http2Limits,
}

/// Limits of HTTP/2 alone. Sizes are in octets.
#[derive(Debug, Clone, Copy)]
pub struct Http2Limits {
    pub max_streams: u32,
    /// What a peer may send of one body before we have taken it.
    pub stream_window: u32,
    /// The same of all bodies of a connection together.
    pub connection_window: u32,
    /// 16384 to 16777215 (RFC 9113 6.5.2).
    pub max_frame: u32,
    /// Between our own pings; a peer that does not answer one within `ping_timeout` is gone.
    pub ping: Duration,
    pub ping_timeout: Duration,
    pub frames: FrameLimits,
}

/// Serves until `stop` resolves, then lets checks under way finish within the drain limit.
pub async fn serve(
    core: Arc<Core>,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    limits: ServerLimits,
    stop: impl Future<Output = ()>,
) {
    let handshakes = Handshakes::new(limits.max_handshakes);
    let seats = Seats::new(limits.max_connections, limits.max_connections_per_caller, limits.max_requests_per_caller);
    let shared = Arc::new(Listener { core: Arc::clone(&core), acceptor: TlsAcceptor::from(tls), seats, limits });
    let (leave, leaving) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let (stream, peer) = listener.accept().await?;
            Ok::<_, std::io::Error>((stream, peer, handshakes.enter().await))
        };
        let next = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        let (stream, peer, place) = match next {
            Ok(next) => next,
            Err(error) => {
                // Out of descriptors, most likely: pause rather than spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (shared, leaving) = (Arc::clone(&shared), leaving.clone());
        tokio::spawn(async move {
            let _present = Present::in_gauge(&shared.core.metrics.connections);
            shared.serve(stream, peer, place, leaving).await;
        });
    }
    drop((listener, leaving));
    core.stop_accepting();
    let _ = leave.send(true);
    let deadline = Instant::now() + limits.waits.drain;
    if timeout_at(deadline, leave.closed()).await.is_err() {
        tracing::warn!("connections were still open at the shutdown deadline");
    }
    if timeout_at(deadline, core.idle()).await.is_err() {
        tracing::warn!("checks were still under way at the shutdown deadline");
    }
}
