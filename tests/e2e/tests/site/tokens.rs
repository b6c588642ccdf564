//! Two tokens with one key: what an operator and an internal system see of it.

use std::time::Duration;

use yanqian_harness::people::{self, NumberForm};
use yanqian_harness::{Site, Variant};

use crate::support::{assert_verdict, good, site_with, within};

async fn pair() -> Site {
    site_with(|mut options| {
        options.second_token = true;
        options
    })
    .await
}

async fn value(site: &Site, series: &str) -> f64 {
    site.metrics().await.unwrap().value(series).unwrap_or_else(|| panic!("{series} is not there"))
}

async fn serves(site: &Site, token: &str) -> bool {
    value(site, &format!("yanqian_hsm_breaker_state{{state=\"closed\",token=\"{token}\"}}")).await > 0.0
}

async fn until(site: &Site, token: &str, wanted: bool) {
    within(Duration::from_secs(30), &format!("token {token} serves: {wanted}"))
        .until(async || (serves(site, token).await == wanted).then_some(()))
        .await;
}

/// Calls that a token has answered well.
async fn answered(site: &Site, token: &str) -> f64 {
    value(site, &format!("yanqian_hsm_calls_total{{result=\"ok\",token=\"{token}\"}}")).await
}

/// Asks several at once until it holds. Every check must end with its verdict.
async fn checks_until(site: &Site, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let caller = site.caller("core-banking").unwrap();
    within(Duration::from_secs(40), what)
        .until(async || {
            let request = good("r");
            let ask = || Box::pin(async { caller.ask(&request).await.unwrap() });
            let (one, two, three, four) = tokio::join!(ask(), ask(), ask(), ask());
            for reply in [one, two, three, four] {
                assert_verdict(&reply, "match");
            }
            holds().await.then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_tokens_is_killed_and_no_check_fails() {
    let mut site = pair().await;
    let daemon = site.daemon_pid();
    for token in ["a", "b"] {
        until(&site, token, true).await;
        checks_until(&site, "both sign", async || answered(&site, token).await > 2.0).await;
    }
    // Killed, and started again by the service manager.
    site.kill_worker();
    checks_until(&site, "another worker", async || site.worker_starts() == 2).await;
    until(&site, "a", true).await;
    // Gone for good, as far as anybody knows: told, and still ready.
    site.stop_worker();
    checks_until(&site, "a is left out", async || !serves(&site, "a").await).await;
    assert_eq!(site.probe("/readyz").await.unwrap().0, 200);
    let config = site.places().daemon_config().display().to_string();
    let check = site.yanqian(&["check", "--config", &config]).unwrap();
    assert_eq!(check.code, Some(0), "{}", check.all());
    let row = check.stdout.lines().find(|line| line.contains("token a")).unwrap();
    assert!(row.starts_with("warn") && row.contains("another token serves"), "{row}");
    assert!(check.stdout.contains("signing-key b"), "{}", check.stdout);
    // Another process takes its place.
    site.start_worker().await.unwrap();
    until(&site, "a", true).await;
    let before = answered(&site, "a").await;
    checks_until(&site, "a signs again", async || answered(&site, "a").await > before).await;
    // The other way round, with nobody left in between for nobody.
    site.second().stop_worker();
    checks_until(&site, "b is left out", async || !serves(&site, "b").await).await;
    site.start_second_worker().await.unwrap();
    until(&site, "b", true).await;
    assert_eq!((site.daemon_pid(), site.ledger_verify().unwrap().code), (daemon, Some(0)));
    let stats = site.sim().stats().await.unwrap();
    assert_eq!((stats.duplicates, stats.refused), (0, 0), "a signature that was made twice is sent once");
    assert!(site.ledger_records().unwrap().iter().filter(|record| record.event() == "self-proof").count() >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_another_key_is_not_asked_and_told_by_name() {
    let mut site = pair().await;
    site.stop_daemon().expect("an orderly stop");
    let list = site.hsm_of_second("list", &["--json"]).unwrap();
    let id = |list: &str| {
        let keys = list.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let mut own = keys.filter(|key| key["label"] == "yanqian-sign");
        own.next().unwrap()["key_id"].as_str().unwrap().to_owned()
    };
    let right = id(&list.stdout);
    for (command, arguments) in
        [("destroy", vec!["--label", "yanqian-sign", "--confirm", &right]), ("keygen", vec!["--label", "yanqian-sign"])]
    {
        let done = site.hsm_of_second(command, &arguments).unwrap();
        assert_eq!(done.code, Some(0), "{}", done.all());
    }
    let wrong = id(&site.hsm_of_second("list", &["--json"]).unwrap().stdout);
    site.start_daemon().await.unwrap();
    checks_until(&site, "a signs", async || answered(&site, "a").await >= 40.0).await;
    // The reading's key is there in both.
    assert!(answered(&site, "b").await < 0.5, "it is never asked to sign");
    let log = std::fs::read_to_string(site.places().daemon_log()).unwrap();
    assert!(log.contains(&right) && log.contains(&wrong), "{log}");
    let config = site.places().daemon_config().display().to_string();
    let check = site.yanqian(&["check", "--config", &config]).unwrap();
    let row = check.stdout.lines().find(|line| line.contains("signing-key b")).unwrap();
    assert!(row.starts_with("warn") && row.contains(&right) && row.contains(&wrong), "{row}");

    // With that token alone nothing is served.
    site.stop_worker();
    site.stop_daemon().expect("an orderly stop");
    let places = site.places().clone();
    let text = std::fs::read_to_string(places.daemon_config()).unwrap();
    let alone = text.replacen("name = \"a\"", "name = \"c\"", 1).replacen("/hsm-run/", "/hsm-b-run/", 1);
    let error = site.yanqian(&["check", "--config", &config]).unwrap();
    assert_eq!(error.code, Some(78), "{}", error.all());
    std::fs::write(places.daemon_config(), alone).unwrap();
    let error = site.start_daemon().await.expect_err("the same worker twice").to_string();
    assert!(error.contains("hsm.tokens.socket"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_may_differ_and_a_token_joins_when_it_comes() {
    let mut site = pair().await;
    site.stop_daemon().expect("an orderly stop");
    let list = site.hsm_of_second("list", &["--json"]).unwrap().stdout;
    let keys = list.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let id = keys.clone().find(|key| key["usage"] == "encrypt").unwrap()["key_id"].as_str().unwrap().to_owned();
    let enveloped = site.places().hsm().join("yanqian-encrypt.env").display().to_string();
    let certificate = site.places().encryption_certificate().display().to_string();
    let import = [
        "--label",
        "opens-here",
        "--wrapping-label",
        "yanqian-sign",
        "--enveloped-key",
        &enveloped,
        "--cert",
        &certificate,
    ];
    for (command, arguments) in
        [("destroy", &["--label", "yanqian-encrypt", "--confirm", &id][..]), ("import-encryption-key", &import)]
    {
        let done = site.hsm_of_second(command, arguments).unwrap();
        assert_eq!(done.code, Some(0), "{}", done.all());
    }
    let config = site.places().daemon_config();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        text.replacen("name = \"b\"", "name = \"b\"\nlabels = { yanqian-encrypt = \"opens-here\" }", 1),
    )
    .unwrap();
    site.second().stop_worker();
    // One token is enough to start with.
    site.start_daemon().await.unwrap();
    assert!(!serves(&site, "b").await);
    checks_until(&site, "a signs alone", async || answered(&site, "a").await > 2.0).await;
    for series in
        ["yanqian_hsm_sessions_limit{token=\"b\"}", "yanqian_hsm_call_seconds_count{operation=\"sign\",token=\"b\"}"]
    {
        assert!(value(&site, series).await < 0.5, "{series} exists though its token does not");
    }
    site.start_second_worker().await.unwrap();
    until(&site, "b", true).await;
    checks_until(&site, "b signs too", async || answered(&site, "b").await > 2.0).await;
    within(Duration::from_secs(10), "its calls are timed")
        .until(async || {
            let count = value(&site, "yanqian_hsm_call_seconds_count{operation=\"sign\",token=\"b\"}").await;
            (count > 2.0).then_some(())
        })
        .await;

    // The reading opens through b alone, under its own label there.
    site.stop_worker();
    checks_until(&site, "a is left out", async || !serves(&site, "a").await).await;
    let holder = people::holder(NumberForm::PassportDigits);
    let chip = site.sim().chip(&holder.number, Variant::Genuine).await.unwrap();
    let caller = site.caller("core-banking").unwrap();
    let reply = caller.ask(&people::chip_request(&holder, "reading", &chip)).await.unwrap();
    assert_verdict(&reply, "match");
}
