//! The way of a verification takes no memory from the heap, whatever the signature is like. Tables are made before.
#![allow(clippy::unwrap_used)]

mod support;

use allocation_counter::measure;
use support::cases::{Random, structured};
use yanqian_sm::{
    Backend, BatchItem, DistinguishingId, E, FixedKey, KeyRef, MessageHasher, PublicKey, Signature, hmac_sm3, sm3,
    sm3_many, verify, verify_batch,
};

/// How often `work` takes memory.
fn allocations<T>(mut work: impl FnMut() -> T) -> u64 {
    measure(|| {
        std::hint::black_box(work());
    })
    .count_total
}

#[test]
fn what_counts_allocations_sees_one() {
    assert_eq!(allocations(|| vec![1u8]), 1);
}

#[test]
fn verifying_and_reading_what_it_takes_allocates_nothing() {
    let mut cases = structured();
    cases.extend(Random::new(8).take(200));
    // Every kind of structured case, and a few of each.
    let cases: Vec<_> = cases.iter().step_by(29).collect();
    let id = DistinguishingId::default();
    for backend in Backend::available() {
        assert!(backend.choose());
        let mut last: Option<([u8; 64], FixedKey)> = None;
        for case in &cases {
            let raw = case.signature();
            let der = support::peers::der(&case.r, &case.s);
            let key = PublicKey::from_raw(&case.key.raw).unwrap();
            if last.as_ref().is_none_or(|(of, _)| *of != case.key.raw) {
                last = Some((case.key.raw, FixedKey::new(&key)));
            }
            let fixed = &last.as_ref().unwrap().1;
            let e = E::from_digest(case.e);
            // The generator's table is made at the first verification.
            let Ok(signature) = Signature::from_raw(&raw) else {
                assert_eq!(allocations(|| (Signature::from_raw(&raw), Signature::from_der(&der))), 0);
                continue;
            };
            let _ = verify(&key, &e, &signature);
            let (spki, sec1) = (key.to_spki_der(), key.to_sec1());
            let message = [7u8; 300];
            let items = [KeyRef::Plain(&key), KeyRef::Fixed(fixed)].map(|key| BatchItem { key, e, signature });
            let batch: Vec<_> = items.iter().cycle().take(19).copied().collect();
            let mut verdicts = [false; 19];
            let (z, parts) = (key.z_value(&id), [message.as_slice(), &message]);
            let (mut digests, mut hashes) = ([e; 19], [[0; 32]; 19]);
            for (what, allocated) in [
                ("verify", allocations(|| verify(&key, &e, &signature))),
                ("FixedKey::verify", allocations(|| fixed.verify(&e, &signature))),
                ("verify_batch", allocations(|| verify_batch(&batch, &mut verdicts))),
                ("Signature::from_der", allocations(|| Signature::from_der(&der))),
                ("Signature::from_der_lax", allocations(|| Signature::from_der_lax(&der))),
                ("Signature::from_raw", allocations(|| Signature::from_raw(&raw))),
                ("Signature::to_raw", allocations(|| signature.to_raw())),
                ("PublicKey::from_sec1", allocations(|| PublicKey::from_sec1(&sec1))),
                ("PublicKey::from_spki_der", allocations(|| PublicKey::from_spki_der(&spki))),
                ("PublicKey::key_id", allocations(|| key.key_id())),
                ("PublicKey::z_value", allocations(|| key.z_value(&id))),
                ("E::of_message", allocations(|| E::of_message(&key, &id, &[&message, &message]))),
                ("MessageHasher", allocations(|| MessageHasher::new(&key, &id).finish())),
                ("E::of_messages", allocations(|| E::of_messages(&[(z, &parts[..]); 19], &mut digests))),
                ("sm3_many", allocations(|| sm3_many(&[&parts[..]; 19], &mut hashes))),
                ("sm3", allocations(|| sm3(&[&message]))),
                ("hmac_sm3", allocations(|| hmac_sm3(&message, &[&message]))),
            ] {
                assert_eq!(allocated, 0, "{what} with {backend:?}: {case:?}");
            }
            assert!(verdicts.iter().all(|verdict| *verdict == case.valid), "{backend:?}: {case:?}");
        }
    }
}
