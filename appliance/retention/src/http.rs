//! Requests of the S3 client over this tree's own HTTP and TLS: one connection each, certificates proven by the configured file.

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// TLS 1.2 and 1.3 to servers whose certificates lead to one of the file's (PEM).
pub(crate) fn tls(ca_file: &Path) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|error| error.to_string())? {
        roots.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// Makes the S3 client's connections.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    /// Absent for a server on this machine that is spoken to without TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

fn connect(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HttpError {
    HttpError::new(HttpErrorKind::Connect, io::Error::other(error))
}

fn interrupted(error: hyper::Error) -> HttpError {
    HttpError::new(HttpErrorKind::Interrupted, error)
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let uri = request.uri().clone();
        let host = uri.host().ok_or_else(|| connect("a URL without a host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(connect)?;
        if !secure {
            return exchange(stream, uri, request).await;
        }
        let tls = self.tls.clone().ok_or_else(|| connect("https without certificates to trust"))?;
        let name = ServerName::try_from(host).map_err(connect)?;
        exchange(TlsConnector::from(tls).connect(name, stream).await.map_err(connect)?, uri, request).await
    }
}

async fn exchange<S>(stream: S, uri: Uri, mut request: HttpRequest) -> Result<HttpResponse, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(connect)?;
    // Ends with the response's body, or when that is dropped; every failure shows there.
    tokio::spawn(async move {
        let _ = driver.await;
    });
    if let Some(authority) = uri.authority()
        && !request.headers().contains_key(HOST)
    {
        let host = HeaderValue::from_str(authority.as_str()).map_err(connect)?;
        request.headers_mut().insert(HOST, host);
    }
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    *request.uri_mut() = path.parse().map_err(connect)?;
    let (parts, body) = sender.send_request(request).await.map_err(interrupted)?.into_parts();
    Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body.map_err(interrupted))))
}
