//! The loopback listener for operators and monitoring: `/metrics`, `/healthz`, `/readyz`. Plain HTTP, no secrets.

use std::convert::Infallible;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Why the daemon is not ready, in words for operators, and what they should know although it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readiness(Arc<RwLock<State>>);

#[derive(Debug, Default)]
struct State {
    reasons: Vec<String>,
    /// About the entity's keys.
    key_reasons: Vec<String>,
    notes: Vec<String>,
    /// About checkpoints.
    ledger_note: Option<String>,
}

impl Readiness {
    pub(crate) fn set(&self, reasons: Vec<String>) {
        if let Ok(mut state) = self.0.write() {
            state.reasons = reasons;
        }
    }

    /// What there is to say of the entity's keys: why they do not serve, and what does not stop them.
    pub(crate) fn set_keys(&self, reasons: Vec<String>, notes: Vec<String>) {
        if let Ok(mut state) = self.0.write() {
            (state.key_reasons, state.notes) = (reasons, notes);
        }
    }

    /// What there is to say of the ledger's checkpoints; it never keeps the daemon from being ready.
    pub(crate) fn set_ledger_note(&self, note: Option<String>) {
        if let Ok(mut state) = self.0.write() {
            state.ledger_note = note;
        }
    }

    /// Whether the keys in use serve, as far as they alone decide.
    pub(crate) fn keys_serve(&self) -> bool {
        self.0.read().is_ok_and(|state| state.key_reasons.is_empty())
    }

    /// All reasons, for a command that waits.
    pub(crate) fn reasons(&self) -> String {
        self.0.read().map(|state| state.reasons.join("; ")).unwrap_or_default()
    }

    fn page(&self) -> (StatusCode, String) {
        let Ok(state) = self.0.read() else { return (StatusCode::SERVICE_UNAVAILABLE, "internal error\n".to_owned()) };
        let mut lines: Vec<&str> = state.reasons.iter().chain(&state.key_reasons).map(String::as_str).collect();
        let status = if lines.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        if lines.is_empty() {
            lines.push("ready");
        }
        let notes = state.notes.iter().chain(&state.ledger_note).map(|note| format!("note: {note}\n"));
        (status, lines.join("\n") + "\n" + &notes.collect::<String>())
    }
}

/// Connections at once; a scraper and a few probes need no more.
const CONNECTIONS: usize = 32;

/// Serves until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, registry: Registry, readiness: Readiness) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (registry, readiness) = (registry.clone(), readiness.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = answer(&request, &registry, &readiness);
                async move { Ok::<_, Infallible>(response) }
            });
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10))
                .half_close(false)
                .serve_connection(TokioIo::new(stream), service);
            // A monitor that goes away in mid-answer is no event.
            let _ = serving.await;
            drop(slot);
        });
    }
}

fn answer(request: &Request<Incoming>, registry: &Registry, readiness: &Readiness) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
    }
    match request.uri().path() {
        "/metrics" => metrics(registry),
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => {
            let (status, page) = readiness.page();
            text(status, page)
        }
        _ => text(StatusCode::NOT_FOUND, "no such page\n".to_owned()),
    }
}

fn metrics(registry: &Registry) -> Response<Full<Bytes>> {
    let mut page = Vec::new();
    if TextEncoder::new().encode(&registry.gather(), &mut page).is_err() {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "cannot encode metrics\n".to_owned());
    }
    let mut response = Response::new(Full::new(Bytes::from(page)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    response
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
