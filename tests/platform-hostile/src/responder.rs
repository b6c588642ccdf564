//! An HTTP server of an authority's lists and responder, on loopback, that answers each path in a way of its own, down to the octet.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use yanqian_devpki::{DevPkiError, ocsp_asked};
use yanqian_harness::HarnessError;

use crate::authority::{Bench, failed};

/// A request is shorter.
const MAX_REQUEST: usize = 64 << 10;
/// Longer than any client waits.
const HELD: Duration = Duration::from_secs(30);

/// What somebody asks.
pub(crate) struct Asked {
    pub(crate) nonce: Vec<u8>,
}

/// What is served.
pub(crate) enum Served {
    /// An answer with this body.
    Body(Vec<u8>),
    /// The same under a type of its own.
    Typed(&'static str, Vec<u8>),
    /// These octets and the end of the connection.
    Octets(Vec<u8>),
    /// One octet of it a second.
    Slowly(Vec<u8>),
    /// A head, and then these octets again and again.
    Endlessly(Vec<u8>),
    /// Nothing, and no end.
    Silence,
}

pub(crate) type Serve = fn(&Bench, &Asked) -> Result<Served, DevPkiError>;

/// A running server; it ends with this value. It has a thread of its own, so that nothing that the drill waits for makes it late.
pub(crate) struct Responder {
    address: SocketAddr,
    _end: oneshot::Sender<()>,
}

impl Responder {
    /// Serves each of these at the path of its name.
    pub(crate) fn start(
        bench: Arc<Bench>,
        served: impl Iterator<Item = (&'static str, Serve)>,
    ) -> Result<Self, HarnessError> {
        let wrong = |error: std::io::Error| failed("responder", &error);
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(wrong)?;
        listener.set_nonblocking(true).map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(wrong)?;
        let served: Arc<BTreeMap<_, _>> = Arc::new(served.map(|(name, serve)| (format!("/{name}"), serve)).collect());
        let (end, ended) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    _ = ended => {}
                    () = serve(listener, bench, served) => {}
                }
            });
        });
        Ok(Self { address, _end: end })
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }
}

async fn serve(listener: std::net::TcpListener, bench: Arc<Bench>, served: Arc<BTreeMap<String, Serve>>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (bench, served) = (Arc::clone(&bench), Arc::clone(&served));
        connections.spawn(async move {
            let _ = answer(stream, &bench, &served).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(mut stream: TcpStream, bench: &Bench, served: &BTreeMap<String, Serve>) -> std::io::Result<()> {
    let Some((path, body)) = read(&mut stream).await? else { return Ok(()) };
    let nonce = ocsp_asked(&body).and_then(|(_, nonce)| nonce).unwrap_or_default();
    let asked = Asked { nonce };
    let Some(serve) = served.get(&path) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    };
    match serve(bench, &asked).map_err(std::io::Error::other)? {
        Served::Body(body) => whole(&mut stream, "application/ocsp-response", &body).await,
        Served::Typed(kind, body) => whole(&mut stream, kind, &body).await,
        Served::Octets(octets) => stream.write_all(&octets).await,
        Served::Slowly(body) => {
            stream.write_all(head("application/ocsp-response", body.len()).as_bytes()).await?;
            for octet in body {
                stream.write_all(&[octet]).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        }
        Served::Endlessly(octets) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
            loop {
                stream.write_all(&octets).await?;
            }
        }
        Served::Silence => {
            tokio::time::sleep(HELD).await;
            Ok(())
        }
    }
}

fn head(kind: &str, length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n")
}

async fn whole(stream: &mut TcpStream, kind: &str, body: &[u8]) -> std::io::Result<()> {
    stream.write_all(head(kind, body.len()).as_bytes()).await?;
    stream.write_all(body).await
}

/// Path and body of one request.
async fn read(stream: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut octets = Vec::new();
    loop {
        if let Some(end) = octets.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&octets[..end]).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if octets.len() >= end + 4 + length {
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                return Ok(Some((path, octets[end + 4..].to_vec())));
            }
        }
        if octets.len() > MAX_REQUEST || stream.read_buf(&mut octets).await? == 0 {
            return Ok(None);
        }
    }
}
