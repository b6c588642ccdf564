//! `[limits]` of the configuration file.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use yanqian_gateway::{BodyLimits, FrameLimits, Http2Limits, ServerLimits, Waits};

use super::Limits;

/// All optional.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
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
    pub(super) max_head_bytes: NonZeroU32,
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
    pub(super) http2_stream_window_bytes: NonZeroU32,
    /// Octets of all bodies of a connection that may be sent ahead, 65535 to 2147483647.
    pub(super) http2_connection_window_bytes: NonZeroU32,
    /// Octets of a frame, 16384 to 16777215.
    pub(super) http2_max_frame_bytes: NonZeroU32,
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
