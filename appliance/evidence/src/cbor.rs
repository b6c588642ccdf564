//! How the vocabulary's types stand in CBOR, for `#[cbor(with = "crate::cbor")]` on a field (and `has_nil` on an optional one).
//!
//! Words and ids are text strings spelled as everywhere else, digests and ids of fixed length are byte strings, times
//! are unsigned integers (UTC milliseconds since 1970). An absent optional field has no key in its map.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::decode::{Decoder, Error as DecodeError};
use minicbor::encode::{Encoder, Error as EncodeError, Write};
use yanqian_vocabulary::{
    AgreementHash, CallerId, CertificateHash, Commitment, ContentDigest, DocumentType, EntityId, Field, FieldVerdict,
    KeyId, Mode, NodeId, Nonce, PlatformId, ProfileHash, PurposeCode, Reason, RuleId, SearchTag, Timestamp, TokenGrade,
    TrustHash, Verdict, VerificationId,
};

use crate::hash::{ChainValue, IdempotencyTag, SegmentHash, SignedDigest};
use crate::word::{Der, Label, Octets, Origin, PlatformSerial, SoftwareVersion};

pub(crate) trait Item: Sized {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), EncodeError<W::Error>>;

    fn take(d: &mut Decoder<'_>) -> Result<Self, DecodeError>;
}

pub(crate) fn encode<C, T: Item, W: Write>(
    value: &T,
    e: &mut Encoder<W>,
    _: &mut C,
) -> Result<(), EncodeError<W::Error>> {
    value.put(e)
}

pub(crate) fn decode<'b, C, T: Item + 'b>(d: &mut Decoder<'b>, _: &mut C) -> Result<T, DecodeError> {
    T::take(d)
}

/// An optional field, for `has_nil`. The derive macro asks for `Option<T>` in structs and `&Option<T>` in enums.
pub(crate) trait Optional {
    fn is_absent(&self) -> bool;
}

impl<T> Optional for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Optional for &Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

pub(crate) fn is_nil<T: Optional>(value: &T) -> bool {
    value.is_absent()
}

#[allow(clippy::option_option, clippy::unnecessary_wraps)] // the shape that the derive macro calls
pub(crate) fn nil<T>() -> Option<Option<T>> {
    Some(None)
}

impl<T: Item> Item for Option<T> {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), EncodeError<W::Error>> {
        match self {
            Some(value) => value.put(e),
            None => e.null()?.ok(),
        }
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        T::take(d).map(Some)
    }
}

/// A length announced by hostile octets must not reserve memory, so collections grow as items arrive.
fn count(length: Option<u64>, d: &Decoder<'_>) -> Result<u64, DecodeError> {
    length.ok_or_else(|| DecodeError::message("indefinite length").at(d.position()))
}

impl<T: Item> Item for Vec<T> {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), EncodeError<W::Error>> {
        e.array(u64::try_from(self.len()).unwrap_or(u64::MAX))?;
        self.iter().try_for_each(|item| item.put(e))
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let length = d.array()?;
        (0..count(length, d)?).map(|_| T::take(d)).collect()
    }
}

impl<T: Item + Ord> Item for BTreeSet<T> {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), EncodeError<W::Error>> {
        e.array(u64::try_from(self.len()).unwrap_or(u64::MAX))?;
        self.iter().try_for_each(|item| item.put(e))
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let length = d.array()?;
        (0..count(length, d)?).map(|_| T::take(d)).collect()
    }
}

/// An array of pairs in the keys' own order: a CBOR map would have to be sorted by its keys' spelling.
impl<K: Item + Ord, V: Item> Item for BTreeMap<K, V> {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), EncodeError<W::Error>> {
        e.array(u64::try_from(self.len()).unwrap_or(u64::MAX))?;
        self.iter().try_for_each(|(key, value)| {
            e.array(2)?;
            key.put(e)?;
            value.put(e)
        })
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let length = d.array()?;
        let pair = |d: &mut Decoder<'_>| {
            let at = d.position();
            if d.array()? != Some(2) {
                return Err(DecodeError::message("expected a pair").at(at));
            }
            Ok((K::take(d)?, V::take(d)?))
        };
        (0..count(length, d)?).map(|_| pair(d)).collect()
    }
}

impl Item for Timestamp {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), EncodeError<W::Error>> {
        e.u64(u64::try_from(self.unix_millis()).unwrap_or(0))?.ok()
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let at = d.position();
        let millis = i64::try_from(d.u64()?).map_err(|_| DecodeError::message("time out of range").at(at))?;
        Self::try_from_unix_millis(millis).map_err(|_| DecodeError::message("time out of range").at(at))
    }
}

impl Item for VerificationId {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), EncodeError<W::Error>> {
        e.bytes(self.as_bytes())?.ok()
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let at = d.position();
        Self::from_bytes(fixed(d)?).map_err(|_| DecodeError::message("not a UUID of version 7").at(at))
    }
}

fn fixed<const N: usize>(d: &mut Decoder<'_>) -> Result<[u8; N], DecodeError> {
    let at = d.position();
    d.bytes()?.try_into().map_err(|_| DecodeError::message("byte string of another length").at(at))
}

macro_rules! fixed_octets {
    ($($name:ident)*) => {$(
        impl Item for $name {
            fn put<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), EncodeError<W::Error>> {
                e.bytes(self.as_bytes())?.ok()
            }

            fn take(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                fixed(d).map(Self::new)
            }
        }
    )*};
}

fixed_octets! {
    AgreementHash CertificateHash ChainValue Commitment ContentDigest IdempotencyTag KeyId Nonce ProfileHash SearchTag
    SegmentHash SignedDigest TrustHash
}

macro_rules! texts {
    ($($name:ident: $as_str:ident, $parse:expr;)*) => {$(
        impl Item for $name {
            fn put<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), EncodeError<W::Error>> {
                e.str(self.$as_str())?.ok()
            }

            fn take(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                let at = d.position();
                let text = d.str()?;
                let parsed: Result<Self, _> = ($parse)(text);
                parsed.map_err(|_| DecodeError::message(concat!("not a ", stringify!($name))).at(at))
            }
        }
    )*};
}

texts! {
    CallerId: as_str, str::parse::<CallerId>;
    DocumentType: as_str, str::parse::<DocumentType>;
    EntityId: as_str, str::parse::<EntityId>;
    Field: as_str, str::parse::<Field>;
    FieldVerdict: as_str, str::parse::<FieldVerdict>;
    Label: as_str, Label::decoded;
    Mode: as_str, str::parse::<Mode>;
    NodeId: as_str, str::parse::<NodeId>;
    Origin: as_str, str::parse::<Origin>;
    PlatformId: as_str, str::parse::<PlatformId>;
    PlatformSerial: as_str, str::parse::<PlatformSerial>;
    PurposeCode: as_str, str::parse::<PurposeCode>;
    Reason: code, str::parse::<Reason>;
    RuleId: as_str, str::parse::<RuleId>;
    SoftwareVersion: as_str, str::parse::<SoftwareVersion>;
    TokenGrade: as_str, str::parse::<TokenGrade>;
    Verdict: as_str, str::parse::<Verdict>;
}

impl Item for Der {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), EncodeError<W::Error>> {
        e.bytes(self.as_bytes())?.ok()
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let at = d.position();
        Self::new(d.bytes()?).map_err(|_| DecodeError::message("not one DER value").at(at))
    }
}

impl Item for Octets {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), EncodeError<W::Error>> {
        e.bytes(self.as_bytes())?.ok()
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.bytes().map(Self::new)
    }
}
