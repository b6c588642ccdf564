//! What an operator wants to see of each way to the platform before anything is sent over it.

use std::net::SocketAddr;

use openssl::ssl::SslRef;
use openssl::x509::X509Ref;
use yanqian_messages::Certificate;
use yanqian_trust::TrustStore;

use super::connect::Opened;
use super::stats::ConnectStage;
use super::{Link, PlatformClient};

/// One endpoint, connected to as requests would be; no octet of a request is sent.
#[derive(Debug, Clone)]
pub struct Looked {
    /// `https://HOST:PORT` as configured.
    pub endpoint: String,
    /// Each address that requests might go to, in their order; of the proxy, where there is one.
    pub addresses: Result<Vec<LookedAddress>, LookFailure>,
}

/// How far it came, and why no further.
pub type LookFailure = (ConnectStage, &'static str);

/// One address of an endpoint.
#[derive(Debug, Clone)]
pub struct LookedAddress {
    pub address: SocketAddr,
    /// None to a gateway in plain HTTP.
    pub connected: Result<Option<TlsFacts>, LookFailure>,
}

/// What both sides agreed on.
#[derive(Debug, Clone)]
pub struct TlsFacts {
    /// `TLSv1.3` and the like.
    pub version: String,
    /// The cipher suite by its name in the standard.
    pub suite: String,
    /// By ALPN; none where the server chose none.
    pub protocol: Option<String>,
    /// The server's own first, then what it was verified by, up to the anchor.
    pub chain: Vec<Certificate>,
}

impl PlatformClient {
    /// Connects to every address of every endpoint in turn, within the profile's limit for each.
    pub async fn look(&self, trust: &TrustStore) -> Vec<Looked> {
        let mut looked = Vec::with_capacity(self.links.len());
        for endpoint in self.links.iter().map(Link::endpoint) {
            let addresses = self.connector.look(endpoint, trust, self.profile.limits.connect).await;
            let addresses = addresses.map(|all| all.into_iter().map(of_address).collect());
            looked.push(Looked { endpoint: endpoint.to_string(), addresses });
        }
        looked
    }
}

fn of_address((address, opened): (SocketAddr, Result<Opened, LookFailure>)) -> LookedAddress {
    let connected = opened.map(|opened| match opened {
        Opened::Plain(_) => None,
        Opened::Tls(stream, _) => Some(facts(stream.ssl())),
    });
    LookedAddress { address, connected }
}

fn facts(ssl: &SslRef) -> TlsFacts {
    let read = |one: &X509Ref| Certificate::from_der(&one.to_der().ok()?).ok();
    let suite = ssl.current_cipher().map(|cipher| cipher.standard_name().unwrap_or_else(|| cipher.name()));
    TlsFacts {
        version: ssl.version_str().to_owned(),
        suite: suite.unwrap_or_default().to_owned(),
        protocol: ssl.selected_alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        chain: ssl.verified_chain().map(|chain| chain.iter().filter_map(read).collect()).unwrap_or_default(),
    }
}
