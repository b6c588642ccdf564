//! The way to the platform as the configuration has it, and what operators watch of it.

use std::path::Path;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use yanqian_gateway::{Clock as _, SystemClock};
use yanqian_platform::{
    AttemptResult, ClientKey, ConnectStage, Endpoint, EndpointState, EndpointStats, LinkSettings, LinkStats, PROTOCOLS,
    PlatformClient, Proxy, Security,
};
use yanqian_sm::PublicKey;
use zeroize::Zeroizing;

use crate::config::{Config, Transport};
use crate::families::{Family, Sample, float, plain};
use crate::parts::PartError;
use crate::way::Way;
use crate::{hardening, keys};

/// Where the key of a TLS client certificate is kept, as records say it: this program reads it from a file, whatever may protect
/// that while it rests.
pub(crate) const TLS_KEY_GRADE: &str = "file";

/// Reads what the configuration names.
pub(crate) fn settings(config: &Config, way: &Way) -> Result<LinkSettings, PartError> {
    let link = &config.platform.link;
    let fault =
        |key: &str, problem: &dyn std::fmt::Display| PartError::file(&config.file, format!("key `{key}`: {problem}"));
    // A certificate of ours that cannot be read keeps the daemon from starting by itself.
    let own = match (&link.client, keys::load(config, SystemClock.now())) {
        (Some(_), Ok(pairs)) => pairs.signing.iter().chain(&pairs.encryption).map(|pair| pair.public_key).collect(),
        _ => Vec::new(),
    };
    let client = link.client.as_ref().map(|(certificate, key)| client_key(certificate, key, &own)).transpose()?;
    let security = match (way.transport, client) {
        (Transport::Tls, client) => Security::Tls { client },
        (Transport::Rfc8998, Some(client)) => {
            Security::rfc8998(client).map_err(|error| fault("platform.tls_key", &error))?
        }
        (Transport::Rfc8998, None) => {
            return Err(fault("platform.tls_certificate", &"is missing: `rfc8998` needs it, and `tls_key`"));
        }
        (Transport::Gateway, _) => Security::Gateway,
    };
    let mut endpoints = Vec::new();
    for (url, pins) in &way.endpoints {
        let endpoint = match way.transport {
            Transport::Gateway => Endpoint::gateway(url, pins, &link.gateway_addresses),
            Transport::Tls | Transport::Rfc8998 => Endpoint::https(url, pins.clone()),
        };
        endpoints.push(endpoint.map_err(|error| fault("platform.endpoint", &format_args!("`{url}`: {error}")))?);
    }
    let proxy = match &link.proxy {
        None => None,
        Some((url, credentials)) => {
            let credentials = credentials.as_deref().map(secret_text).transpose()?;
            let proxy = Proxy::new(url, credentials.as_ref().map(|text| text.as_str()));
            Some(proxy.map_err(|error| fault("platform.proxy", &error))?)
        }
    };
    Ok(LinkSettings {
        security,
        proxy,
        http2: link.http2,
        in_use: link.in_use,
        age: link.age,
        breaker: link.breaker,
        retries: link.retries,
        ..LinkSettings::new(endpoints)
    })
}

fn secret_text(file: &Path) -> Result<Zeroizing<String>, PartError> {
    hardening::check_secret(file)?;
    std::fs::read_to_string(file).map(Zeroizing::new).map_err(|error| PartError::file(file, error))
}

/// `own`: the keys in the token, none of which is the one in TLS.
fn client_key(certificate: &Path, key: &Path, own: &[PublicKey]) -> Result<ClientKey, PartError> {
    hardening::check_public(certificate)?;
    let chain = std::fs::read(certificate).map_err(|error| PartError::file(certificate, error))?;
    let client = ClientKey::from_pem(&chain, secret_text(key)?.as_bytes())
        .map_err(|error| PartError::file(key, format_args!("{error} ({})", certificate.display())))?;
    let shown = client.certificate().public_key();
    if shown.is_some_and(|shown| own.contains(shown)) {
        return Err(PartError::file(key, "is the signing key or the encryption key; TLS has a key of its own"));
    }
    Ok(client)
}

fn each(stats: &LinkStats, samples: impl Fn(&EndpointStats) -> Vec<(&'static str, u64)>) -> Vec<Sample> {
    let one = |endpoint: &EndpointStats| {
        let name = endpoint.endpoint.clone();
        samples(endpoint)
            .into_iter()
            .map(move |(label, value)| (vec![name.clone().into(), label.into()], float(value)))
            .collect::<Vec<_>>()
    };
    stats.endpoints.iter().flat_map(one).collect()
}

const FAMILIES: [Family<LinkStats>; 8] = [
    Family {
        name: "yanqian_platform_endpoint_state",
        help: "1 for the state that an endpoint of the platform is in.",
        kind: MetricType::GAUGE,
        labels: &["endpoint", "state"],
        samples: |stats| {
            each(stats, |one| EndpointState::ALL.map(|state| (state.as_str(), (one.state == state).into())).into())
        },
    },
    Family {
        name: "yanqian_platform_endpoint_rests_total",
        help: "Times that an endpoint was left alone after failures.",
        kind: MetricType::COUNTER,
        labels: &["endpoint"],
        samples: |stats| {
            stats.endpoints.iter().map(|one| (vec![one.endpoint.clone().into()], float(one.rests))).collect()
        },
    },
    Family {
        name: "yanqian_platform_attempts_total",
        help: "Requests at an endpoint, and how they ended there.",
        kind: MetricType::COUNTER,
        labels: &["endpoint", "result"],
        samples: |stats| {
            each(stats, |one| AttemptResult::ALL.map(AttemptResult::as_str).into_iter().zip(one.attempts).collect())
        },
    },
    Family {
        name: "yanqian_platform_failed_connections_total",
        help: "Connections to an endpoint that were not made, and where it failed.",
        kind: MetricType::COUNTER,
        labels: &["endpoint", "stage"],
        samples: |stats| {
            each(stats, |one| {
                ConnectStage::ALL.map(ConnectStage::as_str).into_iter().zip(one.failed_connections).collect()
            })
        },
    },
    Family {
        name: "yanqian_platform_connections",
        help: "Open connections to an endpoint.",
        kind: MetricType::GAUGE,
        labels: &["endpoint", "protocol"],
        samples: |stats| each(stats, |one| PROTOCOLS.into_iter().zip(one.connections).collect()),
    },
    Family {
        name: "yanqian_platform_retries_total",
        help: "Requests that went on to another endpoint.",
        kind: MetricType::COUNTER,
        labels: &[],
        samples: |stats| plain(stats.retries),
    },
    Family {
        name: "yanqian_platform_retries_denied_total",
        help: "Requests that did not, because too many had already.",
        kind: MetricType::COUNTER,
        labels: &[],
        samples: |stats| plain(stats.retries_denied),
    },
    Family {
        name: "yanqian_platform_retry_budget",
        help: "Requests that may still go on to another endpoint.",
        kind: MetricType::GAUGE,
        labels: &[],
        samples: |stats| plain(stats.retry_budget),
    },
];

/// The metric families of a [`PlatformClient`].
pub(crate) struct LinkMetrics {
    client: Arc<PlatformClient>,
    descriptions: Vec<Desc>,
}

impl LinkMetrics {
    pub(crate) fn new(client: &Arc<PlatformClient>) -> Result<Self, prometheus::Error> {
        let descriptions = FAMILIES.iter().map(Family::describe).collect::<Result<_, _>>()?;
        Ok(Self { client: Arc::clone(client), descriptions })
    }
}

impl Collector for LinkMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let stats = self.client.stats();
        FAMILIES.iter().map(|family| family.collect(&stats)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use prometheus::{Registry, TextEncoder};
    use yanqian_platform::Profile;

    use super::*;

    #[test]
    fn the_signing_key_is_not_used_in_tls() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let layout = yanqian_devpki::generate(&directory.path().join("pki"), &yanqian_devpki::Options::default());
        let layout = layout.unwrap();
        let (tls, other) = (layout.entity("tls"), layout.platform("signing"));
        let key_of = |pair: &yanqian_devpki::Pair| {
            let pem = std::fs::read(&pair.certificate).unwrap();
            let certificate = yanqian_messages::certificates_from_pem_or_der(&pem).unwrap().remove(0);
            *certificate.public_key().unwrap()
        };
        assert!(client_key(&tls.certificate, &tls.key, &[key_of(&other)]).is_ok());
        let refused = client_key(&tls.certificate, &tls.key, &[key_of(&other), key_of(&tls)]).unwrap_err().to_string();
        assert!(refused.contains("tls.key") && refused.contains("is the signing key"), "{refused}");
        std::fs::set_permissions(&tls.key, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(client_key(&tls.certificate, &tls.key, &[]).unwrap_err().to_string().contains("read by group"));
    }

    #[test]
    fn every_series_of_every_endpoint_exists_from_the_start() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../platform-profiles/reference.toml");
        let endpoint = |url| Endpoint::https(url, Vec::new()).unwrap();
        let settings = LinkSettings::new(vec![endpoint("https://a.example"), endpoint("https://b.example:8443")]);
        let client = PlatformClient::with_settings(Arc::new(Profile::load(&file).unwrap()), settings).unwrap();
        let registry = Registry::new();
        registry.register(Box::new(LinkMetrics::new(&Arc::new(client)).unwrap())).unwrap();
        let page = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for series in [
            "yanqian_platform_endpoint_state{endpoint=\"https://a.example:443\",state=\"serving\"} 1",
            "yanqian_platform_endpoint_state{endpoint=\"https://b.example:8443\",state=\"resting\"} 0",
            "yanqian_platform_attempts_total{endpoint=\"https://a.example:443\",result=\"unanswered\"} 0",
            "yanqian_platform_failed_connections_total{endpoint=\"https://b.example:8443\",stage=\"tls\"} 0",
            "yanqian_platform_connections{endpoint=\"https://a.example:443\",protocol=\"http2\"} 0",
            "yanqian_platform_endpoint_rests_total{endpoint=\"https://a.example:443\"} 0",
            "yanqian_platform_retries_total 0",
            "yanqian_platform_retries_denied_total 0",
            "yanqian_platform_retry_budget 50",
        ] {
            assert!(page.contains(series), "{series} is not in\n{page}");
        }
    }
}
