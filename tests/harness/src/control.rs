//! The simulator's control listener as seen from another process.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;
pub use yanqian_platform_sim::chip::Variant;
pub use yanqian_platform_sim::{Fault, Misbehaviour, Seen, Stats};

use crate::error::HarnessError;
use crate::http::{Protocol, exchange};

/// Tells the platform how to behave and asks what it saw.
#[derive(Debug, Clone, Copy)]
pub struct Control {
    address: SocketAddr,
}

impl Control {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Where the control listener is; plain HTTP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Misbehaves in the next `times` answers.
    pub async fn misbehave(&self, misbehaviour: Misbehaviour, times: u32) -> Result<(), HarnessError> {
        self.order(json!({ "misbehave": misbehaviour.name(), "times": times })).await
    }

    /// Behaves again and answers at once.
    pub async fn behave(&self) -> Result<(), HarnessError> {
        self.order(json!({ "misbehave": null, "delay_ms": 0 })).await
    }

    /// Holds back every answer.
    pub async fn delay(&self, milliseconds: u64) -> Result<(), HarnessError> {
        self.order(json!({ "delay_ms": milliseconds })).await
    }

    /// Ends one address of the platform at once with all its connections, or listens there again.
    pub async fn serve_at(&self, number: usize, serves: bool) -> Result<(), HarnessError> {
        self.order(json!({ "address": { "number": number, "serves": serves } })).await
    }

    /// One order for each of the answers to come (none: an honest one), and for each new connection those that are about connections.
    pub async fn enqueue(&self, names: &[Option<&str>]) -> Result<(), HarnessError> {
        self.order(json!({ "queue": names })).await
    }

    /// The same for the answers to one step of an exchange of two: `application` or `check`.
    pub async fn enqueue_to(&self, step: &str, names: &[Option<&str>]) -> Result<(), HarnessError> {
        self.order(json!({ "queue": names, "to": step })).await
    }

    /// Every request so far.
    pub async fn seen(&self) -> Result<Vec<Seen>, HarnessError> {
        self.call("GET", "/seen", Value::Null).await
    }

    /// The files of the chip of the document with this number, or of something like it: `com`, `dg1`, `dg2` and `sod` in base64.
    pub async fn chip(&self, number: &str, variant: Variant) -> Result<Value, HarnessError> {
        self.call("GET", &format!("/chip?number={number}&variant={}", variant.name()), Value::Null).await
    }

    /// DER of the certificate of the country's authority that signs the simulator's chips.
    pub async fn chip_authority(&self) -> Result<Vec<u8>, HarnessError> {
        let reply: Value = self.call("GET", "/chip-authority", Value::Null).await?;
        let text = reply["certificate"].as_str().unwrap_or_default();
        STANDARD.decode(text).map_err(|error| HarnessError::http("simulator's /chip-authority".to_owned(), &error))
    }

    /// Counters.
    pub async fn stats(&self) -> Result<Stats, HarnessError> {
        self.call("GET", "/stats", Value::Null).await
    }

    /// Forgets requests, nonces, counters and orders.
    pub async fn reset(&self) -> Result<(), HarnessError> {
        self.call::<Value>("POST", "/reset", Value::Null).await.map(drop)
    }

    async fn order(&self, order: Value) -> Result<(), HarnessError> {
        self.call::<Value>("POST", "/control", order).await.map(drop)
    }

    async fn call<T: DeserializeOwned>(&self, method: &str, path: &str, body: Value) -> Result<T, HarnessError> {
        let reply = plain(self.address, method, path, &body).await?;
        match (reply.status, serde_json::from_slice(&reply.body)) {
            (200, Ok(value)) => Ok(value),
            (status, _) => Err(HarnessError::http(
                format!("simulator's {path}"),
                &format_args!("{status} {}", String::from_utf8_lossy(&reply.body)),
            )),
        }
    }
}

/// One exchange without TLS, as the control and metrics listeners on loopback have it.
pub(crate) async fn plain(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<crate::http::Reply, HarnessError> {
    let peer = format!("http://{address}{path}");
    let stream = TcpStream::connect(address).await.map_err(|error| HarnessError::http(&*peer, &error))?;
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let method = Method::from_bytes(method.as_bytes()).map_err(|error| HarnessError::http(&*peer, &error))?;
    exchange(&peer, Protocol::Http1, stream, (method, path), &[], body).await
}
