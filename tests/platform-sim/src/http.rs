//! The platform's HTTPS side: HTTP/1.1, or HTTP/2 where the simulator offers it, one task for each connection.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use openssl::ssl::{Ssl, SslContext};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_openssl::SslStream;

use crate::answer::{Delivery, Reply, compose};
use crate::fault::{Connection, Order, Script, close_in_the_request, refuse};
use crate::flow::Flow;
use crate::form::Outcome;
use crate::platform::{Judgement, Platform};
use crate::seen::{Handshake, Seen};
use crate::tls::handshake;

/// Room for a portrait of 1 MiB, sealed and in base64 twice.
const MAX_BODY: usize = 3 << 20;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Between attempts to listen again.
const AGAIN: Duration = Duration::from_millis(20);

/// Whether an address is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Away,
    Over,
}

/// Octets read since the last request; they are what a test searches for personal data.
type Log = Arc<Mutex<Vec<u8>>>;

/// What is to be written in place of an answer, below HTTP.
type Scripted = Arc<Mutex<Option<Script>>>;

/// A TLS stream that keeps what is read from it.
#[derive(Debug)]
struct Recording {
    stream: SslStream<TcpStream>,
    log: Log,
}

impl AsyncRead for Recording {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.log.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buf.filled()[before..]);
        result
    }
}

impl AsyncWrite for Recording {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Accepts until told to stop, or to be away for a while; connections then end at once.
pub(crate) async fn serve(
    mut listener: TcpListener,
    context: SslContext,
    platform: Arc<Platform>,
    control: SocketAddr,
    mut gate: watch::Receiver<Gate>,
) {
    let Ok(address) = listener.local_addr() else { return };
    loop {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                _ = gate.wait_for(|gate| *gate != Gate::Open) => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept() => {
                    if let Ok((stream, remote)) = accepted {
                        connections.spawn(connection(stream, remote, context.clone(), platform.clone(), control));
                    }
                }
            }
        }
        drop(listener);
        connections.shutdown().await;
        let Ok(Gate::Open) = gate.wait_for(|gate| *gate != Gate::Away).await.map(|gate| *gate) else { return };
        // What was accepted and dropped may hold the port for a moment.
        listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(error) => tracing::info!("{address}: {error}"),
            }
            tokio::time::sleep(AGAIN).await;
        };
    }
}

async fn connection(
    stream: TcpStream,
    remote: SocketAddr,
    context: SslContext,
    platform: Arc<Platform>,
    control: SocketAddr,
) {
    let _ = stream.set_nodelay(true);
    let mut cut = None;
    match platform.take_connection() {
        Some(Connection::ClosedInTheRequest { dropped }) => cut = Some(dropped),
        Some(connection) => return refuse(stream, connection, &platform.pki).await,
        None => {}
    }
    let Ok(mut stream) = Ssl::new(&context).and_then(|ssl| SslStream::new(ssl, stream)) else { return };
    match tokio::time::timeout(HANDSHAKE, Pin::new(&mut stream).accept()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::info!("{remote}: TLS handshake failed: {error}");
            return;
        }
        Err(_) => return,
    }
    if let Some(dropped) = cut {
        return close_in_the_request(stream, dropped).await;
    }
    let (log, scripted) = (Log::default(), Scripted::default());
    let shaken = handshake(stream.ssl());
    let http2 = shaken.protocol == "h2";
    let io = TokioIo::new(Recording { stream, log: log.clone() });
    let script = scripted.clone();
    let service = service_fn(move |request| {
        let (platform, log, script) = (platform.clone(), log.clone(), script.clone());
        let shaken = shaken.clone();
        async move { handle(&platform, request, remote, &log, &script, shaken, control).await }
    });
    // A refused service call (close-before-answer, a script) and a cut body end here as errors; all are meant.
    if http2 {
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(io, service).await;
        return;
    }
    let mut http = hyper::server::conn::http1::Builder::new();
    let mut served = http.timer(TokioTimer::new()).serve_connection(io, service);
    let _ = (&mut served).await;
    let script = scripted.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(script) = script {
        script.play(served.into_parts().io.into_inner()).await;
    }
}

async fn handle(
    platform: &Platform,
    request: Request<Incoming>,
    remote: SocketAddr,
    log: &Log,
    scripted: &Scripted,
    shaken: Handshake,
    control: SocketAddr,
) -> Result<Response<Flow>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map(http_body_util::Collected::to_bytes);
    let raw = std::mem::take(&mut *log.lock().unwrap_or_else(PoisonError::into_inner));
    let orders = platform.take_orders(platform.form.asked_at(head.uri.path()));
    let now = OffsetDateTime::now_utc();
    let wanted = platform.form.content_type().as_bytes();
    let typed = head.headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(wanted));
    let known = platform.form.has_path(head.uri.path());
    let early = match &body {
        Err(_) => Some(StatusCode::PAYLOAD_TOO_LARGE),
        _ if !known => Some(StatusCode::NOT_FOUND),
        _ if head.method != Method::POST => Some(StatusCode::METHOD_NOT_ALLOWED),
        _ if !typed => Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        _ => None,
    };
    let judgement = match (early, &body) {
        (None, Ok(body)) => Some(platform.judge(head.uri.path(), &head.headers, body, now)),
        _ => None,
    };
    let mut reply = if let Some(judgement) = &judgement {
        compose(platform, judgement, orders.order, now).unwrap_or_else(|error| {
            Reply::plain(StatusCode::INTERNAL_SERVER_ERROR, format!("the simulator failed: {error}"))
        })
    } else {
        let status = early.unwrap_or(StatusCode::BAD_REQUEST);
        Reply::plain(status, status.to_string())
    };
    let seen = account(platform, judgement.as_ref(), &reply, &raw, remote, orders.order, shaken);
    tell(head.uri.path(), &seen, raw.len());
    platform.record(seen);
    tokio::time::sleep(orders.delay).await;
    if let Some(script) = reply.script.take() {
        *scripted.lock().unwrap_or_else(PoisonError::into_inner) = Some(script);
        return Err(std::io::ErrorKind::ConnectionAborted.into());
    }
    deliver(reply, control).await
}

fn account(
    platform: &Platform,
    judgement: Option<&Judgement>,
    reply: &Reply,
    raw: &[u8],
    remote: SocketAddr,
    order: Option<Order>,
    handshake: Handshake,
) -> Seen {
    let request = judgement.and_then(|judgement| judgement.request.as_ref());
    let refusal = judgement.and_then(|judgement| match judgement.outcome {
        Outcome::Refused(refusal) => Some(refusal),
        _ => None,
    });
    let verdict = match (judgement, request) {
        (Some(judgement), Some(_)) => platform.form.code(judgement.outcome).to_owned(),
        _ => format!("http-{}", reply.status.as_u16()),
    };
    Seen {
        raw: STANDARD.encode(raw),
        inner: judgement
            .and_then(|j| j.inner.as_ref())
            .map(|inner| serde_json::from_str(inner).unwrap_or_else(|_| serde_json::Value::String(inner.clone()))),
        nonce: request.map(|request| request.nonce.clone()),
        customer: request.map(|request| request.customer.clone()),
        purpose: request.map(|request| request.purpose.clone()),
        verdict,
        reason: refusal.map(|refusal| refusal.to_string()),
        refused: refusal.is_some() || judgement.is_none(),
        signature_ok: judgement.is_some_and(|judgement| judgement.signature_ok),
        misbehaviour: order.map(|order| order.name().to_owned()),
        remote: remote.to_string(),
        handshake,
    }
}

fn tell(path: &str, seen: &Seen, octets: usize) {
    let absent = || "-".to_owned();
    tracing::info!(
        "{} {path} {octets} octets, customer {}, purpose {}, nonce {}, signature {}, asks {}: answer {}{}{}",
        seen.remote,
        seen.customer.clone().unwrap_or_else(absent),
        seen.purpose.clone().unwrap_or_else(absent),
        seen.nonce.clone().unwrap_or_else(absent),
        if seen.signature_ok { "good" } else { "not good" },
        seen.inner.as_ref().map_or_else(absent, ToString::to_string),
        seen.verdict,
        seen.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default(),
        seen.misbehaviour.as_ref().map(|name| format!(", misbehaving: {name}")).unwrap_or_default(),
    );
}

async fn deliver(reply: Reply, control: SocketAddr) -> Result<Response<Flow>, std::io::Error> {
    match reply.delivery {
        Delivery::Hang => std::future::pending().await,
        Delivery::Close => return Err(std::io::ErrorKind::ConnectionAborted.into()),
        Delivery::Whole | Delivery::Slow | Delivery::Endless | Delivery::Cut => {}
    }
    let mut response = Response::new(Flow::new(reply.body, reply.delivery));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append(name, value);
        }
    }
    if reply.location
        && let Ok(location) = HeaderValue::from_maybe_shared(Bytes::from(format!("http://{control}/auth/real-name")))
    {
        headers.insert(header::LOCATION, location);
    }
    Ok(response)
}
