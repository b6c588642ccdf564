//! Daemon and worker as their units run them: listeners from the service manager, the PIN from its credentials, logs in JSON.
//! What systemd itself does is stood in for; what the programs make of it is real.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use yanqian_harness::Site;

use crate::support::{assert_verdict, good, said, site_with, within};

async fn managed() -> Site {
    site_with(|mut options| {
        options.managed = true;
        options
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_and_pin_come_from_the_service_manager() {
    let site = managed().await;
    assert!(!site.places().pin().exists(), "the credential is the only PIN");
    assert_verdict(&site.caller("core-banking").unwrap().ask(&good("r-1")).await.unwrap(), "match");
    let worker = std::fs::read_to_string(site.places().worker_config()).unwrap();
    assert!(worker.contains("pin_credential = \"hsm-pin\"") && !worker.contains("pin_file"), "{worker}");
    // A socket made by the worker itself would have its lock beside it.
    assert!(!site.places().socket().with_extension("sock.lock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_caller_is_refused_while_the_daemon_starts_again() {
    let mut site = managed().await;
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("r-1")).await.unwrap(), "match");
    assert!(site.stop_daemon().unwrap().success());
    let waiting = tokio::spawn(async move { caller.ask(&good("r-2")).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "the listener is the service manager's: nobody is refused");
    site.start_daemon().await.unwrap();
    assert_verdict(&waiting.await.unwrap().unwrap(), "match");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_starts_again_is_found_at_the_same_socket() {
    let site = managed().await;
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("r-1")).await.unwrap(), "match");
    site.kill_worker();
    within(Duration::from_secs(30), "the new worker signs")
        .until(async || (said(&caller.ask(&good("r-2")).await.unwrap()).0 == 200).then_some(()))
        .await;
    assert_eq!(site.worker_starts(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_in_json_are_json_to_the_last_line_and_join_a_request_to_its_check() {
    let mut site = managed().await;
    let reply = site.caller("core-banking").unwrap().ask(&good("r-1")).await.unwrap();
    assert_verdict(&reply, "match");
    assert!(site.stop_daemon().unwrap().success());
    let lines = |log: &Path| -> Vec<Value> {
        let text = std::fs::read_to_string(log).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    };
    let daemon = lines(&site.places().daemon_log());
    for line in daemon.iter().chain(&lines(&site.places().worker_log())) {
        assert!(line["timestamp"].is_string() && line["level"].is_string() && line["target"].is_string(), "{line}");
    }
    let answered =
        daemon.iter().find(|line| line["fields"]["verification"] == reply.json()["id"]).expect("one line a request");
    assert_eq!(answered["fields"]["status"], 200);
    let request_id = reply.header("x-request-id");
    assert_eq!(answered["span"]["request_id"], request_id);
}
