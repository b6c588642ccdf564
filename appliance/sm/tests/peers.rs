//! Every verdict of ours against the standard's, by the model, and against other people's verifiers. `YANQIAN_SM_CASES` sets how many random
//! cases OpenSSL and RustCrypto see (20,000 unless it is set; libsm sees a quarter, sm-crypto, which is slow, a twentieth).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::HashMap;
use std::sync::Arc;

use support::cases::{Case, Key, Random, structured};
use support::{Numbers, how_many, peers};
use yanqian_sm::{BatchItem, E, FixedKey, KeyRef, PublicKey, Signature, verify, verify_batch};

/// Our verdicts, every way to get them at once; batches of all sizes, with and without tables.
#[derive(Default)]
struct Ours {
    keys: HashMap<[u8; 64], Arc<(PublicKey, FixedKey)>>,
}

impl Ours {
    fn key(&mut self, key: &Key) -> Arc<(PublicKey, FixedKey)> {
        if self.keys.len() > 64 {
            self.keys.clear();
        }
        let made = || {
            let public = PublicKey::from_raw(&key.raw).unwrap();
            Arc::new((public, FixedKey::new(&public)))
        };
        self.keys.entry(key.raw).or_insert_with(made).clone()
    }

    fn judge(&mut self, cases: &[Case], numbers: &mut Numbers) {
        let mut readable = Vec::new();
        for case in cases {
            let keys = self.key(&case.key);
            let e = E::from_digest(case.e);
            let Ok(signature) = Signature::from_raw(&case.signature()) else {
                assert!(!case.valid && !case.in_range(), "not read: {case:?}");
                continue;
            };
            assert!(case.in_range(), "read: {case:?}");
            assert_eq!(verify(&keys.0, &e, &signature).is_ok(), case.valid, "without a table: {case:?}");
            assert_eq!(keys.1.verify(&e, &signature).is_ok(), case.valid, "with a table: {case:?}");
            readable.push((case, keys, e, signature));
        }
        let mut rest = readable.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(numbers.below(24) + 1));
            rest = later;
            let tabled = numbers.next();
            let items: Vec<BatchItem<'_>> = now
                .iter()
                .enumerate()
                .map(|(place, (_, keys, e, signature))| {
                    let key = if tabled >> place & 1 == 1 { KeyRef::Fixed(&keys.1) } else { KeyRef::Plain(&keys.0) };
                    BatchItem { key, e: *e, signature: *signature }
                })
                .collect();
            let mut verdicts = vec![false; items.len()];
            verify_batch(&items, &mut verdicts);
            for ((case, ..), verdict) in now.iter().zip(verdicts) {
                assert_eq!(verdict, case.valid, "in a batch of {}: {case:?}", now.len());
            }
        }
    }
}

fn compare(name: &str, seed: u64, random: usize, fit: impl Fn(&Case) -> bool, peer: impl Fn(&Case) -> bool) {
    let mut ours = Ours::default();
    let mut numbers = Numbers::new(seed);
    let mut cases = Random::new(seed);
    let mut check = |cases: &[Case]| {
        ours.judge(cases, &mut numbers);
        for case in cases.iter().filter(|case| fit(case)) {
            assert_eq!(peer(case), case.valid, "{name} disagrees: {case:?}");
        }
    };
    check(&structured());
    for start in (0..random).step_by(1000) {
        check(&cases.by_ref().take(1000.min(random - start)).collect::<Vec<_>>());
    }
}

#[test]
fn openssl_gives_the_verdicts_that_we_give() {
    compare("OpenSSL", 1, how_many(20_000), |_| true, peers::openssl);
}

#[test]
fn rustcrypto_gives_the_verdicts_that_we_give() {
    compare("RustCrypto", 2, how_many(20_000), |_| true, peers::rustcrypto);
}

/// Its additions do not know the exceptional cases: it refuses good signatures with s·G = ±t·P.
#[test]
fn libsm_gives_the_verdicts_that_we_give_where_it_is_sound() {
    compare("libsm", 3, how_many(20_000) / 4, |case| !case.collides, peers::libsm);
}

/// It takes 0 and what is beyond n for r and s, and its additions do not know every exceptional case.
#[test]
fn sm_crypto_gives_the_verdicts_that_we_give_where_it_is_sound() {
    compare("sm-crypto", 4, how_many(20_000) / 20, |case| case.in_range() && !case.collides, peers::sm_crypto);
}

#[test]
fn structured_cases_hold_what_their_names_say() {
    let cases = structured();
    let count = |what: &str, valid: bool| {
        cases.iter().filter(|case| case.what.starts_with(what) && case.valid == valid).count()
    };
    println!("{} structured cases, {} of them valid", cases.len(), cases.iter().filter(|case| case.valid).count());
    for what in [
        "r and s at",
        "key near",
        "s G = t P",
        "a digit of t P is s G",
        "a digit of t P is -s G",
        "sparse",
        "s and t around",
        "e at",
        "e plus or minus",
        "chosen x",
        "key of few bits",
    ] {
        assert!(count(what, true) > 0, "{what}: none is valid");
    }
    // What no verifier may take, although the equation holds.
    for what in ["r + s = n", "s G = -t P", "x-coordinate off"] {
        assert!(count(what, false) > 0 && count(what, true) == 0, "{what}");
    }
    // r in {1, n - 1, random} with s likewise, but for the two with r + s = n; three keys.
    assert!(count("r and s at", true) >= 3 * 7);
    let by_both = cases.iter().filter(|case| case.what == "chosen x-coordinate" && case.valid).count();
    assert!(by_both > 50, "{by_both}");
}
