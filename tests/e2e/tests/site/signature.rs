//! The token's signature is believed only once it verifies with the configured certificate's key.

use crate::support::{Marks, assert_problem, assert_verdict, good, site};

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_by_another_key_is_never_sent() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("before")).await.unwrap(), "match");

    // Behind the running daemon's back: a fresh token with another key under the same label.
    site.stop_worker();
    std::fs::remove_dir_all(site.places().token()).unwrap();
    let config = site.places().worker_config().display().to_string();
    let so_pin = site.places().so_pin().display().to_string();
    let run = |site: &yanqian_harness::Site, arguments: &[&str]| {
        let output = site.yanqian_as_worker(arguments).unwrap();
        assert_eq!(output.code, Some(0), "{arguments:?}: {}", output.all());
    };
    run(&site, &["hsm", "init-token", "--config", &config, "--label", "yanqian-dev", "--so-pin-file", &so_pin]);
    site.start_worker().await.unwrap();
    run(&site, &["hsm", "keygen", "--config", &config, "--label", "yanqian-sign"]);

    let before = Marks::of(&site).await;
    let reply = caller.ask_once("key", &good("after")).await.unwrap();
    assert_problem(&reply, 503, "signature-defective");
    let records = site.records_of(&reply.id()).unwrap();
    assert_eq!(records.last().map(yanqian_harness::Record::reason).as_deref(), Some("signature-defective"));
    let since = before.since(&site).await;
    assert_eq!((since.signatures, since.requests), (1, 0), "the token signed, and nothing was sent");
}
