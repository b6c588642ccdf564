//! HTTP/2 by hand (RFC 9113, RFC 7541): what no well-behaved client can be made to send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use yanqian_harness::{Caller, Protocol};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A SETTINGS frame of pairs of identifier and value.
pub(crate) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        pairs.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// A literal field that is not indexed (RFC 7541 6.2.2), without Huffman coding.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        integer(text.len(), &mut out);
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// RFC 7541 5.1 with a prefix of 7 bits.
fn integer(mut value: usize, out: &mut Vec<u8>) {
    if value < 127 {
        out.push(u8::try_from(value).unwrap());
        return;
    }
    out.push(127);
    value -= 127;
    while value >= 128 {
        out.push(u8::try_from(value % 128).unwrap() | 128);
        value /= 128;
    }
    out.push(u8::try_from(value).unwrap());
}

/// The header block of a request with these fields besides its pseudo-fields.
pub(crate) fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)];
    pseudo.iter().chain(fields).flat_map(|(name, value)| field(name, value)).collect()
}

/// A frame as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
}

/// A connection over which frames are written by hand.
pub(crate) struct Raw {
    writer: WriteHalf<TlsStream<TcpStream>>,
    reader: JoinHandle<Vec<Received>>,
}

impl Raw {
    /// Connects, writes the preface and a SETTINGS frame.
    pub(crate) async fn open(caller: &Caller, ours: &[(u16, u32)]) -> Self {
        let stream = caller.over(Protocol::Http2).connect().await.unwrap();
        let (reader, mut writer) = tokio::io::split(stream);
        writer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        writer.write_all(&settings(ours)).await.unwrap();
        writer.write_all(&frame(SETTINGS, 1, 0, &[])).await.unwrap();
        writer.flush().await.unwrap();
        Self { writer, reader: tokio::spawn(read_frames(reader)) }
    }

    /// False when the daemon has ended the connection.
    pub(crate) async fn write(&mut self, octets: &[u8]) -> bool {
        self.writer.write_all(octets).await.is_ok() && self.writer.flush().await.is_ok()
    }

    /// Writes the same again and again until the daemon ends the connection; how often it was written.
    pub(crate) async fn flood(&mut self, limit: Duration, mut octets: impl FnMut() -> Vec<u8>) -> u64 {
        let mut written = 0;
        let flooding = async {
            while !self.reader.is_finished() && self.write(&octets()).await {
                written += 1;
            }
        };
        assert!(tokio::time::timeout(limit, flooding).await.is_ok(), "still open after {written} writes");
        written
    }

    /// Waits until the daemon ends the connection; what it sent.
    pub(crate) async fn ended(self, limit: Duration) -> Vec<Received> {
        let Self { writer, reader } = self;
        let frames = tokio::time::timeout(limit, reader).await.expect("the connection ends in time").unwrap();
        drop(writer);
        frames
    }
}

async fn read_frames(mut reader: ReadHalf<TlsStream<TcpStream>>) -> Vec<Received> {
    let mut frames = Vec::new();
    let mut header = [0; 9];
    while reader.read_exact(&mut header).await.is_ok() {
        let [high, middle, low, kind, ..] = header;
        let mut payload = vec![0; usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)];
        if reader.read_exact(&mut payload).await.is_err() {
            break;
        }
        frames.push(Received { kind, payload });
    }
    frames
}
