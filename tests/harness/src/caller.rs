//! An internal system: an HTTP client that shows its certificate.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use yanqian_devpki::Pair;

use crate::error::HarnessError;
use crate::http::{Connection, Protocol, Reply, exchange};

/// The resources that start a check.
pub const REAL_NAME: &str = "/v1/verifications/real-name";
pub const REAL_PERSON: &str = "/v1/verifications/real-person";
pub const CHIP_READING: &str = "/v1/verifications/chip-reading";

/// The resource of the service that a request is for: each has a member of its own.
pub fn service_of(request: &Value) -> &'static str {
    match (request.get("portrait"), request.get("chip")) {
        (Some(_), _) => REAL_PERSON,
        (None, Some(_)) => CHIP_READING,
        (None, None) => REAL_NAME,
    }
}

/// A client of the internal API. Cheap to clone; it keeps the address that the daemon had when it was made.
#[derive(Debug, Clone)]
pub struct Caller {
    name: String,
    address: SocketAddr,
    protocol: Protocol,
    tls: Arc<ClientConfig>,
}

impl Caller {
    /// A client that trusts the authority `server_ca` and shows the certificate of `identity`, or none.
    pub fn new(
        name: &str,
        address: SocketAddr,
        server_ca: &Path,
        identity: Option<&Pair>,
    ) -> Result<Self, HarnessError> {
        let wrong = |error: &dyn std::fmt::Display| HarnessError::Unexpected(format!("TLS files of {name}: {error}"));
        let certificate = |file: &Path| CertificateDer::from_pem_file(file).map_err(|error| wrong(&error));
        let mut roots = RootCertStore::empty();
        roots.add(certificate(server_ca)?).map_err(|error| wrong(&error))?;
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&error))?
            .with_root_certificates(roots);
        let mut tls = match identity {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let key = PrivateKeyDer::from_pem_file(&pair.key).map_err(|error| wrong(&error))?;
                builder
                    .with_client_auth_cert(vec![certificate(&pair.certificate)?], key)
                    .map_err(|error| wrong(&error))?
            }
        };
        let protocol = Protocol::Http1;
        tls.alpn_protocols = vec![protocol.alpn().to_vec()];
        Ok(Self { name: name.to_owned(), address, protocol, tls: Arc::new(tls) })
    }

    /// The same caller over this protocol; a new one speaks HTTP/1.1.
    #[must_use]
    pub fn over(&self, protocol: Protocol) -> Self {
        Self { protocol, ..self.offering(&[protocol.alpn()]) }
    }

    /// The same caller that offers these protocols in its handshake, whatever it speaks then.
    #[must_use]
    pub fn offering(&self, alpn: &[&[u8]]) -> Self {
        let mut tls = ClientConfig::clone(&self.tls);
        tls.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Self { tls: Arc::new(tls), ..self.clone() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A TLS connection on which nothing has been sent.
    pub async fn connect(&self) -> Result<TlsStream<TcpStream>, HarnessError> {
        let failed = |error: std::io::Error| HarnessError::http(self.peer(), &error);
        let stream = TcpStream::connect(self.address).await.map_err(failed)?;
        let _ = stream.set_nodelay(true);
        let name = ServerName::try_from("localhost").map_err(|error| HarnessError::Unexpected(error.to_string()))?;
        TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.map_err(failed)
    }

    /// A connection for several requests.
    pub async fn open(&self) -> Result<Connection, HarnessError> {
        Connection::start(&self.peer(), self.protocol, self.connect().await?).await
    }

    fn peer(&self) -> String {
        format!("daemon at {}", self.address)
    }

    /// Sends a request with these headers besides `Host`, on a connection of its own.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply, HarnessError> {
        exchange(&self.peer(), self.protocol, self.connect().await?, (method, path), headers, body.into()).await
    }

    /// Asks for a check, of the service that the request's members are for.
    pub async fn ask(&self, request: &Value) -> Result<Reply, HarnessError> {
        self.post_to(service_of(request), request.to_string(), &[]).await
    }

    /// Asks under an idempotency key.
    pub async fn ask_once(&self, key: &str, request: &Value) -> Result<Reply, HarnessError> {
        self.post_to(service_of(request), request.to_string(), &[("idempotency-key", key)]).await
    }

    /// Posts any octets as JSON to the real-name resource.
    pub async fn post(&self, body: impl Into<Bytes>, headers: &[(&str, &str)]) -> Result<Reply, HarnessError> {
        self.post_to(REAL_NAME, body, headers).await
    }

    /// Posts any octets as JSON.
    pub async fn post_to(
        &self,
        path: &str,
        body: impl Into<Bytes>,
        headers: &[(&str, &str)],
    ) -> Result<Reply, HarnessError> {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send(Method::POST, path, &all, body).await
    }

    pub async fn get(&self, path: &str) -> Result<Reply, HarnessError> {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// Fetches an earlier check by its id.
    pub async fn look_up(&self, id: &str) -> Result<Reply, HarnessError> {
        self.get(&format!("/v1/verifications/{id}")).await
    }

    /// Fetches the receipt of an earlier check.
    pub async fn receipt(&self, id: &str) -> Result<Reply, HarnessError> {
        self.get(&format!("/v1/verifications/{id}/receipt")).await
    }

    /// Writes octets as they are and reads until the daemon ends the connection or `limit` has passed.
    pub async fn write_raw(&self, octets: &[u8], limit: Duration) -> Result<Vec<u8>, HarnessError> {
        let mut stream = self.connect().await?;
        // The daemon may refuse and end the connection before everything is written; what it said is then there to read.
        let _ = stream.write_all(octets).await;
        let _ = stream.flush().await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(limit, read_some(&mut stream, &mut answer)).await;
        Ok(answer)
    }
}

/// Reads to the end of the connection, however it ends, and keeps what came.
pub async fn read_some(stream: &mut TlsStream<TcpStream>, into: &mut Vec<u8>) {
    while let Ok(read) = stream.read_buf(into).await {
        if read == 0 {
            return;
        }
    }
}
