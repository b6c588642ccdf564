//! Checks at a steady rate, whatever becomes of them: an open loop, so that a stall delays no later check of the plan.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;
use tokio::task::JoinHandle;
use yanqian_harness::people::{self, NumberForm};
use yanqian_harness::{Caller, Connection, HarnessError, Protocol, Reply, Site, service_of};

/// Connections, each with many checks at once.
const CONNECTIONS: usize = 4;
/// Checks on one connection before another takes its place, well below the daemon's own limit.
const CHECKS_EACH: usize = 4000;
/// Checks under way beyond which the plan pauses: more would only measure this process.
const UNDER_WAY: usize = 1000;

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The verdict that is true.
    Good,
    /// No verdict, and a code that says why.
    Refused(String),
    /// A verdict that is not true, or an answer that no answer may be.
    Wrong(String),
    /// No answer at all.
    Unanswered(String),
}

/// One check.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) sent: Instant,
    pub(crate) done: Instant,
    pub(crate) end: End,
}

impl Sample {
    pub(crate) fn took(&self) -> Duration {
        self.done.duration_since(self.sent)
    }
}

#[derive(Debug)]
struct Shared {
    samples: Mutex<Vec<Sample>>,
    /// When those were sent that have no end yet, by their number.
    under_way: Mutex<BTreeMap<usize, Instant>>,
    left_out: AtomicU64,
    stopped: AtomicBool,
}

impl Shared {
    fn samples(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeMap<usize, Instant>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running load.
pub(crate) struct Load {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Load {
    /// Starts `rate` checks a second, half of them about somebody whose name is not that of the document.
    pub(crate) async fn start(site: &Site, rate: u32) -> Result<Self, HarnessError> {
        let caller = site.caller("core-banking")?.over(Protocol::Http2);
        let mut lines = Vec::new();
        for _ in 0..CONNECTIONS {
            lines.push(Arc::new(Line::open(caller.clone()).await?));
        }
        let shared = Arc::new(Shared {
            samples: Mutex::default(),
            under_way: Mutex::default(),
            left_out: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let task = tokio::spawn(plan(Arc::clone(&shared), lines, rate));
        Ok(Self { shared, task })
    }

    fn samples(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.shared.samples()
    }

    /// Checks sent in a span of time that have ended.
    pub(crate) fn sent_between(&self, from: Instant, to: Instant) -> Vec<Sample> {
        self.samples().iter().filter(|sample| sample.sent >= from && sample.sent < to).cloned().collect()
    }

    /// When the first good answer came to a check that was sent at or after `from`.
    pub(crate) fn first_good_since(&self, from: Instant) -> Option<Instant> {
        let samples = self.samples();
        samples.iter().filter(|sample| sample.sent >= from && sample.end == End::Good).map(|sample| sample.done).min()
    }

    /// How many of the last `count` checks to end were good.
    pub(crate) fn good_of_last(&self, count: usize) -> usize {
        let samples = self.samples();
        samples.iter().rev().take(count).filter(|sample| sample.end == End::Good).count()
    }

    /// Whether every check that was sent before this has its end.
    pub(crate) fn ended_before(&self, time: Instant) -> bool {
        !self.shared.under_way().values().any(|sent| *sent < time)
    }

    /// Checks of the plan that were not sent because too many were under way.
    pub(crate) fn left_out(&self) -> u64 {
        self.shared.left_out.load(Ordering::Relaxed)
    }

    /// Sends no more; what is under way ends by itself.
    pub(crate) async fn stop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // It ends at its next look; a panic in it has been printed.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn plan(shared: Arc<Shared>, lines: Vec<Arc<Line>>, rate: u32) {
    let requests = requests();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    for number in 0.. {
        tick.tick().await;
        if shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        if shared.under_way().len() >= UNDER_WAY {
            shared.left_out.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let sent = Instant::now();
        shared.under_way().insert(number, sent);
        let (shared, line) = (Arc::clone(&shared), Arc::clone(&lines[number % lines.len()]));
        let (request, expected) = requests[number % requests.len()].clone();
        tokio::spawn(async move {
            let end = match line.ask(&request).await {
                Ok(reply) => judge(&reply, expected),
                Err(error) => End::Unanswered(error.to_string()),
            };
            shared.samples().push(Sample { sent, done: Instant::now(), end });
            shared.under_way().remove(&number);
        });
    }
}

/// Requests with the verdict that is true. An answer for another request would not go unnoticed.
fn requests() -> Vec<(Value, &'static str)> {
    let mut requests = Vec::new();
    for form in NumberForm::ALL {
        let holder = people::holder(form);
        requests.push((people::about(&holder, "drill"), "match"));
        let mut document = people::document(&holder);
        document["name"] = "不是他".into();
        requests.push((people::request("account-opening", "drill", &document), "mismatch"));
    }
    requests
}

fn judge(reply: &Reply, expected: &str) -> End {
    let code = reply.code();
    match reply.status {
        200 if code == expected => End::Good,
        200 => End::Wrong(format!("verdict {code:?} in place of {expected:?}")),
        _ if code.is_empty() => End::Wrong(format!("status {} without a code", reply.status)),
        _ => End::Refused(code),
    }
}

/// A connection that is replaced before the daemon would end it.
struct Line {
    caller: Caller,
    open: tokio::sync::Mutex<(Arc<Connection>, usize)>,
}

impl Line {
    async fn open(caller: Caller) -> Result<Self, HarnessError> {
        let connection = Arc::new(caller.open().await?);
        Ok(Self { caller, open: tokio::sync::Mutex::new((connection, 0)) })
    }

    async fn connection(&self) -> Result<Arc<Connection>, HarnessError> {
        let mut open = self.open.lock().await;
        if open.1 >= CHECKS_EACH || open.0.is_closed() {
            *open = (Arc::new(self.caller.open().await?), 0);
        }
        open.1 += 1;
        Ok(Arc::clone(&open.0))
    }

    async fn ask(&self, request: &Value) -> Result<Reply, HarnessError> {
        let headers = [("content-type", "application/json")];
        self.connection().await?.send(Method::POST, service_of(request), &headers, request.to_string()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, headers: http::HeaderMap::new(), body: body.to_owned().into() }
    }

    #[test]
    fn only_the_verdict_that_is_true_is_good() {
        assert_eq!(judge(&reply(200, r#"{"verdict":"match"}"#), "match"), End::Good);
        assert!(matches!(judge(&reply(200, r#"{"verdict":"match"}"#), "mismatch"), End::Wrong(_)));
        assert!(matches!(judge(&reply(200, ""), "match"), End::Wrong(_)));
        assert!(matches!(judge(&reply(500, "oops"), "match"), End::Wrong(_)));
        let away = judge(&reply(503, r#"{"code":"signer-unavailable"}"#), "match");
        assert_eq!(away, End::Refused("signer-unavailable".into()));
    }
}
