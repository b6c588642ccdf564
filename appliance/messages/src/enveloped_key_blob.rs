//! `ENVELOPEDKEYBLOB` (GM/T 0016-2012 §6.4.10), the form in which authorities hand an encryption pair to smart keys: a C structure
//! as it lies in memory, without gaps, every number a little-endian `ULONG`.
//!
//! Two are met: with numbers of 32 bits, as the standard's Windows types have them, and of 64 bits, as a Linux program writes whose
//! `ULONG` is `unsigned long`. What stands in the 64 octets of a private key differs, too: 32 octets that are zero before the
//! ciphertext or after it, or a ciphertext of the whole field, whose first half is that of 32 zero octets.

use yanqian_sm::{PublicKey, Sm2Ciphertext};

use crate::enveloped_key::Sm2EnvelopedKey;

/// `SGD_SM4_ECB` (GM/T 0006-2012 §6.2.1).
const SM4_ECB: u64 = 0x0000_0401;
/// The same with algorithms that are not published, so that nothing but a smart key opens them.
const UNPUBLISHED: [(u64, &str); 2] = [(0x0000_0101, "SM1"), (0x0000_0201, "SSF33")];
/// Octets of a field that holds a number of 256 bits.
const FIELD: usize = 64;
/// Octets of an SM4 key, and so of its ciphertext.
const KEY: u64 = 16;
/// Octets behind the ciphertext, where a program took the structure's size with its padding.
const PADDING: usize = 4;

/// Why a blob was refused: the field that is wrong, by its name in the standard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ENVELOPEDKEYBLOB: {field}: {problem}")]
pub struct BlobError {
    pub field: &'static str,
    pub problem: String,
}

fn wrong(field: &'static str, problem: impl Into<String>) -> BlobError {
    BlobError { field, problem: problem.into() }
}

/// Whether these octets begin as a blob does and no DER does: `Version` 1 as a little-endian number.
pub fn is_enveloped_key_blob(octets: &[u8]) -> bool {
    octets.starts_with(&[1, 0, 0, 0])
}

/// Reads a blob. The public key and the session key's point are points of the curve; what is sealed, nobody has looked at.
pub fn enveloped_key_from_blob(octets: &[u8]) -> Result<Sm2EnvelopedKey, BlobError> {
    if !is_enveloped_key_blob(octets) {
        return Err(wrong("Version", "not 1 as a little-endian number"));
    }
    // After a version of 32 bits an algorithm follows, which is not 0.
    let wide = octets.get(4..8) == Some(&[0; 4]);
    let mut blob = Reader { rest: octets, number: if wide { 8 } else { 4 } };
    blob.must_be("Version", 1)?;
    match blob.number("ulSymmAlgID")? {
        SM4_ECB => {}
        other => {
            let known = UNPUBLISHED.iter().find(|(number, _)| *number == other);
            let why = known.map_or_else(
                || format!("{other:#x}, where SM4 in ECB mode is {SM4_ECB:#x}"),
                |(_, name)| format!("{other:#x} is {name}, which only smart keys know; ask the authority for SM4"),
            );
            return Err(wrong("ulSymmAlgID", why));
        }
    }
    blob.must_be("ulBits", 256)?;
    let private_key = private_key(blob.take("cbEncryptedPriKey")?)?;
    blob.must_be("PubKey.BitLen", 256)?;
    let public_key = point(&mut blob, ("PubKey.XCoordinate", "PubKey.YCoordinate"))?;
    let (x, y) = {
        let point = point(&mut blob, ("ECCCipherBlob.XCoordinate", "ECCCipherBlob.YCoordinate"))?.to_sec1();
        let mut halves = ([0; 32], [0; 32]);
        halves.0.copy_from_slice(&point[1..33]);
        halves.1.copy_from_slice(&point[33..]);
        halves
    };
    let hash = *blob.take::<32>("ECCCipherBlob.HASH")?;
    blob.must_be("ECCCipherBlob.CipherLen", KEY)?;
    let ciphertext = blob.take::<16>("ECCCipherBlob.Cipher")?.to_vec();
    if blob.rest.len() > PADDING || blob.rest.iter().any(|octet| *octet != 0) {
        return Err(wrong("ECCCipherBlob.Cipher", format!("{} octets follow it", blob.rest.len())));
    }
    Ok(Sm2EnvelopedKey { session_key: Sm2Ciphertext { x, y, hash, ciphertext }, public_key, private_key })
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Octets of a `ULONG`.
    number: usize,
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self, field: &'static str) -> Result<&'a [u8; N], BlobError> {
        let (taken, rest) =
            self.rest.split_first_chunk().ok_or_else(|| wrong(field, "the blob ends before it does"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self, field: &'static str) -> Result<u64, BlobError> {
        if self.number == 8 {
            return Ok(u64::from_le_bytes(*self.take(field)?));
        }
        Ok(u32::from_le_bytes(*self.take(field)?).into())
    }

    fn must_be(&mut self, field: &'static str, expected: u64) -> Result<(), BlobError> {
        match self.number(field)? {
            number if number == expected => Ok(()),
            number => Err(wrong(field, format!("{number}, where it is {expected} for SM2 and SM4"))),
        }
    }
}

/// Two coordinates, each at the end of its field.
fn point(blob: &mut Reader<'_>, fields: (&'static str, &'static str)) -> Result<PublicKey, BlobError> {
    let mut raw = [0; 64];
    for (half, field) in raw.chunks_exact_mut(32).zip([fields.0, fields.1]) {
        let (before, coordinate) = blob.take::<FIELD>(field)?.split_at(FIELD - 32);
        if before.iter().any(|octet| *octet != 0) {
            return Err(wrong(field, "the first 32 of its 64 octets are not 0: it does not stand at the field's end"));
        }
        half.copy_from_slice(coordinate);
    }
    PublicKey::from_raw(&raw).map_err(|_| wrong(fields.0, "no point of the SM2 curve, with the other coordinate"))
}

/// The ciphertext of the private scalar, by the three ways in which its field is filled.
fn private_key(field: &[u8; FIELD]) -> Result<[u8; 32], BlobError> {
    const NAME: &str = "cbEncryptedPriKey";
    let ([first, last], []) = field.as_chunks::<32>() else {
        return Err(wrong(NAME, "of another length"));
    };
    let is_zero = |half: &[u8; 32]| half.iter().all(|octet| *octet == 0);
    match (is_zero(first), is_zero(last)) {
        (true, true) => Err(wrong(NAME, "64 zero octets")),
        (false, true) => Ok(*first),
        // Zeros, or what ECB makes of them: the same block twice.
        _ if first[..16] == first[16..] => Ok(*last),
        _ => Err(wrong(NAME, "its first half is neither zeros nor zeros encrypted in ECB mode")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const POINT: &str = "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7\
                         bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0";

    fn envelope() -> Sm2EnvelopedKey {
        let public_key = PublicKey::from_raw(&hex::decode(POINT).unwrap().try_into().unwrap()).unwrap();
        let session_key = yanqian_sm::sm2_encrypt(&public_key, &[7; 16], &mut getrandom::SysRng).unwrap();
        Sm2EnvelopedKey { session_key, public_key, private_key: [9; 32] }
    }

    /// The structure as a C program with numbers of so many octets writes it.
    fn blob(envelope: &Sm2EnvelopedKey, wide: bool, private: [&[u8; 32]; 2]) -> Vec<u8> {
        let number = |value: u64| value.to_le_bytes()[..if wide { 8 } else { 4 }].to_vec();
        let field = |half: &[u8]| [&[0; 32], half].concat();
        let point = envelope.public_key.to_sec1();
        [
            number(1),
            number(0x401),
            number(256),
            [private[0].as_slice(), private[1]].concat(),
            number(256),
            field(&point[1..33]),
            field(&point[33..]),
            field(&envelope.session_key.x),
            field(&envelope.session_key.y),
            envelope.session_key.hash.to_vec(),
            number(16),
            envelope.session_key.ciphertext.clone(),
        ]
        .concat()
    }

    #[test]
    fn every_way_in_which_blobs_are_written_is_read() {
        let envelope = envelope();
        let key = &envelope.private_key;
        for wide in [false, true] {
            for private in [[&[0; 32], key], [key, &[0; 32]], [&[0x55; 32], key]] {
                let octets = blob(&envelope, wide, private);
                assert!(is_enveloped_key_blob(&octets));
                assert_eq!(octets.len(), if wide { 408 } else { 388 });
                for padding in 0..=4 {
                    let padded = [&octets[..], &vec![0; padding]].concat();
                    assert_eq!(enveloped_key_from_blob(&padded), Ok(envelope.clone()));
                }
            }
        }
        assert!(!is_enveloped_key_blob(&envelope.to_der()));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let envelope = envelope();
        let octets = blob(&envelope, false, [&[0; 32], &envelope.private_key]);
        for (at, octet, field) in [
            (0, 2, "Version"),
            (4, 2, "ulSymmAlgID"),
            (8, 128, "ulBits"),
            (12, 1, "cbEncryptedPriKey"),
            (77, 2, "PubKey.BitLen"),
            (80, 1, "PubKey.XCoordinate"),
            (143, 0, "PubKey.XCoordinate"),
            (144, 1, "PubKey.YCoordinate"),
            (239, 1, "ECCCipherBlob.XCoordinate"),
            (303, 1, "ECCCipherBlob.YCoordinate"),
            (368, 32, "ECCCipherBlob.CipherLen"),
        ] {
            let mut changed = octets.clone();
            changed[at] = octet;
            let error = enveloped_key_from_blob(&changed).expect_err(field);
            assert_eq!(error.field, field, "{error}");
        }
        let mut unpublished = octets.clone();
        unpublished[4..8].copy_from_slice(&0x101_u32.to_le_bytes());
        assert!(enveloped_key_from_blob(&unpublished).is_err_and(|error| error.problem.contains("SM1")));
        let behind = [&octets[..], &[0, 1]].concat();
        assert!(enveloped_key_from_blob(&behind).is_err_and(|error| error.field == "ECCCipherBlob.Cipher"));
        for end in 0..octets.len() {
            assert!(enveloped_key_from_blob(&octets[..end]).is_err(), "{end}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read_or_refused_and_what_is_read_has_a_canonical_form(
            octets: Vec<u8>, at in 0usize..408, by: u8, wide: bool, end in 0usize..=412,
        ) {
            let _ = enveloped_key_from_blob(&octets);
            let envelope = envelope();
            let mut blob = blob(&envelope, wide, [&[0; 32], &envelope.private_key]);
            let at = at % blob.len();
            blob[at] ^= by;
            blob.truncate(end);
            if let Ok(read) = enveloped_key_from_blob(&blob) {
                proptest::prop_assert_eq!(Sm2EnvelopedKey::from_der(&read.to_der()), Ok(read));
            }
        }
    }
}
