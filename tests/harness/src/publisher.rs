//! Where an authority publishes: its lists and its OCSP responder, over plain HTTP on loopback. Not part of the platform; a test
//! that wants one starts it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use yanqian_devpki::{Authority, Layout, OcspResponder, OcspSingle, OcspStatus, ocsp_asked};

use crate::error::HarnessError;

/// What is published, and how it is answered.
#[derive(Debug, Clone)]
struct State {
    status: OcspStatus,
    /// Seconds from an answer to its nextUpdate.
    serves: i64,
    answers: bool,
    nonce: bool,
    asked: usize,
    lists: usize,
}

/// A running publisher; it ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct Publisher {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Publisher {
    /// Starts on a free port; serves `/root.crl`, `/issuing.crl` as they lie in the PKI, and `/ocsp`.
    pub async fn start(layout: &Layout) -> Result<Self, HarnessError> {
        let unexpected = |error: String| HarnessError::Unexpected(format!("publisher: {error}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| unexpected(error.to_string()))?;
        let address = listener.local_addr().map_err(|error| unexpected(error.to_string()))?;
        let responder = OcspResponder::of_platform(layout).map_err(|error| unexpected(error.to_string()))?;
        let state = State { status: OcspStatus::Good, serves: 3_600, answers: true, nonce: true, asked: 0, lists: 0 };
        let publisher = Self { address, state: Arc::new(Mutex::new(state)) };
        let served = Arc::new((publisher.clone(), layout.clone(), responder));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = Arc::clone(&served);
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let served = Arc::clone(&served);
                        async move { Ok::<_, Infallible>(served.0.answer(&served.1, &served.2, request).await) }
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(publisher)
    }

    /// `http://…` of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// What the responder says from now on.
    pub fn says(&self, status: OcspStatus) {
        self.state().status = status;
    }

    /// Whether anything is answered at all, but for HTTP 503.
    pub fn answers(&self, answers: bool) {
        self.state().answers = answers;
    }

    /// Seconds for which a response serves.
    pub fn serves_for(&self, seconds: i64) {
        self.state().serves = seconds;
    }

    /// Whether nonces come back.
    pub fn gives_nonces_back(&self, nonce: bool) {
        self.state().nonce = nonce;
    }

    /// OCSP requests and list requests so far.
    pub fn seen(&self) -> (usize, usize) {
        let state = self.state();
        (state.asked, state.lists)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(
        &self,
        layout: &Layout,
        responder: &OcspResponder,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let state = {
            let mut state = self.state();
            if head.method == Method::POST {
                state.asked += 1;
            } else {
                state.lists += 1;
            }
            state.clone()
        };
        let content = match (state.answers, head.uri.path()) {
            (true, "/root.crl") => std::fs::read(layout.crl(Authority::Root)).ok(),
            (true, "/issuing.crl") => std::fs::read(layout.crl(Authority::Issuing)).ok(),
            (true, "/ocsp") => ocsp_asked(&body).and_then(|(cert_id, nonce)| {
                let now = OffsetDateTime::now_utc().unix_timestamp();
                let (status, next_update) = (state.status, Some(now + state.serves));
                let single = OcspSingle { cert_id, status, this_update: now, next_update };
                responder.answer(&[single], nonce.as_deref().filter(|_| state.nonce), now).ok()
            }),
            _ => None,
        };
        let mut response = Response::new(Full::default());
        match content {
            Some(content) => *response.body_mut() = Full::new(content.into()),
            None => *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE,
        }
        response
    }
}
