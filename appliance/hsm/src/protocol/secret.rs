use std::fmt;

use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use super::MAX_OPENED;

/// Octets that must not be printed; wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub fn new(octets: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self(octets.into())
    }

    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<C> Encode<C> for Secret {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Secret {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = d.position();
        let octets = d.bytes()?;
        if octets.len() > MAX_OPENED {
            return Err(minicbor::decode::Error::message("a secret of too many octets").at(at));
        }
        Ok(Self::new(octets.to_vec()))
    }
}
