//! Verifications per second as a ratio to OpenSSL's in the same run, on the same signatures. Run: `cargo bench -p yanqian-sm`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::sign::{Signer, Verifier};
use yanqian_sm::{DistinguishingId, E, PublicKey, Signature, verify};

/// Runs `work` for about a second and gives the time of one call, the best of five rounds.
fn time(mut work: impl FnMut()) -> Duration {
    (0..5)
        .map(|_| {
            let start = Instant::now();
            let mut calls = 0u32;
            while start.elapsed() < Duration::from_millis(200) {
                work();
                calls += 1;
            }
            start.elapsed() / calls
        })
        .min()
        .unwrap()
}

fn main() {
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let pkey = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let key = PublicKey::from_spki_der(&pkey.public_key_to_der().unwrap()).unwrap();
    let message = [0x42; 256];
    let mut signer = Signer::new(MessageDigest::sm3(), &pkey).unwrap();
    signer.update(&message).unwrap();
    let der = signer.sign_to_vec().unwrap();
    let id = DistinguishingId::default();

    let ours = time(|| {
        let signature = Signature::from_der(&der).unwrap();
        verify(&key, &E::of_message(&key, &id, &[&message]), &signature).unwrap();
    });
    let fixed = yanqian_sm::FixedKey::new(&key);
    let e = E::of_message(&key, &id, &[&message]);
    let signature = Signature::from_der(&der).unwrap();
    let generic_e = time(|| verify(&key, &e, &signature).unwrap());
    let fixed_e = time(|| fixed.verify(&e, &signature).unwrap());
    println!("backend {:?}: generic {generic_e:?} fixed {fixed_e:?}", yanqian_sm::Backend::current());
    let build = Instant::now();
    std::hint::black_box(yanqian_sm::FixedKey::new(&key));
    println!("table {:?}", build.elapsed());
    let p256 = {
        let g = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        EcKey::generate(&g).unwrap()
    };
    let psig = openssl::ecdsa::EcdsaSig::sign(&[7u8; 32], &p256).unwrap();
    let p = time(|| assert!(psig.verify(&[7u8; 32], &p256).unwrap()));
    println!("p256 {p:?}");
    let openssl = time(|| {
        let mut verifier = Verifier::new(MessageDigest::sm3(), &pkey).unwrap();
        verifier.update(&message).unwrap();
        assert!(verifier.verify(&der).unwrap());
    });
    println!("verify, 256-octet message: yanqian-sm {ours:?}, OpenSSL {openssl:?}");
    println!(
        "ratio to OpenSSL {}: {:.2} x its speed",
        openssl::version::version(),
        openssl.as_secs_f64() / ours.as_secs_f64()
    );
}
