use hmac::{Hmac, KeyInit, Mac};
use sm3::Digest;

/// Incremental SM3 (GB/T 32905-2016).
#[derive(Clone, Default)]
pub struct Sm3(sm3::Sm3);

impl std::fmt::Debug for Sm3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
