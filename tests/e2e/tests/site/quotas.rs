//! The agreement's quotas on a whole site: kept across a kill, told to the caller, and changed without a restart.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use yanqian_harness::{Caller, File, Reply, Site};

use crate::support::{Marks, assert_problem, assert_verdict, good, said, site, site_with, within};

const PER_DAY: u64 = 150;
/// A 64th of the day's quota: what a crash takes at most.
const BLOCK: u64 = 2;
const AT_ONCE: u64 = 4;
const KILLS: u64 = 3;

/// The day of quotas, Asia/Shanghai.
fn day() -> u64 {
    (SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 8 * 3600) / 86_400
}

fn intents(site: &Site) -> u64 {
    let records = site.ledger_records().unwrap();
    u64::try_from(records.iter().filter(|record| record.kind() == "intent").count()).unwrap()
}

/// Asks over and over, each time under a key of its own, until `stop` says so of a reply or the daemon is gone.
fn ask_until(
    caller: &Caller,
    name: String,
    stop: impl Fn(&Reply) -> bool + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    let caller = caller.clone();
    tokio::spawn(async move {
        for number in 0.. {
            match caller.ask_once(&format!("{name}-{number}"), &good("r")).await {
                Ok(reply) if !stop(&reply) => {}
                _ => return,
            }
        }
    })
}

async fn a_day_with_three_kills() {
    let mut site =
        site_with(|options| options.with(File::Agreement, "checks_per_day", i64::try_from(PER_DAY).unwrap())).await;
    for round in 0..KILLS {
        let caller = site.caller("core-banking").unwrap();
        let asking: Vec<_> = (0..AT_ONCE)
            .map(|task| ask_until(&caller, format!("k{round}-{task}"), |reply| reply.status != 200))
            .collect();
        let wanted = (round + 1) * 25;
        within(Duration::from_mins(2), "checks under way")
            .until(async || (site.sim().stats().await.unwrap().requests >= wanted).then_some(()))
            .await;
        site.kill_daemon();
        for task in asking {
            task.await.unwrap();
        }
        site.start_daemon().await.unwrap();
    }
    let caller = site.caller("core-banking").unwrap();
    let used_up = |reply: &Reply| reply.code() == "agreement-quota";
    let asking: Vec<_> = (0..AT_ONCE).map(|task| ask_until(&caller, format!("end-{task}"), used_up)).collect();
    for task in asking {
        task.await.unwrap();
    }
    let asked = intents(&site);
    assert!(asked <= PER_DAY, "{asked} intents");
    assert!(asked + KILLS * (BLOCK + AT_ONCE) >= PER_DAY, "{asked} intents");

    let before = Marks::of(&site).await;
    let refused = site.caller("branch-kiosk").unwrap().ask_once("later", &good("r")).await.unwrap();
    assert_problem(&refused, 429, "agreement-quota");
    assert_eq!(refused.header("ratelimit-policy"), format!("\"day\";q={PER_DAY};w=86400"));
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=86_400).contains(&seconds));
    assert_eq!(refused.header("ratelimit"), format!("\"day\";r=0;t={seconds}"));
    assert_eq!(before.since(&site).await, Marks::NOTHING, "nothing is signed or sent");
    let records = site.records_of(&refused.id()).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].reason(), "agreement-quota");
    assert_eq!(records[0].text("/body/rule"), "agreement.checks_per_day");

    // A stop in good order takes nothing from the day and gives nothing to it.
    site.stop_daemon().expect("an orderly stop");
    site.start_daemon().await.unwrap();
    let again = site.caller("branch-kiosk").unwrap().ask(&good("r")).await.unwrap();
    assert_problem(&again, 429, "agreement-quota");
    assert!(intents(&site) == asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_in_the_middle_of_a_days_quota_never_exceeds_it_and_loses_its_slack_at_most() {
    // Around midnight in Shanghai the day ends under the test, and with it the quota.
    while day()
        != (SystemTime::now() + Duration::from_mins(2))
            .duration_since(UNIX_EPOCH)
            .map(|t| (t.as_secs() + 8 * 3600) / 86_400)
            .unwrap()
    {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    a_day_with_three_kills().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_checks_a_second_are_told_when_to_come_again_and_their_keys_stay_free() {
    let site = site_with(|options| options.with(File::Agreement, "checks_per_second", 1)).await;
    let caller = site.caller("core-banking").unwrap();
    let asking: Vec<_> = (0..30)
        .map(|number| {
            let caller = caller.clone();
            tokio::spawn(async move { caller.ask_once(&format!("k-{number}"), &good("r")).await.unwrap() })
        })
        .collect();
    let mut refused = Vec::new();
    for (number, task) in asking.into_iter().enumerate() {
        let reply = task.await.unwrap();
        if reply.status == 200 {
            continue;
        }
        assert_problem(&reply, 429, "agreement-rate");
        assert_eq!(reply.header("ratelimit-policy"), "\"second\";q=1;w=1");
        assert!(reply.header("retry-after").parse::<u32>().unwrap() >= 1);
        refused.push(number);
    }
    let key = format!("k-{}", refused.last().expect("thirty at once are more than one a second"));
    let reply = within(Duration::from_mins(1), "the rate lets the same key through")
        .until(async || {
            let reply = caller.ask_once(&key, &good("r")).await.unwrap();
            (reply.status != 429).then_some(reply)
        })
        .await;
    assert_verdict(&reply, "match");
    assert_eq!(reply.header("idempotency-replayed"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_agreement_takes_effect_without_a_restart_is_recorded_and_a_faulty_one_is_not_taken() {
    let site = site().await;
    let (bank, kiosk) = (site.caller("core-banking").unwrap(), site.caller("branch-kiosk").unwrap());
    assert_verdict(&bank.ask(&good("r")).await.unwrap(), "match");
    assert_verdict(&kiosk.ask(&good("r")).await.unwrap(), "match");
    let hash = |site: &Site| site.ledger_records().unwrap().last().unwrap().text("/context/agreement");
    let first = hash(&site);

    let file = site.places().agreement();
    let old: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    let mut new = old.clone();
    new["version"] = "2026-02".into();
    for caller in new["caller"].as_array_mut().unwrap() {
        let caller = caller.as_table_mut().unwrap();
        match caller["id"].as_str() {
            Some("core-banking") => drop(caller.insert("purposes".into(), vec!["remittance"].into())),
            _ => drop(caller.insert("networks".into(), vec!["192.0.2.0/24"].into())),
        }
    }
    let write = |table: &toml::Table| std::fs::write(&file, toml::to_string(table).unwrap()).unwrap();
    let reload = |code| {
        let output = site.reload().unwrap();
        assert_eq!(output.code, Some(code), "{}", output.all());
        output.all()
    };
    write(&new);
    reload(0);
    let loaded = site.ledger_records().unwrap().pop().unwrap();
    assert_eq!(loaded.event(), "configuration-loaded");
    let second = hash(&site);
    assert_ne!(second, first);
    let before = Marks::of(&site).await;
    let refusals = [bank.ask(&good("r")).await.unwrap(), kiosk.ask(&good("r")).await.unwrap()];
    assert_problem(&refusals[0], 403, "agreement-caller-purpose");
    assert_problem(&refusals[1], 403, "agreement-network");
    assert_eq!(before.since(&site).await, Marks::NOTHING);
    for refusal in &refusals {
        assert_eq!(site.records_of(&refusal.id()).unwrap()[0].text("/context/agreement"), second);
    }

    let mut faulty = old.clone();
    faulty["modes"] = vec!["by-ear"].into();
    write(&faulty);
    assert!(reload(78).contains("agreement.toml"));
    assert_eq!(said(&bank.ask(&good("r")).await.unwrap()).0, 403, "the one that is in force stays in force");
    let mut others = old.clone();
    others["entity"] = "another-bank".into();
    write(&others);
    assert!(reload(78).contains("entity"));

    write(&old);
    reload(0);
    assert_verdict(&bank.ask(&good("r")).await.unwrap(), "match");
    assert_verdict(&kiosk.ask(&good("r")).await.unwrap(), "match");
}
