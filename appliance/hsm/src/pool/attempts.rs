//! One call: to one token, and on to the next when that fails, is full, or takes longer than it usually does.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use super::choose::{Candidate, choose};
use super::member::{Member, Place};
use super::{CallResult, Inner};
use crate::client::WorkerError;
use crate::protocol::codes;

/// How an attempt failed.
#[derive(Debug)]
pub(super) struct Miss {
    pub(super) error: WorkerError,
    pub(super) then: Then,
}

/// What an attempt's failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Every token would say the same.
    End,
    /// Another token may do it, and this one is not to blame: it is full, or its profile takes less than others'.
    Elsewhere,
    /// Another token may do it, and this one did not do what it should.
    Blame,
}

impl Miss {
    pub(super) fn blame(error: WorkerError) -> Self {
        Self { error, then: Then::Blame }
    }

    /// Of a signature. Whatever is refused about the key is this token's trouble: the pool's key is known from its certificate.
    pub(super) fn of_sign(error: WorkerError) -> Self {
        let then = match &error {
            WorkerError::Busy => Then::Elsewhere,
            WorkerError::Refused { code, .. } if [codes::BAD_REQUEST, codes::TBS_REQUIRED].contains(&code.as_str()) => {
                Then::Elsewhere
            }
            _ => Then::Blame,
        };
        Self { error, then }
    }

    /// Of an opening. What one token finds unopenable is so for all that hold the key.
    pub(super) fn of_unseal(error: WorkerError) -> Self {
        let then = match &error {
            WorkerError::Busy => Then::Elsewhere,
            WorkerError::Refused { code, .. } if [codes::BAD_REQUEST, codes::NOT_OPENED].contains(&code.as_str()) => {
                Then::End
            }
            _ => Then::Blame,
        };
        Self { error, then }
    }
}

pub(super) type Asking<'a, T> = Pin<Box<dyn Future<Output = Result<T, Miss>> + Send + 'a>>;

struct Attempt<'a, T> {
    member: &'a Member,
    place: Place<'a>,
    late: bool,
    asking: Asking<'a, T>,
}

/// The next attempt that ends: its place, and how.
async fn next<T>(under_way: &mut [Attempt<'_, T>]) -> (usize, Result<T, Miss>) {
    poll_fn(|context| {
        for (index, attempt) in under_way.iter_mut().enumerate() {
            if let Poll::Ready(ended) = attempt.asking.as_mut().poll(context) {
                return Poll::Ready((index, ended));
            }
        }
        Poll::Pending
    })
    .await
}

impl Inner {
    /// Of the tokens that serve for the key and have not been asked yet.
    fn pick(&self, key: usize, asked: &[usize]) -> Option<usize> {
        let now = Instant::now();
        let candidates: Vec<_> = self
            .members
            .iter()
            .enumerate()
            .filter(|(index, _)| !asked.contains(index))
            .filter_map(|(index, member)| {
                let (serves, weight) = member.candidacy(key, now)?;
                Some(Candidate { index, serves, weight })
            })
            .collect();
        choose(&candidates, self.random())
    }

    /// Asks one token after the other within the call's own limit. The first good answer counts: a signature made twice is
    /// harmless, because only one of them goes on.
    pub(super) async fn call<'a, T>(
        &'a self,
        key: usize,
        ask: impl Fn(&'a Member) -> Asking<'a, T>,
    ) -> Result<T, WorkerError> {
        let deadline = Instant::now() + self.call_timeout;
        let mut asked = Vec::with_capacity(self.members.len());
        let mut under_way: Vec<Attempt<'a, T>> = Vec::with_capacity(1);
        let mut first_error = None;
        // The token that the call goes on from.
        let mut left: Option<&Member> = None;
        loop {
            let others = self.pick(key, &asked);
            if let Some(index) = others {
                asked.push(index);
                let member = &self.members[index];
                if let Some(left) = left.take() {
                    left.count_switch_over();
                }
                under_way.push(Attempt { member, place: member.begin(), late: false, asking: ask(member) });
            }
            if under_way.is_empty() {
                return Err(first_error.unwrap_or_else(|| self.nobody(key)));
            }
            let first_limit = under_way.iter().filter(|attempt| !attempt.late).map(|attempt| attempt.place.limit).min();
            let wake = first_limit.filter(|_| others.is_some()).unwrap_or(deadline).min(deadline);
            let Ok((index, ended)) = tokio::time::timeout_at(wake.into(), next(&mut under_way)).await else {
                let now = Instant::now();
                if now >= deadline {
                    self.out_of_time(&under_way);
                    return Err(first_error.unwrap_or(WorkerError::Timeout(self.call_timeout)));
                }
                for attempt in under_way.iter_mut().filter(|attempt| attempt.place.limit <= now) {
                    attempt.late = true;
                    left = Some(attempt.member);
                }
                continue;
            };
            let Attempt { member, place, .. } = under_way.swap_remove(index);
            match ended {
                Ok(answer) => {
                    member.served(&place);
                    // Those who were asked earlier and are not done yet.
                    for late in under_way.iter().filter(|attempt| attempt.late) {
                        late.member.count(CallResult::Slow);
                        let why = "it answers later than it usually does, and later than another";
                        late.member.failed(late.place.epoch, self.random_octet(), &why);
                    }
                    return Ok(answer);
                }
                Err(Miss { error, then }) => {
                    member.count(CallResult::of(&error));
                    match then {
                        Then::End => return Err(error),
                        Then::Elsewhere => {}
                        Then::Blame => member.failed(place.epoch, self.random_octet(), &error),
                    }
                    first_error.get_or_insert(error);
                    left = Some(member);
                }
            }
        }
    }

    /// The call's own limit has passed while these were asked.
    fn out_of_time<T>(&self, under_way: &[Attempt<'_, T>]) {
        for attempt in under_way {
            attempt.member.count(CallResult::Timeout);
            let error = WorkerError::Timeout(self.call_timeout);
            attempt.member.failed(attempt.place.epoch, self.random_octet(), &error);
        }
    }

    fn nobody(&self, key: usize) -> WorkerError {
        WorkerError::Unavailable(format!("no token serves: {}", self.reasons(key)))
    }
}
