//! Carrying a request to the platform and its answer back, with one question always answered: were octets sent?

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::store::X509StoreBuilder;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;
use yanqian_trust::TrustStore;
use yanqian_vocabulary::Reason;

use crate::profile::Profile;
use crate::request::SignedRequest;

/// An endpoint in the configuration cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("expected https://HOST:PORT without path, query or user")]
    Form,
}

/// An answer as received: nothing of it is believed.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// Proven that no octet of the request was written.
    NotSent,
    /// The request, or a part of it, was written, and no complete answer came.
    Unanswered,
    /// An answer began and broke a limit.
    Refused(Reason),
}

/// A connection to the platform, bound to the trust store that verified its certificate.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    trust: [u8; 32],
    idle_since: Instant,
}

/// The platform's address and a few idle connections to it.
pub struct PlatformClient {
    profile: Arc<Profile>,
    host: String,
    port: u16,
    idle: Mutex<Vec<Connection>>,
}

impl std::fmt::Debug for PlatformClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlatformClient(https://{}:{})", self.host, self.port)
    }
}

impl PlatformClient {
    /// `endpoint` is `https://HOST:PORT` (port 443 when absent); paths come from the profile.
    pub fn new(profile: Arc<Profile>, endpoint: &str) -> Result<Self, EndpointError> {
        let uri: http::Uri = endpoint.parse().map_err(|_| EndpointError::Form)?;
        let host = uri.host().ok_or(EndpointError::Form)?;
        let plain = uri.scheme_str() == Some("https")
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if !plain {
            return Err(EndpointError::Form);
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { profile, host, port: uri.port_u16().unwrap_or(443), idle: Mutex::default() })
    }

    /// Sends a request once. A reused connection that died before the first octet was written is replaced by a fresh one,
    /// with the same octets; anything else is not tried again (I4).
    pub async fn send(&self, request: &SignedRequest, trust: &TrustStore) -> Result<RawAnswer, SendError> {
        if let Some(connection) = self.take_idle(trust) {
            match self.exchange(connection, request).await {
                Err(SendError::NotSent) => {}
                result => return result,
            }
        }
        let connection = match timeout(self.profile.limits.connect, self.connect(trust)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(problem)) => {
                tracing::warn!(problem, "platform not reached");
                return Err(SendError::NotSent);
            }
            Err(_) => {
                tracing::warn!("platform not reached in time");
                return Err(SendError::NotSent);
            }
        };
        self.exchange(connection, request).await
    }

    fn take_idle(&self, trust: &TrustStore) -> Option<Connection> {
        let mut idle = self.idle.lock().ok()?;
        let longest = self.profile.limits.idle;
        idle.retain(|connection| {
            connection.trust == *trust.hash()
                && connection.idle_since.elapsed() < longest
                && connection.sender.is_ready()
        });
        idle.pop()
    }

    fn give_back(&self, mut connection: Connection) {
        connection.idle_since = Instant::now();
        if let Ok(mut idle) = self.idle.lock()
            && idle.len() < self.profile.limits.idle_connections
        {
            idle.push(connection);
        }
    }

    async fn connect(&self, trust: &TrustStore) -> Result<Connection, &'static str> {
        let tls = tls_settings(trust).map_err(|_| "TLS settings")?;
        let mut ssl = Ssl::new(&tls).map_err(|_| "TLS settings")?;
        let parameters = ssl.param_mut();
        if let Ok(address) = self.host.parse() {
            parameters.set_ip(address).map_err(|_| "TLS settings")?;
        } else {
            parameters.set_host(&self.host).map_err(|_| "TLS settings")?;
            ssl.set_hostname(&self.host).map_err(|_| "TLS settings")?;
        }
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|_| "no TCP connection")?;
        // Requests are one write each; waiting to fill a packet only adds delay.
        let _ = stream.set_nodelay(true);
        let mut stream = SslStream::new(ssl, stream).map_err(|_| "TLS settings")?;
        Pin::new(&mut stream).connect().await.map_err(|_| "TLS handshake failed")?;
        let peer = stream.ssl().peer_certificate().and_then(|peer| peer.to_der().ok());
        if !trust.allows_tls(&peer.unwrap_or_default()) {
            return Err("TLS certificate is not pinned");
        }
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(64 * 1024)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| "HTTP handshake failed")?;
        tokio::spawn(async move {
            // The sender's side learns of every failure; there is nothing to add.
            let _ = driver.await;
        });
        Ok(Connection { sender, trust: *trust.hash(), idle_since: Instant::now() })
    }

    async fn exchange(&self, mut connection: Connection, request: &SignedRequest) -> Result<RawAnswer, SendError> {
        let limits = &self.profile.limits;
        let request = self.http_request(request).ok_or(SendError::NotSent)?;
        if !matches!(timeout(limits.connect, connection.sender.ready()).await, Ok(Ok(()))) {
            return Err(SendError::NotSent);
        }
        let response = match timeout(limits.head, connection.sender.try_send_request(request)).await {
            Err(_) => return Err(SendError::Unanswered),
            // hyper hands the request back exactly when none of it was written.
            Ok(Err(mut error)) => {
                let unsent = error.take_message().is_some();
                return Err(if unsent { SendError::NotSent } else { SendError::Unanswered });
            }
            Ok(Ok(response)) => response,
        };
        let (head, body) = response.into_parts();
        let body = read_body(body, limits.answer_bytes, limits.body).await?;
        self.give_back(connection);
        Ok(RawAnswer { status: head.status.as_u16(), headers: head.headers, body })
    }

    fn http_request(&self, request: &SignedRequest) -> Option<Request<Full<Bytes>>> {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let accept = HeaderValue::from_str(&self.profile.answer.envelope.content_type).ok()?;
        let mut post = Request::post(request.path.as_str())
            .header(header::HOST, HeaderValue::try_from(format!("{host}:{}", self.port)).ok()?)
            .header(header::CONTENT_TYPE, &request.content_type)
            .header(header::ACCEPT, accept);
        for (name, value) in &request.headers {
            post = post.header(name, value);
        }
        post.body(Full::new(request.body.clone())).ok()
    }
}

async fn read_body(mut body: hyper::body::Incoming, longest: usize, limit: Duration) -> Result<Vec<u8>, SendError> {
    let mut octets = Vec::new();
    let reading = async {
        while let Some(frame) = body.frame().await {
            let data = frame.map_err(|_| SendError::Unanswered)?.into_data().unwrap_or_default();
            if octets.len() + data.len() > longest {
                return Err(SendError::Refused(Reason::PlatformAnswerTooLarge));
            }
            octets.extend_from_slice(&data);
        }
        Ok(())
    };
    match timeout(limit, reading).await {
        Ok(Ok(())) => Ok(octets),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(SendError::Refused(Reason::PlatformDeadline)),
    }
}

/// TLS 1.2 or later, the platform's certificate verified against the trust store's TLS anchors. OpenSSL 4 offers the SM2
/// signature scheme by itself, so certificates of either kind are taken.
fn tls_settings(trust: &TrustStore) -> Result<SslContext, openssl::error::ErrorStack> {
    let mut anchors = X509StoreBuilder::new()?;
    for anchor in trust.tls_anchors() {
        anchors.add_cert(anchor.clone())?;
    }
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_verify(SslVerifyMode::PEER);
    builder.set_cert_store(anchors.build());
    Ok(builder.build())
}
