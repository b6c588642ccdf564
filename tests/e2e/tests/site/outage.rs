//! When a part is away, checks say so; when it is back, they succeed again, and the daemon stays the same process (I9).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use yanqian_harness::Reply;

use crate::support::{assert_problem, assert_verdict, good, site, within};

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_worker_under_load_costs_a_moment_and_nothing_else() {
    let site = site().await;
    let daemon = site.daemon_pid().unwrap();
    let worker = site.worker_pid().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let (caller, done) = (site.caller("core-banking").unwrap(), Arc::clone(&done));
        tasks.push(tokio::spawn(async move {
            let mut replies: Vec<(Instant, Reply)> = Vec::new();
            while !done.load(Ordering::Relaxed) {
                replies.push((Instant::now(), caller.ask(&good("load")).await.unwrap()));
            }
            replies
        }));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let killed = Instant::now();
    site.kill_worker();
    within(Duration::from_secs(20), "another worker")
        .until(async || (site.worker_pid().unwrap() != worker).then_some(()))
        .await;
    site.worker_ready().await.unwrap();
    let back = Instant::now();
    let caller = site.caller("core-banking").unwrap();
    within(Duration::from_secs(5), "success again")
        .until(async || Some(caller.ask(&good("again")).await.unwrap()).filter(|reply| reply.status == 200))
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    done.store(true, Ordering::Relaxed);

    let (mut before, mut refused, mut after) = (0, 0, 0);
    for task in tasks {
        for (at, reply) in task.await.unwrap() {
            match reply.status {
                200 if at < killed => before += 1,
                200 if at > back => after += 1,
                200 => {}
                _ => {
                    refused += 1;
                    assert_problem(&reply, 503, "signer-unavailable");
                    let wait: u32 = reply.header("retry-after").parse().expect("Retry-After in seconds");
                    assert!((1..=60).contains(&wait));
                }
            }
        }
    }
    assert!(before > 0 && refused > 0 && after > 0, "{before} before, {refused} refused, {after} after");
    assert_eq!(site.daemon_pid(), Some(daemon));
    assert!(site.worker_starts() >= 2);
    let stats = site.sim().stats().await.unwrap();
    assert_eq!((stats.duplicates, stats.refused), (0, 0), "no nonce twice, nothing unsigned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_is_away_is_told_as_not_sent() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let daemon = site.daemon_pid();
    assert_verdict(&caller.ask(&good("before")).await.unwrap(), "match");
    let at = site.stop_platform();
    for number in 0..3 {
        let reply = caller.ask_once("key", &good("while away")).await.unwrap();
        assert_problem(&reply, 503, "platform-unreachable");
        assert_ne!(reply.header("retry-after"), "", "{number}");
        let records = site.records_of(&reply.id()).unwrap();
        assert_eq!(records.last().map(yanqian_harness::Record::reason).as_deref(), Some("platform-unreachable"));
    }
    site.start_platform_at(at).await.unwrap();
    assert_verdict(&caller.ask_once("key", &good("while away")).await.unwrap(), "match");
    assert_eq!(site.daemon_pid(), daemon);
}
