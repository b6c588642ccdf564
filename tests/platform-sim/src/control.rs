//! The control listener: plain HTTP on loopback, for tests in other processes and for people with `curl`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::chip::{Files, Variant};
use crate::fault::Order;
use crate::orders::To;
use crate::platform::Platform;

/// Room for some thousands of names.
const MAX_BODY: usize = 1 << 18;

/// Body of `POST /control`. A member that is absent leaves its setting alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Orders {
    #[serde(default)]
    misbehave: Change,
    times: Option<u32>,
    /// One for each of the answers to come, `null` for an honest one.
    queue: Option<Vec<Option<String>>>,
    /// Which answers the queue is for, in an exchange of two steps; without it, all.
    to: Option<To>,
    delay_ms: Option<u64>,
    address: Option<Address>,
}

/// One of the addresses of HTTPS, counted from 0, and whether it is served.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    number: usize,
    serves: bool,
}

/// Tells `null` (behave again) from absent (leave as it is).
#[derive(Default)]
enum Change {
    #[default]
    Leave,
    To(Option<String>),
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::To)
    }
}

pub(crate) async fn serve(listener: TcpListener, platform: Arc<Platform>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let platform = platform.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let platform = platform.clone();
                        async move { Ok::<_, Infallible>(handle(&platform, request).await) }
                    });
                    let mut server = hyper::server::conn::http1::Builder::new();
                    let _ = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        }
    }
    connections.shutdown().await;
}

async fn handle(platform: &Platform, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let (status, value) = match (&head.method, head.uri.path()) {
        (&Method::GET, "/seen") => (StatusCode::OK, json!(platform.seen())),
        (&Method::GET, "/stats") => (StatusCode::OK, json!(platform.stats())),
        (&Method::GET, "/control") => (StatusCode::OK, state(platform)),
        (&Method::GET, "/chip-authority") => authority(platform),
        (&Method::GET, "/chip") => chip(platform, head.uri.query().unwrap_or_default()),
        (&Method::POST, "/reset") => {
            platform.reset();
            (StatusCode::OK, state(platform))
        }
        (&Method::POST, "/control") => match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => match obey(platform, &body.to_bytes()) {
                Ok(()) => (StatusCode::OK, state(platform)),
                Err(error) => (StatusCode::BAD_REQUEST, json!({ "error": error })),
            },
            Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, json!({ "error": "body too large" })),
        },
        _ => (
            StatusCode::NOT_FOUND,
            json!({ "error": "GET /seen, GET /stats, GET /chip, GET /chip-authority, GET /control, POST /control, POST /reset" }),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The certificate of the country's authority for chips, in base64.
fn authority(platform: &Platform) -> (StatusCode, Value) {
    match platform.chip_authority() {
        Some(der) => (StatusCode::OK, json!({ "certificate": STANDARD.encode(der) })),
        None => (StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": "the certificate cannot be written" })),
    }
}

/// `?number=N&variant=V`: the files of a chip in base64.
fn chip(platform: &Platform, query: &str) -> (StatusCode, Value) {
    let parameter = |name: &str| {
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let variant = Variant::named(parameter("variant").unwrap_or("genuine"));
    let files = variant.zip(parameter("number")).and_then(|(variant, number)| platform.chip(number, variant));
    match files {
        Some(Files { com, dg1, dg2, sod }) => {
            let encode = |octets: Vec<u8>| STANDARD.encode(octets);
            (StatusCode::OK, json!({"com": encode(com), "dg1": encode(dg1), "dg2": encode(dg2), "sod": encode(sod)}))
        }
        None => (StatusCode::NOT_FOUND, json!({ "error": "no such document or variant" })),
    }
}

fn obey(platform: &Platform, body: &[u8]) -> Result<(), String> {
    let order: Orders = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if let Change::To(name) = order.misbehave {
        platform.misbehave(named(name.as_deref())?, order.times);
    }
    if let Some(names) = order.queue {
        platform.enqueue(names.iter().map(|name| named(name.as_deref())).collect::<Result<_, _>>()?, order.to);
    }
    if let Some(delay) = order.delay_ms {
        platform.delay(Duration::from_millis(delay));
    }
    if let Some(Address { number, serves }) = order.address
        && !platform.serve_at(number, serves)
    {
        return Err(format!("no address {number}"));
    }
    Ok(())
}

fn named(name: Option<&str>) -> Result<Option<Order>, String> {
    name.map(str::parse).transpose().map_err(|error: crate::SimError| error.to_string())
}

fn state(platform: &Platform) -> Value {
    let orders = platform.orders();
    let (answers, connections) = platform.waiting();
    json!({
        "misbehave": orders.order.map(Order::name),
        "times": orders.times,
        "waiting": { "answers": answers, "connections": connections },
        "delay_ms": u64::try_from(orders.delay.as_millis()).unwrap_or(u64::MAX),
    })
}
