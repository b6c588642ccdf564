//! Verification of many signatures, as many together as the processor likes.

use crate::arch::Adx;
use crate::backend::Backend;
use crate::batch_affine;
use crate::engine::{Equation, KEY_WIDTH, Verdicts};
use crate::field::Portable;
use crate::key::{E, PublicKey};
use crate::point::Affine;
use crate::signature::Signature;
use crate::table::Table;
use crate::verify::{FixedKey, Untabled, VerifyingKey, eight, fixed_holds, generator, untabled_holds};

/// A key of a [`BatchItem`].
#[derive(Debug, Clone, Copy)]
pub enum KeyRef<'a> {
    /// Without anything.
    Plain(&'a PublicKey),
    /// With its first odd multiples.
    Prepared(&'a VerifyingKey),
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
    let mut untabled = Group::new(LANES);
    for (place, item) in items.iter().enumerate().take(verdicts.len()) {
        let Some(equation) = Equation::new(item.e.as_bytes(), &item.signature.r, &item.signature.s) else { continue };
        match item.key {
            KeyRef::Fixed(key) => fixed.push(place, &key.table, equation),
            KeyRef::Plain(key) => untabled.push(place, Untabled::Plain(&key.point), equation),
            KeyRef::Prepared(key) => untabled.push(place, Untabled::Prepared(&key.multiples), equation),
        }
        if fixed.is_full() {
            fixed.settle(verdicts, fixed_together, fixed_holds);
        }
        if untabled.is_full() {
            untabled.settle(verdicts, untabled_together, untabled_holds);
        }
    }
    fixed.settle(verdicts, fixed_together, fixed_holds);
    untabled.settle(verdicts, untabled_together, untabled_holds);
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

fn untabled_together(keys: &[Untabled<'_>], equations: &[Equation]) -> Verdicts {
    match (eight(), keys.first()) {
        (Some(eight), Some(first)) if equations.len() > FEW => {
            let points: [&Affine; LANES] = core::array::from_fn(|lane| keys.get(lane).unwrap_or(first).point());
            eight.verify_plain(generator(), &points[..keys.len().min(LANES)], equations)
        }
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
struct Group<Key> {
    places: [usize; PLACES],
    keys: [Option<Key>; PLACES],
    equations: [Equation; PLACES],
    length: usize,
    enough: usize,
}

impl<Key: Copy> Group<Key> {
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

    fn push(&mut self, place: usize, key: Key, equation: Equation) {
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
        together: impl Fn(&[Key], &[Equation]) -> Verdicts,
        alone: impl Fn(Key, &Equation) -> bool,
    ) {
        let Some(first) = self.keys[0] else { return };
        let keys = self.keys.map(|key| key.unwrap_or(first));
        let found = together(&keys[..self.length], &self.equations[..self.length]);
        for (number, (key, equation)) in keys.into_iter().zip(&self.equations).enumerate().take(self.length) {
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
