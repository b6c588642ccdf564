//! A disk in memory that does to unsynced data what a real one may do.
//!
//! Every write and every change of names is pending until it is synced. A power failure keeps an arbitrary part of what
//! is pending, sector by sector; a killed process keeps all of it. Any operation can be made to fail.

mod operations;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

const SECTOR: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails and has no effect.
    Error,
    /// A write stops half-way and fails; other operations fail without effect.
    Half,
    /// The operation says that the disk is full and has no effect.
    Full,
    /// The operation takes effect, and then says that the disk is full.
    FullAfter,
    /// The operation fails, and so does every later one: the machine is gone.
    Crash,
    /// Like `Crash`, after the operation took effect.
    CrashAfter,
}

#[derive(Debug, Clone)]
enum Pending {
    Write { at: usize, octets: Vec<u8> },
    Length(usize),
}

#[derive(Debug, Clone, Default)]
struct Data {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
    reserved: u64,
}

#[derive(Debug, Clone)]
enum NameChange {
    Set(String, usize),
    Remove(String),
    Rename(String, String),
}

#[derive(Debug, Default)]
struct Inner {
    files: Vec<Data>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    stamp: i64,
    operations: u64,
    faults: BTreeMap<u64, Fault>,
    crashed: bool,
    capacity: Option<u64>,
    cannot_reserve: bool,
    syncs_are_lies: bool,
}

/// Handles share one disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Mutex<Inner>>);

/// xorshift64*: enough to choose which sectors survive.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = if self.0 == 0 { 0x9e37_79b9_7f4a_7c15 } else { self.0 };
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        (self.next() >> 33).is_multiple_of(n)
    }
}

fn put(file: &mut Vec<u8>, at: usize, octets: &[u8]) {
    if file.len() < at + octets.len() {
        file.resize(at + octets.len(), 0);
    }
    file[at..at + octets.len()].copy_from_slice(octets);
}

fn apply_name(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Set(name, file) => {
            names.insert(name.clone(), *file);
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
        NameChange::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
    }
}

impl SimDisk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Operations that change something, so far.
    pub fn operations(&self) -> u64 {
        self.inner().operations
    }

    /// The operation with this number, counted from now, fails so.
    pub fn fail_in(&self, operations: u64, fault: Fault) {
        let mut inner = self.inner();
        let at = inner.operations + operations;
        inner.faults.insert(at, fault);
    }

    /// Octets that files may take; `None` for no limit.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.inner().capacity = capacity;
    }

    /// From now on space cannot be reserved, as on some network file systems.
    pub fn refuse_to_reserve(&self) {
        self.inner().cannot_reserve = true;
    }

    /// From now on syncs succeed and make nothing durable, as some disks' caches do.
    pub fn lie_about_syncs(&self) {
        self.inner().syncs_are_lies = true;
    }

    pub fn used(&self) -> u64 {
        self.inner().used()
    }

    /// Nothing is written any more: the moment of a death, before it is known what survives.
    pub fn freeze(&self) {
        self.inner().crashed = true;
    }

    /// The process is gone and the machine is not: everything written is there.
    pub fn kill(&self) {
        let mut inner = self.inner();
        inner.crashed = false;
        inner.faults.clear();
    }

    /// The machine is gone: of what was pending, chance keeps a part.
    pub fn power_failure(&self, chance: &mut Chance) {
        let mut inner = self.inner();
        let inner = &mut *inner;
        let mut names = inner.durable_names.clone();
        for change in &inner.pending_names {
            if chance.one_in(2) {
                apply_name(&mut names, change);
            }
        }
        for data in &mut inner.files {
            for pending in std::mem::take(&mut data.pending) {
                match pending {
                    Pending::Length(length) => {
                        if chance.one_in(2) {
                            data.durable.resize(length, 0);
                        }
                    }
                    Pending::Write { at, octets } => {
                        for (i, sector) in octets.chunks(SECTOR).enumerate() {
                            if chance.one_in(2) {
                                put(&mut data.durable, at + i * SECTOR, sector);
                            }
                        }
                    }
                }
            }
            data.live = data.durable.clone();
            data.reserved = 0;
        }
        inner.names = names.clone();
        inner.durable_names = names;
        inner.pending_names.clear();
        inner.crashed = false;
        inner.faults.clear();
        inner.stamp += 1;
    }

    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let inner = self.inner();
        inner.names.get(name).map(|file| inner.files[*file].live.clone())
    }

    /// Names of the segment files, oldest first.
    pub fn segments(&self) -> Vec<String> {
        let inner = self.inner();
        inner.names.keys().filter(|name| yanqian_evidence::segment::number_of(name).is_some()).cloned().collect()
    }

    /// Changes a file behind the ledger's back; durable at once.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.inner();
        let file = inner.names[name];
        let data = &mut inner.files[file];
        change(&mut data.live);
        data.durable = data.live.clone();
        data.pending.clear();
    }

    /// Removes a name behind the ledger's back.
    pub fn delete(&self, name: &str) {
        let mut inner = self.inner();
        inner.names.remove(name);
        inner.durable_names.remove(name);
        inner.stamp += 1;
    }

    /// Puts a copy of the file in its place, as an editor would.
    pub fn replace(&self, name: &str) {
        let mut inner = self.inner();
        let file = inner.names[name];
        let data = inner.files[file].clone();
        inner.files.push(data);
        let copy = inner.files.len() - 1;
        inner.names.insert(name.to_owned(), copy);
        inner.durable_names.insert(name.to_owned(), copy);
        inner.stamp += 1;
    }
}

impl Inner {
    fn used(&self) -> u64 {
        let size = |file: &usize| self.files[*file].reserved.max(self.files[*file].live.len() as u64);
        self.names.values().map(size).sum()
    }

    fn has_room(&self, file: usize, length: u64) -> bool {
        let now = self.files[file].reserved.max(self.files[file].live.len() as u64);
        self.capacity.is_none_or(|capacity| self.used() - now + length.max(now) <= capacity)
    }

    /// Counts an operation; gives the fault that hits it.
    fn begin(&mut self) -> io::Result<Option<Fault>> {
        if self.crashed {
            return Err(io::Error::other("the machine is gone"));
        }
        let fault = self.faults.remove(&self.operations);
        self.operations += 1;
        self.crashed = matches!(fault, Some(Fault::Crash | Fault::CrashAfter));
        match fault {
            Some(Fault::Error | Fault::Crash) => Err(io::Error::other("injected")),
            Some(Fault::Full) => Err(io::ErrorKind::StorageFull.into()),
            fault => Ok(fault),
        }
    }
}
