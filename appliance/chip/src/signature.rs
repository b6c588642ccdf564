//! Digests and signatures of Doc 9303-12 §4.4, and SM3 and SM2 (GB/T 32918.2-2016). SHA-1 does not count.

use der::Tag;
use der::asn1::ObjectIdentifier;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{PKey, Public};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Verifier};
use yanqian_sm::{DistinguishingId, E, Signature, sm3, verify};

use crate::elements::{Elements, context};
use crate::keys::Key;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digest {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sm3,
}

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const SHA224: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.4");
const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");
const SM3: ObjectIdentifier = oid("1.2.156.10197.1.401");
const MGF1: ObjectIdentifier = oid("1.2.840.113549.1.1.8");
const RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
const RSASSA_PSS: ObjectIdentifier = oid("1.2.840.113549.1.1.10");
const RSA_SHA224: ObjectIdentifier = oid("1.2.840.113549.1.1.14");
const RSA_SHA256: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = oid("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = oid("1.2.840.113549.1.1.13");
const ECDSA_SHA224: ObjectIdentifier = oid("1.2.840.10045.4.3.1");
const ECDSA_SHA256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = oid("1.2.840.10045.4.3.3");
const ECDSA_SHA512: ObjectIdentifier = oid("1.2.840.10045.4.3.4");
const SM2_SM3: ObjectIdentifier = oid("1.2.156.10197.1.501");

impl Digest {
    pub(crate) fn of_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid {
            SHA224 => Some(Self::Sha224),
            SHA256 => Some(Self::Sha256),
            SHA384 => Some(Self::Sha384),
            SHA512 => Some(Self::Sha512),
            SM3 => Some(Self::Sm3),
            _ => None,
        }
    }

    pub(crate) fn of(self, octets: &[u8]) -> Option<Vec<u8>> {
        match self.in_openssl() {
            Some(digest) => hash(digest, octets).ok().map(|hash| hash.to_vec()),
            None => Some(sm3(&[octets]).to_vec()),
        }
    }

    fn in_openssl(self) -> Option<MessageDigest> {
        match self {
            Self::Sha224 => Some(MessageDigest::sha224()),
            Self::Sha256 => Some(MessageDigest::sha256()),
            Self::Sha384 => Some(MessageDigest::sha384()),
            Self::Sha512 => Some(MessageDigest::sha512()),
            Self::Sm3 => None,
        }
    }
}

/// How something is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Pkcs1(Digest),
    Pss { digest: Digest, mask: Digest, salt: u8 },
    Ecdsa(Digest),
    Sm2,
}

impl Algorithm {
    /// Reads a DER `AlgorithmIdentifier`. A `SignerInfo` may name the kind of key alone and the digest elsewhere, and what it names
    /// itself must be that digest.
    pub(crate) fn read(identifier: &[u8], digest: Option<Digest>) -> Option<Self> {
        let mut elements = Elements::read(identifier)?;
        let (name, parameters) = elements.algorithm()?;
        elements.end()?;
        let read = match name {
            RSA => Self::Pkcs1(digest?),
            RSA_SHA224 => Self::Pkcs1(Digest::Sha224),
            RSA_SHA256 => Self::Pkcs1(Digest::Sha256),
            RSA_SHA384 => Self::Pkcs1(Digest::Sha384),
            RSA_SHA512 => Self::Pkcs1(Digest::Sha512),
            RSASSA_PSS => pss(parameters?.whole)?,
            ECDSA_SHA224 => Self::Ecdsa(Digest::Sha224),
            ECDSA_SHA256 => Self::Ecdsa(Digest::Sha256),
            ECDSA_SHA384 => Self::Ecdsa(Digest::Sha384),
            ECDSA_SHA512 => Self::Ecdsa(Digest::Sha512),
            SM2_SM3 => Self::Sm2,
            _ => return None,
        };
        let own = match read {
            Self::Pkcs1(own) | Self::Ecdsa(own) | Self::Pss { digest: own, .. } => own,
            Self::Sm2 => Digest::Sm3,
        };
        let without_parameters = parameters.is_none() || name == RSASSA_PSS;
        (without_parameters && digest.is_none_or(|digest| digest == own)).then_some(read)
    }

    /// Whether the key signed these octets.
    pub(crate) fn verify(self, key: &Key, signed: &[u8], signature: &[u8]) -> bool {
        match (self, key) {
            (Self::Pkcs1(digest), Key::Rsa(key)) => {
                openssl(key, digest, signed, signature, |verifier| verifier.set_rsa_padding(Padding::PKCS1).is_ok())
            }
            (Self::Pss { digest, mask, salt }, Key::Rsa(key)) => openssl(key, digest, signed, signature, |verifier| {
                verifier.set_rsa_padding(Padding::PKCS1_PSS).is_ok()
                    && verifier.set_rsa_pss_saltlen(RsaPssSaltlen::custom(salt.into())).is_ok()
                    && mask.in_openssl().is_some_and(|mask| verifier.set_rsa_mgf1_md(mask).is_ok())
            }),
            (Self::Ecdsa(digest), Key::Curve(key)) => openssl(key, digest, signed, signature, |_| true),
            (Self::Sm2, Key::Sm2(key)) => Signature::from_der(signature).is_ok_and(|signature| {
                let e = E::of_message(key, &DistinguishingId::default(), &[signed]);
                verify(key, &e, &signature).is_ok()
            }),
            _ => false,
        }
    }
}

fn openssl(
    key: &PKey<Public>,
    digest: Digest,
    signed: &[u8],
    signature: &[u8],
    adjust: impl FnOnce(&mut Verifier<'_>) -> bool,
) -> bool {
    let Some(digest) = digest.in_openssl() else { return false };
    let Ok(mut verifier) = Verifier::new(digest, key) else { return false };
    adjust(&mut verifier) && verifier.verify_oneshot(signature, signed).unwrap_or(false)
}

/// `RSASSA-PSS-params` (RFC 4055 §3.1). What is left out there stands for SHA-1, so digest and mask must be named.
fn pss(octets: &[u8]) -> Option<Algorithm> {
    let mut parameters = Elements::inside(octets, Tag::Sequence)?;
    let mut hash = parameters.take_inside(context(0))?;
    let digest = Digest::of_oid(hash.algorithm()?.0)?;
    hash.end()?;
    let mut generator = parameters.take_inside(context(1))?;
    let (name, mask) = generator.algorithm()?;
    generator.end()?;
    let mut mask = Elements::read(mask?.whole)?;
    let mask = Digest::of_oid(mask.algorithm()?.0).filter(|_| name == MGF1)?;
    let salt = match parameters.take_if(context(2)) {
        Some(salt) => Elements::read(salt.value)?.small_integer()?,
        None => 20,
    };
    // The trailer field can only be 1.
    if let Some(trailer) = parameters.take_if(context(3)) {
        Elements::read(trailer.value)?.small_integer().filter(|trailer| *trailer == 1)?;
    }
    parameters.end()?;
    Some(Algorithm::Pss { digest, mask, salt })
}
