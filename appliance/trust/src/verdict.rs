//! Verdicts that are remembered. OpenSSL takes most of an answer's time to say again what it said of the same certificates a
//! moment ago.
//!
//! A verdict is a function of the octets that it is about, of the store, and of the time. Of the time it asks one thing only:
//! on which side of each of its inputs' edges it lies (`notBefore` and `notAfter` of every certificate that a path could take,
//! `thisUpdate` and the end of grace of all revocation data). So a verdict holds exactly until the next edge in either
//! direction, whichever certificate the edge belongs to: where another path becomes possible, it is judged anew.
//!
//! - A store is never changed, only replaced, and takes its verdicts with it: none outlives a reload.
//! - Only a signer that was believed is remembered. A refusal is rare and has to heal the moment it can, a dispute has to
//!   be counted each time, and a peer who varies its certificates must not push a good verdict out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use yanqian_messages::Certificate;

use crate::chain::SignerVerdict;

/// Verdicts that a store remembers at most: a platform signs with few certificates at a time.
pub(crate) const MAX_VERDICTS: usize = 64;

/// What a verdict is about: the octets of the signer's certificate and of those that came with it, in their order. Compared
/// as they are.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Case(Vec<u8>);

impl Case {
    pub(crate) fn of(signer: &Certificate, embedded: &[Certificate]) -> Self {
        // DER tells its own length, so no two lists of certificates run together into the same octets.
        Self(std::iter::once(signer).chain(embedded).flat_map(Certificate::as_der).copied().collect())
    }
}

/// The seconds from the first to the last, both included, in which nothing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    first: i64,
    last: i64,
}

impl Span {
    /// Around `now`, between edges. An edge at `t` parts the second `t` from the one before and from the one after: whether
    /// an end is included or not is for who compares, and need not be known here.
    pub(crate) fn around(now: i64, edges: impl IntoIterator<Item = i64>) -> Self {
        let mut span = Self { first: i64::MIN, last: i64::MAX };
        for edge in edges {
            for start in [edge, edge.saturating_add(1)] {
                if start <= now {
                    span.first = span.first.max(start);
                } else {
                    span.last = span.last.min(start - 1);
                }
            }
        }
        span
    }

    pub(crate) const fn last(&self) -> i64 {
        self.last
    }

    pub(crate) const fn holds(&self, now: i64) -> bool {
        self.first <= now && now <= self.last
    }
}

/// When a certificate's validity begins and ends.
pub(crate) const fn edges_of(certificate: &Certificate) -> [i64; 2] {
    [certificate.not_before(), certificate.not_after()]
}

struct Kept {
    span: Span,
    verdict: Arc<SignerVerdict>,
    /// Counts up with every use.
    used: u64,
}

#[derive(Default)]
struct Inner {
    kept: HashMap<Case, Kept>,
    uses: u64,
}

/// The verdicts of one store.
#[derive(Default)]
pub(crate) struct Verdicts {
    inner: Mutex<Inner>,
}

impl Verdicts {
    pub(crate) fn find(&self, case: &Case, now: i64) -> Option<Arc<SignerVerdict>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.uses += 1;
        let uses = inner.uses;
        let kept = inner.kept.get_mut(case).filter(|kept| kept.span.holds(now))?;
        kept.used = uses;
        Some(Arc::clone(&kept.verdict))
    }

    pub(crate) fn keep(&self, case: Case, span: Span, verdict: Arc<SignerVerdict>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.kept.len() >= MAX_VERDICTS && !inner.kept.contains_key(&case) {
            let oldest = inner.kept.values().map(|kept| kept.used).min();
            inner.kept.retain(|_, kept| Some(kept.used) != oldest);
        }
        inner.uses += 1;
        let used = inner.uses;
        inner.kept.insert(case, Kept { span, verdict, used });
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_changes_within_a_span_and_every_edge_ends_one() {
        let edges = [10, 20, 21];
        let side = |now: i64| edges.map(|edge| now.cmp(&edge));
        for now in 0..30 {
            let span = Span::around(now, edges);
            for other in 0..30 {
                assert_eq!(span.holds(other), side(other) == side(now), "{now} {other}");
            }
        }
        assert_eq!(Span::around(5, []), Span { first: i64::MIN, last: i64::MAX });
        assert!(Span::around(i64::MAX, [i64::MAX]).holds(i64::MAX));
    }

    #[test]
    fn the_least_lately_used_verdict_makes_room() {
        let verdicts = Verdicts::default();
        let verdict = Arc::new(SignerVerdict { chain: Vec::new(), revocation: Vec::new() });
        let case = |n: usize| Case(n.to_be_bytes().to_vec());
        let always = Span::around(0, []);
        for n in 0..MAX_VERDICTS {
            verdicts.keep(case(n), always, Arc::clone(&verdict));
        }
        assert!(verdicts.find(&case(0), 0).is_some());
        verdicts.keep(case(MAX_VERDICTS), always, Arc::clone(&verdict));
        assert_eq!(verdicts.len(), MAX_VERDICTS);
        assert!(verdicts.find(&case(1), 0).is_none(), "the oldest but for the one that was used since");
        assert!(verdicts.find(&case(0), 0).is_some());
        verdicts.keep(case(0), always, verdict);
        assert_eq!(verdicts.len(), MAX_VERDICTS, "a case takes its own place");
    }
}
