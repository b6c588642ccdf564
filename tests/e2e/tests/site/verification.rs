//! Signatures are verified over tables and by two implementations; where those disagree, nothing is believed and nothing more
//! is asked.

use std::time::Duration;

use time::OffsetDateTime;
use yanqian_devpki::{Compressed, key_id, with_compressed_key};
use yanqian_harness::{Caller, Metrics, Record, Site};

use crate::support::{Marks, assert_problem, assert_verdict, good, site, within};

const SOON: Duration = Duration::from_secs(10);

async fn ask_times(caller: &Caller, times: u32) {
    for number in 0..times {
        assert_verdict(&caller.ask(&good(&format!("{number}"))).await.unwrap(), "match");
    }
}

fn count(metrics: &Metrics, series: &str) -> u64 {
    let value = metrics.value(series).unwrap_or_else(|| panic!("{series} is not on the page"));
    // A count, far below 2^53.
    format!("{value:.0}").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_is_sealed_and_verified_over_tables_of_known_keys() {
    const KEPT: &str = "yanqian_key_tables{class=\"kept\",use=\"verify\"}";
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    ask_times(&caller, 1).await;
    // Root, issuing authority, the platform's signer once it was seen, and our own signing key.
    let before = within(SOON, "the tables are made")
        .until(async || Some(site.metrics().await.unwrap()).filter(|page| page.value(KEPT) == Some(4.0)))
        .await;
    ask_times(&caller, 5).await;
    let after = site.metrics().await.unwrap();
    let more = |series: &str| count(&after, series) - count(&before, series);
    // Of each check: our own signature and the answer; its signer was judged with the first one.
    assert_eq!(more("yanqian_key_table_lookups_total{result=\"hit\",use=\"verify\"}"), 5 * 2);
    assert_eq!(more("yanqian_certificate_verdicts_total{result=\"hit\"}"), 5);
    assert_eq!(count(&after, "yanqian_certificate_verdicts_total{result=\"miss\"}"), 1);
    assert_eq!(more("yanqian_key_table_lookups_total{result=\"hit\",use=\"seal\"}"), 5);
    for none in [
        "yanqian_key_table_lookups_total{result=\"miss\",use=\"verify\"}",
        "yanqian_key_table_lookups_total{result=\"miss\",use=\"seal\"}",
        "yanqian_verification_batch_size_sum",
        "yanqian_key_table_evictions_total",
        "yanqian_key_tables_unplaced_total",
    ] {
        assert_eq!(more(none), 0, "{none}");
    }
    // OpenSSL's word on the answers; on certificates and lists it was heard when they were first used.
    assert_eq!(more("yanqian_second_opinions_total{result=\"agreed\",subject=\"answer\"}"), 5);
    assert_eq!(count(&after, "yanqian_second_opinions_total{result=\"agreed\",subject=\"certificate\"}"), 2);
    assert_eq!(count(&after, "yanqian_second_opinions_total{result=\"agreed\",subject=\"revocation-list\"}"), 2);
    assert_eq!(after.by_label("yanqian_second_opinions_total", "result").get("disputed"), None);
    assert!(after.value("yanqian_key_table_bytes") <= after.value("yanqian_key_table_limit_bytes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_memory_for_tables_checks_succeed_all_the_same() {
    use yanqian_harness::File;
    let without = |options: yanqian_harness::Options| options.with(File::Daemon, "verification.table_memory_bytes", 0);
    let site = crate::support::site_with(without).await;
    ask_times(&site.caller("core-banking").unwrap(), 3).await;
    let page = site.metrics().await.unwrap();
    assert_eq!((page.sum("yanqian_key_tables"), page.sum("yanqian_key_table_bytes")), (0, 0));
    // Our own signatures and the answers; certificates once.
    assert!(count(&page, "yanqian_verification_batch_size_sum") >= 3 * 2 + 2);
}

/// Has the platform sign under a certificate that OpenSSL takes and our engine does not: in order and pinned, but its key is
/// written as a compressed point.
async fn let_the_platform_be_disputed(site: &mut Site) {
    let certificate = site.places().pki().platform("signing").certificate;
    let reissued = with_compressed_key(&site.places().pki(), Compressed::Signing, OffsetDateTime::now_utc()).unwrap();
    let pins = site.places().trust().join("signers.toml");
    let pin = format!(
        "\n[[signer]]\nname = \"next\"\nrole = \"signing\"\nkey_id = \"{}\"\n",
        key_id(&reissued.signing).unwrap()
    );
    std::fs::write(&pins, std::fs::read_to_string(&pins).unwrap() + &pin).unwrap();
    let loaded = || site.ledger_records().unwrap().iter().filter(|record| record.event() == "trust-loaded").count();
    within(SOON, "the pin is seen").until(async || (loaded() == 1).then_some(())).await;
    use_certificate(site, &certificate, &reissued.signing).await;
}

async fn use_certificate(site: &mut Site, file: &std::path::Path, pem: &[u8]) {
    let address = site.stop_platform();
    std::fs::write(file, pem).unwrap();
    site.start_platform_at(address).await.unwrap();
}

/// States that the ledger has of the service, in order.
fn states(site: &Site) -> Vec<String> {
    let records = site.ledger_records().unwrap();
    records.iter().filter(|record| record.event() == "service-state").map(|record| record.text("/body/state")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disputed_signature_stops_the_route_until_an_operator_opens_it() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("before")).await.unwrap(), "match");
    let signing = site.places().pki().platform("signing").certificate;
    let usual = std::fs::read(&signing).unwrap();
    let_the_platform_be_disputed(&mut site).await;

    let reply = caller.ask(&good("disputed")).await.unwrap();
    assert_problem(&reply, 502, "platform-signature-disputed");
    let records = site.records_of(&reply.id()).unwrap();
    let last = records.last().unwrap();
    assert_eq!((last.kind(), last.reason()), ("outcome".to_owned(), "platform-signature-disputed".to_owned()));
    assert_eq!(last.steps().last().unwrap(), &("signature".to_owned(), "platform-signature-disputed".to_owned()));

    // Neither the token nor the platform hears of what comes after.
    let before = Marks::of(&site).await;
    let refused = caller.ask_once("kept", &good("stopped")).await.unwrap();
    assert_problem(&refused, 503, "platform-stopped");
    assert_eq!(before.since(&site).await, Marks::NOTHING);
    assert_eq!(site.records_of(&refused.id()).unwrap().last().map(Record::reason).as_deref(), Some("platform-stopped"));

    // Told in every place where an operator looks.
    let (status, reasons) = within(SOON, "readiness tells it")
        .until(async || Some(site.probe("/readyz").await.unwrap()).filter(|(status, _)| *status != 200))
        .await;
    assert_eq!(status, 503);
    assert!(reasons.contains("platform route: stopped") && reasons.contains(&reply.id()), "{reasons}");
    let page = site.metrics().await.unwrap();
    assert_eq!(page.value("yanqian_platform_route_stopped"), Some(1.0));
    assert_eq!(count(&page, "yanqian_second_opinions_total{result=\"disputed\",subject=\"answer\"}"), 1);
    let log = std::fs::read_to_string(site.places().daemon_log()).unwrap();
    assert!(log.contains("two implementations disagree"), "{log}");
    let config = site.places().daemon_config().display().to_string();
    let check = site.yanqian(&["check", "--config", &config]).unwrap();
    assert_eq!(check.code, Some(78), "{}", check.all());
    assert!(check.all().contains("FAIL  platform-route"), "{}", check.all());

    // A restart is no operator's decision, and a platform that is itself again is none either.
    use_certificate(&mut site, &signing, &usual).await;
    site.start_daemon().await.unwrap();
    let caller = site.caller("core-banking").unwrap();
    assert_problem(&caller.ask(&good("restarted")).await.unwrap(), 503, "platform-stopped");
    within(SOON, "recorded at each start").until(async || (states(&site) == ["suspended"; 2]).then_some(())).await;

    let daemon = site.daemon_pid();
    let resumed = site.yanqian(&["platform", "resume", "--config", &config]).unwrap();
    assert_eq!(resumed.code, Some(0), "{}", resumed.all());
    assert!(resumed.all().contains(&reply.id()), "{}", resumed.all());
    within(SOON, "checks succeed again")
        .until(async || (caller.ask(&good("after")).await.unwrap().code() == "match").then_some(()))
        .await;
    // Nothing was sent under this key, so it is free.
    assert_verdict(&caller.ask_once("kept", &good("stopped")).await.unwrap(), "match");
    assert_eq!(site.daemon_pid(), daemon, "nothing was restarted");
    within(SOON, "recorded")
        .until(async || (states(&site) == ["suspended", "suspended", "serving"]).then_some(()))
        .await;
    assert_eq!(site.probe("/readyz").await.unwrap().0, 200);
    assert_eq!(site.metrics().await.unwrap().value("yanqian_platform_route_stopped"), Some(0.0));
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_forwarded_while_the_route_is_stopped_however_many_are_under_way() {
    let mut site = site().await;
    let_the_platform_be_disputed(&mut site).await;
    let caller = site.caller("core-banking").unwrap();
    site.sim().delay(300).await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..24 {
        let caller = caller.clone();
        tasks.push(tokio::spawn(async move { caller.ask(&good("many")).await.unwrap() }));
    }
    for task in tasks {
        let reply = task.await.unwrap();
        assert!(
            ["platform-signature-disputed", "platform-stopped"].contains(&reply.code().as_str()),
            "{} {}",
            reply.status,
            reply.code()
        );
    }
    assert_eq!(site.metrics().await.unwrap().sum("yanqian_verdicts_total"), 0);
    within(SOON, "recorded").until(async || (states(&site) == ["suspended"]).then_some(())).await;
}
