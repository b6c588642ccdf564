//! Epochs of search keys: how they end, how their keys are destroyed, and what becomes of one that was lost.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use yanqian_harness::Site;

use crate::searching::{Meant, events, found, holding, json, ledger, order};
use crate::support::{good, site, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_epoch_is_searched_no_more_and_its_key_is_on_no_disk() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let before = caller.ask(&good("before")).await.unwrap().id();
    let begun = order(&site, &["begin-epoch"]);
    assert!(begun.code == Some(0) && begun.stdout.starts_with("epoch 2 began"), "{}", begun.all());
    let after = caller.ask(&good("after")).await.unwrap().id();
    let meant = Meant::document(&good(""));
    let mut both = vec![before.clone(), after.clone()];
    both.sort_unstable();
    assert_eq!(found(&site, &["--document-file", meant.file()]), both);

    let file = site.places().state().join("search-keys/epoch-1.key");
    let text = std::fs::read_to_string(&file).unwrap();
    let key = hex::decode(text.lines().last().unwrap().strip_prefix("key ").unwrap()).unwrap();
    assert_eq!(holding(&site, hex::encode(&key).as_bytes()), [file], "the search finds what is there");
    let in_use = order(&site, &["destroy-epoch", "2", "--yes"]);
    assert!(in_use.code == Some(1) && in_use.stderr.contains("in use"), "{}", in_use.all());
    let unconfirmed = order(&site, &["destroy-epoch", "1"]);
    assert!(unconfirmed.code == Some(1) && unconfirmed.stderr.contains("--yes"), "{}", unconfirmed.all());
    assert_eq!(found(&site, &["--document-file", meant.file()]), both, "nothing was destroyed");
    let destroyed = order(&site, &["destroy-epoch", "1", "--yes"]);
    assert_eq!(destroyed.code, Some(0), "{}", destroyed.all());

    for octets in [&key[..], hex::encode(&key).as_bytes(), hex::encode_upper(&key).as_bytes()] {
        assert_eq!(holding(&site, octets), [""; 0].map(PathBuf::from));
    }
    let twice = order(&site, &["destroy-epoch", "1", "--yes"]);
    assert!(twice.code == Some(1) && twice.stderr.contains("destroyed already"), "{}", twice.all());
    site.stop_daemon().expect("an orderly stop");
    let nobody = order(&site, &["destroy-epoch", "1", "--yes"]);
    assert!(nobody.code == Some(1) && nobody.stderr.contains("does the daemon run"), "{}", nobody.all());
    site.start_daemon().await.unwrap();

    assert_eq!(found(&site, &["--document-file", meant.file()]), [after]);
    assert_eq!(found(&site, &["--verification", &before]), [before], "the record is there all the same");
    let told = json(&ledger(&site, &["search", "--json", "--document-file", meant.file()]));
    assert_eq!(
        (told["unsearchable"][0]["epoch"].as_u64(), told["unsearchable"][0]["records"].as_u64()),
        (Some(1), Some(1))
    );
    assert!(told["unsearchable"][0]["destroyed"].is_string());
    let listed = json(&ledger(&site, &["epochs", "--json"]));
    let states = [0, 1].map(|at| listed["epochs"][at]["state"].as_str().unwrap().to_owned());
    assert_eq!(states, ["destroyed", "in-use"]);
    assert_eq!(listed["epochs"][0]["recorded"], true);
    let records = events(&site, "search-epoch-destroyed");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].0["body"]["epoch"], 1);
    assert_eq!(records[0].0["body"]["operator"], listed["epochs"][0]["operator"], "the uid that the kernel told");
    assert_eq!(events(&site, "search-epoch-begun").len(), 2);
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destruction_that_a_crash_cut_off_is_carried_out_and_recorded_at_the_next_start() {
    let mut site = site().await;
    assert_eq!(order(&site, &["begin-epoch"]).code, Some(0));
    site.kill_daemon();
    let keys = site.places().state().join("search-keys");
    let decided = "yanqian search key destroyed 1\nepoch 1\nbegun 2026-01-01T00:00:00.000Z\ndestroyed 2026-11-26T00:00:00.000Z\noperator 4711\nrecorded false\n";
    std::fs::write(keys.join("epoch-1.destroyed"), decided).unwrap();
    std::os::unix::fs::chown(keys.join("epoch-1.destroyed"), Some(owner(&keys)), None).unwrap();
    site.start_daemon().await.unwrap();
    assert!(!keys.join("epoch-1.key").exists());
    within(Duration::from_secs(20), "the destruction is recorded")
        .until(async || events(&site, "search-epoch-destroyed").pop())
        .await;
    assert_eq!(events(&site, "search-epoch-destroyed")[0].0["body"]["operator"], 4711);
    within(Duration::from_secs(20), "and noted as recorded")
        .until(async || {
            std::fs::read_to_string(keys.join("epoch-1.destroyed")).unwrap().contains("recorded true").then_some(())
        })
        .await;
}

fn owner(file: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(file).unwrap().uid()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_ends_with_its_months_and_when_its_key_is_gone() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let first = caller.ask(&good("first")).await.unwrap().id();
    site.stop_daemon().expect("an orderly stop");
    let file = site.places().state().join("search-keys/epoch-1.key");
    let text = std::fs::read_to_string(&file).unwrap();
    let begun = text.lines().find(|line| line.starts_with("begun ")).unwrap();
    std::fs::write(&file, text.replace(begun, "begun 2025-01-31T00:00:00.000Z")).unwrap();
    site.start_daemon().await.unwrap();
    let begins = async |count: usize| {
        within(Duration::from_secs(20), "another epoch begins")
            .until(async || (events(&site, "search-epoch-begun").len() == count).then_some(()))
            .await;
    };
    begins(2).await;
    assert!(events(&site, "search-epoch-begun")[1].0["body"]["operator"].is_null(), "nobody asked for it");
    let caller = site.caller("core-banking").unwrap();
    let second = caller.ask(&good("second")).await.unwrap().id();
    let meant = Meant::document(&good(""));
    let mut both = vec![first.clone(), second];
    both.sort_unstable();
    assert_eq!(found(&site, &["--document-file", meant.file()]), both);

    std::fs::remove_file(site.places().state().join("search-keys/epoch-2.key")).unwrap();
    // An epoch that was begun a moment ago is not followed at once by another; an operator may order it.
    assert_eq!(order(&site, &["begin-epoch"]).code, Some(0));
    begins(3).await;
    let third = caller.ask(&good("third")).await.unwrap().id();
    let mut left = vec![first, third];
    left.sort_unstable();
    assert_eq!(found(&site, &["--document-file", meant.file()]), left);
    let told = ledger(&site, &["search", "--document-file", meant.file()]);
    assert!(told.stderr.contains("epoch 2: there is no key of it; 1 records"), "{}", told.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_key_that_others_can_read_stops_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let mut site = site().await;
    site.stop_daemon().expect("an orderly stop");
    let file = site.places().state().join("search-keys/epoch-1.key");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = site.start_daemon().await.expect_err("a key that others can read").to_string();
    assert!(error.contains("epoch-1.key") && error.contains("0600"), "{error}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    site.start_daemon().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_a_key_that_was_lost_while_the_daemon_was_down_is_not_given_again() {
    let mut site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let first = caller.ask(&good("first")).await.unwrap().id();
    assert_eq!(order(&site, &["begin-epoch"]).code, Some(0));
    caller.ask(&good("second")).await.unwrap();
    site.stop_daemon().expect("an orderly stop");
    std::fs::remove_file(site.places().state().join("search-keys/epoch-2.key")).unwrap();
    let states = |site: &Site| -> Vec<String> {
        let listed = json(&ledger(site, &["epochs", "--json"]));
        let state = |epoch: &Value| epoch["state"].as_str().unwrap().to_owned();
        listed["epochs"].as_array().unwrap().iter().map(state).collect()
    };
    assert_eq!(states(&site), ["kept", "missing"], "known from the ledger alone");

    site.start_daemon().await.unwrap();
    let begun: Vec<Value> =
        events(&site, "search-epoch-begun").iter().map(|record| record.0["body"]["epoch"].clone()).collect();
    assert_eq!(begun, [1, 2, 3], "neither is the older key used again nor the number");
    assert_eq!(states(&site), ["kept", "missing", "in-use"]);
    let shown = ledger(&site, &["epochs"]);
    assert!(shown.stdout.lines().nth(1).is_some_and(|line| line.ends_with("  missing")), "{}", shown.all());
    let third = site.caller("core-banking").unwrap().ask(&good("third")).await.unwrap().id();
    let meant = Meant::document(&good(""));
    let mut left = vec![first, third];
    left.sort_unstable();
    assert_eq!(found(&site, &["--document-file", meant.file()]), left);
}
