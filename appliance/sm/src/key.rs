use alloc::vec::Vec;
use core::fmt;

use crate::digest::{Sm3, sm3};
use crate::field::{Fe, Portable};
use crate::point::{Affine, right_side};
use crate::sm3_many::{Parts, hash_many};

/// DER of `SubjectPublicKeyInfo` for an SM2 key up to the point: ecPublicKey with the curve 1.2.156.10197.1.301, and a
/// BIT STRING of 65 octets (GB/T 35276-2017 §7.1).
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf,
    0x55, 0x01, 0x82, 0x2d, 0x03, 0x42, 0x00,
];

/// `a ‖ b ‖ xG ‖ yG` of the SM2 curve, each 32 octets big-endian (GB/T 32918.5-2017).
const CURVE: [u8; 128] = *b"\
\xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xfc\
\x28\xe9\xfa\x9e\x9d\x9f\x5e\x34\x4d\x5a\x9e\x4b\xcf\x65\x09\xa7\xf3\x97\x89\xf5\x15\xab\x8f\x92\xdd\xbc\xbd\x41\x4d\x94\x0e\x93\
\x32\xc4\xae\x2c\x1f\x19\x81\x19\x5f\x99\x04\x46\x6a\x39\xc9\x94\x8f\xe3\x0b\xbf\xf2\x66\x0b\xe1\x71\x5a\x45\x89\x33\x4c\x74\xc7\
\xbc\x37\x36\xa2\xf4\xf6\x77\x9c\x59\xbd\xce\xe3\x6b\x69\x21\x53\xd0\xa9\x87\x7c\xc6\x2a\x47\x40\x02\xdf\x32\xe5\x21\x39\xf0\xa0";

/// A public key could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("not a point encoding of 33, 64 or 65 octets")]
    Encoding,
    #[error("not a point of the SM2 curve, or the point at infinity")]
    NotOnCurve,
    #[error("not a SubjectPublicKeyInfo of an SM2 key")]
    NotSm2Spki,
}

/// An SM2 public key: on the curve and not infinity, checked once when read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    pub(crate) point: Affine,
    sec1: [u8; 65],
}

impl PublicKey {
    /// Reads SEC 1 octets: 65 (`04 ‖ x ‖ y`) or 33 (compressed).
    pub fn from_sec1(octets: &[u8]) -> Result<Self, KeyError> {
        match octets {
            [4, coordinates @ ..] => Self::from_raw(coordinates.try_into().map_err(|_| KeyError::Encoding)?),
            [sign @ (2 | 3), x @ ..] => Self::decompress(*sign == 3, x.try_into().map_err(|_| KeyError::Encoding)?),
            _ => Err(KeyError::Encoding),
        }
    }

    /// Reads `x ‖ y`, 32 octets big-endian each, as many devices give it.
    pub fn from_raw(octets: &[u8; 64]) -> Result<Self, KeyError> {
        let (x, y) = octets.split_at(32);
        let coordinate = |octets: &[u8]| Fe::from_be::<Portable>(octets.try_into().ok()?);
        let (Some(x), Some(y)) = (coordinate(x), coordinate(y)) else { return Err(KeyError::NotOnCurve) };
        let point = Affine { x, y };
        if !point.is_on_curve::<Portable>() {
            return Err(KeyError::NotOnCurve);
        }
        let mut sec1 = [4; 65];
        sec1[1..].copy_from_slice(octets);
        Ok(Self { point, sec1 })
    }

    fn decompress(odd: bool, x: &[u8; 32]) -> Result<Self, KeyError> {
        let coordinate = Fe::from_be::<Portable>(x).ok_or(KeyError::NotOnCurve)?;
        let root = right_side::<Portable>(&coordinate).sqrt::<Portable>().ok_or(KeyError::NotOnCurve)?;
        let y = if root.is_odd::<Portable>() == odd { root } else { root.neg() };
        let mut raw = [0; 64];
        raw[..32].copy_from_slice(x);
        raw[32..].copy_from_slice(&y.to_be::<Portable>());
        Self::from_raw(&raw)
    }

    /// Reads a DER `SubjectPublicKeyInfo` with the uncompressed point, the only form that certificates of GB/T 20518 use.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let point = der.strip_prefix(SPKI_PREFIX.as_slice()).ok_or(KeyError::NotSm2Spki)?;
        if point.len() != 65 {
            return Err(KeyError::NotSm2Spki);
        }
        Self::from_sec1(point)
    }

    /// `04 ‖ x ‖ y`.
    pub const fn to_sec1(&self) -> [u8; 65] {
        self.sec1
    }

    /// DER `SubjectPublicKeyInfo`, 91 octets.
    pub fn to_spki_der(&self) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), &self.sec1].concat()
    }

    /// The key's name in records: SM3 of its `SubjectPublicKeyInfo`.
    pub fn key_id(&self) -> [u8; 32] {
        sm3(&[&SPKI_PREFIX, &self.sec1])
    }

    /// The Z value: SM3(ENTL ‖ ID ‖ a ‖ b ‖ xG ‖ yG ‖ xA ‖ yA) (GB/T 32918.2-2016 §5.5).
    ///
    /// Worth keeping for a key that verifies many signatures: it costs as much as hashing a short message.
    pub fn z_value(&self, id: &DistinguishingId) -> ZValue {
        ZValue(sm3(&[&id.entl(), id.as_bytes(), &CURVE, &self.sec1[1..]]))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        self.sec1.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(")")
    }
}

/// A distinguishing id was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a distinguishing id is at most 8191 octets: its bit length must fit 16 bits")]
pub struct IdError;

/// The signer's distinguishing id, which the Z value binds to the key (GB/T 32918.2-2016 §5.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistinguishingId(Vec<u8>);

impl DistinguishingId {
    pub fn new(octets: impl Into<Vec<u8>>) -> Result<Self, IdError> {
        let octets = octets.into();
        if octets.len() <= 8191 { Ok(Self(octets)) } else { Err(IdError) }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn entl(&self) -> [u8; 2] {
        // At most 8191 octets by construction, so the bit length fits.
        u16::try_from(self.0.len() * 8).unwrap_or(u16::MAX).to_be_bytes()
    }
}

impl Default for DistinguishingId {
    /// `1234567812345678`, the default of GM/T 0009-2012 §10.
    fn default() -> Self {
        Self(b"1234567812345678".to_vec())
    }
}

/// What a signer's key and distinguishing id put before every message: see [`PublicKey::z_value`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZValue([u8; 32]);

impl ZValue {
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The digest that SM2 signs: SM3(Z ‖ M). A type of its own, so that a bare SM3 of a message is never taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct E([u8; 32]);

impl E {
    /// The digest of a message given in slices.
    pub fn of_message(key: &PublicKey, id: &DistinguishingId, message: &[&[u8]]) -> Self {
        let mut hasher = MessageHasher::new(key, id);
        for part in message {
            hasher.update(part);
        }
        hasher.finish()
    }

    /// The digests of many messages at once, each with its signer's Z value and given in slices. Where `digests` is shorter than `messages`, the
    /// messages beyond it are not looked at.
    pub fn of_messages(messages: &[(ZValue, &[&[u8]])], digests: &mut [Self]) {
        let messages = messages.iter().map(|(z, message)| Parts { head: &z.0, rest: message });
        hash_many(messages, digests.iter_mut().map(|digest| &mut digest.0));
    }

    /// Takes a digest that a peer computed, for example one that came over the worker's socket.
    pub const fn from_digest(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Computes an [`E`] step by step.
#[derive(Debug, Clone)]
pub struct MessageHasher(Sm3);

impl MessageHasher {
    pub fn new(key: &PublicKey, id: &DistinguishingId) -> Self {
        Self::with_z(&key.z_value(id))
    }

    pub fn with_z(z: &ZValue) -> Self {
        let mut hasher = Sm3::new();
        hasher.update(&z.0);
        Self(hasher)
    }

    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    pub fn finish(self) -> E {
        E(self.0.finish())
    }
}
