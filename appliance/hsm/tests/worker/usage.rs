use std::time::{Duration, Instant};

use rustix::process::Signal;
use yanqian_hsm::protocol::{KeyCount, codes};
use yanqian_hsm::{WorkerClient, WorkerError};

use crate::support::{Site, digest};

async fn count(client: &WorkerClient) -> KeyCount {
    client.status().await.unwrap().keys.remove(0)
}

fn limited(max: u64) -> String {
    format!("[[keys]]\nlabel = \"signing\"\nmax_signatures = {max}\n")
}

#[tokio::test]
async fn a_key_is_counted_across_restarts_and_a_key_that_takes_its_label_is_not_it() {
    let site = Site::new();
    let client = site.client();
    let mut made = 0;
    for start in 0..3 {
        let mut worker = site.start();
        if start == 0 {
            client.generate_key("signing").await.unwrap();
        }
        let key = client.public_key("signing").await.unwrap();
        let e = digest(&key, b"m");
        for _ in 0..10 {
            client.sign("signing", &e, None).await.unwrap();
        }
        // The proof at making, or at start.
        made += 11;
        let counted = count(&client).await;
        assert_eq!((counted.signatures_total, counted.key_id, counted.limit), (made, key.key_id(), None));
        worker.signal(Signal::TERM);
        assert_eq!(worker.ended().code(), Some(0));
    }
    let _worker = site.start();
    let key = client.public_key("signing").await.unwrap();
    client.destroy_key("signing", key.key_id()).await.unwrap();
    let entry = client.generate_key("signing").await.unwrap();
    assert_eq!(entry.signatures, Some(1), "another key");
}

#[tokio::test]
async fn a_killed_worker_counts_too_much_and_never_too_little() {
    let site = Site::new();
    let worker = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let e = digest(&client.public_key("signing").await.unwrap(), b"m");
    for _ in 0..20 {
        client.sign("signing", &e, None).await.unwrap();
    }
    drop(worker);
    let _worker = site.start();
    let counted = count(&client).await.signatures_total;
    assert!((22..=22 + 1024 * 3 / 2).contains(&counted), "{counted}");
}

#[tokio::test]
async fn a_key_at_its_limit_is_refused_by_name_also_by_the_next_worker_and_another_key_is_not() {
    let mut site = Site::new();
    site.extra = limited(30);
    let client = site.client();
    let mut worker = site.start();
    for label in ["signing", "other"] {
        client.generate_key(label).await.unwrap();
    }
    let e = digest(&client.public_key("signing").await.unwrap(), b"m");
    for _ in 0..29 {
        client.sign("signing", &e, None).await.unwrap();
    }
    for _ in 0..2 {
        match client.sign("signing", &e, None).await.unwrap_err() {
            WorkerError::Refused { code, message } => {
                assert!(code == codes::KEY_LIMIT && message.contains("30"), "{code}: {message}");
            }
            other => panic!("{other}"),
        }
        client.sign("other", &e, None).await.unwrap();
        let listed = client.list_keys().await.unwrap();
        let key = listed.iter().find(|key| key.label == "signing").unwrap();
        assert_eq!((key.signatures, key.signature_limit), (Some(30), Some(30)));
        assert!(key.problem.as_ref().unwrap().contains("max_signatures"), "{key:?}");
        assert!(worker.log().contains("comes close"), "{}", worker.log());
        worker.signal(Signal::TERM);
        assert_eq!(worker.ended().code(), Some(0));
        worker = site.start();
    }
    // Raised by an operator.
    drop(worker);
    site.extra = limited(100);
    let _worker = site.start();
    client.sign("signing", &e, None).await.unwrap();
}

#[tokio::test]
async fn workers_that_overlap_lose_no_counts() {
    let site = Site::new();
    let mut first = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let e = digest(&client.public_key("signing").await.unwrap(), b"m");
    let mut made = 1;
    for _ in 0..3 {
        let pid = client.status().await.unwrap().pid;
        rustix::process::kill_process(process(pid), Signal::HUP).unwrap();
        while client.status().await.unwrap().pid == pid {
            client.sign("signing", &e, None).await.unwrap();
            made += 1;
        }
        // Its own proof.
        made += 1;
    }
    let pid = process(client.status().await.unwrap().pid);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(first.ended().code(), Some(0));
    let deadline = Instant::now() + Duration::from_mins(1);
    while rustix::process::test_kill_process(pid).is_ok() && is_running(pid) {
        assert!(Instant::now() < deadline, "{}", first.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    let _worker = site.start();
    assert_eq!(count(&client).await.signatures_total, made + 1);
}

#[tokio::test]
async fn an_idle_session_that_died_is_found_before_a_check_finds_it() {
    let mut site = Site::faulty();
    site.extra = "threads = 1\nkeep_alive_seconds = 10".into();
    let _worker = site.start();
    let client = site.client();
    client.generate_key("signing").await.unwrap();
    let before = client.status().await.unwrap();
    site.order("C_Sign 0xB3 1");
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let now = client.status().await.unwrap();
        if now.sessions_reopened_total > before.sessions_reopened_total
            && now.self_proofs_total > before.self_proofs_total
        {
            assert_eq!(now.signatures_total, now.self_proofs_total, "nobody asked for anything");
            break;
        }
        assert!(Instant::now() < deadline, "{now:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn process(pid: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

/// A zombie has ended: whoever adopts it here may never wait for it.
fn is_running(pid: rustix::process::Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).is_ok_and(|stat| !stat.contains(") Z "))
}
