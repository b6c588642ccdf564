//! The bounded queue between connections and threads.
//!
//! Signatures and management wait apart, so that making a key, which some tokens do for seconds, delays no check.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Which jobs a thread takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Sign,
    Manage,
    /// Everything: for tokens that give one session only.
    Sole,
}

/// Which line a job waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Sign,
    Manage,
}

/// Management jobs that may wait; people and scripts ask them one by one.
const MANAGE_CAPACITY: usize = 16;

/// What a thread does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    Job(T),
    /// Bring the token back, before any other job. Told to the thread that manages.
    Recover,
    /// Nothing came until the thread's session should be used again.
    Idle,
}

pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    sign: Condvar,
    manage: Condvar,
    capacity: usize,
}

struct State<T> {
    sign: VecDeque<T>,
    manage: VecDeque<T>,
    recover: bool,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let state =
            State { sign: VecDeque::with_capacity(capacity), manage: VecDeque::new(), recover: false, closed: false };
        Self { state: Mutex::new(state), sign: Condvar::new(), manage: Condvar::new(), capacity }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // The lines stay whole whatever happened to a thread that held the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the job back when its line is full or the queue closed.
    pub(super) fn push(&self, line: Line, job: T) -> Result<(), T> {
        let mut state = self.state();
        let (jobs, capacity) = match line {
            Line::Sign => (&mut state.sign, self.capacity),
            Line::Manage => (&mut state.manage, MANAGE_CAPACITY),
        };
        if jobs.len() >= capacity {
            return Err(job);
        }
        jobs.push_back(job);
        if state.closed {
            let jobs = if line == Line::Sign { &mut state.sign } else { &mut state.manage };
            return jobs.pop_back().map_or(Ok(()), Err);
        }
        drop(state);
        match line {
            Line::Sign => self.sign.notify_one(),
            // A sole thread waits at `sign`.
            Line::Manage => {
                self.manage.notify_one();
                self.sign.notify_all();
            }
        }
        Ok(())
    }

    /// Puts a job of the signing line back to its head, whatever waits there.
    pub(super) fn put_back(&self, job: T) {
        let mut state = self.state();
        if !state.closed {
            state.sign.push_front(job);
            drop(state);
            self.sign.notify_one();
        }
    }

    /// The next job, waited for until `idle` at most; none when the queue is closed.
    pub(super) fn pop(&self, role: Role, idle: Option<Instant>) -> Option<Next<T>> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if role != Role::Sign && std::mem::take(&mut state.recover) {
                return Some(Next::Recover);
            }
            let job = match role {
                Role::Sign => state.sign.pop_front(),
                Role::Manage => state.manage.pop_front(),
                Role::Sole => state.sign.pop_front().or_else(|| state.manage.pop_front()),
            };
            if let Some(job) = job {
                return Some(Next::Job(job));
            }
            let signal = if role == Role::Manage { &self.manage } else { &self.sign };
            state = match idle.map(|idle| idle.saturating_duration_since(Instant::now())) {
                None => signal.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Some(Next::Idle),
                Some(left) => signal.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Has the thread that manages bring the token back.
    pub(super) fn call_for_recovery(&self) {
        self.state().recover = true;
        self.manage.notify_all();
        self.sign.notify_all();
    }

    /// Everything that waits, taken out.
    pub(super) fn drain(&self) -> Vec<T> {
        let mut state = self.state();
        let mut jobs: Vec<T> = state.sign.drain(..).collect();
        jobs.extend(state.manage.drain(..));
        jobs
    }

    /// Wakes all threads; what still waits is dropped.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.sign.clear();
        state.manage.clear();
        drop(state);
        self.sign.notify_all();
        self.manage.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    pub(super) fn depth(&self) -> usize {
        let state = self.state();
        state.sign.len() + state.manage.len()
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_full_line_gives_the_job_back_and_the_other_line_stays_open() {
        let queue = Queue::new(2);
        assert_eq!(queue.push(Line::Sign, 1), Ok(()));
        assert_eq!(queue.push(Line::Sign, 2), Ok(()));
        assert_eq!(queue.push(Line::Sign, 3), Err(3));
        assert_eq!(queue.push(Line::Manage, 4), Ok(()));
        assert_eq!(queue.depth(), 3);
        assert_eq!(queue.pop(Role::Sign, None), Some(Next::Job(1)));
        assert_eq!(queue.pop(Role::Manage, None), Some(Next::Job(4)));
        assert_eq!(queue.pop(Role::Sole, None), Some(Next::Job(2)));
    }

    #[test]
    fn a_sole_thread_wakes_for_both_lines() {
        let queue = Arc::new(Queue::new(2));
        let waiting = Arc::clone(&queue);
        let thread = std::thread::spawn(move || [waiting.pop(Role::Sole, None), waiting.pop(Role::Sole, None)]);
        queue.push(Line::Manage, 1).expect("there is room");
        while queue.depth() > 0 {
            std::thread::yield_now();
        }
        queue.push(Line::Sign, 2).expect("there is room");
        assert_eq!(thread.join().expect("the thread ends"), [Some(Next::Job(1)), Some(Next::Job(2))]);
    }

    #[test]
    fn recovery_goes_before_every_job_and_to_the_thread_that_manages() {
        for role in [Role::Manage, Role::Sole] {
            let queue = Queue::new(2);
            queue.push(Line::Sign, 1).expect("there is room");
            queue.push(Line::Manage, 2).expect("there is room");
            queue.call_for_recovery();
            if role == Role::Manage {
                assert_eq!(queue.pop(Role::Sign, None), Some(Next::Job(1)));
            }
            assert_eq!(queue.pop(role, None), Some(Next::Recover));
            assert!(matches!(queue.pop(role, None), Some(Next::Job(_))));
            queue.push(Line::Sign, 3).expect("there is room");
            assert!(!queue.drain().is_empty());
            assert_eq!(queue.depth(), 0);
        }
    }

    #[test]
    fn a_job_goes_before_an_idle_session_and_waiting_for_one_ends_in_time() {
        let queue = Queue::new(2);
        queue.push(Line::Sign, 1).expect("there is room");
        let past = Some(Instant::now());
        assert_eq!(queue.pop(Role::Sign, past), Some(Next::Job(1)));
        assert_eq!(queue.pop(Role::Sign, past), Some(Next::Idle));
        let soon = Some(Instant::now() + std::time::Duration::from_millis(5));
        assert_eq!(queue.pop(Role::Sign, soon), Some(Next::Idle));
    }

    #[test]
    fn closing_ends_every_thread_and_refuses_more() {
        let queue = Arc::new(Queue::<u8>::new(2));
        let threads: Vec<_> = [Role::Sign, Role::Sign, Role::Manage, Role::Sole]
            .into_iter()
            .map(|role| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || queue.pop(role, None))
            })
            .collect();
        queue.close();
        for thread in threads {
            assert_eq!(thread.join().expect("the thread ends"), None);
        }
        assert_eq!(queue.push(Line::Sign, 1), Err(1));
    }
}
