//! A change of the entity's keys while the daemon serves: what is signed with which, what is still opened, and what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use yanqian_harness::people::{self, NumberForm};
use yanqian_harness::{Caller, Entry, Form, Misbehaviour, Record, Reply, Site, Variant};

use crate::support::{assert_problem, assert_verdict, good, said, site, site_with, within};

const OLD: &str = Site::FIRST_PAIRS.0;
const OLD_ENCRYPTION: &str = Site::FIRST_PAIRS.1;
const NEW: &str = "yanqian-sign-next";
const NEW_ENCRYPTION: &str = "yanqian-encrypt-next";

fn seconds(seconds: i64) -> time::Duration {
    time::Duration::seconds(seconds)
}

fn millis(instant: OffsetDateTime) -> i64 {
    i64::try_from(instant.unix_timestamp_nanos() / 1_000_000).unwrap()
}

/// A time in a record's JSON, in milliseconds.
fn time_of(record: &Record, pointer: &str) -> i64 {
    let text = record.text(pointer);
    let format = time::format_description::well_known::Rfc3339;
    millis(OffsetDateTime::parse(&text, &format).unwrap_or_else(|error| panic!("{error}: {text}")))
}

#[track_caller]
fn assert_reloaded(site: &Site) {
    let output = site.reload().unwrap();
    assert_eq!(output.code, Some(0), "{}", output.all());
}

/// A reload that is refused for this.
#[track_caller]
fn assert_refused(site: &Site, named: &str) {
    let output = site.reload().unwrap();
    assert_eq!(output.code, Some(78), "{}", output.all());
    assert!(output.stderr.contains(named), "{named}: {}", output.all());
}

async fn assert_proven(site: &Site, caller: &Caller, id: &str) {
    let receipt = caller.receipt(id).await.unwrap();
    assert_eq!(receipt.status, 200, "{}", String::from_utf8_lossy(&receipt.body));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &receipt.body).unwrap();
    let output = site.verify_receipt(file.path(), &[]).unwrap();
    assert_eq!(output.code, Some(0), "{}", output.all());
}

/// The key of every record of a check, which must be one.
#[track_caller]
fn key_of(site: &Site, reply: &Reply) -> String {
    let records = site.records_of(&reply.id()).unwrap();
    let keys: Vec<_> = records.iter().map(Record::key_id).collect();
    assert!(!keys.is_empty() && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    keys[0].clone()
}

async fn in_use(site: &Site, key: &str) {
    let named = format!("key_id=\"{key}\"");
    within(Duration::from_secs(20), "the key is in use")
        .until(async || {
            let metrics = site.metrics().await.unwrap();
            let told = |line: &&str| line.starts_with("yanqian_key_pair_info") && line.contains("state=\"in-use\"");
            metrics.text().lines().filter(told).any(|line| line.contains(&named)).then_some(())
        })
        .await;
}

/// Asks from several callers' connections until told to stop; every reply.
fn load(site: &Site, callers: usize) -> (Arc<AtomicBool>, Vec<tokio::task::JoinHandle<Vec<Reply>>>) {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = (0..callers).map(|_| {
        let (caller, stop) = (site.caller("core-banking").unwrap(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut replies = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                replies.push(caller.ask(&good("under load")).await.unwrap());
            }
            replies
        })
    });
    (Arc::clone(&stop), tasks.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_keys_change_under_load_without_a_failed_check_and_both_keys_receipts_verify() {
    let mut site = site().await;
    site.make_signing_pair(NEW).unwrap();
    let (old, new) = (site.key_id(OLD).unwrap(), site.key_id(NEW).unwrap());
    let (stop, tasks) = load(&site, 4);
    let from = OffsetDateTime::now_utc() + seconds(8);
    let encryption = [Entry::new(OLD_ENCRYPTION)];
    site.list_pairs(&[Entry::new(OLD), Entry::new(NEW).from(from)], &encryption).unwrap();
    assert_reloaded(&site);
    assert!(OffsetDateTime::now_utc() < from, "the reload took longer than this test gave it");
    let check = site.yanqian(&["check", "--config", &site.places().daemon_config().display().to_string()]).unwrap();
    assert_eq!(check.code, Some(0), "{}", check.all());
    let rows = |key: &str| check.stdout.lines().filter(|line| line.contains(key)).count();
    assert_eq!((rows("signing-certificate"), rows("signing-key")), (2, 2), "{}", check.stdout);
    in_use(&site, &new).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    let mut replies = Vec::new();
    for task in tasks {
        replies.extend(task.await.unwrap());
    }
    for reply in &replies {
        assert_verdict(reply, "match");
    }

    let records = site.ledger_records().unwrap();
    let mut of_key = std::collections::BTreeMap::new();
    for intent in records.iter().filter(|record| record.kind() == "intent") {
        let key = intent.key_id();
        if time_of(intent, "/body/received") >= millis(from) {
            assert_eq!(key, new, "received at or after `from`");
        }
        if time_of(intent, "/time") < millis(from) {
            assert_eq!(key, old, "durable before `from`");
        }
        let ends = records.iter().filter(|record| record.kind() == "outcome");
        let end = ends.into_iter().find(|record| record.verification() == intent.verification()).unwrap();
        assert_eq!(end.key_id(), key, "a check keeps the key of its intent");
        of_key.entry(key).or_insert_with(|| intent.verification());
    }
    assert_eq!(of_key.len(), 2, "both keys signed: {of_key:?}");
    let changed: Vec<_> = records.iter().filter(|record| record.event() == "key-changed").collect();
    assert_eq!(changed.len(), 1);
    let told = ["/body/usage", "/body/key", "/body/former", "/context/key"].map(|pointer| changed[0].text(pointer));
    assert_eq!(told, ["signing".to_owned(), new.clone(), old.clone(), new.clone()]);
    let loads = records.iter().filter(|record| record.event() == "configuration-loaded").count();
    assert_eq!(loads, 2, "the start's and the reload's");
    let caller = site.caller("core-banking").unwrap();
    for id in of_key.values() {
        assert_proven(&site, &caller, id).await;
    }
    let metrics = site.metrics().await.unwrap();
    assert_eq!(metrics.value("yanqian_key_switches_total{usage=\"signing\"}"), Some(1.0));
    assert_eq!(metrics.value("yanqian_reloads_total{result=\"applied\"}"), Some(1.0));
    let states = metrics.by_label("yanqian_key_pair_info", "state");
    assert_eq!((states["former"], states["in-use"]), (1, 2), "{states:?}");

    // A start in the middle of the overlap, and the end of it.
    site.kill_daemon();
    site.start_daemon().await.unwrap();
    let caller = site.caller("core-banking").unwrap();
    let reply = caller.ask(&good("after the start")).await.unwrap();
    assert_verdict(&reply, "match");
    assert_eq!(key_of(&site, &reply), new);
    site.list_pairs(&[Entry::new(NEW).from(from)], &encryption).unwrap();
    assert_reloaded(&site);
    site.destroy_pair(OLD).unwrap();
    assert_verdict(&caller.ask(&good("without the old")).await.unwrap(), "match");
    for id in of_key.values() {
        assert_proven(&site, &caller, id).await;
    }
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_two_steps_that_began_before_the_change_ends_with_the_key_it_began_with() {
    let site = site_with(|options| options.form(Form::TwoStep)).await;
    site.make_signing_pair(NEW).unwrap();
    let (old, new) = (site.key_id(OLD).unwrap(), site.key_id(NEW).unwrap());
    let caller = site.caller("core-banking").unwrap();
    site.sim().delay(3000).await.unwrap();
    let under_way = tokio::spawn({
        let caller = caller.clone();
        async move { caller.ask(&good("two steps")).await.unwrap() }
    });
    within(Duration::from_secs(5), "the application reaches the platform")
        .until(async || (site.sim().stats().await.unwrap().requests == 1).then_some(()))
        .await;
    let encryption = [Entry::new(OLD_ENCRYPTION)];
    // At once: the entry's time has passed when it is loaded.
    let from = OffsetDateTime::now_utc();
    site.list_pairs(&[Entry::new(OLD), Entry::new(NEW).from(from)], &encryption).unwrap();
    assert_reloaded(&site);
    let second = within(Duration::from_secs(20), "the second step").until(async || {
        let requests = site.sim().stats().await.unwrap().requests;
        (requests == 2).then_some(())
    });
    second.await;
    site.sim().behave().await.unwrap();
    let next = caller.ask(&good("after the change")).await.unwrap();
    let reply = under_way.await.unwrap();
    for (reply, key) in [(&reply, old), (&next, new)] {
        assert_verdict(reply, "match");
        assert_eq!(key_of(&site, reply), key);
        assert_eq!(site.records_of(&reply.id()).unwrap().len(), 3);
        assert_proven(&site, &caller, &reply.id()).await;
    }
}

async fn chip(site: &Site) -> Value {
    let holder = people::holder(NumberForm::PassportDigits);
    let chip = site.sim().chip(&holder.number, Variant::Genuine).await.unwrap();
    people::chip_request(&holder, "chip", &chip)
}

/// A reading that is under way at the platform, answered two seconds later.
async fn reading_under_way(site: &Site, request: &Value) -> tokio::task::JoinHandle<Reply> {
    site.sim().delay(2000).await.unwrap();
    let before = site.sim().stats().await.unwrap().requests;
    let (caller, request) = (site.caller("core-banking").unwrap(), request.clone());
    let asked = tokio::spawn(async move { caller.ask(&request).await.unwrap() });
    within(Duration::from_secs(5), "the request reaches the platform")
        .until(async || (site.sim().stats().await.unwrap().requests > before).then_some(()))
        .await;
    asked
}

#[track_caller]
fn assert_read(reply: &Reply) {
    assert_verdict(reply, "match");
    assert_ne!(reply.text("/reading/number"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_sealed_to_the_former_certificate_are_opened_until_its_pair_goes() {
    let site = site().await;
    site.make_encryption_pair(NEW_ENCRYPTION).unwrap();
    let caller = site.caller("core-banking").unwrap();
    let request = chip(&site).await;
    let signing = [Entry::new(OLD)];
    let now = OffsetDateTime::now_utc();
    let (old, new) = (Entry::new(OLD_ENCRYPTION), Entry::new(NEW_ENCRYPTION).from(now));

    let sealed_to_old = reading_under_way(&site, &request).await;
    site.list_pairs(&signing, &[old.until(now + seconds(3600)), new.clone()]).unwrap();
    assert_reloaded(&site);
    assert_read(&sealed_to_old.await.unwrap());
    site.sim().behave().await.unwrap();

    // The platform learns of it now, later, or in between: each is opened with its own pair.
    for label in [OLD_ENCRYPTION, NEW_ENCRYPTION, OLD_ENCRYPTION] {
        site.platform_seals_to(label).unwrap();
        let reply = caller.ask(&request).await.unwrap();
        assert_read(&reply);
        assert_proven(&site, &caller, &reply.id()).await;
    }
    let switches = within(Duration::from_secs(10), "the change is told").until(async || {
        let metrics = site.metrics().await.unwrap();
        (metrics.value("yanqian_key_switches_total{usage=\"encryption\"}") == Some(1.0)).then_some(())
    });
    switches.await;

    // Under way while its pair is taken away: it ends as it began. The next one is for nobody.
    let sealed_to_old = reading_under_way(&site, &request).await;
    site.list_pairs(&signing, &[new]).unwrap();
    assert_reloaded(&site);
    assert_read(&sealed_to_old.await.unwrap());
    site.sim().behave().await.unwrap();
    assert_problem(&caller.ask(&request).await.unwrap(), 502, "platform-reading");
    site.platform_seals_to(NEW_ENCRYPTION).unwrap();
    assert_read(&caller.ask(&request).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_cannot_be_whole_changes_nothing_and_is_told() {
    let site = site().await;
    site.make_signing_pair(NEW).unwrap();
    let caller = site.caller("core-banking").unwrap();
    let old = site.key_id(OLD).unwrap();
    let good_file = std::fs::read_to_string(site.places().daemon_config()).unwrap();
    let now = OffsetDateTime::now_utc();
    let encryption = [Entry::new(OLD_ENCRYPTION)];
    let (first, next) = (Entry::new(OLD), Entry::new(NEW));
    let later = now + seconds(3600);
    let listed = |signing: &[Entry], encryption: &[Entry]| site.list_pairs(signing, encryption).unwrap();

    // A key that is not its certificate's, now and in an hour; one that the token does not have; certificates of other uses.
    let foreign = Entry::new(OLD).with_certificate_of(NEW);
    listed(&[first.clone(), foreign.clone().from(now)], &encryption);
    assert_refused(&site, OLD);
    listed(&[first.clone(), foreign.from(later)], &encryption);
    assert_refused(&site, OLD);
    let absent = Entry::new("absent").with_certificate_of(NEW);
    listed(&[first.clone(), absent.from(later)], &encryption);
    assert_refused(&site, "absent");
    listed(&[first.clone(), Entry::new(NEW).with_certificate_of(OLD_ENCRYPTION).from(later)], &encryption);
    assert_refused(&site, "is not a signing certificate");
    listed(std::slice::from_ref(&first), &[Entry::new(OLD_ENCRYPTION).with_certificate_of(OLD)]);
    assert_refused(&site, "is not an encryption certificate");
    listed(&[first.clone(), next.clone().from(now + seconds(2 * 365 * 86_400))], &encryption);
    assert_refused(&site, "is not valid at `from`");
    listed(&[next.clone().from(later)], &encryption);
    assert_refused(&site, "in the future");
    listed(std::slice::from_ref(&first), &[]);
    assert_refused(&site, "chip-reading");
    // A good list beside a change that needs a restart.
    listed(&[first.clone(), next.clone().from(now)], &encryption);
    site.reconfigure("limits.body_ms", 9000).unwrap();
    assert_refused(&site, "`limits.body_ms` needs a restart");

    let (status, page) = site.probe("/readyz").await.unwrap();
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("ready") && page.contains("`limits.body_ms`"), "{page}");
    let metrics = site.metrics().await.unwrap();
    assert_eq!(metrics.value("yanqian_reload_refused"), Some(1.0));
    assert_eq!(metrics.value("yanqian_reloads_total{result=\"refused\"}"), Some(9.0));
    let reply = caller.ask(&good("as before")).await.unwrap();
    assert_verdict(&reply, "match");
    assert_eq!(key_of(&site, &reply), old);
    let records = site.ledger_records().unwrap();
    assert_eq!(records.iter().filter(|record| record.event() == "configuration-loaded").count(), 1);
    assert_eq!(records.iter().filter(|record| record.event() == "key-changed").count(), 0);

    // A file that is not one is refused before the daemon is asked; a good one clears all that.
    std::fs::write(site.places().daemon_config(), "colour = \"red\"").unwrap();
    assert_eq!(site.reload().unwrap().code, Some(78));
    std::fs::write(site.places().daemon_config(), &good_file).unwrap();
    assert_reloaded(&site);
    let (status, page) = site.probe("/readyz").await.unwrap();
    assert_eq!((status, page.as_str()), (200, "ready\n"));
    assert_eq!(site.metrics().await.unwrap().value("yanqian_reload_refused"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_key_that_is_gone_when_its_time_comes_is_never_stood_in_for() {
    let mut site = site().await;
    site.make_signing_pair(NEW).unwrap();
    let new = site.key_id(NEW).unwrap();
    let caller = site.caller("core-banking").unwrap();
    let encryption = [Entry::new(OLD_ENCRYPTION)];
    let from = OffsetDateTime::now_utc() + seconds(10);
    site.list_pairs(&[Entry::new(OLD), Entry::new(NEW).from(from)], &encryption).unwrap();
    assert_reloaded(&site);
    site.destroy_pair(NEW).unwrap();
    assert_verdict(&caller.ask(&good("before")).await.unwrap(), "match");
    // A start before its time is one with the old key, and says what is coming.
    site.kill_daemon();
    site.start_daemon().await.unwrap();
    assert!(OffsetDateTime::now_utc() < from, "the start took longer than this test gave it");
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("before")).await.unwrap(), "match");
    let (status, page) = site.probe("/readyz").await.unwrap();
    assert!(status == 200 && page.contains(&format!("note: signing key `{NEW}` (next)")), "{page}");

    in_use(&site, &new).await;
    for _ in 0..3 {
        assert_problem(&caller.ask(&good("after")).await.unwrap(), 503, "signer-unavailable");
    }
    let (status, page) = site.probe("/readyz").await.unwrap();
    assert!(status == 503 && page.contains(&format!("signing key `{NEW}` (in-use)")), "{page}");
    let down = within(Duration::from_secs(10), "the signer counts as down").until(async || {
        let metrics = site.metrics().await.unwrap();
        (metrics.value("yanqian_component_up{component=\"signer\"}") == Some(0.0)).then_some(())
    });
    down.await;
    // Nobody but an operator goes back to the old one, and needs no start for it.
    site.list_pairs(&[Entry::new(OLD)], &encryption).unwrap();
    assert_reloaded(&site);
    let reply = within(Duration::from_secs(10), "the old key serves again").until(async || {
        let reply = caller.ask(&good("by an operator")).await.unwrap();
        (said(&reply).0 == 200).then_some(reply)
    });
    assert_ne!(key_of(&site, &reply.await), new);
    within(Duration::from_secs(10), "ready again")
        .until(async || (site.probe("/readyz").await.unwrap().0 == 200).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_next_key_is_accepted_beside_its_present_one_as_soon_as_it_is_pinned() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let signed_with_next = async || {
        site.sim().misbehave(Misbehaviour::ChainedUnpinnedSigner, 1).await.unwrap();
        caller.ask(&good("next")).await.unwrap()
    };
    assert_problem(&signed_with_next().await, 502, "platform-signer-unknown");
    let pins = site.places().trust().join("signers.toml");
    let next = std::fs::read(site.places().pki().platform("signing-unpinned").certificate).unwrap();
    let next = yanqian_devpki::key_id(&next).unwrap();
    let pinned = std::fs::read_to_string(&pins).unwrap()
        + &format!("\n[[signer]]\nname = \"next\"\nrole = \"signing\"\nkey_id = \"{next}\"\n");
    let file = pins.with_extension("new");
    std::fs::write(&file, pinned).unwrap();
    std::fs::rename(file, pins).unwrap();
    let accepted = within(Duration::from_secs(10), "the pin is seen")
        .until(async || Some(signed_with_next().await).filter(|reply| said(reply).0 == 200));
    assert_proven(&site, &caller, &accepted.await.id()).await;
    assert_verdict(&caller.ask(&good("present")).await.unwrap(), "match");
    assert_verdict(&signed_with_next().await, "match");
}
