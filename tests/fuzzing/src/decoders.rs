use der::asn1::UintRef;
use der::{Decode, Reader, SliceReader};
use sm2::elliptic_curve::sec1::ToSec1Point;
use sm3::Digest;
use yanqian_messages::{sm2_cipher_from_der, sm2_cipher_to_der};
use yanqian_sm::{DistinguishingId, E, MessageHasher, PublicKey, Signature, sm3, sm3_many};

use crate::input::Input;

/// Public keys in every encoding: what is read is a point of the curve, is written as it was, and RustCrypto reads it too.
pub fn keys(octets: &[u8]) {
    let theirs = sm2::PublicKey::from_sec1_bytes(octets);
    match PublicKey::from_sec1(octets) {
        Ok(key) => {
            let theirs = theirs.expect("RustCrypto refuses the point");
            assert_eq!(key.to_sec1(), theirs.to_sec1_point(false).as_bytes());
            let compressed = octets.len() == 33;
            assert_eq!(theirs.to_sec1_point(compressed).as_bytes(), octets);
            assert_eq!(PublicKey::from_sec1(&key.to_sec1()), Ok(key));
            assert_eq!(PublicKey::from_spki_der(&key.to_spki_der()), Ok(key));
        }
        // The compact form, which the standards of SM2 do not have.
        Err(_) => assert!(theirs.is_err() || octets.first() == Some(&5), "RustCrypto reads the point"),
    }
    if let Ok(raw) = <&[u8; 64]>::try_from(octets) {
        let sec1 = [&[4], raw.as_slice()].concat();
        assert_eq!(PublicKey::from_raw(raw), PublicKey::from_sec1(&sec1));
    }
    if let Ok(key) = PublicKey::from_spki_der(octets) {
        assert_eq!(key.to_spki_der(), octets);
    }
}

/// Signatures: strict DER is read if and only if the `der` crate reads two positive integers below n there, and is written as it was.
pub fn signatures(octets: &[u8]) {
    let strict = Signature::from_der(octets);
    assert_eq!(strict.ok().map(|signature| signature.to_raw()), by_der_crate(octets));
    if let Ok(signature) = strict {
        assert_eq!(signature.to_der(), octets);
        assert_eq!(Signature::from_raw(&signature.to_raw()), Ok(signature));
    }
    match Signature::from_der_lax(octets) {
        Ok(lax) => {
            // What was read has one canonical form, which the strict reader takes.
            assert_eq!(Signature::from_der(&lax.to_der()), Ok(lax));
            assert!(strict.is_err() || strict == Ok(lax));
        }
        Err(_) => assert!(strict.is_err(), "the lax reader refuses what the strict one takes"),
    }
    if let Ok(raw) = <&[u8; 64]>::try_from(octets) {
        let theirs = sm2::dsa::Signature::from_bytes(raw.into());
        let ours = Signature::from_raw(raw);
        assert_eq!(ours.is_ok(), theirs.is_ok());
        assert!(ours.is_err() || ours.is_ok_and(|signature| signature.to_raw() == *raw));
    }
}

/// r ‖ s, as another crate reads them.
fn by_der_crate(octets: &[u8]) -> Option<[u8; 64]> {
    let mut reader = SliceReader::new(octets).ok()?;
    let (r, s) =
        reader.sequence(|content| Ok::<_, der::Error>((UintRef::decode(content)?, UintRef::decode(content)?))).ok()?;
    reader.finish().ok()?;
    let mut raw = [0; 64];
    for (integer, half) in [r, s].iter().zip(raw.chunks_exact_mut(32)) {
        let start = half.len().checked_sub(integer.as_bytes().len())?;
        half[start..].copy_from_slice(integer.as_bytes());
    }
    sm2::dsa::Signature::from_bytes((&raw).into()).ok().map(|_| raw)
}

/// Distinguishing ids and messages: the digest does not depend on how the message is cut, and is SM3 of Z and the message by another SM3.
pub fn digests(octets: &[u8]) {
    let mut input = Input(octets);
    let (length, cuts) = (u16::from_be_bytes(input.octets()), input.octets::<4>());
    let rest = input.rest();
    let (id, message) = rest.split_at(rest.len().min(usize::from(length)));
    let Ok(id) = DistinguishingId::new(id) else {
        assert!(id.len() > 8191);
        return;
    };
    let key = generator();
    let mut by_others = sm3::Sm3::new();
    by_others.update(u16::try_from(id.as_bytes().len() * 8).expect("ids are short").to_be_bytes());
    by_others.update(id.as_bytes());
    by_others.update(CURVE);
    by_others.update(&key.to_sec1()[1..]);
    let z: [u8; 32] = by_others.finalize().into();
    assert_eq!(*key.z_value(&id).as_bytes(), z);

    let whole: [u8; 32] = sm3::Sm3::new().chain_update(z).chain_update(message).finalize().into();
    let mut parts = Vec::new();
    let mut left = message;
    for cut in cuts {
        let (now, later) = left.split_at(left.len().min(usize::from(cut)));
        parts.push(now);
        left = later;
    }
    parts.push(left);
    assert_eq!(E::of_message(&key, &id, &parts), E::from_digest(whole));
    let mut hasher = MessageHasher::new(&key, &id);
    for part in &parts {
        hasher.update(part);
    }
    assert_eq!(hasher.finish().as_bytes(), &whole);
    // Side by side with messages of other lengths.
    let with_z = [z.as_slice(), message].concat();
    let mut digests = [[0; 32]; 5];
    sm3_many(&[&[], &[&with_z], &parts, &[&z, message], &[message]], &mut digests);
    let alone: [u8; 32] = sm3::Sm3::digest(message).into();
    assert_eq!(digests, [sm3(&[]), whole, alone, whole, alone]);
    let z = key.z_value(&id);
    let mut digests = [E::from_digest([0; 32]); 3];
    E::of_messages(&[(z, &parts), (z, &[]), (z, &[message])], &mut digests);
    assert_eq!(digests, [whole, sm3(&[z.as_bytes()]), whole].map(E::from_digest));
}

/// a, b and G, once more (GB/T 32918.5-2017).
const CURVE: [u8; 128] = *b"\
\xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xfc\
\x28\xe9\xfa\x9e\x9d\x9f\x5e\x34\x4d\x5a\x9e\x4b\xcf\x65\x09\xa7\xf3\x97\x89\xf5\x15\xab\x8f\x92\xdd\xbc\xbd\x41\x4d\x94\x0e\x93\
\x32\xc4\xae\x2c\x1f\x19\x81\x19\x5f\x99\x04\x46\x6a\x39\xc9\x94\x8f\xe3\x0b\xbf\xf2\x66\x0b\xe1\x71\x5a\x45\x89\x33\x4c\x74\xc7\
\xbc\x37\x36\xa2\xf4\xf6\x77\x9c\x59\xbd\xce\xe3\x6b\x69\x21\x53\xd0\xa9\x87\x7c\xc6\x2a\x47\x40\x02\xdf\x32\xe5\x21\x39\xf0\xa0";

fn generator() -> PublicKey {
    let raw: &[u8; 64] = CURVE.last_chunk().expect("the constant ends with a point");
    PublicKey::from_raw(raw).expect("the generator is on the curve")
}

/// `SM2Cipher`: what is read is written as it was.
pub fn ciphertexts(octets: &[u8]) {
    if let Ok(cipher) = sm2_cipher_from_der(octets) {
        assert_eq!(sm2_cipher_to_der(&cipher), octets);
        assert_eq!(cipher.to_c1c3c2().len(), 97 + cipher.ciphertext.len());
    }
}
