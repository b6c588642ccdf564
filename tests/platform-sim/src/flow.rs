//! Bodies that come whole, slowly, for ever, or not to their end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::answer::Delivery;

const DRIP: Duration = Duration::from_millis(100);
/// Fast enough to overrun any limit, slow enough to leave the machine alone.
const FLOOD: Duration = Duration::from_millis(2);

/// A response body.
#[derive(Debug)]
pub(crate) struct Flow {
    rest: Bytes,
    length: u64,
    delivery: Delivery,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Flow {
    pub(crate) fn new(content: Bytes, delivery: Delivery) -> Self {
        let pause = matches!(delivery, Delivery::Slow | Delivery::Endless).then(|| Box::pin(sleep(Duration::ZERO)));
        Self { length: content.len() as u64, rest: content, delivery, pause }
    }

    fn paused(&mut self, cx: &mut Context<'_>, next: Duration) -> Poll<()> {
        let Some(pause) = &mut self.pause else { return Poll::Ready(()) };
        let poll = pause.as_mut().poll(cx);
        if poll.is_ready() {
            pause.as_mut().reset(Instant::now() + next);
        }
        poll
    }
}

impl Body for Flow {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = |octets| Poll::Ready(Some(Ok(Frame::data(octets))));
        match self.delivery {
            Delivery::Slow => {
                if self.rest.is_empty() {
                    return Poll::Ready(None);
                }
                std::task::ready!(self.paused(cx, DRIP));
                frame(self.rest.split_to(1))
            }
            Delivery::Endless => {
                std::task::ready!(self.paused(cx, FLOOD));
                let octets = std::mem::take(&mut self.rest);
                frame(if octets.is_empty() { Bytes::from_static(&[b' '; 8192]) } else { octets })
            }
            Delivery::Cut => {
                let half = self.rest.len() / 2;
                if half < 2 {
                    return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
                }
                frame(self.rest.split_to(half))
            }
            Delivery::Whole | Delivery::Close | Delivery::Hang => {
                let octets = std::mem::take(&mut self.rest);
                if octets.is_empty() { Poll::Ready(None) } else { frame(octets) }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.delivery == Delivery::Whole && self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.delivery {
            Delivery::Endless => SizeHint::default(),
            _ if self.rest.len() as u64 == self.length => SizeHint::with_exact(self.length),
            _ => SizeHint::with_exact(self.rest.len() as u64),
        }
    }
}
