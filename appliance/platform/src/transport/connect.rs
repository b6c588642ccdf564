//! From an endpoint to a connection that a request can be written to.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use openssl::ssl::{Ssl, SslRef};
use openssl::x509::X509VerifyResult;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_openssl::SslStream;
use yanqian_trust::{SignerError, TrustStore, Verifier};

use super::endpoint::{Endpoint, authority};
use super::meter::{Metered, Stream};
use super::pool::{Connection, Sender};
use super::proxy::Proxy;
use super::stats::{ConnectStage, Counts};
use super::tls::{Security, TlsSettings, is_rfc8998, verified_chain};

/// Why there is no connection.
pub(crate) type ConnectError = (ConnectStage, &'static str);

/// Octets of an answer's head at most.
const LONGEST_HEAD: u32 = 16 * 1024;
/// Octets that are read ahead over HTTP/1.1; the head must fit.
const BUFFER: usize = 64 * 1024;
/// How long a peer may take to answer a ping on a connection that is waited on.
const PING: Duration = Duration::from_secs(5);

/// How connections to any endpoint are made.
pub(crate) struct Connector {
    pub(crate) security: Security,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) http2: bool,
    pub(crate) settings: TlsSettings,
    pub(crate) verifier: Arc<Verifier>,
}

impl Connector {
    /// Connects to one of the endpoint's addresses, in their order, each with its share of the time.
    pub(crate) async fn connect(
        &self,
        endpoint: &Endpoint,
        trust: &TrustStore,
        counts: &Counts,
        limit: Duration,
    ) -> Result<Connection, ConnectError> {
        let end = Instant::now() + limit;
        let left = || end.saturating_duration_since(Instant::now());
        let ways =
            timeout(left(), self.ways(endpoint)).await.unwrap_or(Err((ConnectStage::Resolve, "no answer in time")));
        let ways = ways?;
        let mut failed = (ConnectStage::Resolve, "the name has no address");
        for (index, way) in ways.iter().enumerate() {
            let share = left() / u32::try_from(ways.len() - index).unwrap_or(u32::MAX);
            let mut stage = ConnectStage::Tcp;
            match timeout(share, self.take(way, endpoint, trust, counts, &mut stage)).await {
                Ok(Ok(connection)) => return Ok(connection),
                // That somebody else is at one of the addresses is not hidden by the others.
                _ if failed.0 == ConnectStage::Identity => {}
                Ok(Err(problem)) => failed = (stage, problem),
                Err(_) => failed = (stage, "not in time"),
            }
        }
        Err(failed)
    }

    /// Every address of the endpoint, as far as HTTP would begin, each within `limit`.
    pub(crate) async fn look(
        &self,
        endpoint: &Endpoint,
        trust: &TrustStore,
        limit: Duration,
    ) -> Result<Vec<(SocketAddr, Result<Opened, ConnectError>)>, ConnectError> {
        let ways = timeout(limit, self.ways(endpoint)).await;
        let ways = ways.unwrap_or(Err((ConnectStage::Resolve, "no answer in time")))?;
        let mut looked = Vec::with_capacity(ways.len());
        for way in &ways {
            let mut stage = ConnectStage::Tcp;
            let opened = timeout(limit, self.open(way, endpoint, trust, &mut stage)).await;
            let opened = opened.unwrap_or(Err("not in time"));
            looked.push((way.address, opened.map_err(|problem| (stage, problem))));
        }
        Ok(looked)
    }

    /// The addresses to connect to, each with the target that a proxy is asked for.
    async fn ways(&self, endpoint: &Endpoint) -> Result<Vec<Way>, ConnectError> {
        if let Some(proxy) = &self.proxy {
            let through = resolve(proxy.host(), proxy.port()).await?;
            let targets = if endpoint.pins.is_empty() {
                vec![endpoint.authority()]
            } else {
                endpoint.pins.iter().map(|pin| authority(&pin.to_string(), endpoint.port)).collect()
            };
            let way =
                |address: SocketAddr| targets.iter().map(move |target| Way { address, target: Some(target.clone()) });
            return Ok(through.into_iter().flat_map(way).collect());
        }
        let addresses = if endpoint.pins.is_empty() {
            resolve(&endpoint.host, endpoint.port).await?
        } else {
            endpoint.pins.iter().map(|pin| SocketAddr::new(*pin, endpoint.port)).collect()
        };
        Ok(addresses.into_iter().map(|address| Way { address, target: None }).collect())
    }

    /// `stage` says how far it came, whatever cuts it off.
    async fn take(
        &self,
        way: &Way,
        endpoint: &Endpoint,
        trust: &TrustStore,
        counts: &Counts,
        stage: &mut ConnectStage,
    ) -> Result<Connection, &'static str> {
        let (http2, end, stream): (bool, Option<Instant>, Box<dyn Stream>) = match self
            .open(way, endpoint, trust, stage)
            .await?
        {
            Opened::Plain(stream) => (false, None, Box::new(stream)),
            Opened::Tls(stream, end) => (stream.ssl().selected_alpn_protocol() == Some(b"h2"), end, Box::new(stream)),
        };
        *stage = ConnectStage::Http;
        let (stream, meter) = Metered::new(stream);
        let sender = begin_http(stream, http2, counts).await?;
        Ok(Connection::new(sender, meter, *trust.tls_hash(), end))
    }

    async fn open(
        &self,
        way: &Way,
        endpoint: &Endpoint,
        trust: &TrustStore,
        stage: &mut ConnectStage,
    ) -> Result<Opened, &'static str> {
        let mut stream = TcpStream::connect(way.address).await.map_err(|_| "no TCP connection")?;
        // Requests are one write each; waiting to fill a packet only adds delay.
        let _ = stream.set_nodelay(true);
        if let (Some(proxy), Some(target)) = (&self.proxy, &way.target) {
            *stage = ConnectStage::Proxy;
            proxy.tunnel(&mut stream, target).await?;
        }
        if !endpoint.is_secure() {
            return Ok(Opened::Plain(stream));
        }
        *stage = ConnectStage::Tls;
        let ssl = self.settings.session(&self.security, self.http2, trust, endpoint).map_err(|_| "TLS settings")?;
        let stream = self.handshake(ssl, stream, stage).await?;
        *stage = ConnectStage::Identity;
        let end = self.judge(stream.ssl(), trust)?;
        Ok(Opened::Tls(stream, end))
    }

    /// Whether the peer may be sent anything, and when that has to be looked at again.
    fn judge(&self, ssl: &SslRef, trust: &TrustStore) -> Result<Option<Instant>, &'static str> {
        if !trust.judges_tls() {
            return Ok(None);
        }
        let chain = verified_chain(ssl).ok_or("the TLS certificates cannot be read")?;
        // By the clock that the handshake judged their validity by.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let last = trust.check_tls(&chain, now, &self.verifier).map_err(|error| match error {
            SignerError::NotPinned => "the TLS certificate is not pinned",
            SignerError::Revoked => "a TLS certificate is revoked",
            SignerError::RevocationStale => "revocation data for a TLS certificate is missing or older than its grace",
            SignerError::Disputed => "two implementations disagree about revocation data for a TLS certificate",
            _ => "the TLS certificate cannot be judged",
        })?;
        let left = u64::try_from(last.saturating_sub(now)).unwrap_or(0);
        Ok(Instant::now().checked_add(Duration::from_secs(left)))
    }

    async fn handshake(
        &self,
        ssl: Ssl,
        stream: TcpStream,
        stage: &mut ConnectStage,
    ) -> Result<SslStream<TcpStream>, &'static str> {
        let mut stream = SslStream::new(ssl, stream).map_err(|_| "TLS settings")?;
        if let Err(error) = Pin::new(&mut stream).connect().await {
            tracing::debug!(%error, "TLS handshake with the platform");
            if stream.ssl().verify_result() == X509VerifyResult::OK {
                return Err("TLS handshake failed");
            }
            *stage = ConnectStage::Identity;
            return Err("the TLS certificate is not the platform's");
        }
        *stage = ConnectStage::Identity;
        if matches!(self.security, Security::Rfc8998 { .. }) && !is_rfc8998(stream.ssl()) {
            return Err("the TLS connection is not of RFC 8998");
        }
        Ok(stream)
    }
}

/// A stream to an endpoint, secured as the endpoint wants it.
pub(crate) enum Opened {
    Plain(TcpStream),
    /// Until when what vouches for the peer's certificates does so; none where nothing is asked about them.
    Tls(SslStream<TcpStream>, Option<Instant>),
}

/// One address, and what a proxy there is asked for.
struct Way {
    address: SocketAddr,
    target: Option<String>,
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let found = lookup_host((host, port)).await.map_err(|_| (ConnectStage::Resolve, "the name has no address"))?;
    Ok(found.collect())
}

async fn begin_http(stream: Metered, http2: bool, counts: &Counts) -> Result<Sender, &'static str> {
    let failed = |_| "HTTP handshake failed";
    let open = counts.open(usize::from(http2));
    // The sender's side learns of every failure of the driver; there is nothing to add.
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_header_list_size(LONGEST_HEAD);
        builder.keep_alive_interval(PING).keep_alive_timeout(PING);
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
        tokio::spawn(async move {
            let _open = open;
            let _ = driver.await;
        });
        return Ok(Sender::Http2(sender));
    }
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER);
    let (sender, driver) = builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
    tokio::spawn(async move {
        let _open = open;
        let _ = driver.await;
    });
    Ok(Sender::Http1(sender))
}
