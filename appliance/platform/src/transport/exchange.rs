//! One request on one connection, and the proof, where there is one, that the platform has nothing of it.

use std::error::Error as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Version, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::timeout;
use yanqian_vocabulary::Reason;

use super::endpoint::Endpoint;
use super::meter::Meter;
use super::pool::{Connection, Sender};
use super::{RawAnswer, SendError};
use crate::profile::Profile;
use crate::request::SignedRequest;

type Refused = TrySendError<Request<Full<Bytes>>>;

/// Sends and reads; no part takes longer than its limit, nor all together longer than until `deadline`.
pub(crate) async fn exchange(
    connection: &mut Connection,
    endpoint: &Endpoint,
    request: &SignedRequest,
    profile: &Profile,
    deadline: Instant,
) -> Result<RawAnswer, SendError> {
    let limits = &profile.limits;
    let left = |limit: Duration| limit.min(deadline.saturating_duration_since(Instant::now()));
    let http2 = matches!(connection.sender, Sender::Http2(_));
    let request = http_request(profile, endpoint, request, http2).ok_or(SendError::NotSent)?;
    let ready = timeout(left(limits.connect), async {
        match &mut connection.sender {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        }
    });
    if !matches!(ready.await, Ok(Ok(()))) || left(limits.head).is_zero() {
        return Err(SendError::NotSent);
    }
    let before = connection.meter.writes();
    let sent = timeout(left(limits.head), async {
        match &mut connection.sender {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
        }
    });
    let response = match sent.await {
        // The connection's task may be writing at this very moment.
        Err(_) => return Err(SendError::Unanswered),
        Ok(Err(error)) => {
            let proven = if http2 { unprocessed(&error) } else { unwritten(&error, &connection.meter, before) };
            return Err(if proven { SendError::NotSent } else { SendError::Unanswered });
        }
        Ok(Ok(response)) => response,
    };
    let (head, body) = response.into_parts();
    let body = read_body(body, limits.answer_bytes, left(limits.body)).await?;
    Ok(RawAnswer { status: head.status.as_u16(), headers: head.headers, body })
}

/// HTTP/1.1 has two witnesses: hyper hands the request back when it never began to write it, and the stream saw no write.
fn unwritten(error: &Refused, meter: &Meter, before: u64) -> bool {
    error.message().is_some() && meter.writes() == before
}

/// HTTP/2 (RFC 9113, 8.7): the request never left the queue, or the server says by the protocol's own means that it did not
/// process it. Any other error proves nothing.
fn unprocessed(error: &Refused) -> bool {
    if error.message().is_some() {
        return true;
    }
    let Some(cause) = error.error().source().and_then(|cause| cause.downcast_ref::<h2::Error>()) else { return false };
    let refused = cause.is_reset() && cause.reason() == Some(h2::Reason::REFUSED_STREAM);
    // h2 gives a remote GOAWAY to the streams above its last-stream-id only; the others end with what ends the connection.
    cause.is_remote() && (refused || cause.is_go_away())
}

fn http_request(
    profile: &Profile,
    endpoint: &Endpoint,
    request: &SignedRequest,
    http2: bool,
) -> Option<Request<Full<Bytes>>> {
    let accept = HeaderValue::from_str(&profile.answer.envelope.content_type).ok()?;
    let authority = endpoint.authority();
    let builder = if http2 {
        Request::post(format!("{endpoint}{}", request.path)).version(Version::HTTP_2)
    } else {
        Request::post(request.path.as_str()).header(header::HOST, HeaderValue::try_from(authority).ok()?)
    };
    let mut builder = builder.header(header::CONTENT_TYPE, &request.content_type).header(header::ACCEPT, accept);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(request.body.clone())).ok()
}

async fn read_body(mut body: Incoming, longest: usize, limit: Duration) -> Result<Vec<u8>, SendError> {
    let mut octets = Vec::new();
    let reading = async {
        while let Some(frame) = body.frame().await {
            let data = frame.map_err(|_| SendError::Unanswered)?.into_data().unwrap_or_default();
            if octets.len() + data.len() > longest {
                return Err(SendError::Refused(Reason::PlatformAnswerTooLarge));
            }
            octets.extend_from_slice(&data);
        }
        Ok(())
    };
    match timeout(limit, reading).await {
        Ok(Ok(())) => Ok(octets),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(SendError::Refused(Reason::PlatformDeadline)),
    }
}
