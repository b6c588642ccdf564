//! The TLS side of the internal listener: server certificate, and client certificates required and verified.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Listen;

/// A TLS file could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{file}: {problem}")]
    File { file: PathBuf, problem: String },
    #[error("internal listener: {0}")]
    Config(String),
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fail = |problem: String| TlsError::File { file: file.to_owned(), problem };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|error| fail(error.to_string()))?.collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(fail("holds no certificate".to_owned())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(fail(error.to_string())),
    }
}

/// Reads the files that the configuration names and builds the listener's TLS settings: TLS 1.2 or later, client
/// certificate required.
pub(crate) fn server_config(listen: &Listen) -> Result<Arc<ServerConfig>, TlsError> {
    let config_error = |error: &dyn std::fmt::Display| TlsError::Config(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&listen.client_ca)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::File { file: listen.client_ca.clone(), problem: error.to_string() })?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| config_error(&error))?;
    let key = PrivateKeyDer::from_pem_file(&listen.key)
        .map_err(|error| TlsError::File { file: listen.key.clone(), problem: error.to_string() })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| config_error(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&listen.certificate)?, key)
        .map_err(|error| TlsError::File { file: listen.certificate.clone(), problem: error.to_string() })?;
    // No session is taken up again: it would carry a client certificate on beyond its end.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    // A peer that names neither gets no connection; one that names none speaks HTTP/1.1.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
