//! What remembering a signer's verdict is worth: judged from memory, as a ratio to the same signer judged anew (OpenSSL's chain of two SM2
//! signatures, our engine's word on both, two lists), in the same run. Run: `cargo bench -p yanqian-trust --bench verdicts`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use yanqian_devpki::{Options, generate};
use yanqian_messages::certificates_from_pem_or_der;
use yanqian_trust::{KeyOwner, TrustStore, Verifier, VerifierSettings};

const ROUND: Duration = Duration::from_millis(200);
const ROUNDS: usize = 15;

/// Times a second on one thread.
fn rate(mut work: impl FnMut()) -> f64 {
    let (began, mut count) = (Instant::now(), 0_u64);
    while began.elapsed() < ROUND {
        for _ in 0..16 {
            work();
        }
        count += 16;
    }
    count as f64 / began.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::default();
    let now = options.now.unix_timestamp();
    let layout = generate(&directory.path().join("pki"), &options).unwrap();
    let store = TrustStore::load(&layout.trust(), 0).unwrap();
    let read = |name: &str| std::fs::read(layout.platform(name).certificate).unwrap();
    let signer = certificates_from_pem_or_der(&read("signing")).unwrap().remove(0);
    let verifier = Verifier::new(VerifierSettings { table_octets: 64 << 20, shadow_every: NonZeroU32::MIN });
    verifier.keep(KeyOwner::Platform, &store.known_keys());
    while verifier.stats().tables.held[0][0] < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let anew = || {
        let chain = store.build_chain(&signer, &[], now, &verifier).unwrap();
        store.check_revocation(&signer, &chain, now, &verifier).unwrap();
    };
    let remembered = || {
        store.judge(&signer, &[], now, &verifier).unwrap().revocation.unwrap();
    };
    let rounds: Vec<[f64; 2]> = (0..ROUNDS).map(|_| [rate(anew), rate(remembered)]).collect();
    for (index, name) in ["anew", "remembered"].into_iter().enumerate() {
        println!("figure verdict-{name} {:.0} 1/s", median(rounds.iter().map(|round| round[index]).collect()));
    }
    println!("ratio verdict-remembered {:.1}", median(rounds.iter().map(|round| round[1] / round[0]).collect()));
}
