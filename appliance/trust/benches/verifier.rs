//! What tables and batches are worth to many callers at once, as ratios to callers who verify each signature by itself, in the
//! same run. Run: `cargo bench -p yanqian-trust`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use yanqian_messages::{PlainVerifier, SignatureVerifier};
use yanqian_sm::{Backend, DistinguishingId, E, PublicKey, Signature};
use yanqian_trust::{KeyOwner, KnownKeys, Verifier, VerifierSettings};

type Signed = (PublicKey, E, Signature);

const ROUND: Duration = Duration::from_millis(200);
const ROUNDS: usize = 15;
/// Far more callers than cores, as the daemon's blocking threads are.
const MANY: usize = 32;

fn signed(keys: usize) -> Vec<Signed> {
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let one = |_| {
        let private = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let key = PublicKey::from_spki_der(&private.public_key_to_der().unwrap()).unwrap();
        let mut signer = Signer::new(MessageDigest::sm3(), &private).unwrap();
        signer.update(b"message").unwrap();
        let signature = Signature::from_der(&signer.sign_to_vec().unwrap()).unwrap();
        (key, E::of_message(&key, &DistinguishingId::default(), &[b"message"]), signature)
    };
    (0..keys).map(one).collect()
}

/// Verifications a second, by so many callers at once.
fn rate(verifier: &dyn SignatureVerifier, callers: usize, all: &[Signed]) -> f64 {
    let (stop, done, began) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        for caller in 0..callers {
            let (stop, done) = (&stop, &done);
            scope.spawn(move || {
                for (key, e, signature) in all.iter().cycle().skip(caller) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    verifier.verify(key, e, signature).unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
    });
    done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let all = signed(24);
    let with = |table_octets| Verifier::new(VerifierSettings { table_octets, shadow_every: NonZeroU32::MIN });
    let (batched, tabled) = (with(0), with(64 << 20));
    tabled.keep(
        KeyOwner::Platform,
        &KnownKeys { verifying: all.iter().map(|(key, ..)| *key).collect(), ..KnownKeys::default() },
    );
    while tabled.stats().tables.held[0][0] < all.len() as u64 {
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("backend {}", Backend::current().as_str());
    for callers in [1, MANY] {
        let rounds: Vec<[f64; 3]> = (0..ROUNDS)
            .map(|_| [&PlainVerifier as &dyn SignatureVerifier, &batched, &tabled].map(|way| rate(way, callers, &all)))
            .collect();
        for (index, name) in ["plain", "batched", "tabled"].into_iter().enumerate() {
            let rate = median(rounds.iter().map(|round| round[index]).collect());
            println!("figure verifier-{name}-{callers} {rate:.0} 1/s");
            if index > 0 {
                let ratio = median(rounds.iter().map(|round| round[index] / round[0]).collect());
                println!("ratio verifier-{name}-{callers} {ratio:.2}");
            }
        }
    }
    let sizes = batched.stats().batches;
    let mean =
        sizes.iter().zip(1..).map(|(count, size)| count * size).sum::<u64>() as f64 / sizes.iter().sum::<u64>() as f64;
    println!("figure verifier-batch-size {mean:.1} signatures");
}
