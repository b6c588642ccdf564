//! What administrators do in a token stands in the ledger, with their uid, whether the daemon runs meanwhile or not.

use std::time::Duration;

use yanqian_harness::{Output, Record, Site};

use crate::support::{site, within};

fn hsm(site: &Site, command: &str, more: &[&str]) -> Output {
    let config = site.places().worker_config().display().to_string();
    let arguments: Vec<&str> =
        ["hsm", command].iter().chain(more).copied().chain(["--config", config.as_str()]).collect();
    site.yanqian_as_worker(&arguments).unwrap()
}

/// Operation and result of each act in the ledger.
fn acts(site: &Site) -> Vec<(String, String)> {
    let records = site.ledger_records().unwrap();
    let administered = records.iter().filter(|record| record.event() == "token-administered");
    administered.map(|record| (record.text("/body/operation"), record.text("/body/result"))).collect()
}

async fn acts_become(site: &Site, expected: &[(&str, &str)]) -> Vec<Record> {
    let expected: Vec<_> = expected.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect();
    within(Duration::from_secs(20), "every act is on record")
        .until(async || (acts(site).len() >= expected.len()).then_some(()))
        .await;
    assert_eq!(acts(site), expected);
    let records = site.ledger_records().unwrap();
    records.into_iter().filter(|record| record.event() == "token-administered").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_administrators_do_in_a_token_is_on_record_once_also_while_the_daemon_is_away() {
    let mut site = site().await;
    // What made the site's own keys comes first.
    let mut expected: Vec<(String, String)> = Vec::new();
    within(Duration::from_secs(20), "the site's own keys are on record")
        .until(async || {
            expected = acts(&site);
            expected.iter().any(|(_, result)| result == "done").then_some(())
        })
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    expected = acts(&site);
    assert!(expected.contains(&("generate-key".to_owned(), "done".to_owned())), "{expected:?}");

    site.stop_daemon().expect("an orderly stop");
    let made = hsm(&site, "keygen", &["--label", "another"]);
    assert_eq!(made.code, Some(0), "{}", made.all());
    let twice = hsm(&site, "keygen", &["--label", "another"]);
    assert_ne!(twice.code, Some(0), "the label is in use");
    let asked = hsm(&site, "csr", &["--label", "another", "--subject", "C=CN, O=Example Bank, CN=another"]);
    assert_eq!(asked.code, Some(0), "{}", asked.all());
    site.start_daemon().await.unwrap();
    let more = ["generate-key", "generate-key", "csr"].iter().zip(["done", "failed", "done"]);
    for (operation, result) in more {
        expected.push(((*operation).to_owned(), "ordered".to_owned()));
        expected.push(((*operation).to_owned(), result.to_owned()));
    }
    let pairs: Vec<(&str, &str)> = expected.iter().map(|(one, other)| (one.as_str(), other.as_str())).collect();
    let records = acts_become(&site, &pairs).await;
    let last = records.last().unwrap();
    assert_eq!(last.text("/body/key").len(), 64);
    assert_eq!(last.text("/body/object").len(), 64, "the request's hash");
    assert!(!last.text("/body/operator").is_empty() && !last.text("/body/token").is_empty());

    // Neither a restart nor another worker has them recorded twice.
    site.stop_daemon().expect("an orderly stop");
    site.start_daemon().await.unwrap();
    let reloaded = site.reload_worker().unwrap();
    assert_eq!(reloaded.code, Some(0), "{}", reloaded.all());
    let key = last.text("/body/key");
    let destroyed = hsm(&site, "destroy", &["--label", "another", "--confirm", &key]);
    assert_eq!(destroyed.code, Some(0), "{}", destroyed.all());
    let pairs: Vec<(&str, &str)> =
        pairs.into_iter().chain([("destroy-key", "ordered"), ("destroy-key", "done")]).collect();
    let records = acts_become(&site, &pairs).await;
    assert_eq!(records.last().unwrap().text("/body/key"), key);
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}
