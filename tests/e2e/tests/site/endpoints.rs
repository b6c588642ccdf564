//! The way to the platform in a whole site: endpoints that go away, RFC 8998, the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use yanqian_harness::{File, Link, Reply, Seen, Site};

use crate::support::{assert_problem, assert_verdict, good, site_with};

/// Every check is answered, or unknown because its request was already written, or told as not sent; none is sent twice.
async fn killed_in_turn(site: &Site) {
    let done = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let (caller, done) = (site.caller("core-banking").unwrap(), Arc::clone(&done));
        tasks.push(tokio::spawn(async move {
            let mut replies: Vec<Reply> = Vec::new();
            while !done.load(Ordering::Relaxed) {
                replies.push(caller.ask(&good("load")).await.unwrap());
            }
            replies
        }));
    }
    for round in 0..6 {
        site.sim().serve_at(round % 3, false).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        site.sim().serve_at(round % 3, true).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    done.store(true, Ordering::Relaxed);
    let (mut answered, mut unknown) = (0, 0);
    for task in tasks {
        for reply in task.await.unwrap() {
            if reply.status == 200 {
                answered += 1;
            } else {
                assert_problem(&reply, 504, "outcome-unknown");
                unknown += 1;
            }
        }
    }
    let stats = site.sim().stats().await.unwrap();
    assert_eq!(stats.duplicates, 0, "none is sent twice");
    // Of a request that was cut off in its body the platform can only say that it is none.
    assert!(stats.refused <= unknown, "{stats:?}, {unknown} unknown");
    assert!(answered > 30, "{answered} answered, {unknown} unknown");
    assert!(unknown <= 6 * 6, "at most what was under way when an address was killed: {unknown}");
    assert!(stats.requests >= answered && stats.requests <= answered + unknown, "{stats:?} {answered} {unknown}");
    let attempts = site.metrics().await.unwrap().by_label("yanqian_platform_attempts_total", "result");
    let ended = |how: &str| attempts.get(how).copied().unwrap_or_default();
    assert!(ended("answered") >= answered && ended("unanswered") <= unknown, "{attempts:?}");
    eprintln!("{answered} answered, {unknown} unknown, {} asked; {attempts:?}", stats.requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_survive_endpoints_killed_in_turn() {
    for (http2, rfc8998) in [(false, false), (true, false), (false, true)] {
        let site = site_with(|mut options| {
            options.link = Link { endpoints: 3, http2, rfc8998 };
            options
        })
        .await;
        killed_in_turn(&site).await;
        let protocol = if http2 { "h2" } else { "http/1.1" };
        let is_as_asked = |seen: &Seen| {
            seen.handshake.protocol == protocol && (!rfc8998 || seen.handshake.suite == "TLS_SM4_GCM_SM3")
        };
        assert!(site.sim().seen().await.unwrap().iter().all(is_as_asked));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_over_rfc8998_says_so_in_its_records() {
    let site = site_with(|mut options| {
        options.link.rfc8998 = true;
        options
    })
    .await;
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("national")).await.unwrap(), "match");
    let seen = site.sim().seen().await.unwrap().remove(0).handshake;
    assert_eq!((seen.version.as_str(), seen.suite.as_str()), ("TLSv1.3", "TLS_SM4_GCM_SM3"));
    assert!(seen.client.is_some());
    let records = site.ledger_records().unwrap();
    let loaded = records.iter().find(|record| record.event() == "configuration-loaded").unwrap();
    let told = ["transport", "tls_key_grade"].map(|member| loaded.text(&format!("/body/{member}")));
    assert_eq!(told, ["rfc8998", "file"]);
    assert_ne!(loaded.text("/body/tls_key"), "");
    assert_ne!(loaded.text("/body/tls_key"), loaded.key_id(), "its own key, never the signing key");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_vouches_for_the_clock_nothing_is_signed() {
    // Nobody answers at port 1.
    let site = site_with(|options| {
        options.with(File::Daemon, "clock.source", "chrony").with(File::Daemon, "clock.chrony_port", 1)
    })
    .await;
    let caller = site.caller("core-banking").unwrap();
    let reply = caller.ask_once("key", &good("untimely")).await.unwrap();
    assert_problem(&reply, 503, "clock-untrusted");
    assert_eq!(site.sim().stats().await.unwrap().requests, 0);
    let records = site.records_of(&reply.id()).unwrap();
    assert_eq!(records.last().map(yanqian_harness::Record::reason).as_deref(), Some("clock-untrusted"));
}

/// The site's configuration without an endpoint of its own, and its profile with this `[transport]`.
fn let_the_profile_say(site: &Site, profile: &str, transport: &str) {
    let file = site.places().daemon_config();
    let text = std::fs::read_to_string(&file).unwrap();
    let without: String =
        text.lines().filter(|line| !line.starts_with("endpoint = ")).flat_map(|line| [line, "\n"]).collect();
    std::fs::write(&file, without).unwrap();
    std::fs::write(site.places().platform_profile(), format!("{profile}\n[transport]\n{transport}\n")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_says_where_the_platform_is_and_what_it_speaks_is_followed_and_never_silently() {
    let mut site = site_with(|options| options).await;
    let (endpoint, config) = (site.endpoint(), site.places().daemon_config().display().to_string());
    let profile = std::fs::read_to_string(site.places().platform_profile()).unwrap();
    site.stop_daemon().expect("an orderly stop");

    let_the_profile_say(&site, &profile, &format!("speaks = [\"tls\"]\nendpoints = [\"{endpoint}\"]"));
    let check = |site: &Site| site.yanqian(&["check", "--config", &config]).unwrap();
    let told = check(&site);
    assert_eq!(told.code, Some(0), "{}", told.all());
    assert!(told.stdout.contains("transport and endpoints by the profile"), "{}", told.stdout);
    site.start_daemon().await.unwrap();
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("by-the-profile")).await.unwrap(), "match");
    let loaded: Vec<_> = site.ledger_records().unwrap();
    let loaded: Vec<_> = loaded.iter().filter(|record| record.event() == "configuration-loaded").collect();
    let hashes = |member: &str| loaded.iter().map(|record| record.text(member)).collect::<Vec<_>>();
    assert_eq!(loaded.len(), 2);
    for member in ["/body/configuration", "/context/platform_profile"] {
        let [before, after] = hashes(member).try_into().unwrap();
        assert!(!after.is_empty() && before != after, "{member} names the file that says it");
    }
    site.stop_daemon().expect("an orderly stop");

    site.reconfigure("platform.tls_certificate", "tls/platform.pem").unwrap();
    site.reconfigure("platform.tls_key", "tls/platform.key").unwrap();
    site.reconfigure("platform.transport", "rfc8998").unwrap();
    let refused = check(&site);
    assert_eq!(refused.code, Some(78), "{}", refused.all());
    for name in ["daemon.toml", "key `platform.transport`: is `rfc8998`", "platform-profile.toml) speaks `tls` only"] {
        let name = if name == "daemon.toml" { config.as_str() } else { name };
        assert!(refused.all().contains(name), "{name} is not in {}", refused.all());
    }
    site.reconfigure("platform.transport", "tls").unwrap();
    site.reconfigure("platform.commissioning", true).unwrap();
    let places = format!("endpoints = [\"https://platform.invalid\"]\ntest_endpoints = [\"{endpoint}\"]");
    let_the_profile_say(&site, &profile, &places);
    let told = check(&site);
    assert!(told.code == Some(0) && told.stdout.contains("FOR TESTS by the profile"), "{}", told.all());
    site.start_daemon().await.unwrap();
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("commissioning")).await.unwrap(), "match");
}
