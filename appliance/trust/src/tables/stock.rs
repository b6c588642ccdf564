use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use yanqian_sm::{EncryptionKey, FixedKey};

use super::Point;
use super::kept::Kept;
use super::memory::Tabled;

/// What a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyUse {
    Verify,
    Seal,
}

impl KeyUse {
    pub const ALL: [Self; 2] = [Self::Verify, Self::Seal];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Seal => "seal",
        }
    }

    /// Octets of a table.
    pub const fn octets(self) -> usize {
        match self {
            Self::Verify => FixedKey::TABLE_OCTETS,
            Self::Seal => EncryptionKey::TABLE_OCTETS,
        }
    }
}

/// Whose key a table is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyClass {
    Kept,
    Passing,
}

impl KeyClass {
    pub const ALL: [Self; 2] = [Self::Kept, Self::Passing];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Passing => "passing",
        }
    }
}

/// A table's name in the stock.
pub(super) type Name = (KeyUse, Point);

#[derive(Debug)]
pub(super) enum Table {
    Verify(Arc<Tabled<FixedKey>>),
    Seal(Arc<Tabled<EncryptionKey>>),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) table: Table,
    /// SM3 of the key's `SubjectPublicKeyInfo`.
    pub(super) id: [u8; 32],
    /// When it was last looked up, in lookups.
    pub(super) used: AtomicU64,
}

/// The tables that there are and those to come.
#[derive(Debug, Default)]
pub(super) struct Stock {
    pub(super) entries: HashMap<Name, Entry>,
    pub(super) kept: Kept,
    pub(super) making: HashSet<Name>,
    /// Kept keys for which a table was asked for since their owner last named them: not at every sighting again.
    pub(super) tried: HashSet<Name>,
}

impl Stock {
    fn class(&self, name: &Name, entry: &Entry) -> KeyClass {
        if self.kept.is_kept(name.0, &entry.id) { KeyClass::Kept } else { KeyClass::Passing }
    }

    fn passing(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.entries.iter().filter(|(name, entry)| self.class(name, entry) == KeyClass::Passing)
    }

    pub(super) fn passing_octets(&self) -> usize {
        self.passing().map(|(name, _)| name.0.octets()).sum()
    }

    pub(super) fn evict_passing(&mut self) -> bool {
        let oldest = self.passing().min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed)).map(|(name, _)| *name);
        oldest.and_then(|name| self.entries.remove(&name)).is_some()
    }

    pub(super) fn held(&self) -> [[u64; 2]; 2] {
        let mut held = [[0; 2]; 2];
        for (name, entry) in &self.entries {
            held[name.0 as usize][self.class(name, entry) as usize] += 1;
        }
        held
    }
}
