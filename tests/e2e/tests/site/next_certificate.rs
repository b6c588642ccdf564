//! The platform's next certificate is accepted ahead: it is pinned, or named, before it signs, and the day it does nobody
//! notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use yanqian_devpki::key_id;
use yanqian_harness::{Misbehaviour, Site};

use crate::support::{assert_problem, assert_verdict, good, site, within};

const SOON: Duration = Duration::from_secs(10);
const CALLERS: usize = 6;

/// Adds to the pins, and waits until the daemon says that it read them.
async fn add_pin(site: &Site, pin: &str) {
    let loaded = || site.ledger_records().unwrap().iter().filter(|record| record.event() == "trust-loaded").count();
    let before = loaded();
    let pins = site.places().trust().join("signers.toml");
    let new = pins.with_extension("new");
    std::fs::write(&new, std::fs::read_to_string(&pins).unwrap() + pin).unwrap();
    std::fs::rename(new, &pins).unwrap();
    within(SOON, "the pin is seen").until(async || (loaded() > before).then_some(())).await;
}

/// Checks without a pause, while the platform's next certificate is pinned and then takes over.
async fn rotates_unnoticed(pin: impl FnOnce(&Site) -> String) {
    let site = site().await;
    let daemon = site.daemon_pid();
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..CALLERS)
        .map(|number| {
            let caller = site.caller("core-banking").unwrap();
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let reply = caller.ask(&good(&format!("rotation-{number}"))).await.unwrap();
                    assert_verdict(&reply, "match");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let some_more = async || {
        let goal = answered.load(Ordering::Relaxed) + 4 * CALLERS;
        let reached = async || {
            let failed = load.iter().any(tokio::task::JoinHandle::is_finished);
            (failed || answered.load(Ordering::Relaxed) >= goal).then_some(())
        };
        within(Duration::from_mins(1), "checks go on").until(reached).await;
    };
    some_more().await;
    add_pin(&site, &pin(&site)).await;
    some_more().await;
    site.sim().misbehave(Misbehaviour::ChainedUnpinnedSigner, u32::MAX).await.unwrap();
    some_more().await;
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.expect("no check failed");
    }
    assert_eq!(site.daemon_pid(), daemon, "nothing was restarted");
    let signers: std::collections::BTreeSet<_> = site
        .ledger_records()
        .unwrap()
        .iter()
        .map(|record| record.text("/body/signer"))
        .filter(|signer| !signer.is_empty())
        .collect();
    assert_eq!(signers.len(), 2, "both certificates signed answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_signing_certificate_pinned_ahead_takes_over_under_load_without_a_failed_check() {
    rotates_unnoticed(|site| {
        let next = std::fs::read(site.places().pki().platform("signing-unpinned").certificate).unwrap();
        format!("\n[[signer]]\nname = \"next\"\nrole = \"signing\"\nkey_id = \"{}\"\n", key_id(&next).unwrap())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_signing_certificate_named_ahead_takes_over_by_its_chain_without_a_failed_check() {
    rotates_unnoticed(|_| {
        let organisation = "\"C=CN\", \"O=Yanqian Development Platform\"";
        format!(
            "\n[[signer]]\nname = \"next\"\nrole = \"signing\"\nsubject = [{organisation}, \"CN=Platform Signing (unpinned)\"]\n\
             issuer = [{organisation}, \"CN=Platform Issuing CA\"]\n"
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_certificate_that_is_not_the_pinned_one_is_sent_nothing() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let pinned = |name: &str| {
        let certificate = std::fs::read(site.places().pki().platform(name).certificate).unwrap();
        format!("\n[[signer]]\nname = \"{name}\"\nrole = \"tls\"\nkey_id = \"{}\"\n", key_id(&certificate).unwrap())
    };
    add_pin(&site, &pinned("signing")).await;
    let requests = site.sim().stats().await.unwrap().requests;
    assert_problem(&caller.ask(&good("other")).await.unwrap(), 502, "platform-identity");
    assert_eq!(site.sim().stats().await.unwrap().requests, requests);
    add_pin(&site, &pinned("tls")).await;
    assert_verdict(&caller.ask(&good("pinned")).await.unwrap(), "match");
}
