//! A site for a test, and what most tests ask of it.

use std::time::{Duration, Instant};

use serde_json::Value;
use yanqian_harness::people::{NumberForm, about, holder};
use yanqian_harness::{Options, Reply, Site};

/// The usual site.
pub(crate) async fn site() -> Site {
    site_with(|options| options).await
}

/// A site with something otherwise.
pub(crate) async fn site_with(with: impl FnOnce(Options) -> Options) -> Site {
    let options = Options::for_test().unwrap_or_else(|error| panic!("{error}"));
    Site::build(with(options)).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A request that the platform answers with "match".
pub(crate) fn good(reference: &str) -> Value {
    about(&holder(NumberForm::PassportDigits), reference)
}

/// Status and code (or verdict) of a reply.
pub(crate) fn said(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}

/// Asserts a verdict.
#[track_caller]
pub(crate) fn assert_verdict(reply: &Reply, verdict: &str) {
    assert_eq!(said(reply), (200, verdict.to_owned()), "{}", String::from_utf8_lossy(&reply.body));
}

/// Asserts a problem document.
#[track_caller]
pub(crate) fn assert_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!(said(reply), (status, code.to_owned()), "{}", String::from_utf8_lossy(&reply.body));
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.json()["status"], status);
}

/// Tries until it holds; fails after `limit`.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, what: &str) -> Within<'_, T> {
    Within { began: Instant::now(), limit, what, marker: std::marker::PhantomData }
}

/// See [`within`].
pub(crate) struct Within<'a, T> {
    began: Instant,
    limit: Duration,
    what: &'a str,
    marker: std::marker::PhantomData<T>,
}

impl<T> Within<'_, T> {
    /// Repeats an asynchronous attempt.
    pub(crate) async fn until(self, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
        loop {
            if let Some(found) = attempt().await {
                return found;
            }
            assert!(self.began.elapsed() < self.limit, "within {:?}: {}", self.limit, self.what);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What had happened when it was made; [`Marks::since`] gives what happened later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Signatures by the token, self-proofs excepted.
    pub(crate) signatures: u64,
    /// Requests at the platform.
    pub(crate) requests: u64,
}

impl Marks {
    pub(crate) async fn of(site: &Site) -> Self {
        Self { signatures: site.signatures().unwrap(), requests: site.sim().stats().await.unwrap().requests }
    }

    pub(crate) async fn since(self, site: &Site) -> Self {
        let now = Self::of(site).await;
        Self { signatures: now.signatures - self.signatures, requests: now.requests - self.requests }
    }

    pub(crate) const NOTHING: Self = Self { signatures: 0, requests: 0 };
}
