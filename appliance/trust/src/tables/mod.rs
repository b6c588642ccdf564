//! Tables of the multiples of keys that are met often, within a limit of memory.
//!
//! A *kept* key is one of the platform's or our own: authorities, pinned signers, our signing certificate, the platform's
//! encryption certificate. Its table is made as soon as the key is known and goes only when nobody names the key any more.
//! A *passing* key is anybody's. It gets a table after so many valid signatures that making one costs no more than they
//! did, within a share of the memory, in the place of the passing key that was used least lately. So a stranger can neither
//! push out a kept key nor have more work done for it than its signatures cost anyway.

mod kept;
mod maker;
mod memory;
mod sightings;
mod stock;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use yanqian_sm::{EncryptionKey, FixedKey, PublicKey};

pub use kept::{KeyOwner, KnownKeys};
pub use memory::Tabled;
pub use stock::{KeyClass, KeyUse};

use maker::Maker;
use memory::Memory;
use sightings::Sightings;
use stock::{Entry, Name, Stock, Table};

/// A public key as `04 ‖ x ‖ y`.
type Point = [u8; 65];

/// Uses of a passing key before it gets a table, which takes about as long to make as this many verifications without
/// one.
const SEEN_OFTEN: u32 = 32;

/// The part of the memory that passing keys may take: one in this many octets.
const PASSING_PART: usize = 4;

/// What tables there are, and how much they were of use. Counts are since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Tables by [`KeyUse`] and [`KeyClass`], each in the order of its `ALL`.
    pub held: [[u64; 2]; 2],
    /// Octets that tables take, those in the making included, and octets that they may take.
    pub octets: u64,
    pub limit: u64,
    /// Lookups by [`KeyUse`] that found a table, and that found none.
    pub hits: [u64; 2],
    pub misses: [u64; 2],
    /// Tables of passing keys that had to go. Those of kept keys never have to.
    pub evictions: u64,
    /// Tables of kept keys for which there was no room.
    pub unplaced: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tables {
    memory: Arc<Memory>,
    stock: RwLock<Stock>,
    sightings: Mutex<Sightings>,
    maker: Maker,
    /// Counts lookups and new tables: the age of an entry.
    clock: AtomicU64,
    hits: [AtomicU64; 2],
    misses: [AtomicU64; 2],
    evictions: AtomicU64,
    unplaced: AtomicU64,
}

/// Takes a name off the list of those in the making, whatever became of it.
struct Making<'a>(&'a Tables, Name);

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.write().making.remove(&self.1);
    }
}

impl Tables {
    /// `limit` is in octets. The curve's own generator has tables besides.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            memory: Memory::new(limit),
            stock: RwLock::default(),
            sightings: Mutex::default(),
            maker: Maker::start(),
            clock: AtomicU64::new(0),
            hits: Default::default(),
            misses: Default::default(),
            evictions: AtomicU64::new(0),
            unplaced: AtomicU64::new(0),
        })
    }

    // Nothing below leaves stock or sightings half changed, so a lock that a panic poisoned is as good as any.

    fn read(&self) -> RwLockReadGuard<'_, Stock> {
        self.stock.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Stock> {
        self.stock.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table for verifying under a key. The lock is let go before it is used.
    pub(crate) fn verifying(&self, key: &PublicKey) -> Option<Arc<Tabled<FixedKey>>> {
        self.find(KeyUse::Verify, key, |table| match table {
            Table::Verify(table) => Some(Arc::clone(table)),
            Table::Seal(_) => None,
        })
    }

    /// The table for sealing to a key.
    pub(crate) fn sealing(&self, key: &PublicKey) -> Option<Arc<Tabled<EncryptionKey>>> {
        self.find(KeyUse::Seal, key, |table| match table {
            Table::Seal(table) => Some(Arc::clone(table)),
            Table::Verify(_) => None,
        })
    }

    fn find<T>(&self, to: KeyUse, key: &PublicKey, take: impl FnOnce(&Table) -> Option<T>) -> Option<T> {
        let name = (to, key.to_sec1());
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let found = self.read().entries.get(&name).and_then(|entry| {
            entry.used.fetch_max(now, Ordering::Relaxed);
            take(&entry.table)
        });
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter[to as usize].fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Says which keys of an owner are kept, in the place of what was said before; their tables are made in the background.
    pub(crate) fn keep(self: &Arc<Self>, owner: KeyOwner, keys: &KnownKeys) {
        let octets = {
            let mut stock = self.write();
            stock.kept.set(owner, keys);
            stock.tried.clear();
            self.trim(&mut stock, 0);
            stock.kept.octets()
        };
        if octets > self.memory.limit() {
            let limit = self.memory.limit();
            tracing::warn!(octets, limit, "not every known key finds room for its table: raise the limit");
        }
        keys.sealing.iter().for_each(|key| self.want(KeyUse::Seal, key));
        keys.verifying.iter().for_each(|key| self.want(KeyUse::Verify, key));
    }

    /// A key was of use without a table: for a signature that is valid, or for sealing.
    pub(crate) fn sighted(self: &Arc<Self>, to: KeyUse, key: &PublicKey) {
        let name = (to, key.to_sec1());
        let first = {
            let stock = self.read();
            stock.kept.is_kept(to, &key.key_id()) && !stock.tried.contains(&name)
        };
        let often = || {
            let mut sightings = self.sightings.lock().unwrap_or_else(PoisonError::into_inner);
            sightings.count(&name, SEEN_OFTEN)
        };
        if first || often() {
            self.want(to, key);
        }
    }

    /// Has a table made, unless it is there or in the making or too many are.
    fn want(self: &Arc<Self>, to: KeyUse, key: &PublicKey) {
        let name = (to, key.to_sec1());
        {
            let mut stock = self.write();
            let waiting = stock.making.len() >= maker::WAITING;
            if waiting || stock.entries.contains_key(&name) || !stock.making.insert(name) {
                return;
            }
            if stock.kept.is_kept(to, &key.key_id()) {
                // Kept names are as many as the configuration says, so this is bounded.
                stock.tried.insert(name);
            }
        }
        let (tables, key) = (Arc::downgrade(self), *key);
        let given = self.maker.give(move || {
            if let Some(tables) = tables.upgrade() {
                tables.make(to, &key);
            }
        });
        if !given {
            let mut stock = self.write();
            stock.making.remove(&name);
            stock.tried.remove(&name);
        }
    }

    fn make(&self, to: KeyUse, key: &PublicKey) {
        let name = (to, key.to_sec1());
        let making = Making(self, name);
        let id = key.key_id();
        let Some(share) = self.room(to, &id) else { return };
        let table = match to {
            KeyUse::Verify => Table::Verify(Arc::new(Tabled::new(FixedKey::new(key), share))),
            KeyUse::Seal => Table::Seal(Arc::new(Tabled::new(EncryptionKey::new(key), share))),
        };
        let used = AtomicU64::new(self.clock.fetch_add(1, Ordering::Relaxed));
        let mut stock = self.write();
        stock.entries.insert(name, Entry { table, id, used });
        // What is kept may have changed meanwhile.
        self.trim(&mut stock, 0);
        drop(stock);
        drop(making);
    }

    /// Memory for a table, at the cost of passing keys.
    fn room(&self, to: KeyUse, id: &[u8; 32]) -> Option<memory::Share> {
        let mut stock = self.write();
        if !stock.kept.is_kept(to, id) {
            if to.octets() > self.passing_limit() {
                return None;
            }
            self.trim(&mut stock, to.octets());
        }
        loop {
            if let Some(share) = self.memory.take(to.octets()) {
                return Some(share);
            }
            if !self.evict(&mut stock) {
                // Passing keys are owed nothing, and who allows no memory wants no tables.
                let missed = self.memory.limit() > 0 && stock.kept.is_kept(to, id);
                self.unplaced.fetch_add(missed.into(), Ordering::Relaxed);
                return None;
            }
        }
    }

    fn passing_limit(&self) -> usize {
        self.memory.limit() / PASSING_PART
    }

    /// Evicts passing keys until their tables and `more` octets fit into their share.
    fn trim(&self, stock: &mut Stock, more: usize) {
        while stock.passing_octets().saturating_add(more) > self.passing_limit() && self.evict(stock) {}
    }

    /// Evicts the passing key that was used least lately; false when there is none.
    fn evict(&self, stock: &mut Stock) -> bool {
        let evicted = stock.evict_passing();
        self.evictions.fetch_add(u64::from(evicted), Ordering::Relaxed);
        evicted
    }

    pub(crate) fn stats(&self) -> TableStats {
        let counts = |counters: &[AtomicU64; 2]| counters.each_ref().map(|counter| counter.load(Ordering::Relaxed));
        TableStats {
            held: self.read().held(),
            octets: self.memory.used() as u64,
            limit: self.memory.limit() as u64,
            hits: counts(&self.hits),
            misses: counts(&self.misses),
            evictions: self.evictions.load(Ordering::Relaxed),
            unplaced: self.unplaced.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests;
