//! Octets written to a connection below any HTTP, at a pace, to an end.

use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::sleep;

/// Longer than any limit of a client; then whoever still waits is let go.
const HELD: Duration = Duration::from_mins(2);

#[derive(Debug)]
enum Piece {
    Octets(Vec<u8>),
    /// One octet at a time, with a pause after each.
    Slowly(Vec<u8>, Duration),
    /// Again and again, with a pause after each time.
    Endlessly(Vec<u8>, Duration),
    /// Nothing for ever, the connection open.
    Hold,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// As TLS wants it: `close_notify`, then the end of the stream.
    Close,
    /// The stream ends without a word.
    Drop,
}

/// What is written in place of an answer.
#[derive(Debug)]
pub(crate) struct Script {
    pieces: Vec<Piece>,
    end: End,
}

impl Script {
    /// These octets; the connection stays open for as long as the other side wants it.
    pub(super) fn octets(octets: impl Into<Vec<u8>>) -> Self {
        Self { pieces: vec![Piece::Octets(octets.into())], end: End::Close }
    }

    pub(super) fn then(mut self, octets: impl Into<Vec<u8>>) -> Self {
        self.pieces.push(Piece::Octets(octets.into()));
        self
    }

    pub(super) fn slowly(mut self, octets: impl Into<Vec<u8>>) -> Self {
        self.pieces.push(Piece::Slowly(octets.into(), Duration::from_secs(1)));
        self
    }

    pub(super) fn endlessly(mut self, octets: impl Into<Vec<u8>>) -> Self {
        self.pieces.push(Piece::Endlessly(octets.into(), Duration::from_millis(1)));
        self
    }

    pub(super) fn hold(mut self) -> Self {
        self.pieces.push(Piece::Hold);
        self
    }

    /// Ends without `close_notify`.
    pub(super) fn dropped(mut self) -> Self {
        self.end = End::Drop;
        self
    }

    /// Plays it. A client that goes away ends it.
    pub(crate) async fn play<S: AsyncRead + AsyncWrite>(self, stream: S) {
        let mut stream = std::pin::pin!(stream);
        for piece in self.pieces {
            let played = match piece {
                Piece::Octets(octets) => write(stream.as_mut(), &octets).await,
                Piece::Slowly(octets, pause) => {
                    let mut played = Ok(());
                    for octet in octets {
                        played = write(stream.as_mut(), &[octet]).await;
                        if played.is_err() || gone(stream.as_mut(), pause).await {
                            return;
                        }
                    }
                    played
                }
                Piece::Endlessly(octets, pause) => loop {
                    if write(stream.as_mut(), &octets).await.is_err() {
                        return;
                    }
                    sleep(pause).await;
                },
                Piece::Hold => {
                    gone(stream.as_mut(), HELD).await;
                    return;
                }
            };
            if played.is_err() {
                return;
            }
        }
        if self.end == End::Close {
            let _ = stream.shutdown().await;
        }
    }
}

async fn write<S: AsyncWrite>(mut stream: Pin<&mut S>, octets: &[u8]) -> std::io::Result<()> {
    stream.write_all(octets).await?;
    stream.flush().await
}

/// Waits; true when the client went away meanwhile.
async fn gone<S: AsyncRead>(mut stream: Pin<&mut S>, pause: Duration) -> bool {
    let mut rest = [0; 1024];
    let reading = async { while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {} };
    tokio::time::timeout(pause, reading).await.is_ok()
}
