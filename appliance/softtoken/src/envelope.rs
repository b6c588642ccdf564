//! `SM2EnvelopedKey` of GM/T 0009 §7.4 (GB/T 35276-2017 §7.4): an SM2 key pair under an SM4 key under SM2.
//!
//! ```text
//! SM2EnvelopedKey ::= SEQUENCE {
//!   symAlgID                AlgorithmIdentifier,   -- SM4-ECB
//!   symEncryptedKey         SM2Cipher,
//!   sm2PublicKey            BIT STRING,            -- 04 ‖ x ‖ y
//!   sm2EncryptedPrivateKey  BIT STRING }           -- SM4-ECB over the 32-byte scalar
//! ```

use sm2::pkcs8::AlgorithmIdentifierRef;
use sm2::pkcs8::der::asn1::BitStringRef;
use sm2::pkcs8::der::{AnyRef, Decode, Encode, Reader, SliceReader};
use sm4::Sm4;
use sm4::cipher::{Block, BlockCipherDecrypt, KeyInit};
use zeroize::Zeroizing;

use crate::key::PrivateKey;

/// SM4-ECB, and the bare SM4 identifier that older issuers write.
const SM4: [&str; 2] = ["1.2.156.10197.1.104.1", "1.2.156.10197.1.104"];

/// Opens an envelope; the public key inside must be that of the private key.
pub(crate) fn open(key: &PrivateKey, der: &[u8]) -> Option<PrivateKey> {
    let (cipher, public, sealed) = parse(der)?;
    let sm4_key = key.decrypt(&cipher).ok()?;
    let sm4 = Sm4::new_from_slice(&sm4_key).ok()?;
    let mut scalar = Zeroizing::new(<[u8; 32]>::try_from(sealed).ok()?);
    for half in scalar.chunks_exact_mut(16) {
        let mut block = Block::<Sm4>::try_from(&*half).ok()?;
        sm4.decrypt_block(&mut block);
        half.copy_from_slice(&block);
        zeroize::Zeroize::zeroize(block.as_mut_slice());
    }
    let opened = PrivateKey::from_scalar(&scalar)?;
    (opened.public().point().as_slice() == public).then_some(opened)
}

/// (`SM2Cipher` as DER, public point, sealed scalar).
fn parse(der: &[u8]) -> Option<(Vec<u8>, &[u8], &[u8])> {
    let mut reader = SliceReader::new(der).ok()?;
    let parts = reader
        .sequence(|inner| {
            let algorithm = AlgorithmIdentifierRef::decode(inner)?;
            let cipher = AnyRef::decode(inner)?;
            let public = BitStringRef::decode(inner)?;
            let sealed = BitStringRef::decode(inner)?;
            Ok::<_, sm2::pkcs8::der::Error>((algorithm, cipher, public, sealed))
        })
        .ok()?;
    reader.finish().ok()?;
    let (algorithm, cipher, public, sealed): (_, _, BitStringRef<'_>, BitStringRef<'_>) = parts;
    if !SM4.contains(&algorithm.oid.to_string().as_str()) {
        return None;
    }
    Some((cipher.to_der().ok()?, public.as_bytes()?, sealed.as_bytes()?))
}
