//! One request of a connection: its own id, its caller's share, and its account from the head to the reply's last octet.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tracing::Instrument as _;
use yanqian_vocabulary::CallerId;

use super::activity::{Activity, Exchange};
use super::seats::Seat;
use super::{body, routes};
use crate::core::Core;
use crate::metrics::RejectCause;
use crate::reply::{Rejected, Shed};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the requests of one connection have in common.
pub(crate) struct Asker {
    pub(crate) core: Arc<Core>,
    /// Of the verified certificate.
    pub(crate) names: Arc<[String]>,
    /// Of the connection.
    pub(crate) peer: IpAddr,
    pub(crate) caller: Option<CallerId>,
    pub(crate) seat: Seat,
    pub(crate) activity: Arc<Activity>,
    pub(crate) max_requests: u64,
    pub(crate) max_headers: usize,
}

impl Asker {
    /// Answers one request. The work goes on when the peer does not wait for it, and keeps its place meanwhile.
    pub(crate) fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<ReplyBody>, Infallible>> + use<> {
        // At once and not when the future runs: the connection's account must not have a gap.
        let exchange = self.activity.begin();
        if exchange.number() >= self.max_requests && self.activity.drain() {
            self.activity.changed.notify_one();
        }
        let asker = Arc::clone(self);
        async move {
            let id = asker.core.new_id(asker.core.clock.now());
            let span = tracing::info_span!("request", request_id = %id);
            let allowed = routes::resource(request.uri().path()).map(|(_, method)| method);
            let version = request.version();
            let refused = asker.refuses(&request);
            // What follows a request that breaks the rules may be anything, and what follows a chunked body is not looked at
            // (see `wire::HeadGuard`).
            let last = version < Version::HTTP_2
                && (refused.is_some() || request.headers().contains_key(header::TRANSFER_ENCODING));
            let worker = Arc::clone(&asker);
            let work = async move { worker.work(request, refused).await }.instrument(span.clone());
            let mut response = tokio::spawn(work).await.unwrap_or_else(|_| Shed::EvidenceUnavailable.into_response());
            let status = response.status();
            let headers = response.headers_mut();
            if let Ok(value) = HeaderValue::try_from(id.to_string()) {
                headers.insert(X_REQUEST_ID, value);
            }
            let allowed = allowed.filter(|_| status == StatusCode::METHOD_NOT_ALLOWED);
            if let Some(value) = allowed.and_then(|method| HeaderValue::try_from(method.as_str()).ok()) {
                headers.insert(header::ALLOW, value);
            }
            if last {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            // The only place where the ids meet; nothing of the request itself is logged (I8).
            let verification = headers.get(header::LOCATION).and_then(|place| place.to_str().ok()?.rsplit('/').next());
            let caller = asker.caller.as_ref().map_or("unknown", |caller| caller.as_str());
            tracing::info!(parent: &span, caller, status = status.as_u16(), ?version, verification, "answered");
            exchange.replying();
            Ok(response.map(|body| ReplyBody::new(body, exchange)))
        }
    }

    async fn work(&self, request: Request<Incoming>, refused: Option<RejectCause>) -> Response<Full<Bytes>> {
        if let Some(cause) = refused {
            self.core.count_rejected(cause);
            body::discard(request.into_body()).await;
            return Rejected(cause).into_response();
        }
        let Some(_place) = self.seat.request() else {
            self.core.count_shed(Shed::Overloaded);
            body::discard(request.into_body()).await;
            return Shed::Overloaded.into_response();
        };
        routes::handle(Arc::clone(&self.core), request, Arc::clone(&self.names), self.peer).await
    }

    /// What the protocols' libraries let pass and should not.
    fn refuses(&self, request: &Request<Incoming>) -> Option<RejectCause> {
        // RFC 9112 3.2: exactly one Host. The HTTP/1.1 library counts headers itself, the HTTP/2 library octets only.
        let hosts = request.headers().get_all(header::HOST).iter().count();
        let host = match request.version() {
            Version::HTTP_11 => hosts == 1,
            _ => hosts <= 1,
        };
        if !host {
            return Some(RejectCause::HttpMalformed);
        }
        (request.headers().len() > self.max_headers).then_some(RejectCause::HeadTooLarge)
    }
}

/// A reply's body that tells the account when it has been handed over whole, and when it is gone.
pub(crate) struct ReplyBody {
    body: Full<Bytes>,
    exchange: Exchange,
}

impl ReplyBody {
    fn new(body: Full<Bytes>, exchange: Exchange) -> Self {
        if body.is_end_stream() {
            exchange.answered();
        }
        Self { body, exchange }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(Some(_))) && self.body.is_end_stream() {
            self.exchange.answered();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
