//! Verification under a key, tabled or not.

use alloc::boxed::Box;

use once_cell::race::OnceBox;

use crate::arch::Adx;
use crate::backend::Backend;
use crate::engine::{Equation, GENERATOR_WIDTH, KEY_WIDTH, verify_fixed, verify_generic};
use crate::field::Portable;
use crate::key::{E, PublicKey};
use crate::point::GENERATOR;
use crate::signature::Signature;
use crate::table::Table;

/// The signature does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the SM2 signature is not valid")]
pub struct VerifyError;

/// The generator's table: made at the first verification, which takes about as long as a hundred others.
fn generator() -> &'static Table<GENERATOR_WIDTH> {
    static TABLE: OnceBox<Table<GENERATOR_WIDTH>> = OnceBox::new();
    TABLE.get_or_init(|| Box::new(table(&GENERATOR)))
}

fn table<const WIDTH: usize>(point: &crate::point::Affine) -> Table<WIDTH> {
    match Backend::current() {
        Backend::Portable => Table::new::<Portable>(point),
        Backend::Adx | Backend::Ifma => Table::new::<Adx>(point),
    }
}

/// Verifies a signature over a digest (GB/T 32918.2-2016 §7.1). Variable time: everything here is public.
pub fn verify(key: &PublicKey, e: &E, signature: &Signature) -> Result<(), VerifyError> {
    let equation = Equation::new(e.as_bytes(), &signature.r, &signature.s).ok_or(VerifyError)?;
    let holds = match Backend::current() {
        Backend::Portable => verify_generic::<Portable>(generator(), &key.point, &equation),
        Backend::Adx | Backend::Ifma => verify_generic::<Adx>(generator(), &key.point, &equation),
    };
    if holds { Ok(()) } else { Err(VerifyError) }
}

/// A public key with a table of its multiples: for a key that verifies many signatures.
pub struct FixedKey {
    key: PublicKey,
    table: Table<KEY_WIDTH>,
}

impl core::fmt::Debug for FixedKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("FixedKey").field(&self.key).finish()
    }
}

impl FixedKey {
    /// Octets of the table.
    pub const TABLE_OCTETS: usize = Table::<KEY_WIDTH>::OCTETS;

    /// Tables the key's multiples.
    pub fn new(key: &PublicKey) -> Self {
        Self { key: *key, table: table(&key.point) }
    }

    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// As [`verify`].
    pub fn verify(&self, e: &E, signature: &Signature) -> Result<(), VerifyError> {
        let equation = Equation::new(e.as_bytes(), &signature.r, &signature.s).ok_or(VerifyError)?;
        let holds = match Backend::current() {
            Backend::Portable => verify_fixed::<Portable>(generator(), &self.table, &equation),
            Backend::Adx | Backend::Ifma => verify_fixed::<Adx>(generator(), &self.table, &equation),
        };
        if holds { Ok(()) } else { Err(VerifyError) }
    }
}
