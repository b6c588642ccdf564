//! HTTP exchanges as a client has them, over HTTP/1.1 and HTTP/2.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::error::HarnessError;

/// No exchange of a test or the demo takes longer, whatever the other side does.
const LIMIT: Duration = Duration::from_mins(2);

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header's value; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A text member of the body by its JSON pointer, such as `/platform/serial`; empty when it is absent.
    pub fn text(&self, pointer: &str) -> String {
        self.json().pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The stable code of a problem document (RFC 9457), or the verdict.
    pub fn code(&self) -> String {
        let code = self.text("/code");
        if code.is_empty() { self.text("/verdict") } else { code }
    }

    /// The verification that the reply is about: the last part of `Location`.
    pub fn id(&self) -> String {
        self.header("location").rsplit('/').next().unwrap_or_default().to_owned()
    }
}

/// The protocol that a caller names in its handshake and speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    pub const BOTH: [Self; 2] = [Self::Http1, Self::Http2];

    /// As TLS names it (ALPN).
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

#[derive(Debug)]
enum Sender {
    Http1(Mutex<http1::SendRequest<Full<Bytes>>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// An open connection that takes one request after the other, or, in HTTP/2, many at once. It ends when dropped.
#[derive(Debug)]
pub struct Connection {
    peer: String,
    sender: Sender,
    driver: JoinHandle<Result<(), hyper::Error>>,
}

impl Connection {
    pub(crate) async fn start(
        peer: &str,
        protocol: Protocol,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, HarnessError> {
        let failed = |error: hyper::Error| HarnessError::http(peer, &error);
        let io = TokioIo::new(stream);
        let (sender, driver) = match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await.map_err(failed)?;
                (Sender::Http1(Mutex::new(sender)), tokio::spawn(connection))
            }
            Protocol::Http2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.timer(TokioTimer::new());
                let (sender, connection) = builder.handshake(io).await.map_err(failed)?;
                (Sender::Http2(sender), tokio::spawn(connection))
            }
        };
        Ok(Self { peer: peer.to_owned(), sender, driver })
    }

    /// Sends a request with these headers and reads the whole reply. Over HTTP/1.1 requests wait for each other.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply, HarnessError> {
        let mut request = match &self.sender {
            Sender::Http1(_) => Request::builder().method(method).uri(path).header(header::HOST, "localhost"),
            Sender::Http2(_) => Request::builder().method(method).uri(format!("https://localhost{path}")),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(body.into()))
            .map_err(|error| HarnessError::Unexpected(format!("request to {}: {error}", self.peer)))?;
        let work = async {
            let response = self.response(request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
        };
        match tokio::time::timeout(LIMIT, work).await {
            Ok(result) => result.map_err(|error: hyper::Error| {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                HarnessError::http(&*self.peer, &format_args!("{error}{cause}"))
            }),
            Err(_) => Err(HarnessError::http(&*self.peer, &format_args!("no reply in {LIMIT:?}"))),
        }
    }

    async fn response(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        match &self.sender {
            Sender::Http1(sender) => {
                let mut sender = sender.lock().await;
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                let mut sender = sender.clone();
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Whether the other side has ended it.
    pub fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Sends one request over a fresh connection and reads the whole reply.
pub(crate) async fn exchange(
    peer: &str,
    protocol: Protocol,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (method, path): (Method, &str),
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Reply, HarnessError> {
    Connection::start(peer, protocol, stream).await?.send(method, path, headers, body).await
}
