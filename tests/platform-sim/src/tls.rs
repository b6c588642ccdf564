//! TLS as the platform offers it. The certificate is SM2 in every case.

use openssl::ssl::{AlpnError, SslContext, SslMethod, SslRef, SslVerifyMode, SslVersion, select_next_proto};

use crate::pki::Pki;
use crate::seen::Handshake;
use crate::{Config, SimError, sm};

const PROTOCOLS: &[u8] = b"\x02h2\x08http/1.1";

/// RFC 8998 first, then what an untuned OpenSSL client offers; or RFC 8998 alone, with a client certificate of the using
/// entities' authority.
pub(crate) fn context(pki: &Pki, config: &Config) -> Result<SslContext, SimError> {
    let mut context = SslContext::builder(SslMethod::tls_server())?;
    context.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    context.set_sigalgs_list("sm2sig_sm3")?;
    if config.rfc8998_only {
        context.set_ciphersuites("TLS_SM4_GCM_SM3")?;
        context.set_groups_list("curveSM2")?;
        context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        context.set_cert_store(pki.entity_store()?);
    } else {
        context.set_ciphersuites("TLS_SM4_GCM_SM3:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256")?;
        context.set_groups_list("curveSM2:X25519MLKEM768:X25519:P-256")?;
    }
    if config.http2 {
        context
            .set_alpn_select_callback(|_, offered| select_next_proto(PROTOCOLS, offered).ok_or(AlpnError::ALERT_FATAL));
    }
    context.set_certificate(&pki.tls.certificate)?;
    context.set_private_key(&pki.tls.key)?;
    context.add_extra_chain_cert(pki.issuing.certificate.clone())?;
    context.check_private_key()?;
    Ok(context.build())
}

pub(crate) fn handshake(ssl: &SslRef) -> Handshake {
    let client = ssl.peer_certificate().and_then(|certificate| certificate.to_der().ok());
    Handshake {
        version: ssl.version_str().to_owned(),
        suite: ssl.current_cipher().map(|cipher| cipher.name().to_owned()).unwrap_or_default(),
        protocol: String::from_utf8_lossy(ssl.selected_alpn_protocol().unwrap_or(b"http/1.1")).into_owned(),
        client: client.and_then(|der| sm::sm3(&der).ok()).map(hex::encode),
    }
}
