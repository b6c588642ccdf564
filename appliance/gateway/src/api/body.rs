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

/// Reads the whole body, or says which limit it broke. What was read so far is wiped.
pub(crate) async fn read(mut body: Incoming, limits: BodyLimits) -> Result<Zeroizing<Vec<u8>>, Reason> {
    if body.size_hint().lower() > limits.max_bytes as u64 {
        return Err(Reason::BodyTooLarge);
    }
    let deadline = Instant::now() + limits.deadline;
    // Full capacity at once: a growing vector would leave unwiped copies behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(limits.max_bytes));
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
            return Err(Reason::BodyTooLarge);
        }
        octets.extend_from_slice(&data);
    }
}
