//! One HTTP/1.1 exchange on a connection of its own.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::HarnessError;

/// No exchange of a test or the demo takes longer, whatever the other side does.
const LIMIT: Duration = Duration::from_mins(1);

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header's value; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A text member of the body by its JSON pointer, such as `/platform/serial`; empty when it is absent.
    pub fn text(&self, pointer: &str) -> String {
        self.json().pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The stable code of a problem document (RFC 9457), or the verdict.
    pub fn code(&self) -> String {
        let code = self.text("/code");
        if code.is_empty() { self.text("/verdict") } else { code }
    }

    /// The verification that the reply is about: the last part of `Location`.
    pub fn id(&self) -> String {
        self.header("location").rsplit('/').next().unwrap_or_default().to_owned()
    }
}

/// Sends one request over a fresh connection and reads the whole reply.
pub(crate) async fn exchange(
    peer: &str,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Reply, HarnessError> {
    let work = async {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| HarnessError::http(peer, &error))?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| HarnessError::http(peer, &error))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| HarnessError::http(peer, &error))?.to_bytes();
        driver.abort();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
    };
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| Err(HarnessError::http(peer, &"no reply in a minute")))
}
