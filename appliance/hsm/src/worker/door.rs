//! The reading half of a connection, which can be closed without losing a request.
//!
//! After `shutdown(SHUT_RD)` the kernel lets the client write nothing more, and still gives out what it has taken: so every
//! request whose writing succeeded is read and answered, and the client knows of every other that it was not sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::Shutdown;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::watch;

/// See the module.
pub(super) struct Door {
    half: OwnedReadHalf,
    /// Done when the door is to be closed; none once it is.
    close: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Door {
    /// Closes when `closing` becomes true.
    pub(super) fn new(half: OwnedReadHalf, mut closing: watch::Receiver<bool>) -> Self {
        let close = Box::pin(async move {
            if closing.wait_for(|closing| *closing).await.is_err() {
                // Nobody is left who could close it.
                std::future::pending::<()>().await;
            }
        });
        Self { half, close: Some(close) }
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.close.is_none()
    }
}

impl AsyncRead for Door {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(close) = &mut self.close
            && close.as_mut().poll(context).is_ready()
        {
            self.close = None;
            let stream: &UnixStream = self.half.as_ref();
            rustix::net::shutdown(stream, Shutdown::Read)?;
        }
        Pin::new(&mut self.half).poll_read(context, into)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_was_written_is_read_and_nothing_more_can_be() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let (closing, closed) = watch::channel(false);
        let (half, mut answers) = server.into_split();
        let mut door = Door::new(half, closed);
        client.write_all(b"one").await.unwrap();
        let mut octets = [0; 3];
        door.read_exact(&mut octets).await.unwrap();
        assert!(!door.is_closed());

        client.write_all(b"two").await.unwrap();
        closing.send(true).unwrap();
        let mut rest = Vec::new();
        door.read_to_end(&mut rest).await.unwrap();
        assert_eq!((rest.as_slice(), door.is_closed()), (&b"two"[..], true));
        assert_eq!(client.write_all(b"three").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        // The answers still go out.
        answers.write_all(b"yes").await.unwrap();
        client.read_exact(&mut octets).await.unwrap();
        assert_eq!(&octets, b"yes");
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let (client, server) = UnixStream::pair().unwrap();
        let (closing, closed) = watch::channel(false);
        let mut door = Door::new(server.into_split().0, closed);
        let reading = tokio::spawn(async move { door.read_to_end(&mut Vec::new()).await });
        tokio::task::yield_now().await;
        closing.send(true).unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), 0);
        drop(client);
    }
}
