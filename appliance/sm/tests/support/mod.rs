//! A slow and plain model of SM2 on big integers, signatures made with it (good ones, bad ones and those that no honest signer would make),
//! and other people's verifiers. Nothing here uses the crate under test.
#![allow(dead_code, unreachable_pub, clippy::many_single_char_names, clippy::unwrap_used)]

pub mod cases;
pub mod model;
pub mod peers;

/// Numbers that are the same in every run with the same seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// `YANQIAN_SM_SEED` moves every sequence; a failing test prints what is needed to see it fail again.
    pub fn new(seed: u64) -> Self {
        let moved = std::env::var("YANQIAN_SM_SEED").map_or(0, |text| text.parse::<u64>().unwrap());
        Self(seed ^ moved.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// 0 … `bound` − 1.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub fn octets(&mut self) -> [u8; 32] {
        let mut octets = [0; 32];
        for chunk in octets.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes());
        }
        octets
    }
}

/// How many cases a long test takes: `YANQIAN_SM_CASES`, else `usual`.
pub fn how_many(usual: usize) -> usize {
    std::env::var("YANQIAN_SM_CASES").map_or(usual, |text| text.parse().unwrap())
}
