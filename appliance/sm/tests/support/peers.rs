//! Other people's verifiers, on the same e. None of them hashes here: `e` goes in as it is.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use num_bigint::BigUint;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::pkey_ctx::PkeyCtx;
use sm2::dsa::signature::hazmat::PrehashVerifier;

use super::cases::{Case, Key};

/// DER of two INTEGERs, canonical, whatever their values: written here so that no encoder of ours takes part.
pub fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |octets: &[u8]| {
        let start = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len() - 1);
        let mut value = octets[start..].to_vec();
        if value[0] >= 0x80 {
            value.insert(0, 0);
        }
        [vec![2, u8::try_from(value.len()).unwrap()], value].concat()
    };
    let content = [integer(r), integer(s)].concat();
    [vec![0x30, u8::try_from(content.len()).unwrap()], content].concat()
}

fn openssl_key(raw: &[u8; 64]) -> PKey<Public> {
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let mut context = BigNumContext::new().unwrap();
    let (x, y) = (BigNum::from_slice(&raw[..32]).unwrap(), BigNum::from_slice(&raw[32..]).unwrap());
    let mut point = EcPoint::new(&group).unwrap();
    point.set_affine_coordinates_gfp(&group, &x, &y, &mut context).unwrap();
    PKey::from_ec_key(EcKey::from_public_key(&group, &point).unwrap()).unwrap()
}

pub fn openssl(case: &Case) -> bool {
    thread_local!(static LAST: RefCell<Option<(Arc<Key>, PKey<Public>)>> = const { RefCell::new(None) });
    // Cases with one key follow each other; making OpenSSL's takes longer than a verification.
    let key = LAST.with_borrow_mut(|last| match last {
        Some((of, key)) if Arc::ptr_eq(of, &case.key) => key.clone(),
        _ => last.insert((case.key.clone(), openssl_key(&case.key.raw))).1.clone(),
    });
    let mut verifier = PkeyCtx::new(&key).unwrap();
    verifier.verify_init().unwrap();
    verifier.verify(&case.e, &der(&case.r, &case.s)).unwrap_or(false)
}

pub fn rustcrypto(case: &Case) -> bool {
    let sec1 = [&[4], case.key.raw.as_slice()].concat();
    let key = sm2::dsa::VerifyingKey::from_sec1_bytes("1234567812345678", &sec1).unwrap();
    sm2::dsa::Signature::from_bytes((&case.signature()).into())
        .is_ok_and(|signature| key.verify_prehash(&case.e, &signature).is_ok())
}

pub fn libsm(case: &Case) -> bool {
    static CONTEXT: LazyLock<libsm::sm2::signature::SigCtx> = LazyLock::new(libsm::sm2::signature::SigCtx::new);
    let context = &*CONTEXT;
    let key = context.load_pubkey(&[&[4], case.key.raw.as_slice()].concat()).unwrap();
    let signature = libsm::sm2::signature::Signature::new(&case.r, &case.s);
    context.verify_raw(&case.e, &key, &signature).unwrap_or(false)
}

/// Only for r and s in range.
pub fn sm_crypto(case: &Case) -> bool {
    let key = hex::encode(case.key.raw);
    let numbers = (BigUint::from_bytes_be(&case.r), BigUint::from_bytes_be(&case.s));
    sm_crypto::sm2::Verify::new(&key).verify(&case.e, numbers, false)
}
