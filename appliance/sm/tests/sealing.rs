//! SM2 encryption: the standard's example, and what others decrypt.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use getrandom::SysRng;
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use rand_core::{TryCryptoRng, TryRng};
use sm2::pke::{DecryptingKey, Mode};
use yanqian_sm::{EncryptionKey, PublicKey, SealError, Sm2Ciphertext, sm2_encrypt, sm3};

const LENGTHS: [usize; 7] = [1, 16, 31, 32, 33, 100, 4096];

/// Gives the octets that it was told to, the last ones again and again.
struct Told<'a>(&'a [[u8; 32]]);

impl TryRng for Told<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("scalars are drawn whole")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("scalars are drawn whole")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0[0]);
        if self.0.len() > 1 {
            self.0 = &self.0[1..];
        }
        Ok(())
    }
}

impl TryCryptoRng for Told<'_> {}

fn octets<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn key_pair() -> (EcKey<Private>, PublicKey) {
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let key = EcKey::generate(&group).unwrap();
    let public = PublicKey::from_spki_der(&key.public_key_to_der().unwrap()).unwrap();
    (key, public)
}

/// Both ways to encrypt.
fn both(key: &PublicKey, message: &[u8], rng: &[[u8; 32]]) -> Sm2Ciphertext {
    let prepared = EncryptionKey::new(key).encrypt(message, &mut Told(rng)).unwrap();
    assert_eq!(prepared, sm2_encrypt(key, message, &mut Told(rng)).unwrap());
    prepared
}

/// DER `SM2Cipher`, written by hand here so that no code of ours is judged by itself.
fn der(sealed: &Sm2Ciphertext) -> Vec<u8> {
    let element = |tag: u8, content: Vec<u8>| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let head = match content.len() {
            0..0x80 => vec![tag, length[1]],
            0x80..0x100 => vec![tag, 0x81, length[1]],
            _ => vec![tag, 0x82, length[0], length[1]],
        };
        [head, content].concat()
    };
    let integer = |octets: &[u8]| {
        let start = octets.iter().position(|octet| *octet != 0).unwrap();
        let sign = if octets[start] >= 0x80 { vec![0] } else { vec![] };
        element(2, [sign.as_slice(), &octets[start..]].concat())
    };
    let strings = [element(4, sealed.hash.to_vec()), element(4, sealed.ciphertext.clone())];
    element(0x30, [integer(&sealed.x), integer(&sealed.y), strings.concat()].concat())
}

/// GB/T 32918.5-2017 Annex C.2.
#[test]
fn the_example_of_gb_t_32918_5_annex_c_comes_out() {
    let key = PublicKey::from_raw(&octets(
        "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
         ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13",
    ))
    .unwrap();
    let k = octets("59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21");
    assert_eq!(
        hex::encode(both(&key, b"encryption standard", &[k]).to_c1c3c2()),
        "0404ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73\
         e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0\
         59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766\
         21886ca989ca9c7d58087307ca93092d651efa"
    );
}

#[test]
fn openssl_and_rustcrypto_decrypt_what_we_encrypt() {
    for _ in 0..8 {
        let (private, public) = key_pair();
        let rustcrypto = DecryptingKey::new_with_mode(
            sm2::SecretKey::from_slice(&private.private_key().to_vec_padded(32).unwrap()).unwrap().to_nonzero_scalar(),
            Mode::C1C3C2,
        );
        let openssl = PKey::from_ec_key(private).unwrap();
        let prepared = EncryptionKey::new(&public);
        for length in LENGTHS {
            let message: Vec<u8> = (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect();
            let sealings = [
                prepared.encrypt(&message, &mut SysRng).unwrap(),
                sm2_encrypt(&public, &message, &mut SysRng).unwrap(),
            ];
            for sealed in sealings {
                assert_eq!(sealed.ciphertext.len(), length);
                assert_eq!(rustcrypto.decrypt(&sealed.to_c1c3c2()).unwrap(), message);
                let mut opener = openssl::pkey_ctx::PkeyCtx::new(&openssl).unwrap();
                opener.decrypt_init().unwrap();
                let mut plain = Vec::new();
                opener.decrypt_to_vec(&der(&sealed), &mut plain).unwrap();
                assert_eq!(plain, message);
            }
        }
    }
}

#[test]
fn an_empty_message_is_refused() {
    let (_, key) = key_pair();
    assert_eq!(EncryptionKey::new(&key).encrypt(b"", &mut SysRng), Err(SealError::Encrypt));
    assert_eq!(sm2_encrypt(&key, b"", &mut SysRng), Err(SealError::Encrypt));
}

#[test]
fn scalars_out_of_range_are_drawn_again() {
    let (_, key) = key_pair();
    let n = octets("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123");
    let good = [0x42; 32];
    assert_eq!(both(&key, b"session", &[[0; 32], n, [0xff; 32], good]), both(&key, b"session", &[good]));
}

#[test]
fn a_scalar_whose_derived_key_is_all_zeros_is_thrown_away() {
    let (private, key) = key_pair();
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    // The first octet of the derived key, by OpenSSL's point arithmetic.
    let first_octet = |k: &[u8; 32]| {
        let mut context = openssl::bn::BigNumContext::new().unwrap();
        let mut point = openssl::ec::EcPoint::new(&group).unwrap();
        let k = openssl::bn::BigNum::from_slice(k).unwrap();
        point.mul2(&group, private.public_key(), &k, &mut context).unwrap();
        let form = openssl::ec::PointConversionForm::UNCOMPRESSED;
        let shared = point.to_bytes(&group, form, &mut context).unwrap();
        sm3(&[&shared[1..], &[0, 0, 0, 1]])[0]
    };
    let mut scalars = (0..).map(|number: u32| sm3(&[&number.to_be_bytes()]));
    let zero = scalars.find(|k| first_octet(k) == 0).unwrap();
    let other = scalars.find(|k| first_octet(k) != 0).unwrap();
    assert_eq!(both(&key, b"x", &[zero, other]), both(&key, b"x", &[other]));
    assert_ne!(both(&key, b"xy", &[zero, other]).x, both(&key, b"xy", &[other]).x, "two octets are not both zero here");
}

#[test]
fn a_random_source_that_fails_is_told() {
    struct Broken;
    impl TryRng for Broken {
        type Error = std::fmt::Error;
        fn try_next_u32(&mut self) -> Result<u32, std::fmt::Error> {
            Err(std::fmt::Error)
        }
        fn try_next_u64(&mut self) -> Result<u64, std::fmt::Error> {
            Err(std::fmt::Error)
        }
        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), std::fmt::Error> {
            Err(std::fmt::Error)
        }
    }
    impl TryCryptoRng for Broken {}
    let (_, key) = key_pair();
    assert_eq!(EncryptionKey::new(&key).encrypt(b"x", &mut Broken), Err(SealError::Encrypt));
    assert_eq!(sm2_encrypt(&key, b"x", &mut Broken), Err(SealError::Encrypt));
}

#[test]
fn one_prepared_key_serves_several_threads() {
    let (private, public) = key_pair();
    let prepared = EncryptionKey::new(&public);
    let openssl = PKey::from_ec_key(private).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let sealed = prepared.encrypt(&[7; 32], &mut SysRng).unwrap();
                let mut opener = openssl::pkey_ctx::PkeyCtx::new(&openssl).unwrap();
                opener.decrypt_init().unwrap();
                let mut plain = Vec::new();
                opener.decrypt_to_vec(&der(&sealed), &mut plain).unwrap();
                assert_eq!(plain, [7; 32]);
            });
        }
    });
}
