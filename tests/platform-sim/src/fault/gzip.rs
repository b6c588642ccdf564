//! gzip (RFC 1952) as far as answers need it: what compresses to nothing, and what is not compressed at all.

/// Octets as they are, in stored blocks.
pub(super) fn stored(octets: &[u8]) -> Vec<u8> {
    let mut out = HEAD.to_vec();
    let count = octets.chunks(0xffff).count().max(1);
    for (index, block) in octets.chunks(0xffff).enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(index + 1 == count));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let crc = octets.iter().fold(u32::MAX, |crc, octet| step(crc, *octet));
    tail(out, !crc, octets.len())
}

/// A megabyte of spaces for every thousand octets.
pub(super) fn bomb(megabytes: usize) -> Vec<u8> {
    // RFC 1951 §3.2.6: one literal, then as often as it takes "258 octets again, from 1 back" (13 bits), and the end.
    let mut bits = Bits::default();
    bits.put(0b011, 3);
    bits.put(reversed(0x30 + u32::from(b' '), 8), 8);
    let copies = (megabytes << 20) / 258;
    for _ in 0..copies {
        bits.put(reversed(0b1100_0101, 8), 8);
        bits.put(0, 5);
    }
    bits.put(0, 7);
    let length = 1 + copies * 258;
    let crc = (0..length).fold(u32::MAX, |crc, _| step(crc, b' '));
    tail([&HEAD[..], &bits.finish()].concat(), !crc, length)
}

const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

fn tail(mut out: Vec<u8>, crc: u32, length: usize) -> Vec<u8> {
    out.extend(crc.to_le_bytes());
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    out
}

fn step(crc: u32, octet: u8) -> u32 {
    (0..8).fold(crc ^ u32::from(octet), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1)))
}

fn reversed(value: u32, bits: u32) -> u32 {
    value.reverse_bits() >> (32 - bits)
}

/// Bits, the least significant of each octet first.
#[derive(Default)]
struct Bits {
    out: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        self.held |= value << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.push(self.held.to_le_bytes()[0]);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.out.push(self.held.to_le_bytes()[0]);
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    #[test]
    fn gzip_itself_takes_both() {
        for packed in [stored(b"an answer"), bomb(1)] {
            let mut gzip = Command::new("gzip").arg("-t").stdin(Stdio::piped()).spawn().unwrap();
            gzip.stdin.take().unwrap().write_all(&packed).unwrap();
            assert!(gzip.wait().unwrap().success());
        }
        assert!(bomb(16).len() < 128 << 10);
    }
}
