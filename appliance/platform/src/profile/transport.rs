//! `[transport]`: where the platform is and what it speaks, as far as the profile says so.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;

use super::Profile;
use super::build::Fault;
use crate::transport::Endpoint;

/// What a platform speaks on the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Speaks {
    /// TLS 1.2 or 1.3.
    Tls,
    /// TLS 1.3 by RFC 8998, with SM2 certificates on both sides.
    Rfc8998,
}

impl Speaks {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Rfc8998 => "rfc8998",
        }
    }
}

impl fmt::Display for Speaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Empty where the profile says nothing of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct TransportForm {
    speaks: Vec<Speaks>,
    endpoints: Vec<Endpoint>,
    test_endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTransport {
    #[serde(default)]
    speaks: Vec<Speaks>,
    #[serde(default)]
    endpoints: Vec<String>,
    #[serde(default)]
    test_endpoints: Vec<String>,
}

impl RawTransport {
    pub(super) fn build(self) -> Result<TransportForm, Fault> {
        if self.speaks.iter().enumerate().any(|(at, one)| self.speaks[..at].contains(one)) {
            return Err(("transport.speaks", "holds a word twice"));
        }
        let endpoints = read("transport.endpoints", &self.endpoints)?;
        let test_endpoints = read("transport.test_endpoints", &self.test_endpoints)?;
        // What is asked for tests must not be what serves people.
        if test_endpoints.iter().any(|one| endpoints.contains(one)) {
            return Err(("transport.test_endpoints", "holds one of `transport.endpoints`"));
        }
        Ok(TransportForm { speaks: self.speaks, endpoints, test_endpoints })
    }
}

fn read(key: &'static str, urls: &[String]) -> Result<Vec<Endpoint>, Fault> {
    let read = |url: &String| Endpoint::https(url, Vec::new());
    let endpoints: Vec<_> = urls
        .iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(|_| (key, "expected https://HOST:PORT without path, query or user"))?;
    let distinct: BTreeSet<_> = endpoints.iter().map(Endpoint::to_string).collect();
    if distinct.len() == endpoints.len() { Ok(endpoints) } else { Err((key, "holds an endpoint twice")) }
}

impl Profile {
    /// What the platform speaks, the preferred one first; empty where the profile does not say.
    pub fn speaks(&self) -> &[Speaks] {
        &self.transport.speaks
    }

    /// Where the platform serves, in the order of preference; empty where the profile does not say.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.transport.endpoints
    }

    /// Where the platform answers for commissioning; none of them is among [`Self::endpoints`].
    pub fn test_endpoints(&self) -> &[Endpoint] {
        &self.transport.test_endpoints
    }
}
