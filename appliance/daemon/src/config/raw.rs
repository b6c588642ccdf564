//! The file's own shape, and the one way from it to a [`Config`].

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use yanqian_documents::check_credit_code;
use yanqian_vocabulary::{EntityId, KeyLine, NodeId, PlatformId};

use super::checkpoints::RawCheckpoints;
use super::clock::RawClock;
use super::hsm::{RawHsm, Source};
use super::ledger_files::RawLedger;
use super::limits::RawLimits;
use super::link::{RawEndpoint, RawLink, RawWay, Transport};
use super::retention::RawRetention;
use super::revocation::RawRevocation;
use super::search::RawSearch;
use super::verification::RawVerification;
use super::{Config, ConfigError, Limits, Listen, Platform};

const FORMAT_VERSION: u32 = 1;

/// The daemon's configuration, `/etc/yanqian/yanqian.toml`. Relative paths are relative to its directory.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "yanqian.toml")]
struct RawConfig {
    /// Version of this file's form: 1.
    format_version: u32,
    entity: RawEntity,
    paths: RawPaths,
    listen: RawListen,
    metrics: RawMetrics,
    platform: RawPlatform,
    hsm: RawHsm,
    #[serde(default)]
    checkpoints: RawCheckpoints,
    #[serde(default)]
    verification: RawVerification,
    #[serde(default)]
    chip: RawChip,
    #[serde(default)]
    link: RawLink,
    #[serde(default)]
    clock: RawClock,
    #[serde(default)]
    ledger: RawLedger,
    #[serde(default)]
    search: RawSearch,
    #[serde(default)]
    retention: RawRetention,
    #[serde(default)]
    limits: RawLimits,
}

const fn yes() -> bool {
    true
}

/// Who runs this appliance.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawEntity {
    /// The using entity that holds the agreement; must equal the agreement's `entity`; in every record. 1 to 64 characters
    /// of `a-z 0-9 - _ .`, the first a letter or digit.
    #[schemars(with = "String")]
    id: EntityId,
    /// Its unified social credit code (GB 32100-2015), as on its business licence (Measures art. 6(2)). Both check characters are
    /// held; it stands in reports of joint debugging.
    credit_code: Option<String>,
    /// This appliance; each node keeps its own ledger. The same alphabet as `id`.
    #[schemars(with = "String")]
    node: NodeId,
}

impl RawEntity {
    fn check(&self) -> Result<(), String> {
        self.credit_code.as_deref().map_or(Ok(()), check_credit_code).map_err(|error| error.to_string())
    }
}

/// State and the files that decide.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawPaths {
    /// Directory of `ledger/`, `archive/`, `state.sqlite`, and the socket for operators' orders; made with mode 0700.
    state_dir: PathBuf,
    /// 32 random octets as 64 hexadecimal digits, readable by the daemon only. Keys for stored replies, receipts and idempotency
    /// are derived from it. Losing it makes stored replies unreadable; the ledger stays verifiable.
    state_key_file: PathBuf,
    /// The agreement; see agreement.toml below.
    agreement: PathBuf,
}

/// Where internal systems connect, with mutual TLS.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawListen {
    /// IP address and port. Not used when the service manager hands a listener over (`yanqian.socket`).
    address: SocketAddr,
    /// The server's certificate chain, leaf first, PEM.
    certificate: PathBuf,
    /// The leaf's private key, PEM, readable by the daemon only.
    key: PathBuf,
    /// Issuers of the callers' client certificates, PEM.
    client_ca: PathBuf,
    /// Written with the bound addresses (JSON) once the daemon serves.
    ready_file: Option<PathBuf>,
}

/// Where Prometheus and load balancers ask.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawMetrics {
    /// `/metrics`, `/healthz`, `/readyz`; a loopback address, because nobody has to authenticate there.
    address: SocketAddr,
}

/// What is asked of a chip before its files are sent (docs/documents.md); optional.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawChip {
    /// Directory of certificates of the country signing authorities (CSCA) whose documents are taken, PEM or DER: passive authentication
    /// is done against them, read once at the start. Without it, whether a chip is genuine is left to the platform alone.
    csca_dir: Option<PathBuf>,
}

/// The platform that is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawPlatform {
    /// Must equal the agreement's `platform`. The same alphabet as `entity.id`.
    #[schemars(with = "String")]
    id: PlatformId,
    /// The platform's message forms as data; platform-profiles/ holds them, with comments.
    profile: PathBuf,
    /// `https://host[:port]`; the profile's paths are below it. `http://address:port` where `transport` is `gateway`. Without this key and
    /// `endpoints`, those that the profile names.
    endpoint: Option<String>,
    /// In place of `endpoint`, several, the preferred one first.
    #[serde(default)]
    endpoints: Vec<RawEndpoint>,
    /// Whether the profile's endpoints for tests are asked in place of those that serve: for commissioning, where this file names none.
    #[serde(default)]
    commissioning: bool,
    /// `tls`: TLS 1.2 or 1.3. `rfc8998`: TLS 1.3 with SM2, SM3 and SM4 only, and SM2 certificates on both sides. `gateway`: plain HTTP to
    /// a gateway that speaks TLCP to the platform. The first two must be among what the profile says that the platform speaks, if it does;
    /// without this key it is the first of these, or else `tls`.
    #[serde(default)]
    #[schemars(with = "Transport")]
    transport: Option<Transport>,
    /// The certificate that this appliance shows the platform in TLS, and its issuers, leaf first, PEM. With `rfc8998` it must be there.
    tls_certificate: Option<PathBuf>,
    /// The leaf's private key, PEM, readable by the daemon only; never the signing key.
    tls_key: Option<PathBuf>,
    /// Addresses beside this machine's own at which a gateway may be; whoever can listen on the way to it can read along.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    gateway_addresses: Vec<IpAddr>,
    /// `http://host:port` of an HTTP proxy that opens tunnels (CONNECT).
    proxy: Option<String>,
    /// `USER:PASSWORD` for the proxy, one line, readable by the daemon only.
    proxy_credentials_file: Option<PathBuf>,
    /// Whether HTTP/2 is offered.
    #[serde(default = "yes")]
    http2: bool,
    /// Trust store: a directory of anchors, pins and revocation lists (certs/README.md).
    trust: PathBuf,
    /// As the platform registered the entity; 1 to 64 octets.
    customer_number: String,
    /// As the platform registered the application; 1 to 64 octets.
    application: String,
    /// Seconds for which revocation data may be used past its `nextUpdate`; then every answer is refused.
    #[serde(default)]
    revocation_grace_seconds: u32,
    #[serde(default)]
    revocation: RawRevocation,
}

/// What may stand in the file, as JSON Schema.
pub(crate) fn schema() -> Schema {
    schema_for!(RawConfig)
}

/// How the platform knows the entity and its application.
fn names_at_the_platform(platform: &RawPlatform) -> Result<(), (&'static str, &'static str)> {
    for (key, text) in
        [("platform.customer_number", &platform.customer_number), ("platform.application", &platform.application)]
    {
        if text.is_empty() || text.len() > 64 || text.chars().any(char::is_control) {
            return Err((key, "1 to 64 octets without control characters"));
        }
    }
    Ok(())
}

/// Parses and validates; `file` is named in errors and is the base of relative paths.
pub(crate) fn parse(text: &str, file: &Path) -> Result<Config, ConfigError> {
    let raw: RawConfig =
        toml::from_str(text).map_err(|source| ConfigError::Syntax { file: file.to_owned(), source })?;
    let value_error = |key: &'static str, problem: &str| ConfigError::Value {
        file: file.to_owned(),
        line: KeyLine::find(text, key),
        key,
        problem: problem.to_owned(),
    };
    if raw.format_version != FORMAT_VERSION {
        return Err(value_error("format_version", "this version of yanqian reads format_version = 1"));
    }
    if !raw.metrics.address.ip().is_loopback() {
        return Err(value_error("metrics.address", "metrics carry no authentication: use a loopback address"));
    }
    // RFC 9113 6.5.2 and 6.9 for HTTP/2; the library's own minimum for the head.
    let windows = 65_535..=0x7fff_ffff;
    for (key, value, range) in [
        ("limits.max_head_bytes", raw.limits.max_head_bytes, 8192..=0x00ff_ffff),
        ("limits.http2_max_frame_bytes", raw.limits.http2_max_frame_bytes, 16_384..=0x00ff_ffff),
        ("limits.http2_stream_window_bytes", raw.limits.http2_stream_window_bytes, windows.clone()),
        ("limits.http2_connection_window_bytes", raw.limits.http2_connection_window_bytes, windows),
    ] {
        if !range.contains(&value.get()) {
            return Err(value_error(key, &format!("{} to {}", range.start(), range.end())));
        }
    }
    names_at_the_platform(&raw.platform).map_err(|(key, problem)| value_error(key, problem))?;
    let base = file.parent().unwrap_or(Path::new(""));
    let state_dir = base.join(raw.paths.state_dir);
    let checkpoints = raw.checkpoints.read(base, &state_dir).map_err(|(key, problem)| value_error(key, problem))?;
    let (checkpoints, tree_dir) = checkpoints;
    let ledger_label = checkpoints.as_ref().map(|checkpoints| checkpoints.label.as_str());
    let hsm = raw.hsm.read(&Source { text, file }, ledger_label)?;
    let mut pairs = hsm.pairs.signing.iter().chain(&hsm.pairs.encryption);
    if pairs.any(|pair| ledger_label == Some(pair.label.as_str())) {
        let problem = "is the label of a key pair in `[hsm]`: checkpoints have a key of their own";
        return Err(value_error("checkpoints.key", problem));
    }
    let way = RawWay {
        endpoint: raw.platform.endpoint,
        endpoints: raw.platform.endpoints,
        commissioning: raw.platform.commissioning,
        transport: raw.platform.transport,
        tls_certificate: raw.platform.tls_certificate,
        tls_key: raw.platform.tls_key,
        gateway_addresses: raw.platform.gateway_addresses,
        proxy: raw.platform.proxy,
        proxy_credentials_file: raw.platform.proxy_credentials_file,
        http2: raw.platform.http2,
    };
    let link = way.check(&raw.link, base).map_err(|(key, problem)| value_error(key, problem))?;
    let shows = link.transport != Some(Transport::Gateway);
    let at = |path: PathBuf| base.join(path);
    raw.entity.check().map_err(|problem| value_error("entity.credit_code", &problem))?;
    let limits: Limits = raw.limits.into();
    let ledger = raw.ledger.validate(limits.check).map_err(|(key, problem)| value_error(key, problem))?;
    let retention = raw.retention.read(base, checkpoints.is_some(), limits.receipt_retention);
    let retention = retention.map_err(|(key, problem)| value_error(key, &problem))?;
    Ok(Config {
        retention,
        file: file.to_owned(),
        text: text.to_owned(),
        entity: raw.entity.id,
        credit_code: raw.entity.credit_code,
        node: raw.entity.node,
        search: raw.search.into_config(at, state_dir.join("search-keys")),
        state_dir,
        state_key_file: at(raw.paths.state_key_file),
        agreement: at(raw.paths.agreement),
        listen: Listen {
            address: raw.listen.address,
            certificate: at(raw.listen.certificate),
            key: at(raw.listen.key),
            client_ca: at(raw.listen.client_ca),
            ready_file: raw.listen.ready_file.map(at),
        },
        metrics_address: raw.metrics.address,
        chip_anchors: raw.chip.csca_dir.map(at),
        platform: Platform {
            id: raw.platform.id,
            profile: at(raw.platform.profile),
            link,
            trust: at(raw.platform.trust),
            customer_number: raw.platform.customer_number,
            application: raw.platform.application,
            revocation_grace_seconds: raw.platform.revocation_grace_seconds,
            revocation: raw.platform.revocation.validate(shows).map_err(|(key, problem)| value_error(key, &problem))?,
        },
        hsm,
        checkpoints,
        tree_dir,
        verification: raw.verification.into(),
        clock: raw.clock.into(),
        ledger,
        limits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../../samples/yanqian.toml");

    fn refused(text: &str) -> String {
        parse(text, Path::new("/etc/yanqian/yanqian.toml")).expect_err("must be refused").to_string()
    }

    #[test]
    fn the_sample_configuration_parses_and_its_paths_are_relative_to_the_file() {
        let config = parse(SAMPLE, Path::new("/etc/yanqian/yanqian.toml")).expect("the sample is valid");
        assert_eq!(config.agreement, Path::new("/etc/yanqian/agreement.toml"));
        assert_eq!(config.state_dir, Path::new("/var/lib/yanqian"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_file_line_and_key() {
        let error = refused(&SAMPLE.replace("[entity]", "[entity]\ncolour = \"red\""));
        assert!(
            error.contains("/etc/yanqian/yanqian.toml") && error.contains("line") && error.contains("colour"),
            "{error}"
        );
    }

    #[test]
    fn values_out_of_range_are_refused_by_key() {
        let error = refused(&SAMPLE.replace("M000100Y43", "M000100Y44"));
        assert!(error.contains("`entity.credit_code`") && error.contains("modulo 31"), "{error}");
        let error = refused(&SAMPLE.replace("127.0.0.1:9464", "0.0.0.0:9464"));
        assert!(error.contains("yanqian.toml:25: key `metrics.address`"), "{error}");
        let error = refused(&SAMPLE.replace("format_version = 1", "format_version = 2"));
        assert!(error.contains("format_version"), "{error}");
        let error = refused(&SAMPLE.replace("max_in_flight = 256", "max_in_flight = 0"));
        assert!(error.contains("max_in_flight") || error.contains("nonzero"), "{error}");
        for (key, value, wrong) in [
            ("segment_bytes", "67108864", "65535"),
            ("segment_minutes", "1440", "44641"),
            ("reserve_bytes", "16777216", "65535"),
            ("patience_ms", "5000", "30001"),
        ] {
            let error = refused(&SAMPLE.replacen(&format!("\n{key} = {value}"), &format!("\n{key} = {wrong}"), 1));
            assert!(error.contains(&format!("key `ledger.{key}`")), "{error}");
        }
        for (key, value, wrong) in [
            ("max_head_bytes", "16384", "8191"),
            ("http2_max_frame_bytes", "16384", "16777216"),
            ("http2_stream_window_bytes", "65536", "65534"),
            ("http2_connection_window_bytes", "262144", "2147483648"),
        ] {
            let error = refused(&SAMPLE.replacen(&format!("{key} = {value}"), &format!("{key} = {wrong}"), 1));
            assert!(error.contains(&format!("key `limits.{key}`")), "{error}");
        }
    }
}
