//! The listener for internal systems: mutual TLS, HTTP/1.1, and every limit with a timer behind it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::caller::certificate_names;
use super::routes;
use crate::core::Core;
use crate::metrics::{Present, RejectCause};

/// Limits of the listener.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    pub max_connections: usize,
    pub handshake: Duration,
    /// From the first octet awaited to the end of the head; also bounds idle keep-alive.
    pub header: Duration,
    pub max_headers: usize,
    pub max_head_bytes: usize,
    /// After a stop is asked for: how long checks under way may take.
    pub shutdown: Duration,
}

/// Serves until `stop` resolves, then lets checks under way finish within the shutdown limit.
pub async fn serve(
    core: Arc<Core>,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    limits: ServerLimits,
    stop: impl Future<Output = ()>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: pause rather than spin.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            core.count_rejected(RejectCause::ConnectionLimit);
            continue;
        };
        let (core, acceptor, watcher) = (Arc::clone(&core), acceptor.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _present = Present::in_gauge(&core.metrics.connections);
            connection(&core, &acceptor, watcher, stream, peer, limits).await;
            drop(slot);
        });
    }
    drop(listener);
    core.stop_accepting();
    let deadline = Instant::now() + limits.shutdown;
    if timeout_at(deadline, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open at the shutdown deadline");
    }
    if timeout_at(deadline, core.idle()).await.is_err() {
        tracing::warn!("checks were still under way at the shutdown deadline");
    }
}

async fn connection(
    core: &Arc<Core>,
    acceptor: &TlsAcceptor,
    watcher: hyper_util::server::graceful::Watcher,
    stream: TcpStream,
    peer: SocketAddr,
    limits: ServerLimits,
) {
    // Replies are one small write each; waiting to fill a packet only adds delay.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(limits.handshake, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            core.count_rejected(RejectCause::TlsHandshake);
            tracing::debug!(%peer, %error, "TLS handshake failed");
            return;
        }
        Err(_) => {
            core.count_rejected(RejectCause::TlsHandshake);
            tracing::debug!(%peer, "TLS handshake too slow");
            return;
        }
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let names: Arc<[String]> = certificate.map(|der| certificate_names(der)).unwrap_or_default().into();
    let service = service_fn(|request: Request<Incoming>| {
        let (core, names) = (Arc::clone(core), Arc::clone(&names));
        async move { Ok::<Response<Full<Bytes>>, std::convert::Infallible>(routes::handle(core, request, names).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_head_bytes)
        .half_close(false)
        .keep_alive(true)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(serving).await {
        tracing::debug!(%peer, %error, "connection ended");
    }
}
