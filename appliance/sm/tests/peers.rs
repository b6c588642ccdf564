//! Every verdict of ours against the standard's, by the model, and against other people's verifiers. `YANQIAN_SM_CASES` sets how many random
//! cases OpenSSL and RustCrypto see (20,000 unless it is set; libsm sees a quarter, sm-crypto, which is slow, a twentieth), and
//! `YANQIAN_SM_SEED` which.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::HashMap;
use std::sync::Arc;

use num_bigint::BigUint;
use support::cases::{Case, Key, Random, structured};
use support::{Numbers, how_many, model, peers};
use yanqian_sm::{BatchItem, E, FixedKey, KeyRef, PublicKey, Signature, VerifyingKey, verify, verify_batch};

/// Our verdicts, every way to get them at once; batches of all sizes, with and without tables.
#[derive(Default)]
struct Ours {
    keys: HashMap<[u8; 64], Arc<Forms>>,
}

/// A key in every form that verifies.
struct Forms {
    plain: PublicKey,
    prepared: VerifyingKey,
    fixed: FixedKey,
}

impl Ours {
    fn key(&mut self, key: &Key) -> Arc<Forms> {
        if self.keys.len() > 64 {
            self.keys.clear();
        }
        let made = || {
            let public = PublicKey::from_raw(&key.raw).unwrap();
            Arc::new(Forms { plain: public, prepared: VerifyingKey::new(&public), fixed: FixedKey::new(&public) })
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
            assert_eq!(verify(&keys.plain, &e, &signature).is_ok(), case.valid, "without a table: {case:?}");
            assert_eq!(keys.prepared.verify(&e, &signature).is_ok(), case.valid, "with odd multiples: {case:?}");
            assert_eq!(keys.fixed.verify(&e, &signature).is_ok(), case.valid, "with a table: {case:?}");
            readable.push((case, keys, e, signature));
        }
        let mut rest = readable.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(numbers.below(24) + 1));
            rest = later;
            let forms = numbers.next();
            let items: Vec<BatchItem<'_>> = now
                .iter()
                .enumerate()
                .map(|(place, (_, keys, e, signature))| {
                    let key = match forms >> (2 * place) & 3 {
                        0 => KeyRef::Plain(&keys.plain),
                        1 => KeyRef::Prepared(&keys.prepared),
                        _ => KeyRef::Fixed(&keys.fixed),
                    };
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

/// Somebody else's verifier.
struct Peer {
    name: &'static str,
    /// Of so many random cases it sees one; it sees every structured case.
    one_of: usize,
    /// Where it is sound.
    fit: fn(&Case) -> bool,
    verdict: fn(&Case) -> bool,
}

const PEERS: [Peer; 4] = [
    Peer { name: "OpenSSL", one_of: 1, fit: |_| true, verdict: peers::openssl },
    Peer { name: "RustCrypto", one_of: 1, fit: |_| true, verdict: peers::rustcrypto },
    // Its additions do not know the exceptional cases: it refuses good signatures with s·G = ±t·P.
    Peer { name: "libsm", one_of: 4, fit: |case| !case.collides, verdict: peers::libsm },
    // It takes 0 and what is beyond n for r and s, and its additions do not know every exceptional case.
    Peer { name: "sm-crypto", one_of: 20, fit: |case| case.in_range() && !case.collides, verdict: peers::sm_crypto },
];

#[test]
fn every_peer_gives_the_verdicts_that_we_give() {
    let mut ours = Ours::default();
    let mut numbers = Numbers::new(1);
    let mut seen = [0; PEERS.len()];
    let mut check = |cases: &[Case], sampled: bool| {
        ours.judge(cases, &mut numbers);
        for (peer, seen) in PEERS.iter().zip(&mut seen) {
            let every = if sampled { peer.one_of } else { 1 };
            for case in cases.iter().step_by(every).filter(|case| (peer.fit)(case)) {
                assert_eq!((peer.verdict)(case), case.valid, "{} disagrees: {case:?}", peer.name);
                *seen += 1;
            }
        }
    };
    check(&structured(), false);
    let mut cases = Random::new(1);
    let random = how_many(20_000);
    for start in (0..random).step_by(1000) {
        check(&cases.by_ref().take(1000.min(random - start)).collect::<Vec<_>>(), true);
    }
    for (peer, seen) in PEERS.iter().zip(seen) {
        println!("{}: {seen} cases", peer.name);
        assert!(seen >= random / peer.one_of, "{} saw {seen} cases", peer.name);
    }
}

#[test]
fn the_models_two_ways_to_multiply_agree() {
    let generator = model::generator();
    let mut slow = None;
    for scalar in 0..300u32 {
        let scalar = BigUint::from(scalar);
        assert_eq!(model::multiply(&scalar, &generator), slow, "{scalar}");
        assert_eq!(model::multiply_generator(&scalar), slow, "{scalar}");
        slow = model::add(&slow, &generator);
    }
    assert_eq!(model::multiply(&model::N, &generator), None);
    assert_eq!(model::multiply_generator(&model::N), None);
    let mut numbers = Numbers::new(6);
    for _ in 0..20 {
        let (a, b) = (BigUint::from_bytes_be(&numbers.octets()), BigUint::from_bytes_be(&numbers.octets()));
        let (ga, gb) = (model::multiply_generator(&a), model::multiply_generator(&b));
        assert_eq!(model::multiply(&a, &generator), ga);
        assert_eq!(model::multiply_generator(&((&a + &b) % &*model::N)), model::add(&ga, &gb));
        assert_eq!(model::multiply(&a, &gb), model::multiply(&b, &ga));
    }
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
