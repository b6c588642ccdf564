//! SM3 of many messages at once: where the processor can, sixteen of them side by side, because one message alone waits for itself at
//! every step.

use crate::arch::Ifma;
use crate::backend::Backend;
use crate::digest::Sm3;

/// Messages side by side.
pub(crate) const LANES: usize = 16;
/// Octets that the compression function takes.
pub(crate) type Block = [u8; 64];

/// Word i of sixteen states, for each i of eight.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct States(pub(crate) [[u32; LANES]; 8]);

/// GB/T 32905-2016 §4.1.
const IV: [u32; 8] =
    [0x7380_166f, 0x4914_b2b9, 0x1724_42d7, 0xda8a_0600, 0xa96f_30bc, 0x1631_38aa, 0xe38d_ee4d, 0xb0fb_0e4e];

/// So few messages are faster one by one.
const FEW: usize = 1;

/// SM3 of each message, which is given in slices, as [`sm3`] would give it. Messages may differ in length; those of like length are best
/// together. Where `digests` is shorter than `messages`, the messages beyond it are not looked at.
pub fn sm3_many(messages: &[&[&[u8]]], digests: &mut [[u8; 32]]) {
    hash_many(messages.iter().map(|rest| Parts { head: &[], rest }), digests.iter_mut());
}

/// A message in slices, the first of which may stand apart from the others.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'m> {
    pub(crate) head: &'m [u8],
    pub(crate) rest: &'m [&'m [u8]],
}

/// As [`sm3_many`], over whatever holds messages and places for digests.
pub(crate) fn hash_many<'m, 'd>(
    messages: impl Iterator<Item = Parts<'m>>,
    digests: impl ExactSizeIterator<Item = &'d mut [u8; 32]>,
) {
    let ifma = if Backend::current() == Backend::Ifma && digests.len() > FEW { Ifma::detect() } else { None };
    if let Some(ifma) = ifma {
        return side_by_side(ifma, messages.zip(digests));
    }
    for (message, digest) in messages.zip(digests) {
        let mut hasher = Sm3::new();
        hasher.update(message.head);
        message.rest.iter().for_each(|part| hasher.update(part));
        *digest = hasher.finish();
    }
}

/// One message as padded blocks (GB/T 32905-2016 §5.2).
struct Blocks<'m> {
    parts: core::slice::Iter<'m, &'m [u8]>,
    current: &'m [u8],
    octets: u64,
    left: Left,
}

#[derive(PartialEq)]
enum Left {
    /// Octets of the message, perhaps none, and the padding.
    Message,
    /// Zeros and the length.
    Length,
    Nothing,
}

impl<'m> Blocks<'m> {
    fn new(message: Parts<'m>) -> Self {
        Self { parts: message.rest.iter(), current: message.head, octets: 0, left: Left::Message }
    }

    /// How many blocks from here on stand in the message as they are.
    fn whole(&self) -> usize {
        if self.left == Left::Message { self.current.len() / 64 } else { 0 }
    }

    /// As many blocks as stand in the message itself.
    fn take(&mut self, count: usize) -> &'m [Block] {
        let (blocks, rest) = self.current.split_at(64 * count);
        self.current = rest;
        self.octets += blocks.len() as u64;
        blocks.as_chunks().0
    }

    /// The next block; `place` holds it where it does not stand in the message itself.
    fn next<'s>(&mut self, place: &'s mut Block) -> &'s Block
    where
        'm: 's,
    {
        let mut filled = 0;
        if self.left == Left::Message {
            loop {
                if filled == 0
                    && let Some((block, rest)) = self.current.split_first_chunk()
                {
                    self.current = rest;
                    self.octets += 64;
                    return block;
                }
                let (now, rest) = self.current.split_at(self.current.len().min(64 - filled));
                place[filled..filled + now.len()].copy_from_slice(now);
                filled += now.len();
                self.current = rest;
                if filled == 64 {
                    self.octets += 64;
                    return place;
                }
                match self.parts.next() {
                    Some(part) => self.current = part,
                    None => break,
                }
            }
            self.octets += filled as u64;
            place[filled] = 0x80;
            filled += 1;
        }
        place[filled..].fill(0);
        if filled <= 56 {
            // 2⁶¹ octets do not fit any memory.
            place[56..].copy_from_slice(&(self.octets * 8).to_be_bytes());
            self.left = Left::Nothing;
        } else {
            self.left = Left::Length;
        }
        place
    }
}

/// What each lane takes next. Lanes without a message take what another takes, and nobody asks what becomes of it.
fn each<'m, 's, Place>(
    lanes: &mut [Option<(Blocks<'m>, &mut [u8; 32])>; LANES],
    places: impl Iterator<Item = Place>,
    next: impl Fn(&mut Blocks<'m>, Place) -> &'s [Block],
) -> [&'s [Block]; LANES] {
    let mut all: [Option<&[Block]>; LANES] = [None; LANES];
    for ((blocks, work), place) in all.iter_mut().zip(lanes).zip(places) {
        *blocks = work.as_mut().map(|(message, _)| next(message, place));
    }
    let any = all.iter().flatten().next().copied().unwrap_or_default();
    all.map(|blocks| blocks.unwrap_or(any))
}

/// Sixteen lanes, each of which takes the next message when its own has ended.
fn side_by_side<'m, 'd>(ifma: Ifma, mut jobs: impl Iterator<Item = (Parts<'m>, &'d mut [u8; 32])>) {
    const NONE: Option<(Blocks<'_>, &mut [u8; 32])> = None;
    let mut lanes = [NONE; LANES];
    let mut states = States([[0; LANES]; 8]);
    loop {
        for (lane, work) in lanes.iter_mut().enumerate() {
            if work.is_some() {
                continue;
            }
            *work = jobs.next().map(|(message, digest)| (Blocks::new(message), digest));
            for (words, iv) in states.0.iter_mut().zip(IV) {
                words[lane] = iv;
            }
        }
        let mut places = [[0; 64]; LANES];
        let whole = lanes.iter().flatten().map(|(message, _)| message.whole()).min();
        let blocks = match whole {
            None => return,
            Some(0) => each(&mut lanes, places.iter_mut(), |message, place| core::slice::from_ref(message.next(place))),
            // What all have is taken without looking at each between the blocks.
            Some(count) => each(&mut lanes, places.iter_mut(), |message, _| message.take(count)),
        };
        ifma.sm3_compress(&mut states, &blocks);
        for (lane, work) in lanes.iter_mut().enumerate() {
            let Some((Blocks { left: Left::Nothing, .. }, digest)) = work else { continue };
            for (octets, words) in digest.chunks_exact_mut(4).zip(&states.0) {
                octets.copy_from_slice(&words[lane].to_be_bytes());
            }
            *work = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::digest::sm3;

    proptest! {
        #[test]
        fn many_messages_have_the_digests_that_each_has_alone(
            messages in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..140), 0..5), 0..60),
            fewer in 0usize..3,
        ) {
            let slices: Vec<Vec<&[u8]>> =
                messages.iter().map(|message| message.iter().map(Vec::as_slice).collect()).collect();
            let messages: Vec<&[&[u8]]> = slices.iter().map(Vec::as_slice).collect();
            let mut digests = vec![[0; 32]; messages.len().saturating_sub(fewer)];
            sm3_many(&messages, &mut digests);
            for (message, digest) in messages.iter().zip(digests) {
                prop_assert_eq!(digest, sm3(message));
            }
        }
    }

    #[test]
    fn every_length_around_the_ends_of_blocks_is_padded_right() {
        let octets: Vec<u8> = (0..=255).collect();
        let slices: Vec<[&[u8]; 1]> = (0..=255).map(|length| [&octets[..length]]).collect();
        let messages: Vec<&[&[u8]]> = slices.iter().map(<[_; 1]>::as_slice).collect();
        let mut digests = vec![[0; 32]; messages.len()];
        sm3_many(&messages, &mut digests);
        for (message, digest) in messages.iter().zip(digests) {
            assert_eq!(digest, sm3(message));
        }
    }
}
