//! `SM2EnvelopedKey` (GB/T 35276-2017 §7.4): the encryption pair that an authority makes, its private key under an SM4 key, the SM4
//! key under the entity's signing key.

use der::Tag;
use yanqian_sm::{PublicKey, Sm2Ciphertext};

use crate::error::MessageError;
use crate::oid;
use crate::sm2cipher::{sm2_cipher_from_der, sm2_cipher_to_der};
use crate::tlv::{self, Elements};

const WHAT: &str = "SM2EnvelopedKey";

/// An enveloped pair. Nothing in it is readable without the signing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sm2EnvelopedKey {
    /// The SM4 key, 16 octets when opened.
    pub session_key: Sm2Ciphertext,
    pub public_key: PublicKey,
    /// The private scalar, 32 octets big-endian, under SM4-ECB without padding.
    pub private_key: [u8; 32],
}

impl Sm2EnvelopedKey {
    /// Reads DER. The algorithm must be SM4-ECB, or SM4 without a mode as older issuers write it.
    pub fn from_der(der: &[u8]) -> Result<Self, MessageError> {
        let mut outer = Elements::new(der, WHAT)?;
        let mut parts = outer.sequence()?;
        outer.finish()?;
        let (algorithm, _) = parts.algorithm()?;
        if algorithm != oid::SM4_ECB && algorithm != oid::SM4 {
            return Err(MessageError::Algorithm("symAlgID"));
        }
        let session_key = sm2_cipher_from_der(parts.expect(Tag::Sequence)?.whole)?;
        let public_key = PublicKey::from_sec1(bits(&mut parts)?).map_err(|_| MessageError::NotSm2)?;
        let private_key = bits(&mut parts)?.try_into().map_err(|_| MessageError::Der("sm2EncryptedPrivateKey"))?;
        parts.finish()?;
        Ok(Self { session_key, public_key, private_key })
    }

    /// DER, with SM4-ECB named.
    pub fn to_der(&self) -> Vec<u8> {
        tlv::sequence(&[
            &tlv::algorithm(&oid::SM4_ECB, &[]),
            &sm2_cipher_to_der(&self.session_key),
            &tlv::write(Tag::BitString, &[&[0], &self.public_key.to_sec1()]),
            &tlv::write(Tag::BitString, &[&[0], &self.private_key]),
        ])
    }
}

/// A BIT STRING of whole octets.
fn bits<'a>(parts: &mut Elements<'a>) -> Result<&'a [u8], MessageError> {
    parts.expect(Tag::BitString)?.value.strip_prefix(&[0]).ok_or(MessageError::Der(WHAT))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn envelope() -> Sm2EnvelopedKey {
        let point = "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7\
                     bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0";
        let public_key = PublicKey::from_raw(&hex::decode(point).unwrap().try_into().unwrap()).unwrap();
        let session_key = yanqian_sm::sm2_encrypt(&public_key, &[7; 16], &mut getrandom::SysRng).unwrap();
        Sm2EnvelopedKey { session_key, public_key, private_key: [9; 32] }
    }

    #[test]
    fn an_envelope_is_read_as_it_was_written_and_nothing_may_follow() {
        let envelope = envelope();
        let der = envelope.to_der();
        assert_eq!(Sm2EnvelopedKey::from_der(&der), Ok(envelope));
        assert!(Sm2EnvelopedKey::from_der(&[&der[..], &[0]].concat()).is_err());
        assert!(Sm2EnvelopedKey::from_der(&der[..der.len() - 1]).is_err());
    }

    #[test]
    fn another_algorithm_than_sm4_ecb_is_refused() {
        let envelope = envelope();
        let rest = envelope.to_der();
        let rest = &rest[rest.len() - 138..];
        let other =
            tlv::sequence(&[&tlv::algorithm(&oid::SM4_CBC, &[]), &sm2_cipher_to_der(&envelope.session_key), rest]);
        assert_eq!(Sm2EnvelopedKey::from_der(&other), Err(MessageError::Algorithm("symAlgID")));
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets: Vec<u8>, flipped in 0usize..400, by: u8) {
            let _ = Sm2EnvelopedKey::from_der(&octets);
            let mut der = envelope().to_der();
            let place = flipped % der.len();
            der[place] ^= by;
            if let Ok(read) = Sm2EnvelopedKey::from_der(&der) {
                proptest::prop_assert_eq!(Sm2EnvelopedKey::from_der(&read.to_der()), Ok(read));
            }
        }
    }
}
