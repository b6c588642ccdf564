//! The three kinds of reply, kept apart by type. A verdict or a decided refusal exists only as [`Reply`], which only a
//! durable outcome record can become. [`Shed`] and [`Rejected`] can carry neither.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use yanqian_agreement::Limited;
use yanqian_vocabulary::{Reason, VerificationId};
use zeroize::Zeroizing;

use crate::api::problem::Problem;
use crate::metrics::RejectCause;

/// A decided reply: status, media type and body, as first given and as kept for the idempotency key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) id: VerificationId,
    status: StatusCode,
    problem: bool,
    body: Zeroizing<Vec<u8>>,
    /// What is sent in the place of `body` this once: a reading is given, and not kept.
    transient: Option<Zeroizing<Vec<u8>>>,
    retry_after_seconds: Option<u32>,
    /// The quota that is used up.
    limited: Option<Limited>,
    replayed: bool,
}

/// As `draft-ietf-httpapi-ratelimit-headers-10` has them.
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

impl Reply {
    pub(crate) fn verdict(id: VerificationId, body: Zeroizing<Vec<u8>>) -> Self {
        Self {
            id,
            status: StatusCode::OK,
            problem: false,
            body,
            transient: None,
            retry_after_seconds: None,
            limited: None,
            replayed: false,
        }
    }

    /// As this reply, but the caller gets `body` now and the reply's own body when it asks again.
    pub(crate) fn with_transient_body(mut self, body: Zeroizing<Vec<u8>>) -> Self {
        self.transient = Some(body);
        self
    }

    pub(crate) fn problem(id: VerificationId, problem: &Problem) -> Self {
        Self {
            id,
            status: problem.status,
            problem: true,
            body: Zeroizing::new(problem.to_json().into_bytes()),
            transient: None,
            retry_after_seconds: problem.retry_after_seconds,
            limited: None,
            replayed: false,
        }
    }

    /// As this reply, with when to come again and the quota that does not let it through now.
    pub(crate) fn with_limit(mut self, limited: Limited) -> Self {
        self.retry_after_seconds = Some(whole_seconds(limited.wait));
        self.limited = Some(limited);
        self
    }

    /// As stored under a seal: 1 octet version, 2 octets status (big-endian), 1 octet kind, then the body.
    pub(crate) fn to_stored(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(self.body.len() + 4));
        out.push(1);
        out.extend_from_slice(&self.status.as_u16().to_be_bytes());
        out.push(u8::from(self.problem));
        out.extend_from_slice(&self.body);
        out
    }

    pub(crate) fn from_stored(id: VerificationId, stored: &[u8]) -> Option<Self> {
        let ([1, high, low, kind], body) = stored.split_first_chunk::<4>()? else { return None };
        let status = StatusCode::from_u16(u16::from_be_bytes([*high, *low])).ok()?;
        let body = Zeroizing::new(body.to_vec());
        Some(Self {
            id,
            status,
            problem: *kind == 1,
            body,
            transient: None,
            retry_after_seconds: None,
            limited: None,
            replayed: true,
        })
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from_owner(self.transient.unwrap_or(self.body))));
        *response.status_mut() = self.status;
        let media = if self.problem { "application/problem+json" } else { "application/json" };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(location) = HeaderValue::try_from(format!("/v1/verifications/{}", self.id)) {
            headers.insert(header::LOCATION, location);
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(limited) = self.limited {
            let Limited { quota, window_seconds, wait } = limited;
            let name = if window_seconds == 1 { "second" } else { "day" };
            let fields = [
                (RATELIMIT_POLICY, format!("\"{name}\";q={quota};w={window_seconds}")),
                (RATELIMIT, format!("\"{name}\";r=0;t={}", whole_seconds(wait))),
            ];
            for (field, text) in fields {
                if let Ok(value) = HeaderValue::try_from(text) {
                    headers.insert(field, value);
                }
            }
        }
        if self.replayed {
            headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// Rounded up, and at least one.
fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_nanos().div_ceil(1_000_000_000).max(1)).unwrap_or(u32::MAX)
}

/// Overload or inability to keep evidence, answered before any decision: try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shed {
    Overloaded,
    ShuttingDown,
    EvidenceUnavailable,
    StateUnavailable,
}

impl Shed {
    pub(crate) const fn reason(self) -> Reason {
        match self {
            Self::Overloaded => Reason::Overloaded,
            Self::ShuttingDown => Reason::ShuttingDown,
            Self::EvidenceUnavailable => Reason::EvidenceUnavailable,
            Self::StateUnavailable => Reason::StateUnavailable,
        }
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        Problem::of_reason(self.reason(), None, None).into_response()
    }
}

/// A request that never became a check: no such route, or no such caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rejected(pub(crate) RejectCause);

impl Rejected {
    pub(crate) fn problem(self) -> Problem {
        let (status, title, detail) = match self.0 {
            RejectCause::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", "This resource does not have that method.")
            }
            RejectCause::CallerUnknown => {
                (StatusCode::FORBIDDEN, "Caller unknown", "The client certificate names no caller of the agreement.")
            }
            RejectCause::HttpMalformed => {
                (StatusCode::BAD_REQUEST, "Request malformed", "The request's head breaks a rule of HTTP.")
            }
            RejectCause::HeadTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "Too many header fields",
                "The request has more header fields than the configured limit.",
            ),
            // Of the others only the first is ever answered; the rest end their connection.
            RejectCause::NotFound
            | RejectCause::TlsHandshake
            | RejectCause::ConnectionLimit
            | RejectCause::CallerConnectionLimit
            | RejectCause::HttpFlood
            | RejectCause::HeadTimeout
            | RejectCause::ReplyTimeout => {
                (StatusCode::NOT_FOUND, "Not found", "There is no such resource for this caller.")
            }
        };
        let code = self.0.as_str();
        Problem { status, code, title, detail: Some(detail), field: None, id: None, retry_after_seconds: None }
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        self.problem().into_response()
    }
}
