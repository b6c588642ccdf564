//! The file's own shape, and the one way from it to a [`Config`].

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use yanqian_gateway::{BodyLimits, FrameLimits, Http2Limits, ServerLimits, Waits};
use yanqian_vocabulary::{EntityId, KeyLine, NodeId, PlatformId};

use super::checkpoints::RawCheckpoints;
use super::clock::RawClock;
use super::hsm::{RawHsm, Source};
use super::ledger_files::RawLedger;
use super::link::{RawEndpoint, RawLink, RawWay, Transport};
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
    link: RawLink,
    #[serde(default)]
    clock: RawClock,
    #[serde(default)]
    ledger: RawLedger,
    #[serde(default)]
    search: RawSearch,
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
    /// This appliance; each node keeps its own ledger. The same alphabet as `id`.
    #[schemars(with = "String")]
    node: NodeId,
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

/// The platform that is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawPlatform {
    /// Must equal the agreement's `platform`. The same alphabet as `entity.id`.
    #[schemars(with = "String")]
    id: PlatformId,
    /// The platform's message forms as data; platform-profiles/ holds them, with comments.
    profile: PathBuf,
    /// `https://host[:port]`; the profile's paths are below it. `http://address:port` where `transport` is `gateway`.
    endpoint: Option<String>,
    /// In place of `endpoint`, several, the preferred one first.
    #[serde(default)]
    endpoints: Vec<RawEndpoint>,
    /// `tls`: TLS 1.2 or 1.3. `rfc8998`: TLS 1.3 with SM2, SM3 and SM4 only, and SM2 certificates on both sides. `gateway`: plain HTTP to
    /// a gateway that speaks TLCP to the platform.
    #[serde(default)]
    transport: Transport,
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

/// All optional.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    /// Checks under way; beyond it 503.
    max_in_flight: NonZeroU32,
    /// Checks under way of one caller, over all its connections; beyond it 503.
    max_in_flight_per_caller: NonZeroU32,
    /// Connections with a verified certificate.
    max_connections: NonZeroU32,
    /// Of one caller. Certificates that name no caller of the agreement share one such allowance.
    max_connections_per_caller: NonZeroU32,
    /// Handshakes under way; when all are taken, the one silent longest makes room.
    max_handshakes: NonZeroU32,
    /// After so many requests a connection is ended in good order.
    max_requests_per_connection: NonZeroU64,
    /// Milliseconds for a check from its head to the platform's answer; what is not sent by then is not sent.
    check_ms: NonZeroU64,
    /// Octets of a real-name request's body. What a portrait or a chip's files need comes on top for their services.
    max_body_bytes: NonZeroU32,
    /// Octets of a request's head, 8192 to 16777215.
    max_head_bytes: NonZeroU32,
    /// Header fields of a request.
    max_headers: NonZeroU32,
    /// Milliseconds for a TLS handshake.
    handshake_ms: NonZeroU64,
    /// Milliseconds for a connection's first head, and for every head once begun.
    head_ms: NonZeroU64,
    /// Milliseconds between requests.
    idle_ms: NonZeroU64,
    /// Milliseconds for a caller to take its reply.
    reply_ms: NonZeroU64,
    /// Milliseconds for a whole body.
    body_ms: NonZeroU64,
    /// Milliseconds between two pieces of a body.
    body_idle_ms: NonZeroU64,
    /// Milliseconds for requests under way after a stop is asked for.
    shutdown_ms: NonZeroU64,
    /// Requests at once on one HTTP/2 connection.
    http2_max_streams: NonZeroU32,
    /// Octets of one body that may be sent ahead, 65535 to 2147483647.
    http2_stream_window_bytes: NonZeroU32,
    /// Octets of all bodies of a connection that may be sent ahead, 65535 to 2147483647.
    http2_connection_window_bytes: NonZeroU32,
    /// Octets of a frame, 16384 to 16777215.
    http2_max_frame_bytes: NonZeroU32,
    /// Requests given up, beyond those whose reply was taken; then the connection ends.
    http2_max_resets: NonZeroU32,
    /// Frames a second that are neither head nor body; then the connection ends.
    http2_max_control_frames: NonZeroU32,
    /// Milliseconds between our own pings.
    http2_ping_ms: NonZeroU64,
    /// Milliseconds to answer one of them, or the connection ends.
    http2_ping_timeout_ms: NonZeroU64,
    /// Seconds for which final replies and idempotency keys are kept.
    reply_retention_seconds: NonZeroU64,
    /// Days for which receipts can be fetched. The ledger itself is kept until somebody removes it.
    receipt_retention_days: NonZeroU32,
}

pub(super) const fn n32(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("a constant above zero")
}

pub(super) const fn n64(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).expect("a constant above zero")
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            max_in_flight: n32(256),
            max_in_flight_per_caller: n32(224),
            max_connections: n32(1024),
            max_connections_per_caller: n32(512),
            max_handshakes: n32(1024),
            max_requests_per_connection: n64(10_000),
            check_ms: n64(30_000),
            max_body_bytes: n32(16 * 1024),
            max_head_bytes: n32(16 * 1024),
            max_headers: n32(64),
            handshake_ms: n64(5_000),
            head_ms: n64(10_000),
            idle_ms: n64(60_000),
            reply_ms: n64(10_000),
            body_ms: n64(10_000),
            body_idle_ms: n64(3_000),
            shutdown_ms: n64(20_000),
            http2_max_streams: n32(64),
            http2_stream_window_bytes: n32(65_536),
            http2_connection_window_bytes: n32(262_144),
            http2_max_frame_bytes: n32(16_384),
            http2_max_resets: n32(100),
            http2_max_control_frames: n32(500),
            http2_ping_ms: n64(20_000),
            http2_ping_timeout_ms: n64(10_000),
            reply_retention_seconds: n64(86_400),
            receipt_retention_days: n32(1095),
        }
    }
}

fn size(n: NonZeroU32) -> usize {
    usize::try_from(n.get()).unwrap_or(usize::MAX)
}

impl From<RawLimits> for Limits {
    fn from(raw: RawLimits) -> Self {
        let millis = |n: NonZeroU64| Duration::from_millis(n.get());
        Self {
            max_in_flight: raw.max_in_flight.get(),
            check: millis(raw.check_ms),
            body: BodyLimits {
                max_bytes: size(raw.max_body_bytes),
                deadline: millis(raw.body_ms),
                idle: millis(raw.body_idle_ms),
            },
            server: ServerLimits {
                max_connections: size(raw.max_connections),
                max_connections_per_caller: size(raw.max_connections_per_caller),
                max_requests_per_caller: size(raw.max_in_flight_per_caller),
                max_handshakes: size(raw.max_handshakes),
                handshake: millis(raw.handshake_ms),
                max_requests: raw.max_requests_per_connection.get(),
                max_headers: size(raw.max_headers),
                max_head_bytes: size(raw.max_head_bytes),
                waits: Waits {
                    header: millis(raw.head_ms),
                    idle: millis(raw.idle_ms),
                    reply: millis(raw.reply_ms),
                    drain: millis(raw.shutdown_ms),
                },
                http2: Http2Limits {
                    max_streams: raw.http2_max_streams.get(),
                    stream_window: raw.http2_stream_window_bytes.get(),
                    connection_window: raw.http2_connection_window_bytes.get(),
                    max_frame: raw.http2_max_frame_bytes.get(),
                    ping: millis(raw.http2_ping_ms),
                    ping_timeout: millis(raw.http2_ping_timeout_ms),
                    frames: FrameLimits {
                        max_resets: raw.http2_max_resets.get(),
                        max_control_frames: raw.http2_max_control_frames.get(),
                    },
                },
            },
            reply_retention: Duration::from_secs(raw.reply_retention_seconds.get()),
            receipt_retention: Duration::from_secs(u64::from(raw.receipt_retention_days.get()) * 86_400),
        }
    }
}

/// What may stand in the file, as JSON Schema.
pub(crate) fn schema() -> Schema {
    schema_for!(RawConfig)
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
    for (key, text) in [
        ("platform.customer_number", &raw.platform.customer_number),
        ("platform.application", &raw.platform.application),
    ] {
        if text.is_empty() || text.len() > 64 || text.chars().any(char::is_control) {
            return Err(value_error(key, "1 to 64 octets without control characters"));
        }
    }
    let base = file.parent().unwrap_or(Path::new(""));
    let state_dir = base.join(raw.paths.state_dir);
    let checkpoints = raw.checkpoints.read(base, &state_dir).map_err(|(key, problem)| value_error(key, problem))?;
    let (checkpoints, tree_dir) = checkpoints;
    let ledger_label = checkpoints.as_ref().map(|checkpoints| checkpoints.label.as_str());
    let hsm = raw.hsm.read(&Source { text, file }, ledger_label)?;
    let mut pairs = hsm.pairs.signing.iter().chain(&hsm.pairs.encryption);
    if pairs.any(|pair| ledger_label == Some(pair.label.as_str())) {
        return Err(value_error(
            "checkpoints.key",
            "is the label of a key pair in `[hsm]`: checkpoints have a key of their own",
        ));
    }
    let way = RawWay {
        endpoint: raw.platform.endpoint,
        endpoints: raw.platform.endpoints,
        transport: raw.platform.transport,
        tls_certificate: raw.platform.tls_certificate,
        tls_key: raw.platform.tls_key,
        gateway_addresses: raw.platform.gateway_addresses,
        proxy: raw.platform.proxy,
        proxy_credentials_file: raw.platform.proxy_credentials_file,
        http2: raw.platform.http2,
    };
    let link = way.check(&raw.link, base).map_err(|(key, problem)| value_error(key, problem))?;
    let shows = link.transport != Transport::Gateway;
    let at = |path: PathBuf| base.join(path);
    let limits: Limits = raw.limits.into();
    let ledger = raw.ledger.validate(limits.check).map_err(|(key, problem)| value_error(key, problem))?;
    Ok(Config {
        file: file.to_owned(),
        text: text.to_owned(),
        entity: raw.entity.id,
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
        let error = refused(&SAMPLE.replace("127.0.0.1:9464", "0.0.0.0:9464"));
        assert!(error.contains("yanqian.toml:24: key `metrics.address`"), "{error}");
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
