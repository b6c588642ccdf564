//! How the platform is reached: endpoints, transport and proxy of `[platform]`, and `[link]`.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use yanqian_platform::{BreakerSettings, RetrySettings};

use super::limits::{n32, n64};

/// One place at which the platform answers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEndpoint {
    /// As `platform.endpoint`.
    url: String,
    /// The only addresses that are connected to; the name is then not resolved, and still has to stand in the certificate.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pin_addresses: Vec<IpAddr>,
}

/// What protects the way to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Transport {
    Tls,
    Rfc8998,
    Gateway,
}

/// Connections to the platform, and what happens when an endpoint fails; all optional.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLink {
    /// Requests under way at one endpoint; over HTTP/1.1 each has a connection of its own. The profile says how many idle ones are kept.
    max_in_use: NonZeroU32,
    /// Seconds after which no further request begins on a connection.
    max_age_seconds: NonZeroU64,
    /// Failures in a row after which an endpoint is left alone for a while.
    breaker_failures: NonZeroU32,
    /// Percent of failures within the window that do the same, 1 to 100.
    breaker_percent: NonZeroU32,
    /// Seconds of that window.
    breaker_window_seconds: NonZeroU64,
    /// Attempts within the window below which the percentage says nothing.
    breaker_samples: NonZeroU32,
    /// Milliseconds for which an endpoint is left alone at first; doubled while its trials fail, and up to half less by chance.
    breaker_rest_ms: NonZeroU64,
    /// Milliseconds for which it is left alone at most.
    breaker_longest_rest_ms: NonZeroU64,
    /// Requests out of a hundred that may go on to another endpoint, in the long run; at most 100.
    retry_percent: u32,
    /// Such requests that can be saved up.
    retry_reserve: u32,
}

impl Default for RawLink {
    fn default() -> Self {
        Self {
            max_in_use: n32(256),
            max_age_seconds: n64(600),
            breaker_failures: n32(5),
            breaker_percent: n32(50),
            breaker_window_seconds: n64(10),
            breaker_samples: n32(20),
            breaker_rest_ms: n64(250),
            breaker_longest_rest_ms: n64(5000),
            retry_percent: 20,
            retry_reserve: 50,
        }
    }
}

/// The keys of `[platform]` that are about the way to it.
pub(super) struct RawWay {
    pub(super) endpoint: Option<String>,
    pub(super) endpoints: Vec<RawEndpoint>,
    pub(super) commissioning: bool,
    pub(super) transport: Option<Transport>,
    pub(super) tls_certificate: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) gateway_addresses: Vec<IpAddr>,
    pub(super) proxy: Option<String>,
    pub(super) proxy_credentials_file: Option<PathBuf>,
    pub(super) http2: bool,
}

/// How the platform is reached, as far as the configuration says; `link::Way` is what comes of it and the profile.
#[derive(Debug)]
pub(crate) struct Link {
    /// URL and pinned addresses, in the order of preference; none: the profile's.
    pub(crate) endpoints: Vec<(String, Vec<IpAddr>)>,
    /// Whether the profile's endpoints for tests are asked in place of the others.
    pub(crate) commissioning: bool,
    /// None: the first that the profile names, or else TLS.
    pub(crate) transport: Option<Transport>,
    /// Certificate and key that this appliance shows.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
    pub(crate) gateway_addresses: Vec<IpAddr>,
    /// URL, and the file with its credentials.
    pub(crate) proxy: Option<(String, Option<PathBuf>)>,
    pub(crate) http2: bool,
    pub(crate) in_use: usize,
    pub(crate) age: Duration,
    pub(crate) breaker: BreakerSettings,
    pub(crate) retries: RetrySettings,
}

/// The faulty key, and what is wrong.
type Fault = (&'static str, &'static str);

impl RawWay {
    pub(super) fn check(self, link: &RawLink, base: &Path) -> Result<Link, Fault> {
        let endpoints = match (self.endpoint, self.endpoints) {
            (Some(url), several) if several.is_empty() => vec![(url, Vec::new())],
            (None, several) if !several.is_empty() => {
                several.into_iter().map(|one| (one.url, one.pin_addresses)).collect()
            }
            (None, _) => Vec::new(),
            (Some(_), _) => return Err(("platform.endpoint", "either this key or [[platform.endpoints]]")),
        };
        if self.commissioning && !endpoints.is_empty() {
            return Err((
                "platform.commissioning",
                "chooses among the profile's endpoints, and this file names its own",
            ));
        }
        let at = |path: PathBuf| base.join(path);
        let client = match (self.tls_certificate, self.tls_key) {
            (Some(certificate), Some(key)) => Some((at(certificate), at(key))),
            (None, None) => None,
            _ => return Err(("platform.tls_key", "stands together with `tls_certificate`, or not at all")),
        };
        let gateway = self.transport == Some(Transport::Gateway);
        if self.transport == Some(Transport::Rfc8998) && client.is_none() {
            return Err(("platform.transport", "rfc8998 needs `tls_certificate` and `tls_key`"));
        }
        if gateway && (client.is_some() || self.proxy.is_some()) {
            return Err((
                "platform.transport",
                "there is no TLS to a gateway: no `tls_certificate`, `tls_key`, `proxy`",
            ));
        }
        if !gateway && !self.gateway_addresses.is_empty() {
            return Err(("platform.gateway_addresses", "stands with transport = \"gateway\" only"));
        }
        if self.proxy.is_none() && self.proxy_credentials_file.is_some() {
            return Err(("platform.proxy_credentials_file", "stands together with `proxy`"));
        }
        let percent = |n: u32| u8::try_from(n).ok().filter(|n| *n <= 100);
        Ok(Link {
            endpoints,
            commissioning: self.commissioning,
            transport: self.transport,
            client,
            gateway_addresses: self.gateway_addresses,
            proxy: self.proxy.map(|url| (url, self.proxy_credentials_file.map(at))),
            http2: self.http2,
            in_use: usize::try_from(link.max_in_use.get()).unwrap_or(usize::MAX).min(MOST_IN_USE),
            age: Duration::from_secs(link.max_age_seconds.get()),
            breaker: BreakerSettings {
                consecutive: link.breaker_failures,
                window: Duration::from_secs(link.breaker_window_seconds.get()),
                percent: percent(link.breaker_percent.get()).ok_or(("link.breaker_percent", "1 to 100"))?,
                samples: link.breaker_samples,
                open: Duration::from_millis(link.breaker_rest_ms.get()),
                longest: Duration::from_millis(link.breaker_longest_rest_ms.get()),
            },
            retries: RetrySettings {
                percent: percent(link.retry_percent).ok_or(("link.retry_percent", "0 to 100"))?,
                reserve: link.retry_reserve,
            },
        })
    }
}

/// More than any machine has descriptors for.
const MOST_IN_USE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    const SAMPLE: &str = include_str!("../../../../samples/yanqian.toml");

    /// The sample with these lines in place of its own about the way to the platform.
    fn sample(lines: &str) -> String {
        let own = ["endpoint = ", "transport = ", "http2 = "];
        let others = SAMPLE.lines().filter(|line| !own.iter().any(|key| line.starts_with(key)));
        let text: String = others.flat_map(|line| [line, "\n"]).collect();
        text.replacen("\n[platform]\n", &format!("\n[platform]\n{lines}\n"), 1)
    }

    fn read(text: &str) -> Result<Link, String> {
        let parsed = super::super::parse(text, Path::new("/etc/yanqian/yanqian.toml"));
        parsed.map(|config| config.platform.link).map_err(|error| error.to_string())
    }

    fn parsed(lines: &str) -> Result<Link, String> {
        read(&sample(lines))
    }

    #[test]
    fn several_endpoints_stand_in_their_order_with_their_pins() {
        let several = "[[platform.endpoints]]\nurl = \"https://a.example\"\npin_addresses = [\"10.0.0.1\", \"::1\"]\n\
                       [[platform.endpoints]]\nurl = \"https://b.example\"\n";
        let link = read(&(sample("http2 = false") + several)).unwrap();
        assert_eq!(link.endpoints.len(), 2);
        assert_eq!(link.endpoints[0].1, ["10.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        assert!(link.endpoints[1].1.is_empty() && !link.http2);
        let both = sample("endpoint = \"https://a.example\"") + several;
        assert!(read(&both).unwrap_err().contains("key `platform.endpoint`"));
    }

    #[test]
    fn what_does_not_go_together_is_refused_by_key() {
        let endpoint = "endpoint = \"https://platform.example\"\n";
        let keys = "tls_certificate = \"tls/platform.pem\"\ntls_key = \"tls/platform.key\"\n";
        for (lines, key) in [
            (format!("{endpoint}commissioning = true"), "platform.commissioning"),
            (format!("{endpoint}tls_key = \"x\""), "platform.tls_key"),
            (format!("{endpoint}transport = \"rfc8998\""), "platform.transport"),
            (format!("{endpoint}transport = \"gateway\"\n{keys}"), "platform.transport"),
            (format!("{endpoint}transport = \"gateway\"\nproxy = \"http://p:1\""), "platform.transport"),
            (format!("{endpoint}gateway_addresses = [\"10.0.0.1\"]"), "platform.gateway_addresses"),
            (format!("{endpoint}proxy_credentials_file = \"x\""), "platform.proxy_credentials_file"),
        ] {
            let error = parsed(&lines).unwrap_err();
            assert!(error.contains(&format!("key `{key}`")), "{lines}: {error}");
        }
        assert!(parsed(&format!("{endpoint}transport = \"tlcp\"")).unwrap_err().contains("transport"));
        let link = parsed(&format!("{endpoint}transport = \"rfc8998\"\n{keys}")).unwrap();
        assert_eq!(link.client.unwrap().1, Path::new("/etc/yanqian/tls/platform.key"));
        for (line, wrong) in [("breaker_percent = 50", "101"), ("retry_percent = 20", "101")] {
            let key = line.split(' ').next().unwrap();
            let error = read(&SAMPLE.replacen(line, &format!("{key} = {wrong}"), 1)).unwrap_err();
            assert!(error.contains(&format!("key `link.{key}`")), "{error}");
        }
    }
}
