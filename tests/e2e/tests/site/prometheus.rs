//! The metrics page as Prometheus itself reads it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use yanqian_harness::Service;
use yanqian_harness::people::{self, NumberForm};

use crate::support::{assert_verdict, good, site, within};

/// A Prometheus of our own, on loopback; it ends with the test.
struct Prometheus {
    process: Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    fn start(target: &str, rules: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = directory.path().join("prometheus.yml");
        std::fs::write(
            &config,
            format!(
                "global:\n  scrape_interval: 1s\nrule_files: [{}]\nscrape_configs:\n  - job_name: yanqian\n    \
                 static_configs:\n      - targets: ['{target}']\n",
                rules.display()
            ),
        )
        .unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address={free}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is installed by tools/prerequisites");
        Self { process, address: free.to_string(), _directory: directory }
    }

    /// The samples of a query: labels and value.
    fn query(&self, query: &str) -> Option<Vec<Value>> {
        let output = Command::new("curl")
            .args(["-sS", "-G", "--data-urlencode", &format!("query={query}")])
            .arg(format!("http://{}/api/v1/query", self.address))
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        (answer["status"] == "success").then(|| answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    /// The value of the only sample.
    fn value(&self, query: &str) -> Option<f64> {
        let samples = self.query(query)?;
        let [sample] = samples.as_slice() else { return None };
        sample["value"][1].as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn observability() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../observability").canonicalize().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_the_daemon_and_finds_every_series_from_the_start() {
    let site = site().await;
    let prometheus = Prometheus::start(&site.addresses().metrics.to_string(), &observability().join("alerts.yml"));
    within(Duration::from_secs(30), "the daemon is scraped")
        .until(async || (prometheus.value("up{job=\"yanqian\"}") == Some(1.0)).then_some(()))
        .await;
    // Before any check: what has not happened yet is counted as zero times.
    for (series, count) in [
        ("count(yanqian_verdicts_total == 0)", 12.0),
        ("count(yanqian_stage_seconds_count)", 8.0),
        ("count(yanqian_component_up == 1)", 4.0),
        ("count(yanqian_platform_attempts_total == 0)", 4.0),
        ("count(yanqian_second_opinions_total)", 8.0),
        ("count(yanqian_key_tables)", 4.0),
        ("yanqian_build_info", 1.0),
        ("count(yanqian_hsm_breaker_state{token=\"hsm\"})", 3.0),
        ("count(yanqian_hsm_calls_total{token=\"hsm\"})", 8.0),
        ("count(yanqian_hsm_call_seconds_bucket{token=\"hsm\"})", 34.0),
        ("count(yanqian_hsm_return_codes_total{token=\"hsm\"})", 104.0),
        ("yanqian_hsm_sessions_limit{token=\"hsm\"}", 5.0),
    ] {
        let value = within(Duration::from_secs(10), series).until(async || prometheus.value(series)).await;
        assert!((value - count).abs() < f64::EPSILON, "{series}: {value}");
    }
    let roles = prometheus.query("yanqian_certificate_expiry_timestamp_seconds").unwrap();
    let roles: std::collections::BTreeSet<_> = roles.iter().filter_map(|one| one["metric"]["role"].as_str()).collect();
    let expected = [
        "anchor",
        "crl",
        "encryption",
        "intermediate",
        "platform-encryption",
        "platform-signing",
        "server",
        "signing",
        "tls-anchor",
    ];
    assert_eq!(roles, expected.into());

    let caller = site.caller("core-banking").unwrap();
    for number in 0..3 {
        assert_verdict(&caller.ask(&good(&format!("scraped-{number}"))).await.unwrap(), "match");
    }
    let holder = people::holder(NumberForm::PassportDigits);
    let chip = site.sim().chip(&holder.number, yanqian_harness::Variant::Genuine).await.unwrap();
    assert_verdict(&caller.ask(&people::chip_request(&holder, "scraped", &chip)).await.unwrap(), "match");
    for (query, value) in [
        ("yanqian_verdicts_total{mode=\"real-name\",verdict=\"match\"}", 3.0),
        ("yanqian_verdicts_total{mode=\"chip-reading\",verdict=\"match\"}", 1.0),
        ("yanqian_signatures_total", 4.0),
    ] {
        within(Duration::from_secs(15), query)
            .until(async || prometheus.value(query).filter(|found| (found - value).abs() < f64::EPSILON))
            .await;
    }
    within(Duration::from_secs(15), "the token's own count")
        .until(async || prometheus.value("yanqian_hsm_unseals_total").filter(|count| *count >= 1.0))
        .await;
    let firing = prometheus.query("ALERTS{alertstate=\"firing\"}").unwrap();
    assert!(firing.is_empty(), "{firing:?}");
}

/// Whatever happens: an increase is never the first that is heard of a series.
#[tokio::test(flavor = "multi_thread")]
async fn no_series_appears_later() {
    let mut site = site().await;
    // Without a moment's wait after the start.
    site.stop_daemon().expect("an orderly stop");
    site.start_daemon().await.unwrap();
    let first = series(site.metrics().await.unwrap().text());
    let caller = site.caller("core-banking").unwrap();
    let holder = people::holder(NumberForm::PassportDigits);
    let chip = site.sim().chip(&holder.number, yanqian_harness::Variant::Genuine).await.unwrap();
    let requests = [
        good("printed"),
        people::with_portrait(&good("pictured"), &people::portrait(&holder)),
        people::chip_request(&holder, "chip", &chip),
    ];
    for request in &requests {
        assert_verdict(&caller.ask(request).await.unwrap(), "match");
    }
    for misbehaviour in yanqian_harness::Misbehaviour::ALL.iter().filter(|one| one.applies_to(Service::RealName)) {
        site.sim().misbehave(*misbehaviour, 1).await.unwrap();
        caller.ask(&good("wrong")).await.unwrap();
    }
    site.sim().behave().await.unwrap();
    for body in ["{", "[]", "{\"a\":1}"] {
        assert_ne!(caller.post(body, &[]).await.unwrap().status, 200);
    }
    assert_ne!(caller.get("/v1/nothing").await.unwrap().status, 200);
    assert_eq!(site.caller("stranger").unwrap().ask(&good("r")).await.unwrap().status, 403);
    assert!(site.nobody().unwrap().ask(&good("r")).await.is_err());
    site.stop_worker();
    assert_eq!(caller.ask(&good("r")).await.unwrap().status, 503);
    site.start_worker().await.unwrap();
    let last = series(site.metrics().await.unwrap().text());
    assert_eq!(last.difference(&first).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(first.len() > 150, "{}", first.len());
}

/// Every series of ours on a page, by name and labels.
fn series(page: &str) -> std::collections::BTreeSet<String> {
    let samples = page.lines().filter(|line| line.starts_with("yanqian_"));
    samples.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_wrong_with_the_page_and_the_rules() {
    let site = site().await;
    let page = site.metrics().await.unwrap().text().to_owned();
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = promtool.spawn().expect("promtool is installed by tools/prerequisites");
    std::io::Write::write_all(&mut check.stdin.take().unwrap(), page.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));

    let rules = observability().join("alerts.yml");
    for arguments in [["check", "rules"], ["test", "rules"]] {
        let file = if arguments[0] == "test" { observability().join("alerts_test.yml") } else { rules.clone() };
        let output = Command::new("promtool").args(arguments).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
    }
    // A rule about a metric that is not there never fires.
    let text = std::fs::read_to_string(&rules).unwrap();
    let named =
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| word.starts_with("yanqian_"));
    for name in named {
        let family = name.trim_end_matches("_bucket").trim_end_matches("_count").trim_end_matches("_sum");
        assert!(page.contains(&format!("# TYPE {family} ")), "{name} is in no page");
    }
}
