//! Keys, signatures over messages, and the peers' ways to verify them.

use std::hint::black_box;

use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::sign::{Signer, Verifier};
use sm2::dsa::signature::hazmat::PrehashVerifier;
use yanqian_sm::{DistinguishingId, E, PublicKey, Signature};

use super::BATCH;

/// Octets of a message.
pub(crate) const MESSAGE: usize = 256;

pub(crate) struct Signed {
    /// Of the scene's keys.
    pub(crate) key: usize,
    pub(crate) message: Vec<u8>,
    pub(crate) der: Vec<u8>,
    pub(crate) e: E,
    pub(crate) signature: Signature,
}

pub(crate) struct Scene {
    pkeys: Vec<PKey<Private>>,
    pub(crate) keys: Vec<PublicKey>,
    /// A batch under the first key, one under eight keys, one in which each signature has a key of its own.
    pub(crate) one_key: Vec<Signed>,
    pub(crate) eight_keys: Vec<Signed>,
    pub(crate) many_keys: Vec<Signed>,
}

fn sign(pkeys: &[PKey<Private>], keys: &[PublicKey], key: usize, number: usize) -> Signed {
    let message: Vec<u8> = (0..MESSAGE).map(|index| u8::try_from((index * 7 + number) % 251).unwrap()).collect();
    let mut signer = Signer::new(MessageDigest::sm3(), &pkeys[key]).unwrap();
    signer.update(&message).unwrap();
    let der = signer.sign_to_vec().unwrap();
    let e = E::of_message(&keys[key], &DistinguishingId::default(), &[&message]);
    Signed { key, e, signature: Signature::from_der(&der).unwrap(), der, message }
}

impl Scene {
    pub(crate) fn new() -> Self {
        let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
        let pkeys: Vec<_> = (0..BATCH).map(|_| PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()).collect();
        let keys: Vec<_> =
            pkeys.iter().map(|pkey| PublicKey::from_spki_der(&pkey.public_key_to_der().unwrap()).unwrap()).collect();
        let batch = |key: &dyn Fn(usize) -> usize| (0..BATCH).map(|n| sign(&pkeys, &keys, key(n), n)).collect();
        Self { one_key: batch(&|_| 0), eight_keys: batch(&|n| n % 8), many_keys: batch(&|n| n), pkeys, keys }
    }

    /// Over the digest.
    pub(crate) fn openssl_verifier(&self, signed: &Signed) -> impl FnMut() {
        let mut context = PkeyCtx::new(&self.pkeys[signed.key]).unwrap();
        context.verify_init().unwrap();
        let (e, der) = (*signed.e.as_bytes(), signed.der.clone());
        move || assert!(context.verify(&e, &der).unwrap())
    }

    /// Over the first key's messages.
    pub(crate) fn openssl_message_verifier(&self) -> impl FnMut(usize) + '_ {
        |number| {
            let signed = &self.one_key[number];
            let mut verifier = Verifier::new(MessageDigest::sm3(), &self.pkeys[signed.key]).unwrap();
            assert!(verifier.verify_oneshot(&signed.der, &signed.message).unwrap());
        }
    }

    pub(crate) fn rustcrypto_verifier(&self, signed: &Signed) -> impl FnMut() {
        let sec1 = self.keys[signed.key].to_sec1();
        let key = sm2::dsa::VerifyingKey::from_sec1_bytes("1234567812345678", &sec1).unwrap();
        let signature = sm2::dsa::Signature::from_bytes((&signed.signature.to_raw()).into()).unwrap();
        let e = *signed.e.as_bytes();
        move || key.verify_prehash(&e, &signature).unwrap()
    }

    /// ECDSA on P-256: what a library does that was optimised for its curve.
    #[allow(clippy::unused_self)]
    pub(crate) fn p256_verifier(&self) -> impl FnMut() {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = EcKey::generate(&group).unwrap();
        let signature = EcdsaSig::sign(&[7; 32], &key).unwrap();
        move || assert!(signature.verify(&[7; 32], &key).unwrap())
    }

    pub(crate) fn openssl_encryptor(&self, message: &[u8]) -> impl FnMut() {
        let mut context = PkeyCtx::new(&self.pkeys[0]).unwrap();
        context.encrypt_init().unwrap();
        let mut sealed = Vec::new();
        move || {
            sealed.clear();
            context.encrypt_to_vec(message, black_box(&mut sealed)).unwrap();
        }
    }
}
