//! What has been used of the quotas. Pure: whoever holds the book brings the time and the leases.
//!
//! A day's quota is used in leases: a part of it that the shared store has set aside for this book, durably, before any of it
//! is used. So a crash loses what was leased and not used, at most [`block`] checks of each quota, and never lets one more
//! through than was agreed (I7). Rates are kept in memory; a start takes their bursts for used up.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use yanqian_vocabulary::{CallerId, PurposeCode, Reason};

use crate::decide::{Decision, decision};
use crate::hours::QuotaDay;
use crate::model::{Agreement, Caller, Quota};
use crate::rate::{Gate, Rate};
use crate::rules::{Case, Counters, Moment, QUOTAS, Request, SCOPE, Standing, first_against};

/// Checks that are leased at once from a quota of so many a day: a 64th, at least one and at most 1024. It is also the most that
/// a crash takes from the day.
pub fn block(per_day: u64) -> u64 {
    (per_day / 64).clamp(1, 1024)
}

/// Whose a quota is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Agreement,
    Purpose(PurposeCode),
    Caller(CallerId),
}

impl fmt::Display for Scope {
    /// As the shared store names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agreement => f.write_str("agreement"),
            Self::Purpose(code) => write!(f, "purpose/{code}"),
            Self::Caller(id) => write!(f, "caller/{id}"),
        }
    }
}

/// A part of a day's quota that is wanted from the shared store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub scope: Scope,
    pub day: QuotaDay,
    /// Of the agreement, for the whole day and all nodes.
    pub limit: u64,
    pub wanted: u64,
}

/// A check that was counted; given back when it never reached the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    day: QuotaDay,
    /// Those of its quotas that had a limit when it was counted, with the limit.
    leased: Vec<(Scope, u64)>,
}

/// What the book says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked<'a> {
    /// Counted where it is allowed.
    Decided(Decision<'a>, Option<Spent>),
    /// Ask again with this lease, or with what the store gave of it.
    Needs(Lease),
}

/// How long a caller counts among those who share a quota.
const WANTING: Duration = Duration::from_secs(1);

/// Callers who want a shared quota, each with how much of its share it has had.
#[derive(Debug, Default)]
struct Sharers {
    gates: HashMap<CallerId, Gate>,
    /// Callers seen in this window, and how many there were in the last one.
    seen: HashSet<CallerId>,
    before: usize,
    since: Duration,
}

impl Sharers {
    fn meet(&mut self, caller: &CallerId, now: Duration) {
        if now.saturating_sub(self.since) >= WANTING {
            let idle = now.saturating_sub(self.since) >= WANTING * 2;
            self.before = if idle { 0 } else { self.seen.len() };
            self.seen.clear();
            self.gates.retain(|_, gate| *gate > Gate::at(now));
            self.since = now;
        }
        if !self.seen.contains(caller) {
            self.seen.insert(caller.clone());
        }
    }

    /// What is a caller's own of a rate now.
    fn share(&self, rate: Rate) -> Option<Rate> {
        let sharers = u32::try_from(self.seen.len().max(self.before)).unwrap_or(u32::MAX);
        (sharers > 1)
            .then(|| Rate { per_second: (rate.per_second / sharers).max(1), burst: (rate.burst / sharers).max(1) })
    }
}

/// How one quota stands.
#[derive(Debug)]
struct Slot {
    day: QuotaDay,
    /// Of the agreement under which `left` was leased.
    limit: Option<u64>,
    left: u64,
    /// Leased under another limit: to be returned, and not used.
    outdated: u64,
    /// The store has no more of the day.
    exhausted: bool,
    gate: Gate,
    sharers: Sharers,
}

impl Slot {
    fn new(started: Duration, quota: Quota) -> Self {
        let gate = quota.rate.map_or(Gate::UNUSED, |rate| Gate::used_up(started, rate));
        let (day, limit) = (QuotaDay(0), quota.per_day);
        Self { day, limit, left: 0, outdated: 0, exhausted: false, gate, sharers: Sharers::default() }
    }

    /// `shared` is who asks, where the quota is not the caller's own.
    fn standing(&mut self, quota: Quota, shared: Option<&CallerId>, day: QuotaDay, now: Duration) -> Standing {
        if self.day != day {
            (self.day, self.left, self.outdated, self.exhausted) = (day, 0, 0, false);
        }
        if self.limit != quota.per_day {
            // Another agreement: what it allows is for the store to say anew.
            self.outdated += std::mem::take(&mut self.left);
            (self.limit, self.exhausted) = (quota.per_day, false);
        }
        let over_share = match (quota.rate, shared) {
            (Some(rate), Some(caller)) => {
                self.sharers.meet(caller, now);
                let gate = self.sharers.gates.get(caller);
                let share = self.sharers.share(rate);
                share.zip(gate).is_some_and(|(share, gate)| !gate.wait(now, share).is_zero())
            }
            _ => false,
        };
        let left_today = if quota.per_day.is_some() { self.left } else { u64::MAX };
        Standing { left_today, gate: self.gate, over_share }
    }

    fn lease(&self, quota: Quota, scope: impl FnOnce() -> Scope) -> Option<Lease> {
        let limit = quota.per_day?;
        (self.left == 0 && !self.exhausted).then(|| Lease {
            scope: scope(),
            day: self.day,
            limit,
            wanted: block(limit),
        })
    }

    fn spend(&mut self, quota: Quota, shared: Option<&CallerId>, now: Duration) {
        if quota.per_day.is_some() {
            self.left = self.left.saturating_sub(1);
        }
        let Some(rate) = quota.rate else { return };
        self.gate.pass(now, rate);
        if let (Some(caller), Some(share)) = (shared, self.sharers.share(rate)) {
            self.sharers.gates.entry(caller.clone()).or_default().pass(now, share);
        }
    }
}

/// The quotas of one node, as far as they are used.
#[derive(Debug)]
pub struct Book {
    started: Duration,
    agreement: Option<Slot>,
    purposes: HashMap<PurposeCode, Slot>,
    callers: HashMap<CallerId, Slot>,
}

fn slot<'a, K: std::hash::Hash + Eq + Clone>(
    slots: &'a mut HashMap<K, Slot>,
    key: &K,
    started: Duration,
    quota: Quota,
) -> &'a mut Slot {
    if !slots.contains_key(key) {
        slots.insert(key.clone(), Slot::new(started, quota));
    }
    slots.get_mut(key).expect("inserted above where it was absent")
}

impl Book {
    /// `started` is the uptime at which the book is opened: what was asked before it is not known.
    pub fn new(started: Duration) -> Self {
        Self { started, agreement: None, purposes: HashMap::new(), callers: HashMap::new() }
    }

    /// Decides about a request and counts it where it is allowed.
    pub fn ask<'a>(
        &mut self,
        agreement: &'a Agreement,
        caller: &Caller,
        request: &Request<'_>,
        now: Moment,
    ) -> Asked<'a> {
        let (day, uptime) = (QuotaDay::of(now.time), now.uptime);
        let purpose = agreement.purposes.get(request.purpose);
        let case = Case { agreement, caller, request, purpose, counters: &Counters::UNUSED, now };
        let against = first_against(SCOPE, &case);
        let Some(purpose) = purpose.filter(|_| against.is_none()) else {
            return Asked::Decided(decision(&case, against), None);
        };
        let started = self.started;
        let whole = self.agreement.get_or_insert_with(|| Slot::new(started, agreement.quota));
        let of_purpose = slot(&mut self.purposes, &purpose.code, started, purpose.quota);
        let own = slot(&mut self.callers, &caller.id, started, caller.quota);
        let counters = Counters {
            agreement: whole.standing(agreement.quota, Some(&caller.id), day, uptime),
            purpose: of_purpose.standing(purpose.quota, Some(&caller.id), day, uptime),
            caller: own.standing(caller.quota, None, day, uptime),
        };
        let case = Case { counters: &counters, ..case };
        let decision = decision(&case, first_against(QUOTAS, &case));
        match &decision {
            Decision::Allow { .. } => {
                whole.spend(agreement.quota, Some(&caller.id), uptime);
                of_purpose.spend(purpose.quota, Some(&caller.id), uptime);
                own.spend(caller.quota, None, uptime);
                let scopes = [
                    agreement.quota.per_day.map(|limit| (Scope::Agreement, limit)),
                    purpose.quota.per_day.map(|limit| (Scope::Purpose(purpose.code.clone()), limit)),
                    caller.quota.per_day.map(|limit| (Scope::Caller(caller.id.clone()), limit)),
                ];
                let spent = Spent { day, leased: scopes.into_iter().flatten().collect() };
                Asked::Decided(decision, Some(spent))
            }
            Decision::Refuse { reason: Reason::AgreementQuota, .. } => {
                // The first of them that has nothing left, in the order of the rules.
                let lease = if counters.caller.left_today == 0 {
                    own.lease(caller.quota, || Scope::Caller(caller.id.clone()))
                } else if counters.purpose.left_today == 0 {
                    of_purpose.lease(purpose.quota, || Scope::Purpose(purpose.code.clone()))
                } else {
                    whole.lease(agreement.quota, || Scope::Agreement)
                };
                lease.map_or_else(|| Asked::Decided(decision, None), Asked::Needs)
            }
            Decision::Refuse { .. } => Asked::Decided(decision, None),
        }
    }

    fn find(&mut self, scope: &Scope) -> Option<&mut Slot> {
        match scope {
            Scope::Agreement => self.agreement.as_mut(),
            Scope::Purpose(code) => self.purposes.get_mut(code),
            Scope::Caller(id) => self.callers.get_mut(id),
        }
    }

    /// The store gave so much of a lease; nothing when the day's quota is used up.
    pub fn granted(&mut self, lease: &Lease, granted: u64) {
        let Some(slot) = self.find(&lease.scope).filter(|slot| slot.day == lease.day) else { return };
        if slot.limit == Some(lease.limit) {
            slot.left = slot.left.saturating_add(granted);
            slot.exhausted = granted == 0;
        } else {
            slot.outdated = slot.outdated.saturating_add(granted);
        }
    }

    /// A check that was counted never reached the platform, so the day has it again. Rates do not go back.
    pub fn give_back(&mut self, spent: &Spent) {
        for (scope, limit) in &spent.leased {
            let Some(slot) = self.find(scope).filter(|slot| slot.day == spent.day) else { continue };
            if slot.limit == Some(*limit) {
                slot.left += 1;
            } else {
                slot.outdated += 1;
            }
        }
    }

    /// What is leased and not used, to be returned to the store at an orderly stop or when another agreement comes into force.
    pub fn close_day(&mut self) -> Vec<(Scope, QuotaDay, u64)> {
        let whole = self.agreement.iter_mut().map(|slot| (Scope::Agreement, slot));
        let purposes = self.purposes.iter_mut().map(|(code, slot)| (Scope::Purpose(code.clone()), slot));
        let callers = self.callers.iter_mut().map(|(id, slot)| (Scope::Caller(id.clone()), slot));
        let all = whole.chain(purposes).chain(callers);
        all.filter_map(|(scope, slot)| {
            slot.exhausted = false;
            let left = std::mem::take(&mut slot.left) + std::mem::take(&mut slot.outdated);
            (left > 0).then_some((scope, slot.day, left))
        })
        .collect()
    }
}
