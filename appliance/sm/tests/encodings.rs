//! Encodings under hostile input.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use yanqian_sm::{DistinguishingId, KeyError, PublicKey, Signature, SignatureError};

const N_MINUS_1: &str = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54122";
const N: &str = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123";

fn raw(r: &str, s: &str) -> [u8; 64] {
    hex::decode(format!("{r:0>64}{s:0>64}")).unwrap().try_into().unwrap()
}

#[test]
fn r_and_s_outside_1_to_n_minus_1_are_refused() {
    for (r, s) in [("0", "1"), ("1", "0"), (N, "1"), ("1", N), (&*"f".repeat(64), "1")] {
        assert_eq!(Signature::from_raw(&raw(r, s)), Err(SignatureError::Range), "{r} {s}");
    }
    assert!(Signature::from_raw(&raw(N_MINUS_1, "1")).is_ok());
}

#[test]
fn der_that_is_not_canonical_is_refused_unless_laxness_is_chosen() {
    let good = Signature::from_raw(&raw("80", "1")).unwrap();
    assert_eq!(hex::encode(good.to_der()), "300702020080020101");
    for lax_only in ["3006020180020101", "30080203000080020101", "300802020080020200 01"] {
        let der = hex::decode(lax_only.replace(' ', "")).unwrap();
        assert_eq!(Signature::from_der(&der), Err(SignatureError::Der), "{lax_only}");
        assert_eq!(Signature::from_der_lax(&der), Ok(good), "{lax_only}");
    }
    for bad in ["", "30", "3000", "30070202008002010100", "308107 02020080020101", "31070202 0080020101", "3003020180"]
    {
        let der = hex::decode(bad.replace(' ', "")).unwrap();
        assert_eq!(Signature::from_der(&der), Err(SignatureError::Der), "{bad}");
        assert_eq!(Signature::from_der_lax(&der), Err(SignatureError::Der), "{bad}");
    }
}

#[test]
fn points_off_the_curve_and_infinity_are_not_keys() {
    assert_eq!(PublicKey::from_sec1(&[0]), Err(KeyError::Encoding));
    assert_eq!(PublicKey::from_raw(&[0; 64]), Err(KeyError::NotOnCurve));
    assert_eq!(PublicKey::from_raw(&[0xff; 64]), Err(KeyError::NotOnCurve));
    let key = PublicKey::from_raw(&raw(
        "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020",
        "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13",
    ))
    .unwrap();
    let mut hybrid = key.to_sec1();
    hybrid[0] = 7;
    assert_eq!(PublicKey::from_sec1(&hybrid), Err(KeyError::Encoding));
    let mut compressed = [3; 33];
    compressed[1..].copy_from_slice(&key.to_sec1()[1..33]);
    assert_eq!(PublicKey::from_sec1(&compressed), Ok(key));
    assert_eq!(PublicKey::from_spki_der(&key.to_spki_der()), Ok(key));
}

#[test]
fn a_distinguishing_id_has_at_most_8191_octets() {
    assert!(DistinguishingId::new(vec![0; 8191]).is_ok());
    assert!(DistinguishingId::new(vec![0; 8192]).is_err());
}

proptest! {
    #[test]
    fn readers_never_panic(octets: Vec<u8>) {
        let _ = Signature::from_der(&octets);
        let _ = Signature::from_der_lax(&octets);
        let _ = PublicKey::from_sec1(&octets);
        let _ = PublicKey::from_spki_der(&octets);
    }

    #[test]
    fn der_round_trips(r in 1u128.., s in 1u128..) {
        let signature = Signature::from_raw(&raw(&format!("{r:x}"), &format!("{s:x}"))).unwrap();
        prop_assert_eq!(Signature::from_der(&signature.to_der()), Ok(signature));
        prop_assert_eq!(Signature::from_der_lax(&signature.to_der()), Ok(signature));
    }
}
