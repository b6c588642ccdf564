//! Reading a request's body under three limits: octets, silence between frames, and the whole.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};
use yanqian_vocabulary::Reason;
use zeroize::Zeroizing;

/// Limits of one body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    pub max_bytes: usize,
    /// From the first read to the last octet.
    pub deadline: Duration,
    /// Between two frames.
    pub idle: Duration,
}

/// What is taken from the wire of a body that nobody will read.
const DISCARD_BYTES: usize = 4 * 1024 * 1024;
const DISCARD_DEADLINE: Duration = Duration::from_secs(1);
const DISCARD_IDLE: Duration = Duration::from_millis(200);

/// Takes a refused body off the wire, up to a limit, before the refusal is written. Without this the connection closes while
/// the caller is still sending, and the reset may destroy the refusal before it is read.
pub(crate) async fn discard(mut body: Incoming) {
    let deadline = Instant::now() + DISCARD_DEADLINE;
    let mut taken = 0;
    while taken < DISCARD_BYTES {
        match timeout_at(deadline.min(Instant::now() + DISCARD_IDLE), body.frame()).await {
            Ok(Some(Ok(frame))) => taken += frame.data_ref().map_or(0, Bytes::len),
            Ok(Some(Err(_)) | None) | Err(_) => return,
        }
    }
}

/// Reads the whole body, or says which limit it broke. What was read so far is wiped.
pub(crate) async fn read(mut body: Incoming, limits: BodyLimits) -> Result<Zeroizing<Vec<u8>>, Reason> {
    if body.size_hint().lower() > limits.max_bytes as u64 {
        discard(body).await;
        return Err(Reason::BodyTooLarge);
    }
    let deadline = Instant::now() + limits.deadline;
    // Full capacity at once: a growing vector would leave unwiped copies behind. A caller that says its length is believed,
    // because hyper holds it to that.
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut octets = Zeroizing::new(Vec::with_capacity(length.unwrap_or(limits.max_bytes).min(limits.max_bytes)));
    loop {
        let until = deadline.min(Instant::now() + limits.idle);
        let frame = match timeout_at(until, body.frame()).await {
            Err(_) => return Err(Reason::BodyTimeout),
            Ok(None) => return Ok(octets),
            Ok(Some(Err(_))) => return Err(Reason::BodyIncomplete),
            Ok(Some(Ok(frame))) => frame,
        };
        let data: Bytes = frame.into_data().unwrap_or_default();
        if octets.len() + data.len() > limits.max_bytes {
            discard(body).await;
            return Err(Reason::BodyTooLarge);
        }
        octets.extend_from_slice(&data);
    }
}
