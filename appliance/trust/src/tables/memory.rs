use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Octets that tables may take in all. What is taken comes back when the last user of a table lets it go, not when the
/// table is taken out of the stock: the limit holds for memory, not for bookkeeping.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: usize,
    used: AtomicUsize,
}

impl Memory {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    pub(crate) const fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// Takes so many octets; none when they are not there.
    pub(crate) fn take(self: &Arc<Self>, octets: usize) -> Option<Share> {
        let fits = |used: usize| used.checked_add(octets).filter(|used| *used <= self.limit);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        Some(Share { memory: Arc::clone(self), octets })
    }
}

/// Octets taken of a [`Memory`] until this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Arc<Memory>,
    octets: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.octets, Ordering::AcqRel);
    }
}

/// A key with its table, and the memory that it takes.
#[derive(Debug)]
pub struct Tabled<T> {
    key: T,
    _share: Share,
}

impl<T> Tabled<T> {
    pub(crate) const fn new(key: T, share: Share) -> Self {
        Self { key, _share: share }
    }
}

impl<T> Deref for Tabled<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_more_is_given_than_there_is_and_what_is_let_go_comes_back() {
        let memory = Memory::new(100);
        let first = memory.take(60).unwrap();
        assert!(memory.take(41).is_none() && memory.take(usize::MAX).is_none());
        let second = Tabled::new("table", memory.take(40).unwrap());
        assert_eq!(memory.used(), 100);
        drop(first);
        assert_eq!((memory.used(), *second), (40, "table"));
        drop(second);
        assert_eq!(memory.used(), 0);
    }
}
