use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sm3::Digest;
use zeroize::Zeroizing;

/// Incremental SM3 (GB/T 32905-2016).
#[derive(Clone, Default)]
pub struct Sm3(sm3::Sm3);

impl core::fmt::Debug for Sm3 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Sm3(..)")
    }
}

impl Sm3 {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The digest: 32 octets, big-endian words as the standard writes them.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// SM3 over the concatenation of `parts`.
pub fn sm3(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sm3::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// HMAC-SM3 (GB/T 15852.2) over the concatenation of `parts`, with a key of any length.
pub fn hmac_sm3(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of every length (RFC 2104 §2); the error type exists for other constructions.
    let Ok(mut mac) = Hmac::<sm3::Sm3>::new_from_slice(key) else { unreachable!("HMAC accepts keys of any length") };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// What HKDF expands to is at most 255 digests long (RFC 5869 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("HKDF-SM3 gives at most 8160 octets")]
pub struct TooLong;

/// HKDF with HMAC-SM3 (RFC 5869): what is extracted from a secret once, and expanded to keys as often as needed. Never printed.
#[derive(Clone)]
pub struct HkdfSm3(Hkdf<sm3::Sm3>);

impl core::fmt::Debug for HkdfSm3 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HkdfSm3(..)")
    }
}

impl HkdfSm3 {
    /// Octets of the pseudorandom key.
    pub const PRK_OCTETS: usize = 32;
    /// Octets that can be expanded for one `info`.
    pub const MOST_OCTETS: usize = 255 * 32;

    /// Extracts (RFC 5869 §2.2). An empty salt is as 32 octets of zero.
    pub fn extract(salt: &[u8], secret: &[u8]) -> Self {
        Self(Hkdf::new(Some(salt), secret))
    }

    /// Takes a pseudorandom key that was extracted before: 32 octets of full entropy, never a password or a shared secret as it is.
    pub fn from_prk(prk: &[u8; Self::PRK_OCTETS]) -> Self {
        // As long as a digest, which is all that is asked.
        let Ok(hkdf) = Hkdf::from_prk(prk) else { unreachable!("a pseudorandom key has 32 octets") };
        Self(hkdf)
    }

    /// Fills `out` (RFC 5869 §2.3). Different `info`, given in slices, makes independent keys.
    pub fn expand(&self, info: &[&[u8]], out: &mut [u8]) -> Result<(), TooLong> {
        self.0.expand_multi_info(info, out).map_err(|_| TooLong)
    }

    /// A key of `N` octets, wiped when dropped.
    pub fn key<const N: usize>(&self, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
        const { assert!(N <= Self::MOST_OCTETS) };
        let mut key = Zeroizing::new([0; N]);
        // Not too long: asserted above.
        let Ok(()) = self.expand(info, key.as_mut_slice()) else {
            unreachable!("the length was checked when compiled")
        };
        key
    }
}
