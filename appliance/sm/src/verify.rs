//! Verification under a key, tabled or not, of one signature or of many.

use alloc::boxed::Box;

use once_cell::race::OnceBox;

use crate::arch::{Adx, Ifma};
use crate::backend::Backend;
use crate::batch_affine;
use crate::engine::{Equation, GENERATOR_WIDTH, KEY_WIDTH, Verdicts, verify_fixed, verify_generic};
use crate::field::Portable;
use crate::key::{E, PublicKey};
use crate::point::{Affine, GENERATOR};
use crate::signature::Signature;
use crate::table::Table;

/// The signature does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the SM2 signature is not valid")]
pub struct VerifyError;

/// The generator's table: made at the first verification, which takes about as long as thirty others.
fn generator() -> &'static Table<GENERATOR_WIDTH> {
    static TABLE: OnceBox<Table<GENERATOR_WIDTH>> = OnceBox::new();
    TABLE.get_or_init(|| Box::new(table(&GENERATOR)))
}

fn table<const WIDTH: usize>(point: &Affine) -> Table<WIDTH> {
    match Backend::current() {
        Backend::Portable => Table::new::<Portable>(point),
        Backend::Adx | Backend::Ifma => Table::new::<Adx>(point),
    }
}

fn plain_holds(key: &Affine, equation: &Equation) -> bool {
    match Backend::current() {
        Backend::Portable => verify_generic::<Portable>(generator(), key, equation),
        Backend::Adx | Backend::Ifma => verify_generic::<Adx>(generator(), key, equation),
    }
}

fn fixed_holds(key: &Table<KEY_WIDTH>, equation: &Equation) -> bool {
    match Backend::current() {
        Backend::Portable => verify_fixed::<Portable>(generator(), key, equation),
        Backend::Adx | Backend::Ifma => verify_fixed::<Adx>(generator(), key, equation),
    }
}

/// The eight-way code, where it is in use.
fn eight() -> Option<Ifma> {
    if Backend::current() == Backend::Ifma { Ifma::detect() } else { None }
}

/// Verifies a signature over a digest (GB/T 32918.2-2016 §7.1). Variable time: everything here is public.
pub fn verify(key: &PublicKey, e: &E, signature: &Signature) -> Result<(), VerifyError> {
    let equation = Equation::new(e.as_bytes(), &signature.r, &signature.s).ok_or(VerifyError)?;
    if plain_holds(&key.point, &equation) { Ok(()) } else { Err(VerifyError) }
}

/// A public key with a table of its multiples: for a key that verifies many signatures. Making it takes about as long as thirty
/// verifications without it; do that off the path of requests, and share it between threads.
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
        let holds = match eight().map(|eight| eight.verify_fixed(generator(), &[&self.table], &[equation])) {
            Some(Verdicts { unknown: 0, holds }) => holds != 0,
            _ => fixed_holds(&self.table, &equation),
        };
        if holds { Ok(()) } else { Err(VerifyError) }
    }
}

/// A key of a [`BatchItem`].
#[derive(Debug, Clone, Copy)]
pub enum KeyRef<'a> {
    /// Without a table.
    Plain(&'a PublicKey),
    /// With a table.
    Fixed(&'a FixedKey),
}

/// One signature of many.
#[derive(Debug, Clone, Copy)]
pub struct BatchItem<'a> {
    pub key: KeyRef<'a>,
    pub e: E,
    pub signature: Signature,
}

/// Verifies each item by itself and writes its verdict: whether the signature is valid. Keys may differ. Where `verdicts` is shorter than
/// `items`, the items beyond it are not looked at; where it is longer, what is beyond the items becomes false.
///
/// Signatures under [`FixedKey`]s gain from eight on, or from a few dozens where the processor has no AVX-512 IFMA; signatures under other keys
/// gain with it only.
pub fn verify_batch(items: &[BatchItem<'_>], verdicts: &mut [bool]) {
    verdicts.fill(false);
    let mut fixed = Group::new(fixed_group());
    let mut plain = Group::new(LANES);
    for (place, item) in items.iter().enumerate().take(verdicts.len()) {
        let Some(equation) = Equation::new(item.e.as_bytes(), &item.signature.r, &item.signature.s) else { continue };
        match item.key {
            KeyRef::Fixed(key) => fixed.push(place, &key.table, equation),
            KeyRef::Plain(key) => plain.push(place, &key.point, equation),
        }
        if fixed.is_full() {
            fixed.settle(verdicts, fixed_together, fixed_holds);
        }
        if plain.is_full() {
            plain.settle(verdicts, plain_together, plain_holds);
        }
    }
    fixed.settle(verdicts, fixed_together, fixed_holds);
    plain.settle(verdicts, plain_together, plain_holds);
}

/// How many signatures under tabled keys are best looked at together.
fn fixed_group() -> usize {
    if eight().is_some() { LANES } else { batch_affine::MANY }
}

fn fixed_together(keys: &[&Table<KEY_WIDTH>], equations: &[Equation]) -> Verdicts {
    match (eight(), Backend::current()) {
        (Some(eight), _) => eight.verify_fixed(generator(), keys, equations),
        _ if equations.len() <= batch_affine::FEW => Verdicts::UNKNOWN,
        (None, Backend::Portable) => batch_affine::verify_fixed::<Portable>(generator(), keys, equations),
        (None, _) => batch_affine::verify_fixed::<Adx>(generator(), keys, equations),
    }
}

fn plain_together(keys: &[&Affine], equations: &[Equation]) -> Verdicts {
    match eight() {
        Some(eight) if equations.len() > FEW => eight.verify_plain(generator(), keys, equations),
        _ => Verdicts::UNKNOWN,
    }
}

/// So few signatures under keys without tables are faster one by one.
const FEW: usize = 2;
/// Signatures side by side with AVX-512 IFMA.
const LANES: usize = 8;
/// Places of a group.
const PLACES: usize = batch_affine::MANY;

/// Signatures that wait until there are enough.
struct Group<'a, Key> {
    places: [usize; PLACES],
    keys: [Option<&'a Key>; PLACES],
    equations: [Equation; PLACES],
    length: usize,
    enough: usize,
}

impl<'a, Key> Group<'a, Key> {
    fn new(enough: usize) -> Self {
        Self {
            places: [0; PLACES],
            keys: [None; PLACES],
            equations: [Equation::EMPTY; PLACES],
            length: 0,
            enough: enough.min(PLACES),
        }
    }

    fn is_full(&self) -> bool {
        self.length == self.enough
    }

    fn push(&mut self, place: usize, key: &'a Key, equation: Equation) {
        if !self.is_full() {
            self.places[self.length] = place;
            self.keys[self.length] = Some(key);
            self.equations[self.length] = equation;
            self.length += 1;
        }
    }

    /// Judges what waits together and, what that does not know, one by one.
    fn settle(
        &mut self,
        verdicts: &mut [bool],
        together: impl Fn(&[&'a Key], &[Equation]) -> Verdicts,
        alone: impl Fn(&Key, &Equation) -> bool,
    ) {
        let Some(first) = self.keys[0] else { return };
        let keys = self.keys.map(|key| key.unwrap_or(first));
        let found = together(&keys[..self.length], &self.equations[..self.length]);
        for (number, (key, equation)) in keys.iter().zip(&self.equations).enumerate().take(self.length) {
            let known = found.unknown >> number & 1 == 0;
            let holds = if known { found.holds >> number & 1 == 1 } else { alone(key, equation) };
            if let Some(verdict) = verdicts.get_mut(self.places[number]) {
                *verdict = holds;
            }
        }
        self.keys[0] = None;
        self.length = 0;
    }
}
