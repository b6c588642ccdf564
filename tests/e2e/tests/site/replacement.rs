//! `systemctl reload yanqian-hsm`: another worker takes the first one's place, and nobody notices.

use serde_json::Value;

use crate::support::{assert_verdict, good, site, site_with};

fn failures(status: &Value) -> u64 {
    status["replacement_failures_total"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_go_on_while_workers_replace_each_other() {
    let site = site_with(|mut options| {
        options.managed = true;
        options
    })
    .await;
    let first = site.worker_status().unwrap()["pid"].clone();
    let caller = site.caller("core-banking").unwrap();
    let load = tokio::spawn(async move {
        for number in 0..60 {
            assert_verdict(&caller.ask(&good(&format!("r-{number}"))).await.unwrap(), "match");
        }
    });
    let mut replaced = 0;
    while !load.is_finished() {
        let output = tokio::task::block_in_place(|| site.reload_worker()).unwrap();
        assert_eq!(output.code, Some(0), "{}", output.all());
        replaced += 1;
    }
    load.await.unwrap();
    assert!(replaced > 0);
    assert_ne!(site.worker_status().unwrap()["pid"], first);
    assert_eq!(site.worker_starts(), 1, "the service manager started none of them");
    // A killed successor is started again like any worker.
    site.kill_worker();
    site.worker_ready().await.unwrap();
    assert_eq!(site.worker_starts(), 2);
    let (daemon, worker) = site.stop();
    assert!(daemon.unwrap().success() && worker.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_brings_nothing_up_fails_and_says_why() {
    let site = site().await;
    let profile = site.places().hsm_profile();
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, text.replace("grade", "colour")).unwrap();
    let output = site.reload_worker().unwrap();
    assert!(output.code == Some(1) && output.all().contains("colour"), "{}", output.all());
    assert_eq!(failures(&site.worker_status().unwrap()), 1);
    assert_verdict(&site.caller("core-banking").unwrap().ask(&good("r-1")).await.unwrap(), "match");
    std::fs::write(&profile, text).unwrap();
    assert_eq!(site.reload_worker().unwrap().code, Some(0));
    assert_eq!(failures(&site.worker_status().unwrap()), 0);
    assert_verdict(&site.caller("core-banking").unwrap().ask(&good("r-2")).await.unwrap(), "match");
}
