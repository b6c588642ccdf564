//! Verifications under keys without a table that wait for each other are made together, and none waits for company.
//!
//! A caller who finds a place free verifies at once, by itself. One who does not joins a queue; whoever gives a place up
//! hands it to the first of the queue, who lets other threads have their turn once, and then verifies its own signature and
//! those that came behind it in one batch. So batches are as large as the load makes them, an idle verification costs no
//! timer and no other thread, and everybody is served in the order of arrival. A caller whose leader panics is told so and
//! verifies alone: nobody's verdict depends on another's fate.
//!
//! A signature under a tabled key takes less time than waking a thread does, so it never comes here.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use yanqian_sm::{BatchItem, E, KeyRef, PublicKey, Signature, verify, verify_batch};

/// Signatures of one batch at most: two rounds of the eight-way code, a few hundred microseconds.
pub(crate) const MAX_BATCH: usize = 16;
/// Callers that may wait at once; those beyond verify alone.
const MAX_WAITING: usize = 1024;

/// One signature to verify.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub(crate) key: PublicKey,
    pub(crate) e: E,
    pub(crate) signature: Signature,
}

/// What verifies: SM2, or in tests something that fails.
pub(crate) trait Engine: Send + Sync {
    fn one(&self, item: &Item) -> bool;
    fn many(&self, items: &[&Item], verdicts: &mut [bool]);
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sm2;

impl Engine for Sm2 {
    fn one(&self, item: &Item) -> bool {
        verify(&item.key, &item.e, &item.signature).is_ok()
    }

    fn many(&self, items: &[&Item], verdicts: &mut [bool]) {
        let batch: Vec<_> = items
            .iter()
            .map(|item| BatchItem { key: KeyRef::Plain(&item.key), e: item.e, signature: item.signature })
            .collect();
        verify_batch(&batch, verdicts);
    }
}

const WAITS: u8 = 0;
/// A place is free and is this caller's.
const LEADS: u8 = 1;
const VALID: u8 = 2;
const INVALID: u8 = 3;
/// Its leader did not come back with a verdict.
const ABANDONED: u8 = 4;

/// A caller in the queue.
#[derive(Debug)]
struct Waiter {
    item: Item,
    state: AtomicU8,
    thread: Thread,
}

impl Waiter {
    fn tell(&self, state: u8) {
        self.state.store(state, Ordering::Release);
        self.thread.unpark();
    }

    /// Sleeps until something was told.
    fn told(&self) -> u8 {
        loop {
            match self.state.load(Ordering::Acquire) {
                WAITS => thread::park(),
                state => return state,
            }
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    /// Places taken.
    leading: usize,
    waiting: VecDeque<Arc<Waiter>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Batcher<Way = Sm2> {
    engine: Way,
    places: usize,
    queue: Mutex<Queue>,
    /// How many batches there were of each size; the first is of those that were made alone.
    sizes: [AtomicU64; MAX_BATCH],
    /// How many ever waited.
    queued: AtomicU64,
}

/// What a caller has become.
enum Role {
    Leader,
    Waiting(Arc<Waiter>),
    Alone,
}

impl<Way: Engine> Batcher<Way> {
    /// `places` is how many verify at the same time before others wait.
    pub(crate) fn new(engine: Way, places: usize) -> Self {
        Self { engine, places, queue: Mutex::default(), sizes: Default::default(), queued: AtomicU64::new(0) }
    }

    // A panic elsewhere leaves the queue whole: nothing is called while it is locked.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the signature is valid. Blocks for as long as it and those before it take.
    pub(crate) fn verify(&self, item: &Item) -> bool {
        match self.enter(item) {
            Role::Leader => {
                let _place = Place(self);
                self.alone(item)
            }
            Role::Alone => self.alone(item),
            Role::Waiting(waiter) => match waiter.told() {
                LEADS => self.lead(&waiter),
                VALID => true,
                INVALID => false,
                _ => self.alone(&waiter.item),
            },
        }
    }

    fn enter(&self, item: &Item) -> Role {
        let mut queue = self.queue();
        if queue.leading < self.places {
            queue.leading += 1;
            return Role::Leader;
        }
        if queue.waiting.len() >= MAX_WAITING {
            return Role::Alone;
        }
        let waiter = Arc::new(Waiter { item: *item, state: AtomicU8::new(WAITS), thread: thread::current() });
        queue.waiting.push_back(Arc::clone(&waiter));
        self.queued.fetch_add(1, Ordering::Relaxed);
        Role::Waiting(waiter)
    }

    fn alone(&self, item: &Item) -> bool {
        self.count(1);
        self.engine.one(item)
    }

    /// Verifies for the first of the queue, which this caller was, and for those behind it.
    fn lead(&self, first: &Waiter) -> bool {
        let _place = Place(self);
        // There is load. Whoever runs next may have a signature too, and together they take a fraction of the time.
        thread::yield_now();
        let mut batch = {
            let mut queue = self.queue();
            let length = queue.waiting.len().min(MAX_BATCH - 1);
            Followers(queue.waiting.drain(..length).collect())
        };
        if batch.0.is_empty() {
            return self.alone(&first.item);
        }
        let items: Vec<_> = std::iter::once(&first.item).chain(batch.0.iter().map(|waiter| &waiter.item)).collect();
        let mut verdicts = [false; MAX_BATCH];
        self.count(items.len());
        self.engine.many(&items, &mut verdicts[..items.len()]);
        for (waiter, valid) in batch.0.drain(..).zip(&verdicts[1..]) {
            waiter.tell(if *valid { VALID } else { INVALID });
        }
        verdicts[0]
    }

    fn count(&self, size: usize) {
        if let Some(counter) = self.sizes.get(size.wrapping_sub(1)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.queue().waiting.len()
    }

    /// How many signatures had to wait since the start.
    pub(crate) fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// How many batches there were of 1, 2, 3 … signatures since the start.
    pub(crate) fn sizes(&self) -> [u64; MAX_BATCH] {
        self.sizes.each_ref().map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// A leader's place; whatever becomes of the leader, it goes to the first who waits.
struct Place<'a, Way: Engine>(&'a Batcher<Way>);

impl<Way: Engine> Drop for Place<'_, Way> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        match queue.waiting.pop_front() {
            Some(next) => {
                drop(queue);
                next.tell(LEADS);
            }
            None => queue.leading -= 1,
        }
    }
}

/// Those who wait for a leader's verdicts; if it has none for them, they hear that instead.
struct Followers(Vec<Arc<Waiter>>);

impl Drop for Followers {
    fn drop(&mut self) {
        for waiter in &self.0 {
            waiter.tell(ABANDONED);
        }
    }
}

#[cfg(test)]
mod tests;
