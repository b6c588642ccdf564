//! Known answers of the standards.
#![allow(clippy::unwrap_used)]

use yanqian_sm::{DistinguishingId, E, PublicKey, Signature, hmac_sm3, sm3, verify};

fn octets<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// GB/T 32918.5-2017 Annex A.2: the signer of "message digest".
fn annex_key() -> PublicKey {
    PublicKey::from_raw(&octets(
        "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
         ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13",
    ))
    .unwrap()
}

fn annex_signature() -> Signature {
    Signature::from_raw(&octets(
        "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3\
         b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa",
    ))
    .unwrap()
}

#[test]
fn sm3_of_abc_is_that_of_gb_t_32905_annex_a_1() {
    assert_eq!(hex::encode(sm3(&[b"a", b"bc"])), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
}

#[test]
fn z_and_e_are_those_of_gb_t_32918_5_annex_a_2() {
    let id = DistinguishingId::default();
    let key = annex_key();
    assert_eq!(
        hex::encode(key.z_value(&id).as_bytes()),
        "b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3"
    );
    let e = E::of_message(&key, &id, &[b"message ", b"digest"]);
    assert_eq!(hex::encode(e.as_bytes()), "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640");
}

#[test]
fn the_signature_of_gb_t_32918_5_annex_a_2_verifies_and_its_neighbours_do_not() {
    let key = annex_key();
    let e = E::of_message(&key, &DistinguishingId::default(), &[b"message digest"]);
    assert_eq!(verify(&key, &e, &annex_signature()), Ok(()));

    let empty_id = DistinguishingId::new("").unwrap();
    assert!(verify(&key, &E::of_message(&key, &empty_id, &[b"message digest"]), &annex_signature()).is_err());
    assert!(verify(&key, &E::from_digest(sm3(&[b"message digest"])), &annex_signature()).is_err(), "without Z");
    for bit in 0..512 {
        let mut raw = annex_signature().to_raw();
        raw[bit / 8] ^= 1 << (bit % 8);
        let altered = Signature::from_raw(&raw).map_or(true, |altered| verify(&key, &e, &altered).is_err());
        assert!(altered, "bit {bit}");
    }
}

#[test]
fn hmac_sm3_agrees_with_openssl() {
    use openssl::pkey::PKey;
    use openssl::sign::Signer;
    for length in [1, 32, 63, 64, 65, 200] {
        let key = vec![0xa5; length];
        let pkey = PKey::hmac(&key).unwrap();
        let mut signer = Signer::new(openssl::hash::MessageDigest::sm3(), &pkey).unwrap();
        signer.update(b"one two").unwrap();
        assert_eq!(hmac_sm3(&key, &[b"one ", b"two"]).to_vec(), signer.sign_to_vec().unwrap(), "key of {length}");
    }
}
