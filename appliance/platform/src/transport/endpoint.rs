//! Where the platform is.

use std::fmt;
use std::net::IpAddr;

/// An endpoint in the configuration cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("expected https://HOST:PORT without path, query or user")]
    Form,
    #[error("expected http://ADDRESS:PORT of the gateway, an IP address, without path, query or user")]
    GatewayForm,
    #[error("plain HTTP goes to a loopback address, or to one that `gateway_addresses` names")]
    GatewayAddress,
    #[error("a gateway is named by its address: nothing is resolved, so there is nothing to pin")]
    GatewayPins,
    #[error("there is none")]
    None,
}

/// Scheme, host and port; paths come from the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The only addresses that are connected to; where there are none, the name is resolved.
    pub(crate) pins: Vec<IpAddr>,
}

impl Endpoint {
    /// `https://HOST:PORT` (port 443 when absent).
    pub fn https(url: &str, pins: Vec<IpAddr>) -> Result<Self, EndpointError> {
        let (host, port) = parts(url, "https").ok_or(EndpointError::Form)?;
        Ok(Self { secure: true, host, port: port.unwrap_or(443), pins })
    }

    /// `http://ADDRESS:PORT` of a gateway that speaks TLCP to the platform. Whoever can reach the way to it reads along, so it
    /// is on this machine, or `allowed` names it.
    pub fn gateway(url: &str, pins: &[IpAddr], allowed: &[IpAddr]) -> Result<Self, EndpointError> {
        let (host, port) = parts(url, "http").ok_or(EndpointError::GatewayForm)?;
        let address: IpAddr = host.parse().map_err(|_| EndpointError::GatewayForm)?;
        if !address.is_loopback() && !allowed.contains(&address) {
            return Err(EndpointError::GatewayAddress);
        }
        if !pins.is_empty() {
            return Err(EndpointError::GatewayPins);
        }
        Ok(Self { secure: false, host, port: port.unwrap_or(80), pins: Vec::new() })
    }

    pub(crate) const fn is_secure(&self) -> bool {
        self.secure
    }

    /// `HOST:PORT` as HTTP writes it.
    pub(crate) fn authority(&self) -> String {
        authority(&self.host, self.port)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }
}

pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Host, without the brackets of an IPv6 address, and port.
pub(super) fn parts(url: &str, scheme: &str) -> Option<(String, Option<u16>)> {
    let uri: http::Uri = url.parse().ok()?;
    let plain = uri.scheme_str() == Some(scheme)
        && matches!(uri.path(), "" | "/")
        && uri.query().is_none()
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    (plain && !host.is_empty()).then(|| (host, uri.port_u16()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_endpoint_is_scheme_host_and_port_and_nothing_else() {
        for (url, shown) in [
            ("https://platform.example", "https://platform.example:443"),
            ("https://platform.example:8443/", "https://platform.example:8443"),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ] {
            assert_eq!(Endpoint::https(url, Vec::new()).unwrap().to_string(), shown);
        }
        for url in ["http://platform.example", "https://platform.example/path", "https://me@platform.example", "", "x"]
        {
            assert_eq!(Endpoint::https(url, Vec::new()), Err(EndpointError::Form), "{url}");
        }
    }

    #[test]
    fn plain_http_goes_to_this_machine_or_to_a_named_address() {
        let named: IpAddr = "10.0.0.7".parse().unwrap();
        assert!(Endpoint::gateway("http://127.0.0.1:8080", &[], &[]).is_ok());
        assert!(Endpoint::gateway("http://[::1]:8080", &[], &[]).is_ok());
        assert!(Endpoint::gateway("http://10.0.0.7:8080", &[], &[named]).is_ok());
        for (url, error) in [
            ("http://10.0.0.8:8080", EndpointError::GatewayAddress),
            ("http://localhost:8080", EndpointError::GatewayForm),
            ("https://127.0.0.1:8080", EndpointError::GatewayForm),
        ] {
            assert_eq!(Endpoint::gateway(url, &[], &[named]), Err(error), "{url}");
        }
    }
}
