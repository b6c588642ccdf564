//! One exchange over plain HTTP, bounded in time and size. What comes back is signed, or nothing.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config::HttpUrl;

/// Why nothing came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HttpError {
    #[error("not reached in time")]
    Deadline,
    #[error("not reached")]
    Unreachable,
    #[error("HTTP status {0}")]
    Status(u16),
    #[error("more than {0} octets")]
    TooLarge(usize),
}

impl HttpError {
    pub(super) const CODES: [&'static str; 4] = ["deadline", "unreachable", "status", "too-large"];

    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Unreachable => "unreachable",
            Self::Status(_) => "status",
            Self::TooLarge(_) => "too-large",
        }
    }
}

/// Gets, or posts an OCSP request (RFC 6960 appendix A). Redirects are not followed.
pub(super) async fn fetch(
    url: &HttpUrl,
    proxy: Option<&HttpUrl>,
    ocsp_request: Option<Vec<u8>>,
    longest: usize,
) -> Result<Vec<u8>, HttpError> {
    let peer = proxy.unwrap_or(url);
    let host = peer.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, peer.port())).await.map_err(|_| HttpError::Unreachable)?;
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(64 * 1024)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| HttpError::Unreachable)?;
    // Ends with the sender; every failure shows there.
    let driver = tokio::spawn(async move {
        let _ = driver.await;
    });
    let result = async {
        let request = request(url, proxy.is_some(), ocsp_request).ok_or(HttpError::Unreachable)?;
        let response = sender.send_request(request).await.map_err(|_| HttpError::Unreachable)?;
        if response.status() != 200 {
            return Err(HttpError::Status(response.status().as_u16()));
        }
        let (mut body, mut octets) = (response.into_body(), Vec::new());
        while let Some(frame) = body.frame().await {
            let data = frame.map_err(|_| HttpError::Unreachable)?.into_data().unwrap_or_default();
            if octets.len() + data.len() > longest {
                return Err(HttpError::TooLarge(longest));
            }
            octets.extend_from_slice(&data);
        }
        Ok(octets)
    };
    let result = result.await;
    driver.abort();
    result
}

fn request(url: &HttpUrl, absolute: bool, ocsp_request: Option<Vec<u8>>) -> Option<Request<Full<Bytes>>> {
    let authority = url.uri().authority()?.as_str();
    let path = url.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let target = if absolute { url.to_string() } else { path.to_owned() };
    let builder = Request::builder().uri(target).header(header::HOST, HeaderValue::from_str(authority).ok()?);
    match ocsp_request {
        None => builder.method(Method::GET).body(Full::default()),
        Some(body) => builder
            .method(Method::POST)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/ocsp-request"))
            .header(header::ACCEPT, HeaderValue::from_static("application/ocsp-response"))
            .body(Full::new(body.into())),
    }
    .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request with these octets, and gives what was asked.
    async fn answering(octets: Vec<u8>) -> (HttpUrl, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = HttpUrl::parse(&format!("http://{}/some/list?x=1", listener.local_addr().unwrap())).unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            // Who asked may hang up before all of it is written.
            let _ = stream.write_all(&octets).await;
            String::from_utf8(head[..length].to_vec()).unwrap()
        });
        (url, asked)
    }

    fn response(status: &str, body: &[u8]) -> Vec<u8> {
        let head =
            format!("HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn what_is_not_a_whole_answer_of_bounded_size_is_none() {
        let whole = response("200 OK", b"12345");
        let cases = [
            (whole.clone(), 5, Ok(b"12345".to_vec())),
            (whole.clone(), 4, Err(HttpError::TooLarge(4))),
            (whole[..whole.len() - 1].to_vec(), 5, Err(HttpError::Unreachable)),
            (response("302 Found", b""), 5, Err(HttpError::Status(302))),
            (response("206 Partial Content", b"12345"), 5, Err(HttpError::Status(206))),
            (b"SSH-2.0\r\n".to_vec(), 5, Err(HttpError::Unreachable)),
        ];
        for (octets, longest, expected) in cases {
            let (url, _asked) = answering(octets).await;
            assert_eq!(fetch(&url, None, None, longest).await, expected);
        }
        let nobody = HttpUrl::parse("http://127.0.0.1:1/").unwrap();
        assert_eq!(fetch(&nobody, None, None, 5).await, Err(HttpError::Unreachable));
    }

    #[tokio::test]
    async fn a_proxy_is_asked_for_the_whole_url_and_a_server_for_its_path() {
        let (server, asked) = answering(response("200 OK", b"")).await;
        fetch(&server, None, None, 5).await.unwrap();
        assert!(asked.await.unwrap().starts_with("GET /some/list?x=1 HTTP/1.1\r\n"));
        let (proxy, asked) = answering(response("200 OK", b"")).await;
        let url = HttpUrl::parse("http://ocsp.example/").unwrap();
        fetch(&url, Some(&proxy), Some(b"question".to_vec()), 5).await.unwrap();
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("POST http://ocsp.example/ HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("host: ocsp.example\r\n") && asked.contains("application/ocsp-request"), "{asked}");
    }
}
