//! The TLS settings of both ways, over the trust store's TLS anchors.

use std::fmt;
use std::sync::Mutex;

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslRef, SslVerifyMode, SslVersion};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509Ref};
use yanqian_messages::Certificate;
use yanqian_trust::TrustStore;

use super::endpoint::Endpoint;

/// RFC 8998: the suite, the group and the signature scheme that both sides must use.
const SUITE: &str = "TLS_SM4_GCM_SM3";
const GROUP: &str = "curveSM2";
const SCHEME: &str = "sm2sig_sm3";

/// A client certificate or its key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientKeyError {
    #[error("the certificate file holds no certificate in PEM")]
    Certificate,
    #[error("the key file holds no private key in PEM")]
    Key,
    #[error("the key is not the certificate's")]
    Pair,
    #[error("RFC 8998 needs an SM2 key")]
    NotSm2,
}

/// The certificate that this appliance shows the platform, and its key: a file, and never the signing key in the token.
pub struct ClientKey {
    /// The leaf first.
    chain: Vec<X509>,
    leaf: Certificate,
    key: PKey<Private>,
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey")
    }
}

impl ClientKey {
    /// `certificates`: PEM, the leaf first. `key`: PEM, not encrypted.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, ClientKeyError> {
        let chain = X509::stack_from_pem(certificates).map_err(|_| ClientKeyError::Certificate)?;
        let first = chain.first().ok_or(ClientKeyError::Certificate)?;
        let leaf = read(first).ok_or(ClientKeyError::Certificate)?;
        // With a callback that gives none, an encrypted key is refused instead of asked about on the terminal.
        let key = PKey::private_key_from_pem_callback(key, |_| Ok(0)).map_err(|_| ClientKeyError::Key)?;
        if !first.public_key().is_ok_and(|public| public.public_eq(&key)) {
            return Err(ClientKeyError::Pair);
        }
        Ok(Self { chain, leaf, key })
    }

    pub const fn certificate(&self) -> &Certificate {
        &self.leaf
    }
}

/// What protects the way to the platform, beside the signatures of requests and answers themselves.
#[derive(Debug)]
pub enum Security {
    /// TLS 1.2 or 1.3, with certificates of any kind.
    Tls { client: Option<ClientKey> },
    /// TLS 1.3 by RFC 8998 with SM2 certificates on both sides.
    Rfc8998 { client: ClientKey },
    /// Plain HTTP to a gateway nearby that speaks TLCP to the platform.
    Gateway,
}

impl Security {
    /// The certificate that is shown.
    pub const fn client(&self) -> Option<&ClientKey> {
        match self {
            Self::Tls { client } => client.as_ref(),
            Self::Rfc8998 { client } => Some(client),
            Self::Gateway => None,
        }
    }

    /// The word for it in the configuration, in records and in metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Tls { .. } => "tls",
            Self::Rfc8998 { .. } => "rfc8998",
            Self::Gateway => "gateway",
        }
    }

    /// Refuses a key that the transport cannot use.
    pub fn rfc8998(client: ClientKey) -> Result<Self, ClientKeyError> {
        if client.leaf.public_key().is_some() { Ok(Self::Rfc8998 { client }) } else { Err(ClientKeyError::NotSm2) }
    }
}

fn read(certificate: &X509Ref) -> Option<Certificate> {
    Certificate::from_der(&certificate.to_der().ok()?).ok()
}

/// Settings for the trust store at hand; made anew when another comes into force.
#[derive(Default)]
pub(crate) struct TlsSettings(Mutex<Option<([u8; 32], SslContext)>>);

impl TlsSettings {
    fn of(&self, security: &Security, http2: bool, trust: &TrustStore) -> Result<SslContext, ErrorStack> {
        let kept = self.0.lock().ok().and_then(|kept| kept.clone());
        if let Some((_, context)) = kept.filter(|(hash, _)| hash == trust.hash()) {
            return Ok(context);
        }
        let context = context(security, http2, trust)?;
        if let Ok(mut kept) = self.0.lock() {
            *kept = Some((*trust.hash(), context.clone()));
        }
        Ok(context)
    }

    /// A handshake to come, that ends well only with a server of the endpoint's name.
    pub(crate) fn session(
        &self,
        security: &Security,
        http2: bool,
        trust: &TrustStore,
        endpoint: &Endpoint,
    ) -> Result<Ssl, ErrorStack> {
        let context = self.of(security, http2, trust)?;
        let mut ssl = Ssl::new(&context)?;
        if let Ok(address) = endpoint.host.parse() {
            ssl.param_mut().set_ip(address)?;
        } else {
            ssl.param_mut().set_host(&endpoint.host)?;
            ssl.set_hostname(&endpoint.host)?;
        }
        Ok(ssl)
    }
}

fn context(security: &Security, http2: bool, trust: &TrustStore) -> Result<SslContext, ErrorStack> {
    let mut anchors = X509StoreBuilder::new()?;
    for anchor in trust.tls_anchors() {
        anchors.add_cert(anchor.clone())?;
    }
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    builder.set_verify(SslVerifyMode::PEER);
    builder.set_cert_store(anchors.build());
    builder.set_alpn_protos(if http2 { b"\x02h2\x08http/1.1" } else { b"\x08http/1.1" })?;
    match security {
        Security::Rfc8998 { client } => {
            builder.set_min_proto_version(Some(SslVersion::TLS1_3))?;
            builder.set_max_proto_version(Some(SslVersion::TLS1_3))?;
            builder.set_ciphersuites(SUITE)?;
            builder.set_groups_list(GROUP)?;
            builder.set_sigalgs_list(SCHEME)?;
            show(&mut builder, client)?;
        }
        Security::Tls { client } => {
            // OpenSSL 4 offers the SM2 signature scheme by itself, so certificates of either kind are taken.
            builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
            if let Some(client) = client {
                show(&mut builder, client)?;
            }
        }
        Security::Gateway => {}
    }
    Ok(builder.build())
}

fn show(builder: &mut SslContextBuilder, client: &ClientKey) -> Result<(), ErrorStack> {
    let mut chain = client.chain.iter();
    if let Some(leaf) = chain.next() {
        builder.set_certificate(leaf)?;
    }
    for issuer in chain {
        builder.add_extra_chain_cert(issuer.clone())?;
    }
    builder.set_private_key(&client.key)?;
    builder.check_private_key()
}

/// The certificates that a handshake verified, the peer's first, the anchor's last.
pub(crate) fn verified_chain(ssl: &SslRef) -> Option<Vec<Certificate>> {
    ssl.verified_chain()?.iter().map(read).collect()
}

/// What the settings ask for, seen once more in the handshake as it was: a library that offers something else by itself one day
/// does not weaken the transport unnoticed.
pub(crate) fn is_rfc8998(ssl: &SslRef) -> bool {
    let suite = ssl.current_cipher().is_some_and(|cipher| cipher.name() == SUITE);
    let is_sm2 = |one: &Certificate| one.public_key().is_some();
    let chain_is_sm2 = verified_chain(ssl).is_some_and(|chain| !chain.is_empty() && chain.iter().all(is_sm2));
    ssl.version2() == Some(SslVersion::TLS1_3) && suite && chain_is_sm2
}
