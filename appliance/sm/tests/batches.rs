//! Many signatures at once get the verdicts that each gets alone.
#![allow(clippy::unwrap_used)]

use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use proptest::prelude::*;
use yanqian_sm::{
    BatchItem, DistinguishingId, E, FixedKey, KeyRef, PublicKey, Signature, VerifyingKey, verify, verify_batch,
};

struct Signed {
    key: usize,
    e: E,
    signature: Signature,
}

struct Pool {
    keys: Vec<(PublicKey, VerifyingKey, FixedKey)>,
    /// Good signatures and bad ones.
    signed: Vec<Signed>,
}

fn key_pair() -> (PKey<Private>, PublicKey) {
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let pkey = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let public = PublicKey::from_spki_der(&pkey.public_key_to_der().unwrap()).unwrap();
    (pkey, public)
}

fn pool() -> &'static Pool {
    static POOL: std::sync::OnceLock<Pool> = std::sync::OnceLock::new();
    POOL.get_or_init(|| {
        let pairs: Vec<_> = (0..5).map(|_| key_pair()).collect();
        let mut signed = Vec::new();
        for (key, (pkey, public)) in pairs.iter().enumerate() {
            for message in 0..40u8 {
                let mut openssl = Signer::new(MessageDigest::sm3(), pkey).unwrap();
                openssl.update(&[message]).unwrap();
                let signature = Signature::from_der(&openssl.sign_to_vec().unwrap()).unwrap();
                let claimed = if message % 3 == 2 { message + 1 } else { message };
                let e = E::of_message(public, &DistinguishingId::default(), &[&[claimed]]);
                signed.push(Signed { key, e, signature });
            }
        }
        Pool {
            keys: pairs.into_iter().map(|(_, key)| (key, VerifyingKey::new(&key), FixedKey::new(&key))).collect(),
            signed,
        }
    })
}

#[test]
fn good_and_bad_signatures_are_told_apart() {
    let pool = pool();
    let good = pool
        .signed
        .iter()
        .filter(|signed| verify(&pool.keys[signed.key].0, &signed.e, &signed.signature).is_ok())
        .count();
    assert_eq!(good, 5 * 27);
    for Signed { key, e, signature } in &pool.signed {
        let (plain, prepared, fixed) = &pool.keys[*key];
        assert_eq!(verify(plain, e, signature), fixed.verify(e, signature));
        assert_eq!(verify(plain, e, signature), prepared.verify(e, signature));
        assert!(pool.keys[(*key + 1) % 5].2.verify(e, signature).is_err(), "under another key");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 256 }))]
    #[test]
    fn a_batch_of_any_size_and_mixture_gives_each_signature_its_own_verdict(
        chosen in prop::collection::vec((0usize..200, 0u8..4), 0..80),
        more in 0usize..3,
    ) {
        let pool = pool();
        let items: Vec<BatchItem<'_>> = chosen
            .iter()
            .map(|(index, form)| {
                let Signed { key, e, signature } = &pool.signed[*index];
                let (plain, prepared, fixed) = &pool.keys[*key];
                let key = match form {
                    0 => KeyRef::Plain(plain),
                    1 => KeyRef::Prepared(prepared),
                    _ => KeyRef::Fixed(fixed),
                };
                BatchItem { key, e: *e, signature: *signature }
            })
            .collect();
        let mut expected: Vec<bool> =
            chosen.iter().map(|(index, _)| {
                let Signed { key, e, signature } = &pool.signed[*index];
                verify(&pool.keys[*key].0, e, signature).is_ok()
            }).collect();
        expected.resize(items.len() + more, false);
        let mut verdicts = vec![true; items.len() + more];
        verify_batch(&items, &mut verdicts);
        prop_assert_eq!(verdicts, expected);
    }
}
