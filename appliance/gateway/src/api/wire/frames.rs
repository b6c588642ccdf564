//! The frames of an HTTP/2 connection, seen by their headers before the protocol's own library sees them.
//!
//! The library bounds memory; it does not bound how often a peer may make it work for nothing. The floods of HTTP/2 (rapid
//! reset, ping, settings, empty frames, CONTINUATION) have one thing in common: frames that are no request and no body. So
//! these are counted, by the second, and resets against the requests that were let end.

use tokio::time::{Duration, Instant};

/// Limits of one connection's frames.
#[derive(Debug, Clone, Copy)]
pub struct FrameLimits {
    /// Streams that the peer may reset beyond those whose reply it takes.
    pub max_resets: u32,
    /// Frames within a second that are neither HEADERS nor DATA with content.
    pub max_control_frames: u32,
}

/// The peer makes work and asks for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flood;

/// RFC 9113 3.4: `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`.
const PREFACE: usize = 24;
const FRAME_HEADER: usize = 9;
const SECOND: Duration = Duration::from_secs(1);

// Frame types (RFC 9113 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Watches the octets of one connection.
#[derive(Debug)]
pub(crate) struct FrameWatch {
    limits: FrameLimits,
    /// Octets to pass over: the rest of the preface or of a payload.
    skip: usize,
    header: [u8; FRAME_HEADER],
    header_octets: usize,
    /// A header block has begun and its last frame has not been seen whole.
    block: bool,
    blocks: u64,
    /// The frame being passed over ends the block.
    block_ends: bool,
    resets: u32,
    second: Instant,
    control: u32,
}

impl FrameWatch {
    pub(crate) fn new(limits: FrameLimits, now: Instant) -> Self {
        Self {
            limits,
            skip: PREFACE,
            header: [0; FRAME_HEADER],
            header_octets: 0,
            block: false,
            blocks: 0,
            block_ends: false,
            resets: 0,
            second: now,
            control: 0,
        }
    }

    /// The number of the header block that has begun and not ended.
    pub(crate) fn open(&self) -> Option<u64> {
        self.block.then_some(self.blocks)
    }

    /// Looks at what came next; `answered` requests of this connection have had their whole reply.
    pub(crate) fn see(&mut self, mut octets: &[u8], now: Instant, answered: u64) -> Result<(), Flood> {
        while !octets.is_empty() {
            if self.skip > 0 {
                let here = self.skip.min(octets.len());
                octets = &octets[here..];
                self.skip -= here;
                self.end_of_block();
                continue;
            }
            let here = (FRAME_HEADER - self.header_octets).min(octets.len());
            self.header[self.header_octets..self.header_octets + here].copy_from_slice(&octets[..here]);
            octets = &octets[here..];
            self.header_octets += here;
            if self.header_octets == FRAME_HEADER {
                self.header_octets = 0;
                self.frame(now, answered)?;
                self.end_of_block();
            }
        }
        Ok(())
    }

    fn end_of_block(&mut self) {
        if self.skip == 0 && self.block_ends {
            (self.block, self.block_ends) = (false, false);
            self.blocks += 1;
        }
    }

    fn frame(&mut self, now: Instant, answered: u64) -> Result<(), Flood> {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if matches!(kind, HEADERS | CONTINUATION) {
            self.block = true;
            self.block_ends = flags & END_HEADERS != 0;
        }
        let useful = kind == HEADERS || (kind == DATA && (self.skip > 0 || flags & END_STREAM != 0));
        if useful {
            return Ok(());
        }
        if now.duration_since(self.second) >= SECOND {
            (self.second, self.control) = (now, 0);
        }
        self.control += 1;
        if self.control > self.limits.max_control_frames {
            return Err(Flood);
        }
        if kind == RST_STREAM {
            self.resets = self.resets.saturating_add(1);
            if u64::from(self.resets) > answered.saturating_add(self.limits.max_resets.into()) {
                return Err(Flood);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIMITS: FrameLimits = FrameLimits { max_resets: 5, max_control_frames: 50 };

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut out = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        out.extend_from_slice(payload);
        out
    }

    fn started(now: Instant) -> FrameWatch {
        let mut watch = FrameWatch::new(LIMITS, now);
        watch.see(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", now, 0).unwrap();
        watch
    }

    #[test]
    fn a_header_block_is_open_from_its_first_frame_to_the_end_of_its_last() {
        let now = Instant::now();
        let mut watch = started(now);
        let mut octets = frame(HEADERS, 0, b"abc");
        octets.extend_from_slice(&frame(CONTINUATION, 0, b"def"));
        watch.see(&octets, now, 0).unwrap();
        assert_eq!(watch.open(), Some(0));
        let last = frame(CONTINUATION, END_HEADERS, b"ghi");
        let (all_but_one, one) = last.split_at(last.len() - 1);
        watch.see(all_but_one, now, 0).unwrap();
        assert_eq!(watch.open(), Some(0), "an octet is missing");
        watch.see(one, now, 0).unwrap();
        assert_eq!(watch.open(), None);
        watch.see(&frame(HEADERS, END_HEADERS, b""), now, 0).unwrap();
        assert_eq!(watch.open(), None);
        watch.see(&frame(DATA, 0, b"x")[..9], now, 0).unwrap();
        assert_eq!(watch.open(), None, "a body is no head");
    }

    #[test]
    fn resets_are_weighed_against_the_requests_that_were_let_end() {
        let now = Instant::now();
        let reset = frame(RST_STREAM, 0, &[0; 4]);
        let mut watch = started(now);
        for _ in 0..5 {
            watch.see(&reset, now, 0).unwrap();
        }
        watch.see(&reset, now, 1).unwrap();
        assert_eq!(watch.see(&reset, now, 1), Err(Flood));
    }

    #[test]
    fn frames_that_ask_for_nothing_are_counted_by_the_second() {
        for (kind, flags, payload) in
            [(6, 0, &[0; 8][..]), (4, 0, b""), (DATA, 0, b""), (CONTINUATION, 0, b""), (0x42, 0, b"?")]
        {
            let mut now = Instant::now();
            let mut watch = started(now);
            for _ in 0..10 {
                now += SECOND;
                for _ in 0..50 {
                    watch.see(&frame(kind, flags, payload), now, 0).unwrap();
                }
            }
            assert_eq!(watch.see(&frame(kind, flags, payload), now, 0), Err(Flood), "type {kind}");
        }
        let now = Instant::now();
        let mut watch = started(now);
        for _ in 0..1000 {
            watch.see(&frame(HEADERS, END_HEADERS, b"x"), now, 0).unwrap();
            watch.see(&frame(DATA, END_STREAM, b""), now, 0).unwrap();
        }
    }

    proptest::proptest! {
        #[test]
        fn cutting_the_octets_differently_changes_nothing(octets: Vec<u8>, cuts: Vec<u8>) {
            let now = Instant::now();
            let mut whole = started(now);
            let expected = whole.see(&octets, now, 3);
            let mut parts = started(now);
            let (mut at, mut cuts) = (0, cuts.into_iter());
            let mut seen = Ok(());
            while at < octets.len() && seen.is_ok() {
                let end = (at + usize::from(cuts.next().unwrap_or(1).max(1))).min(octets.len());
                seen = parts.see(&octets[at..end], now, 3);
                at = end;
            }
            proptest::prop_assert_eq!(seen, expected);
            proptest::prop_assert_eq!(parts.open(), whole.open());
        }
    }
}
