//! The octets of a connection as they come out of TLS, looked at on their way to the protocol's library.

mod frames;
mod head;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

pub use frames::FrameLimits;
pub(crate) use frames::{Flood, FrameWatch};
pub(crate) use head::HeadGuard;

use super::activity::{Activity, End};

/// What looks at the octets.
#[derive(Debug)]
pub(crate) enum Watch {
    Http1(HeadGuard),
    Http2(FrameWatch),
}

/// A stream whose incoming octets are looked at.
pub(crate) struct Watched<S> {
    stream: S,
    watch: Watch,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, watch: Watch, activity: Arc<Activity>) -> Self {
        Self { stream, watch, activity }
    }

    /// How many of the octets may be passed on.
    fn see(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let now = Instant::now();
        let (passed, open) = match &mut self.watch {
            Watch::Http1(guard) => match guard.see(octets) {
                Ok(()) => (octets.len(), guard.open()),
                Err(at) => {
                    // No head may hold this octet, so the parser answers 400 and ends the connection.
                    octets[at] = 0;
                    (at + 1, None)
                }
            },
            Watch::Http2(frames) => {
                frames.see(octets, now, self.activity.answered()).map_err(|Flood| {
                    self.activity.end(End::Flood);
                    io::ErrorKind::ConnectionAborted
                })?;
                (octets.len(), frames.open())
            }
        };
        self.activity.head(open, now);
        Ok(passed)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let new = &mut buffer.filled_mut()[before..];
        if !new.is_empty() {
            let passed = self.see(new)?;
            buffer.set_filled(before + passed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
