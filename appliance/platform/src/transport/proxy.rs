//! The way through an HTTP proxy (RFC 9110, 9.3.6), for example a bank's gateway: a tunnel in which TLS runs end to end.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::endpoint::{authority, parts};

/// Octets of the proxy's answer at most.
const LONGEST_HEAD: usize = 8 * 1024;

/// A proxy in the configuration cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    #[error("expected http://HOST:PORT without path, query or user")]
    Form,
    #[error("expected USER:PASSWORD in one line")]
    Credentials,
}

/// An HTTP proxy that opens tunnels.
pub struct Proxy {
    host: String,
    port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<Zeroizing<String>>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", authority(&self.host, self.port))
    }
}

impl Proxy {
    /// `url`: `http://HOST:PORT`. `credentials`: `USER:PASSWORD` (RFC 7617), a line feed at the end allowed.
    pub fn new(url: &str, credentials: Option<&str>) -> Result<Self, ProxyError> {
        let (host, port) = parts(url, "http").ok_or(ProxyError::Form)?;
        let authorization = match credentials.map(|text| text.strip_suffix('\n').unwrap_or(text)) {
            None => None,
            Some(text) if text.contains(':') && !text.chars().any(char::is_control) => {
                Some(Zeroizing::new(format!("Basic {}", Zeroizing::new(STANDARD.encode(text)).as_str())))
            }
            Some(_) => return Err(ProxyError::Credentials),
        };
        Ok(Self { host, port: port.ok_or(ProxyError::Form)?, authorization })
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Asks for a tunnel to `target` (`HOST:PORT`). Nothing of a platform request is in it.
    pub(crate) async fn tunnel(&self, stream: &mut TcpStream, target: &str) -> Result<(), &'static str> {
        let mut head = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
        if let Some(authorization) = &self.authorization {
            head.push_str("Proxy-Authorization: ");
            head.push_str(authorization);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.map_err(|_| "the proxy ended the connection")?;
        let mut answer = Vec::with_capacity(256);
        // One octet at a time: what follows the head belongs to the tunnel.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() == LONGEST_HEAD {
                return Err("the proxy's answer is too long");
            }
            answer.push(stream.read_u8().await.map_err(|_| "the proxy ended the connection")?);
        }
        match status(&answer) {
            Some(200..=299) => Ok(()),
            Some(407) => Err("the proxy wants other credentials"),
            Some(_) => Err("the proxy refuses the tunnel"),
            None => Err("the proxy's answer is not HTTP"),
        }
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|octet| *octet == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let rest = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "))?;
    let digits = rest.get(..3)?;
    let ended = rest[3..].is_empty() || rest[3..].starts_with(' ');
    (ended && digits.bytes().all(|digit| digit.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_proxy_is_host_and_port_and_its_credentials_are_not_printed() {
        let proxy = Proxy::new("http://proxy.example:3128", Some("user:secret\n")).unwrap();
        assert_eq!(format!("{proxy} {proxy:?}"), "http://proxy.example:3128 Proxy(http://proxy.example:3128)");
        assert_eq!(proxy.authorization.unwrap().as_str(), "Basic dXNlcjpzZWNyZXQ=");
        for url in ["https://proxy.example:1", "http://proxy.example", "http://a:b@proxy.example:1"] {
            assert_eq!(Proxy::new(url, None).err(), Some(ProxyError::Form), "{url}");
        }
        for credentials in ["nobody", "a:b\r\nX: y", "a:b\n\n"] {
            let refused = Proxy::new("http://p:1", Some(credentials)).err();
            assert_eq!(refused, Some(ProxyError::Credentials), "{credentials:?}");
        }
    }

    #[test]
    fn a_status_line_is_read_strictly() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407\r\n\r\n"), Some(407));
        for line in
            ["HTTP/1.1 20x\r\n", "HTTP/1.1 2000\r\n", "HTTP/2 200\r\n", "HTTP/1.1 +20\r\n", "", "\r\n", "HTTP/1.1 "]
        {
            assert_eq!(status(line.as_bytes()), None, "{line:?}");
        }
    }
}
