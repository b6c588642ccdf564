//! Verification of one signature under a key, tabled or not.

use alloc::boxed::Box;

use once_cell::race::OnceBox;

use crate::arch::{Adx, Ifma};
use crate::backend::Backend;
use crate::engine::{
    Equation, GENERATOR_WIDTH, KEY_WIDTH, OddMultiples, Verdicts, verify_fixed, verify_generic, verify_prepared,
};
use crate::field::Portable;
use crate::key::{E, PublicKey};
use crate::point::{Affine, GENERATOR};
use crate::signature::Signature;
use crate::table::Table;

/// The signature does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the SM2 signature is not valid")]
pub struct VerifyError;

/// The generator's table: made at the first verification, which takes about as long as twenty others.
pub(crate) fn generator() -> &'static Table<GENERATOR_WIDTH> {
    static TABLE: OnceBox<Table<GENERATOR_WIDTH>> = OnceBox::new();
    TABLE.get_or_init(|| Box::new(table(&GENERATOR)))
}

fn table<const WIDTH: usize>(point: &Affine) -> Table<WIDTH> {
    match Backend::current() {
        Backend::Portable => Table::new::<Portable>(point),
        Backend::Adx | Backend::Ifma => Table::new::<Adx>(point),
    }
}

/// A key without a table.
#[derive(Clone, Copy)]
pub(crate) enum Untabled<'a> {
    Plain(&'a Affine),
    Prepared(&'a OddMultiples),
}

impl<'a> Untabled<'a> {
    pub(crate) fn point(self) -> &'a Affine {
        match self {
            Self::Plain(point) => point,
            Self::Prepared(multiples) => multiples.point(),
        }
    }
}

pub(crate) fn untabled_holds(key: Untabled<'_>, equation: &Equation) -> bool {
    match (Backend::current(), key) {
        (Backend::Portable, Untabled::Plain(key)) => verify_generic::<Portable>(generator(), key, equation),
        (Backend::Portable, Untabled::Prepared(key)) => verify_prepared::<Portable>(generator(), key, equation),
        (_, Untabled::Plain(key)) => verify_generic::<Adx>(generator(), key, equation),
        (_, Untabled::Prepared(key)) => verify_prepared::<Adx>(generator(), key, equation),
    }
}

pub(crate) fn fixed_holds(key: &Table<KEY_WIDTH>, equation: &Equation) -> bool {
    match Backend::current() {
        Backend::Portable => verify_fixed::<Portable>(generator(), key, equation),
        Backend::Adx | Backend::Ifma => verify_fixed::<Adx>(generator(), key, equation),
    }
}

/// The eight-way code, where it is in use.
pub(crate) fn eight() -> Option<Ifma> {
    if Backend::current() == Backend::Ifma { Ifma::detect() } else { None }
}

/// Verifies a signature over a digest (GB/T 32918.2-2016 §7.1). Variable time: everything here is public.
pub fn verify(key: &PublicKey, e: &E, signature: &Signature) -> Result<(), VerifyError> {
    let equation = Equation::new(e.as_bytes(), &signature.r, &signature.s).ok_or(VerifyError)?;
    if untabled_holds(Untabled::Plain(&key.point), &equation) { Ok(()) } else { Err(VerifyError) }
}

/// A public key with its first odd multiples, 2 KiB: for a key that is met more than once, but is not worth a [`FixedKey`]. Making it takes a
/// quarter of a verification, and each verification then an eighth less.
#[derive(Clone)]
pub struct VerifyingKey {
    key: PublicKey,
    pub(crate) multiples: OddMultiples,
}

impl core::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("VerifyingKey").field(&self.key).finish()
    }
}

impl VerifyingKey {
    pub fn new(key: &PublicKey) -> Self {
        let multiples = match Backend::current() {
            Backend::Portable => OddMultiples::new::<Portable>(&key.point),
            Backend::Adx | Backend::Ifma => OddMultiples::new::<Adx>(&key.point),
        };
        Self { key: *key, multiples }
    }

    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// As [`verify`].
    pub fn verify(&self, e: &E, signature: &Signature) -> Result<(), VerifyError> {
        let equation = Equation::new(e.as_bytes(), &signature.r, &signature.s).ok_or(VerifyError)?;
        if untabled_holds(Untabled::Prepared(&self.multiples), &equation) { Ok(()) } else { Err(VerifyError) }
    }
}

/// A public key with a table of its multiples: for a key that verifies many signatures. Making it takes about as long as twenty
/// verifications without it; do that off the path of requests, and share it between threads.
pub struct FixedKey {
    key: PublicKey,
    pub(crate) table: Table<KEY_WIDTH>,
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
        let holds = match eight().map(|eight| eight.verify_fixed(generator(), &[&self.table], &[equation])) {
            Some(Verdicts { unknown: 0, holds }) => holds != 0,
            _ => fixed_holds(&self.table, &equation),
        };
        if holds { Ok(()) } else { Err(VerifyError) }
    }
}
