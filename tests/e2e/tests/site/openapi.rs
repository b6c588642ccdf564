//! The description of the internal API: who gets it, and that a running site keeps it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use http::Method;
use serde_json::{Value, json};
use yanqian_harness::{Protocol, Site, Variant, people};

use crate::support::{assert_problem, site};

const DESCRIPTION: &str = "/v1/openapi.json";

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_served_to_known_callers_and_may_be_kept() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let file = std::fs::read(site.options().repository.join("docs/openapi.json")).unwrap();
    for protocol in Protocol::BOTH {
        let caller = caller.over(protocol);
        let reply = caller.get(DESCRIPTION).await.unwrap();
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
        assert!(reply.body == file, "the file is what is served");
        let tag = reply.header("etag").to_owned();
        let again = caller.send(Method::GET, DESCRIPTION, &[("if-none-match", &tag)], "").await.unwrap();
        assert_eq!((again.status, again.header("etag"), again.body.len()), (304, tag.as_str(), 0));
        assert_ne!(again.header("x-request-id"), "");
        let wrong = caller.send(Method::POST, DESCRIPTION, &[], "").await.unwrap();
        assert_problem(&wrong, 405, "method-not-allowed");
        assert_eq!(wrong.header("allow"), "GET");
    }
    let stranger = site.caller("stranger").unwrap();
    assert_problem(&stranger.get(DESCRIPTION).await.unwrap(), 403, "caller-unknown");
}

/// Requests of each service that the platform can answer, for the runner to mix with those made by chance.
async fn known_requests(site: &Site) -> Value {
    let holders: Vec<_> = people::register().into_iter().take(4).collect();
    let mut chips = Vec::new();
    for holder in &holders {
        let chip = site.sim().chip(&holder.number, Variant::Genuine).await.unwrap();
        chips.push(people::chip_request(holder, "r", &chip));
    }
    let named = holders.iter().map(|holder| people::about(holder, "r"));
    let pictured =
        holders.iter().map(|holder| people::with_portrait(&people::about(holder, "r"), &people::portrait(holder)));
    json!({
        "real-name": named.collect::<Vec<_>>(),
        "real-person": pictured.collect::<Vec<_>>(),
        "chip-reading": chips,
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs schemathesis: tests/openapi/run"]
#[allow(clippy::print_stdout)] // what was tested is worth reading
async fn a_running_site_keeps_its_description() {
    let tool = std::env::var_os("YANQIAN_SCHEMATHESIS").expect("tests/openapi/run says where schemathesis is");
    let site = site().await;
    let pki = site.places().pki();
    let identity = pki.caller("core-banking");
    let ours: PathBuf = site.options().repository.join("tests/openapi");
    let base = format!("https://localhost:{}", site.addresses().api.port());
    let scratch = tempfile::tempdir().unwrap();
    let known = scratch.path().join("known.json");
    std::fs::write(&known, known_requests(&site).await.to_string()).unwrap();
    let began = Instant::now();
    let mut command = Command::new(tool);
    command
        .current_dir(scratch.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONPATH", &ours)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("YANQIAN_KNOWN", &known)
        .arg("--config-file")
        .arg(ours.join("schemathesis.toml"))
        .args(["--no-color", "run", "--url", &base])
        .arg("--tls-verify")
        .arg(pki.internal("ca").certificate)
        .arg("--request-cert")
        .arg(&identity.certificate)
        .arg("--request-cert-key")
        .arg(&identity.key)
        .arg(site.options().repository.join("docs/openapi.json"));
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}\nin {:?}", began.elapsed());
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));

    // The description was exercised, and not only refused.
    let metrics = site.metrics().await.unwrap();
    let verdicts = metrics.by_label("yanqian_verdicts_total", "mode");
    let refusals = metrics.by_label("yanqian_refusals_total", "reason");
    println!("{verdicts:?}\n{refusals:?}");
    for mode in ["real-name", "real-person", "chip-reading"] {
        assert!(verdicts.get(mode).is_some_and(|count| *count > 0), "no verdict of {mode}: {verdicts:?}");
    }
    assert!(refusals.len() > 10, "{refusals:?}");
    let (by_verdict, by_reason) = yanqian_harness::Record::count_ends(&site.ledger_records().unwrap());
    assert_eq!(by_verdict.values().sum::<u64>(), metrics.sum("yanqian_verdicts_total"));
    assert_eq!(by_reason.values().sum::<u64>(), metrics.sum("yanqian_refusals_total"));
}
