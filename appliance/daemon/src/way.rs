//! The way to the platform as it is in force: what the configuration says of it, and where that says nothing, the profile.

use std::net::IpAddr;

use yanqian_platform::{Endpoint, Profile, Speaks};

use crate::config::{Config, Transport};
use crate::parts::PartError;

/// Transport and endpoints in force.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) transport: Transport,
    /// URL and pinned addresses, in the order of preference; at least one.
    pub(crate) endpoints: Vec<(String, Vec<IpAddr>)>,
    /// What of it the profile said.
    from_profile: Vec<&'static str>,
    /// Endpoints that the profile names for tests.
    for_tests: bool,
}

impl Way {
    pub(crate) fn of(config: &Config, profile: &Profile) -> Result<Self, PartError> {
        let link = &config.platform.link;
        let fault = |key: &str, problem: String| PartError::file(&config.file, format!("key `{key}`: {problem}"));
        let named = format!("platform profile `{}` ({})", profile.name(), config.platform.profile.display());
        let mut from_profile = Vec::new();

        let transport = match (link.transport, profile.speaks()) {
            (Some(transport), speaks) if !allows(speaks, transport) => {
                let words: Vec<_> = speaks.iter().map(|one| format!("`{one}`")).collect();
                let problem = format!("is `{}`, but {named} speaks {} only", word(transport), words.join(", "));
                return Err(fault("platform.transport", problem));
            }
            (Some(transport), _) => transport,
            (None, []) => Transport::Tls,
            (None, [first, ..]) => {
                from_profile.push("transport");
                of_profile(*first)
            }
        };
        let mut endpoints = link.endpoints.clone();
        if endpoints.is_empty() {
            if transport == Transport::Gateway {
                return Err(fault("platform.endpoint", "is missing: the gateway's own address".to_owned()));
            }
            let (known, key, table) = if link.commissioning {
                (profile.test_endpoints(), "platform.commissioning", "transport.test_endpoints")
            } else {
                (profile.endpoints(), "platform.endpoint", "transport.endpoints")
            };
            if known.is_empty() {
                let problem = format!("there is none in this file, and {named} has no `{table}`");
                return Err(fault(key, problem));
            }
            from_profile.push("endpoints");
            endpoints = known.iter().map(|endpoint| (endpoint.to_string(), Vec::new())).collect();
        }
        let for_tests = endpoints.iter().any(|(url, _)| is_among(url, profile.test_endpoints()));
        Ok(Self { transport, endpoints, from_profile, for_tests })
    }

    /// Whether an endpoint is one that the profile names for tests: nothing of production belongs there.
    pub(crate) const fn is_for_tests(&self) -> bool {
        self.for_tests
    }

    /// The first endpoint that the profile names as one that serves.
    pub(crate) fn serving(&self, profile: &Profile) -> Option<&str> {
        self.endpoints.iter().map(|(url, _)| url.as_str()).find(|url| is_among(url, profile.endpoints()))
    }

    /// For people: what protects the way, where it leads, and who says so.
    pub(crate) fn in_words(&self, config: &Config) -> String {
        let endpoints = self.endpoints.iter().map(|(url, pins)| match pins.as_slice() {
            [] => url.clone(),
            pins => format!("{url} at {}", pins.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")),
        });
        let endpoints = endpoints.collect::<Vec<_>>().join(", then ");
        let proxy = config.platform.link.proxy.as_ref().map(|(url, _)| format!(" through {url}")).unwrap_or_default();
        let mut words = match self.transport {
            Transport::Tls => format!("TLS{proxy}: {endpoints}"),
            Transport::Rfc8998 => format!("RFC 8998{proxy}: {endpoints}"),
            Transport::Gateway => format!("plain HTTP to a gateway: {endpoints}"),
        };
        if !self.from_profile.is_empty() {
            words = format!("{words}; {} by the profile", self.from_profile.join(" and "));
        }
        if self.for_tests { format!("{words}; FOR TESTS by the profile") } else { words }
    }

    /// What an operator should not find out from the records alone.
    pub(crate) fn tell(&self, config: &Config) {
        let way = self.in_words(config);
        match self.transport {
            Transport::Gateway => {
                tracing::warn!(
                    way,
                    "REQUESTS GO TO THE GATEWAY WITHOUT TLS: whoever is on that way can read what is not sealed"
                );
            }
            Transport::Tls | Transport::Rfc8998 if self.for_tests => {
                tracing::warn!(way, "REQUESTS GO TO AN ENDPOINT FOR TESTS: nothing real may be asked there");
            }
            Transport::Tls | Transport::Rfc8998 => tracing::info!(way, "the way to the platform"),
        }
    }
}

/// A gateway is the entity's own, whatever it speaks to the platform.
fn allows(speaks: &[Speaks], transport: Transport) -> bool {
    transport == Transport::Gateway || speaks.is_empty() || speaks.iter().any(|one| of_profile(*one) == transport)
}

const fn of_profile(speaks: Speaks) -> Transport {
    match speaks {
        Speaks::Tls => Transport::Tls,
        Speaks::Rfc8998 => Transport::Rfc8998,
    }
}

const fn word(transport: Transport) -> &'static str {
    match transport {
        Transport::Tls => "tls",
        Transport::Rfc8998 => "rfc8998",
        Transport::Gateway => "gateway",
    }
}

/// However the port is written.
fn is_among(url: &str, endpoints: &[Endpoint]) -> bool {
    Endpoint::https(url, Vec::new()).is_ok_and(|endpoint| endpoints.contains(&endpoint))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    const SAMPLE: &str = include_str!("../../../samples/yanqian.toml");
    const PROFILE: &str = include_str!("../../../platform-profiles/reference.toml");
    const KEYS: &str = "tls_certificate = \"tls/platform.pem\"\ntls_key = \"tls/platform.key\"\n";

    /// The sample with these lines about the way to the platform, and the reference profile with this `[transport]`.
    fn both(lines: &str, transport: &str) -> (Config, Profile) {
        let own = ["endpoint = ", "transport = "];
        let others = SAMPLE.lines().filter(|line| !own.iter().any(|key| line.starts_with(key)));
        let text: String = others.flat_map(|line| [line, "\n"]).collect();
        let text = text.replacen("\n[platform]\n", &format!("\n[platform]\n{lines}\n"), 1);
        let config = crate::config::parse(&text, Path::new("/etc/yanqian/yanqian.toml")).unwrap();
        let profile = format!("{PROFILE}\n[transport]\n{transport}\n");
        (config, Profile::parse(&profile, Path::new("p.toml")).unwrap())
    }

    fn way(lines: &str, transport: &str) -> Result<(Way, String), String> {
        let (config, profile) = both(lines, transport);
        let way = Way::of(&config, &profile).map_err(|error| error.to_string())?;
        let words = way.in_words(&config);
        Ok((way, words))
    }

    #[test]
    fn where_the_configuration_says_nothing_the_profile_decides_and_is_told_to() {
        let places =
            "endpoints = [\"https://a.example\", \"https://b.example:8443\"]\ntest_endpoints = [\"https://t.example\"]";
        let (found, words) = way(KEYS, &format!("speaks = [\"rfc8998\", \"tls\"]\n{places}")).unwrap();
        assert_eq!(found.transport, Transport::Rfc8998);
        let expected =
            "RFC 8998: https://a.example:443, then https://b.example:8443; transport and endpoints by the profile";
        assert_eq!(words, expected);
        assert!(!found.is_for_tests());
        let (found, words) = way("commissioning = true", places).unwrap();
        assert_eq!(words, "TLS: https://t.example:443; endpoints by the profile; FOR TESTS by the profile");
        assert!(found.is_for_tests());
    }

    #[test]
    fn what_the_configuration_says_goes_before_the_profile() {
        let transport = "speaks = [\"rfc8998\", \"tls\"]\nendpoints = [\"https://a.example\"]\n\
                         test_endpoints = [\"https://t.example\"]";
        let own = "endpoint = \"https://b.example\"\ntransport = \"tls\"";
        let (found, words) = way(own, transport).unwrap();
        assert_eq!((found.transport, words.as_str()), (Transport::Tls, "TLS: https://b.example"));
        // However it is written, an endpoint for tests is told.
        let (found, words) =
            way("endpoint = \"https://t.example:443\"", transport.replace("\"rfc8998\", ", "").as_str()).unwrap();
        assert!(found.is_for_tests() && words.contains("transport by the profile; FOR TESTS"), "{words}");
        let (config, profile) = both("endpoint = \"https://a.example/\"\ntransport = \"tls\"", transport);
        let way = Way::of(&config, &profile).unwrap();
        assert_eq!(way.serving(&profile), Some("https://a.example/"));
        // A gateway is ours, and the profile knows nothing of it.
        let gateway = "transport = \"gateway\"\nendpoint = \"http://127.0.0.1:8080\"";
        assert!(self::way(gateway, "speaks = [\"rfc8998\"]").is_ok());
    }

    #[test]
    fn a_conflict_is_refused_with_both_names() {
        let own = "endpoint = \"https://b.example\"\ntransport = \"tls\"";
        let error = way(own, "speaks = [\"rfc8998\"]").unwrap_err();
        let file = "/etc/yanqian/yanqian.toml: key `platform.transport`: is `tls`, but platform profile `reference`";
        assert!(error.starts_with(file), "{error}");
        assert!(error.contains("platform-profiles/reference.toml) speaks `rfc8998` only"), "{error}");
        let own = format!("endpoint = \"https://b.example\"\ntransport = \"rfc8998\"\n{KEYS}");
        assert!(way(&own, "speaks = [\"tls\"]").unwrap_err().contains("is `rfc8998`, but platform profile"));
        for (own, transport, key, problem) in [
            ("", "speaks = [\"tls\"]", "platform.endpoint", "has no `transport.endpoints`"),
            ("commissioning = true", "", "platform.commissioning", "has no `transport.test_endpoints`"),
            (
                "transport = \"gateway\"",
                "endpoints = [\"https://a.example\"]",
                "platform.endpoint",
                "the gateway's own",
            ),
        ] {
            let error = way(own, transport).unwrap_err();
            assert!(error.contains(&format!("key `{key}`")) && error.contains(problem), "{error}");
        }
        let (config, profile) = both("endpoint = \"https://b.example\"", "speaks = [\"rfc8998\"]");
        let way = Way::of(&config, &profile).unwrap();
        let error = crate::link::settings(&config, &way).unwrap_err().to_string();
        assert!(error.contains("key `platform.tls_certificate`"), "{error}");
    }
}
