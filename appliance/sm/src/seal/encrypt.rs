//! SM2 encryption. The ephemeral scalar and all that comes of it but the ciphertext are secret: see `secret` for how they are treated.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use once_cell::race::OnceBox;
use rand_core::TryCryptoRng;
use zeroize::Zeroizing;

use super::{SealError, Sm2Ciphertext};
use crate::arch::Adx;
use crate::backend::Backend;
use crate::digest::Sm3;
use crate::field::Portable;
use crate::key::PublicKey;
use crate::point::{Affine, GENERATOR};
use crate::secret::{Coordinates, SecretScalar, SecretTable, multiply_passing, multiply_tabled, nonzero};

/// Digits of the tables.
const WIDTH: usize = 6;
/// Octets of an SM3 digest.
const DIGEST: usize = 32;

type Table = SecretTable<WIDTH>;

fn table(point: &Affine) -> Table {
    match Backend::current() {
        Backend::Portable => Table::new::<Portable>(point),
        Backend::Adx | Backend::Ifma => Table::new::<Adx>(point),
    }
}

/// The generator's table: made at the first encryption.
fn generator() -> &'static Table {
    static TABLE: OnceBox<Table> = OnceBox::new();
    TABLE.get_or_init(|| Box::new(table(&GENERATOR)))
}

/// A recipient's public key with a table of its multiples: for a key to which much is encrypted. Several threads can use it at once.
///
/// The table takes [`Self::TABLE_OCTETS`] octets (88,064) and about as long to make as thirty encryptions under it, less than a
/// millisecond. The first encryption of a process also makes one for the curve's generator.
pub struct EncryptionKey {
    key: PublicKey,
    table: Table,
}

impl core::fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("EncryptionKey").field(&self.key).finish()
    }
}

impl EncryptionKey {
    /// Octets of the table.
    pub const TABLE_OCTETS: usize = Table::OCTETS;

    /// Tables the key's multiples.
    pub fn new(key: &PublicKey) -> Self {
        Self { key: *key, table: table(&key.point) }
    }

    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Encrypts a short message, such as a session key (GB/T 32918.4-2016 §6). The time that it takes depends on the message's length
    /// only.
    ///
    /// # Errors
    /// [`SealError::Encrypt`] where the message is empty or has more than 2³⁷ − 32 octets, or `rng` fails.
    pub fn encrypt<R: TryCryptoRng>(&self, message: &[u8], rng: &mut R) -> Result<Sm2Ciphertext, SealError> {
        let tables = [generator(), &self.table];
        encrypt(message, rng, |k| match Backend::current() {
            Backend::Portable => multiply_tabled::<Portable, WIDTH>(k, tables),
            Backend::Adx | Backend::Ifma => multiply_tabled::<Adx, WIDTH>(k, tables),
        })
    }
}

/// As [`EncryptionKey::encrypt`], to a key that is met once: no table is made, which takes about three times as long.
pub fn sm2_encrypt<R: TryCryptoRng>(key: &PublicKey, message: &[u8], rng: &mut R) -> Result<Sm2Ciphertext, SealError> {
    encrypt(message, rng, |k| match Backend::current() {
        Backend::Portable => multiply_passing::<Portable, WIDTH>(k, generator(), &key.point),
        Backend::Adx | Backend::Ifma => multiply_passing::<Adx, WIDTH>(k, generator(), &key.point),
    })
}

/// Encrypts, given what makes k·G and k·P.
fn encrypt<R: TryCryptoRng>(
    message: &[u8],
    rng: &mut R,
    multiply: impl Fn(&SecretScalar) -> [Coordinates; 2],
) -> Result<Sm2Ciphertext, SealError> {
    // The counter of the key derivation has 32 bits and begins with 1.
    if message.is_empty() || u32::try_from(message.len().div_ceil(DIGEST)).is_err() {
        return Err(SealError::Encrypt);
    }
    loop {
        let k = SecretScalar::generate(rng).map_err(|_| SealError::Encrypt)?;
        let [c1, shared] = multiply(&k);
        let (sealed, usable) = assemble(message, &c1, &shared);
        // Tells of a scalar only that it was thrown away, which a message of an octet brings about once in 256 times.
        if usable != 0 {
            return Ok(sealed);
        }
    }
}

/// The ciphertext for k·G and k·P, and a mask that is 0 where it must not be used:
/// where the derived key is all zeros, because then C2 is the message.
/// All is made without asking which.
pub(crate) fn assemble(message: &[u8], c1: &Coordinates, shared: &Coordinates) -> (Sm2Ciphertext, u64) {
    let mut ciphertext = derive(shared, message.len());
    let usable = nonzero(ciphertext.iter().fold(0, |any, octet| any | u64::from(*octet)));
    let [keep, ..] = usable.to_le_bytes();
    for (octet, plain) in ciphertext.iter_mut().zip(message) {
        // What must not be used holds nothing of the message.
        *octet ^= plain & keep;
    }
    let (x2, y2) = shared.split_at(32);
    let mut hasher = Sm3::new();
    hasher.update(x2);
    hasher.update(message);
    hasher.update(y2);
    let mut sealed = Sm2Ciphertext { x: [0; 32], y: [0; 32], hash: hasher.finish(), ciphertext };
    sealed.x.copy_from_slice(&c1[..32]);
    sealed.y.copy_from_slice(&c1[32..]);
    (sealed, usable)
}

/// KDF(x2 ‖ y2, length) (GB/T 32918.4-2016 §5.4.3): SM3 of it and of a counter of four octets, as often as needed.
pub(super) fn derive(shared: &[u8; 64], length: usize) -> Vec<u8> {
    let mut key = vec![0; length];
    let mut hasher = Sm3::new();
    hasher.update(shared.as_slice());
    for (counter, chunk) in (1u32..=u32::MAX).zip(key.chunks_mut(DIGEST)) {
        let mut hasher = hasher.clone();
        hasher.update(&counter.to_be_bytes());
        let block = Zeroizing::new(hasher.finish());
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
    key
}
