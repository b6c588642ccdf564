//! Whether the time of an encryption tells a fixed ephemeral scalar from random ones: `cargo bench -p yanqian-sm --bench dudect`, with
//! `-- long` for a million encryptions.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

use getrandom::SysRng;
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::PKey;
use rand_core::{TryCryptoRng, TryRng};
use yanqian_sm::{EncryptionKey, PublicKey, sm2_encrypt};

const MESSAGE: [u8; 32] = [0x42; 32];

/// Gives one scalar.
struct Told([u8; 32]);

impl TryRng for Told {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("scalars are drawn whole")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("scalars are drawn whole")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0);
        Ok(())
    }
}

impl TryCryptoRng for Told {}

/// Mean and variance, by Welford.
#[derive(Default)]
struct Sample {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Sample {
    fn push(&mut self, value: f64) {
        self.count += 1.0;
        let difference = value - self.mean;
        self.mean += difference / self.count;
        self.squares += difference * (value - self.mean);
    }

    fn error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// Welch's t over times of encryptions with a fixed scalar and with random ones, in random order: the largest of those with the slowest
/// tenth, fifth, … of all times cut away (they are other programs' doing), as dudect does. Above 4.5 there is something to look for.
fn dudect(name: &str, encryptions: usize, encrypt: impl Fn(&mut Told)) {
    // 1: hardly any digit of it is like a random scalar's.
    let mut fixed = [0; 32];
    fixed[31] = 1;
    let mut times = Vec::with_capacity(encryptions);
    let mut random = [0; 33];
    // What surrounds the encryption is the same for both kinds: both draw, and both choose.
    for _ in 0..encryptions {
        SysRng.try_fill_bytes(&mut random).unwrap();
        let is_fixed = random[32] & 1 == 1;
        let mut scalar: [u8; 32] = random[..32].try_into().unwrap();
        scalar[0] = scalar[0].min(0xfe);
        let source = [scalar, fixed][usize::from(is_fixed)];
        let mut rng = Told(source);
        let start = Instant::now();
        encrypt(&mut rng);
        times.push((is_fixed, start.elapsed().as_secs_f64() * 1e9));
    }
    // The first ones warm the caches up.
    times.drain(..encryptions / 20);
    let mut sorted: Vec<f64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_by(f64::total_cmp);
    let worst = (0..=9)
        .map(|cut| {
            let limit = sorted[(sorted.len() - 1) * (10 - cut) / 10];
            let mut samples = [Sample::default(), Sample::default()];
            for (is_fixed, time) in times.iter().filter(|(_, time)| *time <= limit) {
                samples[usize::from(*is_fixed)].push(*time);
            }
            let [random, fixed] = samples;
            (fixed.mean - random.mean) / (fixed.error() + random.error()).sqrt()
        })
        .fold(0.0, |worst: f64, t| if t.abs() > worst.abs() { t } else { worst });
    println!("figure {name}-welch-t {worst:.2} t");
}

fn main() {
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let pkey = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let key = PublicKey::from_spki_der(&pkey.public_key_to_der().unwrap()).unwrap();
    let encryptions = if std::env::args().any(|argument| argument == "long") { 1_000_000 } else { 50_000 };
    let prepared = EncryptionKey::new(&key);
    dudect("encrypt-fixed", encryptions, |rng| drop(black_box(prepared.encrypt(&MESSAGE, rng))));
    dudect("encrypt-generic", encryptions / 4, |rng| drop(black_box(sm2_encrypt(&key, &MESSAGE, rng))));
}
