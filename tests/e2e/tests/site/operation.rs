//! Start, check, stop, as an operator does it.

use std::time::{Duration, Instant};

use yanqian_harness::Record;

use crate::support::{assert_problem, assert_verdict, good, site, within};

#[tokio::test(flavor = "multi_thread")]
async fn the_self_check_passes_on_a_good_site_and_names_what_is_wrong_on_a_bad_one() {
    let site = site().await;
    let config = site.places().daemon_config();
    let check = |file: &std::path::Path| site.yanqian(&["check", "--config", &file.display().to_string()]).unwrap();
    let output = check(&config);
    assert_eq!(output.code, Some(0), "{}", output.all());
    assert!(output.stdout.contains("development") && !output.stdout.contains("FAIL"), "{}", output.stdout);

    let text = std::fs::read_to_string(&config).unwrap();
    let broken = config.with_file_name("broken.toml");
    let cases = [
        ("format_version = 1", "format_version = 1\ncolour = \"red\"", "colour"),
        ("agreement = \"agreement.toml\"", "agreement = \"absent.toml\"", "absent.toml"),
        ("profile = \"platform-profile.toml\"", "profile = \"yanqian.toml\"", "yanqian.toml"),
        ("trust = \"trust\"", "trust = \"tls\"", "tls"),
        ("certificate = \"tls/server.pem\"", "certificate = \"tls/callers-ca.pem\"", "tls/callers-ca.pem"),
        ("signing_key = \"yanqian-sign\"", "signing_key = \"another\"", "another"),
        (
            "signing_certificate = \"entity-signing.pem\"",
            "signing_certificate = \"entity-encryption.pem\"",
            "entity-encryption.pem: is not a signing certificate",
        ),
        ("signing_key = \"yanqian-sign\"", "signing_key = \"yanqian-encrypt\"", "encryption_key"),
        (
            "encryption_certificate = \"entity-encryption.pem\"",
            "encryption_certificate = \"entity-signing.pem\"",
            "entity-signing.pem",
        ),
        ("encryption_key = \"yanqian-encrypt\"", "encryption_key = \"absent\"", "absent"),
        ("worker.sock", "nobody.sock", "nobody.sock"),
        ("https://localhost", "http://localhost", "endpoint"),
    ];
    for (from, to, named) in cases {
        assert!(text.contains(from), "{from} is not in\n{text}");
        std::fs::write(&broken, text.replacen(from, to, 1)).unwrap();
        let output = check(&broken);
        assert_eq!(output.code, Some(78), "{to}: {}", output.all());
        assert!(output.all().contains(named), "{to}: {}", output.all());
    }
    let output = check(std::path::Path::new("/nonexistent.toml"));
    assert_eq!(output.code, Some(78), "{}", output.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_self_check_tells_machines_the_same_under_stable_names() {
    let site = site().await;
    let config = site.places().daemon_config().display().to_string();
    let output = site.yanqian(&["check", "--config", &config, "--json"]).unwrap();
    assert_eq!(output.code, Some(0), "{}", output.all());
    let told: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&told["v"], &told["failures"]), (&1.into(), &0.into()));
    let checks = told["checks"].as_array().unwrap();
    let names: Vec<_> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "configuration",
            "permissions",
            "openssl",
            "agreement",
            "platform-profile",
            "services",
            "platform-link",
            "trust-store",
            "revocation-lists",
            "platform-route",
            "internal-tls",
            "state-key",
            "state-directory",
            "disk",
            "checkpoints",
            "open-files",
            "signing-certificate",
            "encryption-certificate",
            "clock",
            "token",
            "signing-key",
            "encryption-key",
        ]
    );
    let explained = std::fs::read_to_string(site.options().repository.join("docs/operation.md")).unwrap();
    for name in names {
        assert!(explained.contains(&format!("`{name}`")), "docs/operation.md does not list {name}");
    }
    let warned: Vec<_> = checks.iter().filter(|check| check["result"] == "warn").collect();
    assert!(warned.iter().any(|check| check["check"] == "token"), "the token is of development grade: {warned:?}");

    // A list that ends tomorrow is a warning, one that has ended a failure.
    let pki = site.places().pki();
    let now = time::OffsetDateTime::now_utc();
    for (ends, result, code) in
        [(time::Duration::HOUR * 20, "warn", Some(0)), (time::Duration::HOUR * -1, "fail", Some(78))]
    {
        let authority = yanqian_devpki::Authority::Issuing;
        yanqian_devpki::reissue_crl(&pki, authority, &[], now - time::Duration::DAY, now + ends).unwrap();
        std::fs::copy(pki.trust_crl(authority), site.places().trust().join("crls/issuing.pem")).unwrap();
        let output = site.yanqian(&["check", "--config", &config, "--json"]).unwrap();
        let told: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        let lists = told["checks"].as_array().unwrap().iter().find(|check| check["check"] == "revocation-lists");
        assert_eq!((lists.unwrap()["result"].as_str(), output.code), (Some(result), code));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_with_a_wrong_configuration_ends_with_78() {
    let mut site = site().await;
    site.stop_daemon().expect("an orderly stop");
    site.reconfigure("limits.max_in_flight", 0).unwrap();
    let error = site.start_daemon().await.expect_err("it must not start").to_string();
    assert!(error.contains("78") && error.contains("max_in_flight"), "{error}");
    site.reconfigure("limits.max_in_flight", 16).unwrap();
    site.start_daemon().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_checks_under_way_end_and_new_ones_are_not_taken() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    site.sim().delay(1500).await.unwrap();
    let slow = tokio::spawn({
        let caller = caller.clone();
        async move { caller.ask(&good("under way")).await.unwrap() }
    });
    within(Duration::from_secs(5), "the request reaches the platform")
        .until(async || (site.sim().stats().await.unwrap().requests == 1).then_some(()))
        .await;
    site.ask_daemon_to_stop();
    within(Duration::from_secs(5), "new connections are refused")
        .until(async || caller.connect().await.is_err().then_some(()))
        .await;
    assert_verdict(&slow.await.unwrap(), "match");
    let status = within(Duration::from_secs(10), "the daemon ends").until(async || site.daemon_ended()).await;
    assert!(status.success(), "{status}");
    let records = site.ledger_records().unwrap();
    let last = records.last().unwrap();
    assert_eq!((last.kind(), last.event()), ("management".into(), "stopped".into()));
    assert!(records.iter().any(|record| record.verdict() == "match"));
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_site_stops_at_once_and_starts_again() {
    let mut site = site().await;
    // An idle keep-alive connection does not hold it up.
    let connection = site.caller("core-banking").unwrap().connect().await.unwrap();
    let began = Instant::now();
    let status = site.stop_daemon().expect("an orderly stop");
    assert!(status.success() && began.elapsed() < Duration::from_secs(12), "{status} after {:?}", began.elapsed());
    drop(connection);
    site.start_daemon().await.unwrap();
    assert_verdict(&site.caller("core-banking").unwrap().ask(&good("r")).await.unwrap(), "match");
    let events: Vec<_> =
        site.ledger_records().unwrap().iter().map(Record::event).filter(|event| !event.is_empty()).collect();
    let count = |wanted: &str| events.iter().filter(|event| *event == wanted).count();
    assert_eq!((count("started"), count("stopped"), count("self-proof")), (2, 1, 2), "{events:?}");
    let (daemon, worker) = site.stop();
    assert!(daemon.is_some_and(|status| status.success()), "{daemon:?}");
    assert!(worker.is_some_and(|status| status.success()), "{worker:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_answer_on_loopback_and_the_log_names_the_tokens_grade() {
    let site = site().await;
    assert_eq!(site.probe("/healthz").await.unwrap().0, 200);
    assert_eq!(site.probe("/readyz").await.unwrap().0, 200);
    assert_eq!(site.probe("/other").await.unwrap().0, 404);
    assert!(site.addresses().metrics.ip().is_loopback());
    let log = std::fs::read_to_string(site.places().daemon_log()).unwrap();
    assert!(log.contains("DEVELOPMENT GRADE"), "{log}");
    let metrics = site.metrics().await.unwrap();
    for series in ["yanqian_verdicts_total{mode=\"real-name\",verdict=\"match\"}", "yanqian_shed_total"] {
        assert_eq!(metrics.value(series), Some(0.0), "{series} exists before anything happened");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_checks_than_the_limit_are_shed_with_retry_after() {
    use yanqian_harness::File;
    let site = crate::support::site_with(|options| options.with(File::Daemon, "limits.max_in_flight", 2)).await;
    let caller = site.caller("core-banking").unwrap();
    site.sim().delay(800).await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let caller = caller.clone();
        tasks.push(tokio::spawn(async move { caller.ask(&good("r")).await.unwrap() }));
    }
    let mut shed = 0;
    for task in tasks {
        let reply = task.await.unwrap();
        if reply.status == 200 {
            continue;
        }
        assert_problem(&reply, 503, "overloaded");
        assert_ne!(reply.header("retry-after"), "");
        shed += 1;
    }
    assert_eq!(shed, 4);
    assert_eq!(site.metrics().await.unwrap().sum("yanqian_shed_total"), 4);
    assert_eq!(site.sim().stats().await.unwrap().requests, 2);
}
