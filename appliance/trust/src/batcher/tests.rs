#![allow(clippy::unwrap_used)]

use std::sync::Barrier;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use yanqian_sm::DistinguishingId;

use super::*;

/// Signatures of four keys, every third altered, with what is right about them.
fn items() -> Vec<(Item, bool)> {
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let mut items = Vec::new();
    for _ in 0..4 {
        let private = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let public = PublicKey::from_spki_der(&private.public_key_to_der().unwrap()).unwrap();
        for number in 0..6u8 {
            let message = [number; 40];
            let mut signer = Signer::new(MessageDigest::sm3(), &private).unwrap();
            signer.update(&message).unwrap();
            let signature = Signature::from_der(&signer.sign_to_vec().unwrap()).unwrap();
            let valid = number % 3 != 0;
            let meant = if valid { message } else { [0xff; 40] };
            let e = E::of_message(&public, &DistinguishingId::default(), &[&meant]);
            items.push((Item { key: public, e, signature }, valid));
        }
    }
    items
}

/// Stands still at its first verification until it is let go on, and panics there if it is told to.
#[derive(Default)]
struct Held {
    /// The first verification has begun.
    begun: AtomicBool,
    go_on: AtomicBool,
    panics_alone: bool,
    panics_together: AtomicBool,
}

impl Engine for Held {
    fn one(&self, item: &Item) -> bool {
        if !self.begun.swap(true, Ordering::SeqCst) {
            wait_for(|| self.go_on.load(Ordering::SeqCst));
            assert!(!self.panics_alone, "as the test wants it");
        }
        Sm2.one(item)
    }

    fn many(&self, items: &[&Item], verdicts: &mut [bool]) {
        assert!(!self.panics_together.swap(false, Ordering::SeqCst), "as the test wants it");
        Sm2.many(items, verdicts);
    }
}

fn wait_for(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_mins(1));
        thread::sleep(Duration::from_millis(1));
    }
}

/// Lets `count` callers queue behind a first one, then all go on; gives each caller's verdict, none for one that panicked, and the
/// right one.
fn behind_a_held_leader(batcher: &Batcher<Held>, count: usize) -> Vec<(Option<bool>, bool)> {
    let items = items();
    thread::scope(|scope| {
        let mut callers = Vec::new();
        for number in 0..=count {
            let (item, valid) = items[number % items.len()];
            callers.push((scope.spawn(move || batcher.verify(&item)), valid));
            wait_for(|| {
                if number == 0 { batcher.engine.begun.load(Ordering::SeqCst) } else { batcher.waiting() == number }
            });
        }
        batcher.engine.go_on.store(true, Ordering::SeqCst);
        callers.into_iter().map(|(caller, valid)| (caller.join().ok(), valid)).collect()
    })
}

#[test]
fn an_idle_verification_takes_the_direct_path() {
    let batcher = Batcher::new(Sm2, 1);
    for (item, valid) in items() {
        assert_eq!(batcher.verify(&item), valid);
    }
    let mut direct = [0; MAX_BATCH];
    direct[0] = 24;
    assert_eq!(batcher.sizes(), direct, "each alone");
    assert_eq!((batcher.queued(), batcher.queue().leading), (0, 0), "and none ever waited");
}

#[test]
fn those_who_wait_are_verified_together_and_hear_their_own_verdicts() {
    let batcher = Batcher::new(Held::default(), 1);
    for (said, right) in behind_a_held_leader(&batcher, 40) {
        assert_eq!(said, Some(right));
    }
    let mut sizes = [0; MAX_BATCH];
    (sizes[0], sizes[15], sizes[7]) = (1, 2, 1);
    assert_eq!(batcher.sizes(), sizes, "the first alone, then 16, 16 and 8 in the order of their arrival");
}

#[test]
fn a_leader_who_panics_over_its_own_signature_costs_nobody_else_a_verdict() {
    let batcher = Batcher::new(Held { panics_alone: true, ..Held::default() }, 1);
    let mut said = behind_a_held_leader(&batcher, 20).into_iter();
    assert_eq!(said.next().unwrap().0, None, "it panicked");
    assert!(said.all(|(said, right)| said == Some(right)));
    assert_eq!(batcher.queue().leading, 0, "its place is free again");
}

#[test]
fn a_leader_who_panics_over_a_batch_costs_nobody_else_a_verdict() {
    let batcher = Batcher::new(Held { panics_together: AtomicBool::new(true), ..Held::default() }, 1);
    let said = behind_a_held_leader(&batcher, 40);
    assert_eq!(said.iter().filter(|(said, _)| said.is_none()).count(), 1, "the leader of the first batch");
    assert!(said.iter().all(|(said, right)| said.is_none_or(|said| said == *right)));
    assert_eq!(batcher.queue().leading, 0);
}

#[test]
fn beyond_a_full_queue_callers_verify_alone() {
    let batcher = Batcher::new(Sm2, 0);
    let (item, valid) = items().remove(1);
    let nobody = || Waiter { item, state: AtomicU8::new(WAITS), thread: thread::current() };
    batcher.queue().waiting.extend((0..MAX_WAITING).map(|_| Arc::new(nobody())));
    assert_eq!(batcher.verify(&item), valid);
    assert_eq!(batcher.waiting(), MAX_WAITING);
}

#[test]
fn many_threads_with_good_and_bad_signatures_of_many_keys_each_hear_their_own_verdict() {
    const THREADS: usize = 24;
    const ROUNDS: usize = 200;
    let items = items();
    for places in [1, 2, 3] {
        let batcher = Batcher::new(Sm2, places);
        let start = Barrier::new(THREADS);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (items, batcher, start) = (&items, &batcher, &start);
                scope.spawn(move || {
                    start.wait();
                    for round in 0..ROUNDS {
                        let (item, valid) = &items[(thread * 7 + round) % items.len()];
                        assert_eq!(batcher.verify(item), *valid, "{thread} {round}");
                    }
                });
            }
        });
        let signatures: u64 = batcher.sizes().iter().zip(1..).map(|(count, size)| count * size).sum();
        assert_eq!(usize::try_from(signatures), Ok(THREADS * ROUNDS), "each was verified once");
        let queue = batcher.queue();
        assert_eq!((queue.leading, queue.waiting.len()), (0, 0));
    }
}
