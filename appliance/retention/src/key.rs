use std::fmt;

use yanqian_sm::sm3;
use zeroize::Zeroizing;

const LABEL: &[u8] = b"yanqian archive key\n";

/// 32 octets that seal and open the objects of an archive.
pub struct ArchiveKey {
    id: [u8; 16],
    secret: Zeroizing<[u8; 32]>,
}

/// A key file holds something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits")]
pub struct KeyError;

impl ArchiveKey {
    pub fn new(secret: Zeroizing<[u8; 32]>) -> Self {
        let hash = Zeroizing::new(sm3(&[LABEL, secret.as_slice()]));
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self { id, secret }
    }

    /// From 64 hexadecimal digits, with white space around them or none.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), secret.as_mut_slice()).map_err(|_| KeyError)?;
        Ok(Self::new(secret))
    }

    /// The first 16 octets of SM3(`yanqian archive key` ‖ 0x0A ‖ key): names the key and tells nothing of it.
    pub const fn id(&self) -> &[u8; 16] {
        &self.id
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl fmt::Debug for ArchiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArchiveKey({})", hex::encode(self.id))
    }
}

/// The key that seals, and those that only open what was sealed before it.
#[derive(Debug)]
pub struct ArchiveKeys {
    pub current: ArchiveKey,
    pub former: Vec<ArchiveKey>,
}

impl ArchiveKeys {
    pub(crate) fn find(&self, id: &[u8; 16]) -> Option<&ArchiveKey> {
        std::iter::once(&self.current).chain(&self.former).find(|key| key.id == *id)
    }
}
