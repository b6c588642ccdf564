//! The tests' end of the directory: gives orders, ends them, reads what was counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::channel::{CALLS, ORDERS, tickets};
use crate::function::Function;
use crate::order::Order;

/// Drives the module behind a directory. Nothing else may write its orders meanwhile.
#[derive(Debug)]
pub struct Chaos {
    directory: PathBuf,
    orders: Mutex<Vec<(u64, Order)>>,
}

/// An order that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given(u64);

impl Chaos {
    /// Takes a directory that exists and that the application may write to; earlier orders there end.
    pub fn at(directory: impl Into<PathBuf>) -> std::io::Result<Self> {
        let chaos = Self { directory: directory.into(), orders: Mutex::default() };
        chaos.end_all()?;
        Ok(chaos)
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn orders(&self) -> MutexGuard<'_, Vec<(u64, Order)>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an order. It counts from the next call on, in running processes and in those to come.
    pub fn give(&self, order: Order) -> std::io::Result<Given> {
        order.check().map_err(std::io::Error::other)?;
        let mut orders = self.orders();
        // Never one that was used before, in this directory's whole life: counts of an order stay its own.
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let fresh = u64::try_from(time).unwrap_or(u64::MAX / 2);
        let id = orders.last().map_or(0, |(last, _)| last + 1).max(fresh);
        orders.push((id, order));
        self.write(&orders)?;
        Ok(Given(id))
    }

    /// Ends one order.
    pub fn end(&self, given: Given) -> std::io::Result<()> {
        let mut orders = self.orders();
        orders.retain(|(id, _)| *id != given.0);
        self.write(&orders)
    }

    /// Ends all orders.
    pub fn end_all(&self) -> std::io::Result<()> {
        let mut orders = self.orders();
        orders.clear();
        self.write(&orders)
    }

    /// At once for every reader.
    fn write(&self, orders: &[(u64, Order)]) -> std::io::Result<()> {
        let text: String = orders.iter().map(|(id, order)| order.line(*id) + "\n").collect();
        let temporary = self.directory.join("orders.new");
        std::fs::write(&temporary, text)?;
        std::fs::rename(temporary, self.directory.join(ORDERS))
    }

    /// Calls that the order was asked about, those before its first and after its last included.
    pub fn asked(&self, given: Given) -> u64 {
        tickets(&self.directory, given.0).metadata().map_or(0, |data| data.len())
    }

    /// Every call so far, in all processes.
    pub fn calls(&self) -> std::io::Result<Calls> {
        match std::fs::read(self.directory.join(CALLS)) {
            Ok(octets) => Ok(Calls(octets)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Calls(Vec::new())),
            Err(error) => Err(error),
        }
    }
}

/// Calls in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls(Vec<u8>);

impl Calls {
    /// Calls of one function.
    pub fn of(&self, function: Function) -> usize {
        let is_it = |octet: &u8| usize::from(*octet == function as u8);
        self.0.iter().map(is_it).sum()
    }

    /// All calls.
    pub fn total(&self) -> usize {
        self.0.len()
    }

    /// What came after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self(self.0.get(earlier.0.len()..).unwrap_or_default().to_vec())
    }

    /// Counts of the functions that were called.
    pub fn by_function(&self) -> BTreeMap<Function, usize> {
        let counts = Function::ALL.iter().map(|function| (*function, self.of(*function)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}
