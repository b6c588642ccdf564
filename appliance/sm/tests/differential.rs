//! Our answers against OpenSSL's and, for SM2 and SM3, `sm-crypto`'s. `sm-crypto` has defects and serves nowhere else.
#![allow(clippy::unwrap_used)]

use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sign::{Signer, Verifier};
use openssl::symm::{Cipher, decrypt};
use yanqian_sm::{
    DistinguishingId, E, PublicKey, Signature, Sm4CbcEncryptor, Sm4Key, sm2_encrypt, sm3, sm4_cbc_decrypt, verify,
};

fn key_pair() -> (PKey<Private>, PublicKey) {
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let pkey = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let public = PublicKey::from_spki_der(&pkey.public_key_to_der().unwrap()).unwrap();
    (pkey, public)
}

fn sign(pkey: &PKey<Private>, message: &[u8]) -> Vec<u8> {
    let mut signer = Signer::new(MessageDigest::sm3(), pkey).unwrap();
    signer.update(message).unwrap();
    signer.sign_to_vec().unwrap()
}

#[test]
fn openssl_signatures_verify_here_and_in_sm_crypto() {
    let id = DistinguishingId::default();
    for round in 0..32u8 {
        let (pkey, public) = key_pair();
        let message = vec![round; usize::from(round) * 7];
        let der = sign(&pkey, &message);
        let signature = Signature::from_der(&der).unwrap();
        assert_eq!(signature.to_der(), der, "DER is canonical both ways");
        let e = E::of_message(&public, &id, &[&message]);
        assert_eq!(verify(&public, &e, &signature), Ok(()));
        let other = E::of_message(&public, &id, &[&message, b"x"]);
        assert!(verify(&public, &other, &signature).is_err());

        let mut verifier = Verifier::new(MessageDigest::sm3(), &pkey).unwrap();
        verifier.update(&message).unwrap();
        assert!(verifier.verify(&signature.to_der()).unwrap());

        let public_hex = hex::encode(&public.to_sec1()[1..]);
        let verdict = sm_crypto::sm2::Verify::new(&public_hex).verify_der(&message, &der, true);
        assert!(verdict, "sm-crypto disagrees");
    }
}

#[test]
fn sm3_agrees_with_openssl_and_sm_crypto_at_every_length_around_a_block() {
    for length in 0..200usize {
        let message: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let ours = sm3(&[&message]);
        assert_eq!(ours.as_slice(), openssl::hash::hash(MessageDigest::sm3(), &message).unwrap().as_ref());
        assert_eq!(hex::encode(ours), sm_crypto::sm3::sm3_hash(&message));
    }
}

#[test]
fn what_we_encrypt_openssl_decrypts() {
    let (pkey, public) = key_pair();
    for length in [1usize, 16, 32, 100] {
        let message = vec![0x5a; length];
        let sealed = sm2_encrypt(&public, &message, &mut getrandom::SysRng).unwrap();
        assert_eq!(sealed.ciphertext.len(), length);
        // OpenSSL takes the DER form; written by hand here so that no code of ours is judged by itself.
        let integer = |octets: &[u8]| {
            let start = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len() - 1);
            let mut value = octets[start..].to_vec();
            if value[0] >= 0x80 {
                value.insert(0, 0);
            }
            [vec![2, u8::try_from(value.len()).unwrap()], value].concat()
        };
        let octet_string = |octets: &[u8]| [vec![4, u8::try_from(octets.len()).unwrap()], octets.to_vec()].concat();
        let content =
            [integer(&sealed.x), integer(&sealed.y), octet_string(&sealed.hash), octet_string(&sealed.ciphertext)]
                .concat();
        let length_octets = u8::try_from(content.len()).unwrap();
        let head = if length_octets < 0x80 { vec![0x30, length_octets] } else { vec![0x30, 0x81, length_octets] };
        let der = [head, content].concat();
        let mut opener = openssl::pkey_ctx::PkeyCtx::new(&pkey).unwrap();
        opener.decrypt_init().unwrap();
        let mut plain = Vec::new();
        opener.decrypt_to_vec(&der, &mut plain).unwrap();
        assert_eq!(plain, message);
    }
}

#[test]
fn sm4_cbc_agrees_with_openssl_and_refuses_altered_padding() {
    let (key, iv) = ([7u8; 16], [9u8; 16]);
    for length in 0..50 {
        let message = vec![3u8; length];
        let mut ours = Vec::new();
        let mut encryptor = Sm4CbcEncryptor::new(&Sm4Key::new(key), &iv);
        encryptor.update(&message, &mut |block| ours.extend_from_slice(block));
        encryptor.finish(&mut |block| ours.extend_from_slice(block));
        assert_eq!(decrypt(Cipher::sm4_cbc(), &key, Some(&iv), &ours).unwrap(), message);
        assert_eq!(sm4_cbc_decrypt(&Sm4Key::new(key), &iv, &ours).unwrap().as_slice(), message.as_slice());
        assert!(sm4_cbc_decrypt(&Sm4Key::new(key), &iv, &ours[..ours.len() - 1]).is_err());
    }
    assert!(sm4_cbc_decrypt(&Sm4Key::new(key), &iv, &[]).is_err());
}
