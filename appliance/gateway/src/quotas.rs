//! The day's quotas and the rates of this node: decided in memory, out of what the state store has set aside (I7).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use yanqian_agreement::{Agreement, Asked, Book, Caller, Decision, Lease, Moment, Request, Spent};

use crate::StateError;
use crate::core::Core;

/// Leases that one check asks for at most: one for each of its quotas, and again where a day ends meanwhile.
const LEASES: usize = 8;

#[derive(Debug)]
pub(crate) struct Quotas {
    book: Mutex<Book>,
    /// Whoever needs a lease waits for a turn; what it brings back it uses before anybody else.
    leasing: tokio::sync::Mutex<()>,
}

impl Quotas {
    /// `started` is the uptime: what was asked before it is not known.
    pub(crate) fn new(started: Duration) -> Self {
        Self { book: Mutex::new(Book::new(started)), leasing: tokio::sync::Mutex::default() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // A decision that panics half-way has at worst counted a check that is not made.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back a check that was counted and never reached the platform.
    pub(crate) fn give_back(&self, spent: &Spent) {
        self.book().give_back(spent);
    }
}

impl Core {
    fn moment(&self) -> Moment {
        Moment { time: self.clock.now(), uptime: self.clock.uptime() }
    }

    /// Decides about a check and counts it where it is allowed. Nothing of a day's quota is used that the store has not set aside
    /// durably, so a crash at any point lets no check more through.
    pub(crate) async fn decide_and_count<'a>(
        &self,
        agreement: &'a Agreement,
        caller: &Caller,
        request: &Request<'_>,
    ) -> Result<(Decision<'a>, Option<Spent>), StateError> {
        let asked = self.quotas.book().ask(agreement, caller, request, self.moment());
        if let Asked::Decided(decision, spent) = asked {
            return Ok((decision, spent));
        }
        let _turn = self.quotas.leasing.lock().await;
        let mut brought: Option<(Lease, u64)> = None;
        for _ in 0..LEASES {
            let asked = {
                let mut book = self.quotas.book();
                if let Some((lease, granted)) = brought.take() {
                    book.granted(&lease, granted);
                }
                book.ask(agreement, caller, request, self.moment())
            };
            let lease = match asked {
                Asked::Decided(decision, spent) => return Ok((decision, spent)),
                Asked::Needs(lease) => lease,
            };
            let (scope, day, limit, wanted) = (lease.scope.to_string(), lease.day.0, lease.limit, lease.wanted);
            let granted = self.state.call(move |store| store.lease(&scope, day, limit, wanted)).await?;
            brought = Some((lease, granted));
        }
        Err(StateError::Store("the leases of a day's quotas do not come to rest".to_owned()))
    }

    /// Returns what is set aside and not used, so that neither a stop in good order nor another agreement takes from the day.
    pub async fn return_leases(&self) -> Result<(), StateError> {
        let _turn = self.quotas.leasing.lock().await;
        let unused = self.quotas.book().close_day();
        self.state
            .call(move |store| {
                unused.iter().try_for_each(|(scope, day, left)| store.return_lease(&scope.to_string(), day.0, *left))
            })
            .await
    }
}
