//! Connections that end before any request, and certificates that no client may take.

use std::pin::Pin;
use std::time::Duration;

use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVersion};
use openssl::x509::X509;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::connection::{Connection, Shown};
use super::issue::{EXPIRED, NOT_YET, Order, Usage, public};
use crate::SimError;
use crate::pki::{Identity, Pki};

const LOOPBACK: &[&str] = &["localhost", "127.0.0.1", "::1"];
/// Longer than any client waits for a handshake.
const PATIENCE: Duration = Duration::from_mins(1);

/// Does to a connection what was ordered.
pub(crate) async fn refuse(mut stream: TcpStream, connection: Connection, pki: &Pki) {
    let mut hello = [0; 2048];
    let answer: &[u8] = match connection {
        // That one comes with the request.
        Connection::Closed | Connection::ClosedInTheRequest { .. } => return,
        Connection::ClosedInTheHandshake => b"",
        Connection::Silent => {
            let reading = async { while stream.read(&mut hello).await.is_ok_and(|count| count > 0) {} };
            let _ = tokio::time::timeout(PATIENCE, reading).await;
            return;
        }
        Connection::Plain => b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        Connection::Garbage => b"220 platform ESMTP ready\r\n",
        // RFC 8446 §6: fatal, handshake_failure.
        Connection::Alert => b"\x15\x03\x03\x00\x02\x02\x28",
        Connection::OldTls | Connection::Certificate(_) => {
            let made = context(connection, pki).and_then(|context| Ok(SslStream::new(Ssl::new(&context)?, stream)?));
            match made {
                Ok(mut stream) => {
                    let taken = Pin::new(&mut stream).accept().await.is_ok();
                    tracing::info!("{connection:?}: the client {}", if taken { "went on" } else { "refused" });
                }
                Err(error) => tracing::error!("{connection:?}: {error}"),
            }
            return;
        }
    };
    if stream.read(&mut hello).await.is_ok() {
        let _ = stream.write_all(answer).await;
    }
}

/// Ends a connection over which a request has begun to come.
pub(crate) async fn close_in_the_request(mut stream: SslStream<TcpStream>, dropped: bool) {
    let read = stream.read(&mut [0; 16]).await;
    if read.is_ok() && !dropped {
        let _ = stream.shutdown().await;
    }
}

fn context(connection: Connection, pki: &Pki) -> Result<SslContext, SimError> {
    let mut context = SslContext::builder(SslMethod::tls_server())?;
    context.set_sigalgs_list("sm2sig_sm3")?;
    context.set_groups_list("curveSM2:X25519MLKEM768:X25519:P-256")?;
    let shown = if let Connection::Certificate(shown) = connection {
        context.set_min_proto_version(Some(SslVersion::TLS1_3))?;
        context.set_ciphersuites("TLS_SM4_GCM_SM3:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256")?;
        show(shown, pki)?
    } else {
        context.set_max_proto_version(Some(SslVersion::TLS1_1))?;
        pki.tls.certificate.clone()
    };
    context.set_certificate(&shown)?;
    context.set_private_key(&pki.tls.key)?;
    if connection != Connection::Certificate(Shown::WithoutItsIssuer) {
        context.add_extra_chain_cert(pki.issuing.certificate.clone())?;
    }
    Ok(context.build())
}

fn show(shown: Shown, pki: &Pki) -> Result<X509, SimError> {
    let half = public(&pki.tls.key)?;
    let mut order = Order { name: "localhost", usage: Usage::Server, names: LOOPBACK, ..Order::signing(&half) };
    let other: Identity;
    let mut issuer = Some((&pki.issuing.certificate, &pki.issuing.key));
    match shown {
        Shown::OtherName => order.names = &["elsewhere.example"],
        Shown::OtherAddress => (order.name, order.names) = ("platform", &["192.0.2.1"]),
        Shown::NoName => (order.name, order.names) = ("platform", &[]),
        Shown::Expired => order.validity = EXPIRED,
        Shown::NotYetValid => order.validity = NOT_YET,
        Shown::OtherAuthority => {
            let key = super::certificate::sm2()?;
            let half = public(&key)?;
            let usage = Usage::Authority { below: 0, signs: false };
            let authority = Order { name: "Platform Issuing CA", usage, ..Order::signing(&half) }.by(None, &key)?;
            other = Identity::new(authority, key)?;
            issuer = Some((&other.certificate, &other.key));
        }
        Shown::SelfSigned => issuer = None,
        Shown::ForClients => order.usage = Usage::Client,
        Shown::ForSigning => return Order::signing(&half).by(Some(&pki.issuing.certificate), &pki.issuing.key),
        Shown::WithoutItsIssuer => {}
    }
    let (issuer, key): (_, &PKey<_>) = issuer.map_or((None, &pki.tls.key), |(issuer, key)| (Some(issuer), key));
    order.by(issuer, key)
}
