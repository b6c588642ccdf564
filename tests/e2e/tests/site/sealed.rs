//! The main job over stock `SoftHSM`, which knows no SM2: the token keeps the keys, the worker's memory uses them, and everything
//! says so.

use std::path::PathBuf;
use std::time::Duration;

use yanqian_harness::people::{self, NumberForm};
use yanqian_harness::{File, Options, Site, Token, Variant};

use crate::checks::every_document_is_verified;
use crate::support::{assert_problem, assert_verdict, good, site, within};

/// The distribution's module; none where it is not installed.
fn module() -> Option<PathBuf> {
    let module = PathBuf::from("/usr/lib/softhsm/libsofthsm2.so");
    if module.exists() {
        return Some(module.canonicalize().unwrap());
    }
    eprintln!("SKIPPED: softhsm2 is not installed");
    None
}

async fn sealed() -> Option<Site> {
    let mut options = Options::for_test().unwrap_or_else(|error| panic!("{error}"));
    options.binaries.token_module = module()?;
    options.token = Token::Sealed;
    // What the keys of such a token are is the least that is demanded.
    let options = options.with(File::Daemon, "hsm.grade", "sealed");
    Some(Site::build(options).await.unwrap_or_else(|error| panic!("{error}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_is_verified_with_sealed_keys_and_all_that_is_kept_says_so() {
    let Some(site) = sealed().await else { return };
    every_document_is_verified(&site).await;
    let caller = site.caller("core-banking").unwrap();
    // A chip's reading is opened with the pair that the authority made, sealed as well.
    let holder = people::holder(NumberForm::PassportDigits);
    let reading = site.sim().chip(&holder.number, Variant::Genuine).await.unwrap();
    assert_verdict(&caller.ask(&people::chip_request(&holder, "chip", &reading)).await.unwrap(), "match");

    let reply = caller.ask(&good("receipt")).await.unwrap();
    let receipt = caller.receipt(&reply.id()).await.unwrap();
    let file = site.places().root().join("receipt.json");
    std::fs::write(&file, &receipt.body).unwrap();
    let proven = site.verify_receipt(&file, &[]).unwrap();
    assert!(proven.code == Some(0) && proven.all().contains("a token of grade sealed"), "{}", proven.all());
    for record in site.ledger_records().unwrap() {
        assert_eq!(record.text("/context/grade"), "sealed");
    }
    assert_eq!(site.worker_status().unwrap()["grade"], "sealed");
    let told = within(Duration::from_secs(10), "metrics tell the grade")
        .until(async || {
            let metrics = site.metrics().await.unwrap();
            (metrics.value("yanqian_hsm_grade{grade=\"sealed\",token=\"hsm\"}") == Some(1.0)).then_some(metrics)
        })
        .await;
    assert_eq!(told.value("yanqian_hsm_grade{grade=\"hsm\",token=\"hsm\"}"), Some(0.0));
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_demands_an_hsm_does_not_start_over_less_and_names_both() {
    let Some(mut site) = sealed().await else { return };
    site.stop_daemon().expect("an orderly stop");
    site.reconfigure("hsm.grade", "hsm").unwrap();
    assert!(site.start_daemon().await.is_err());
    let log = std::fs::read_to_string(site.places().daemon_log()).unwrap();
    assert!(log.contains("hsm.grade: grade hsm is demanded, and the worker's token is of grade sealed"), "{log}");
    site.reconfigure("hsm.grade", "sealed").unwrap();
    site.start_daemon().await.unwrap();
}

/// Records name the grade that the daemon found at its start, so no worker of a lower one may come after it, whether the configuration
/// demands one or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_a_lower_grade_that_comes_later_is_refused_and_the_right_one_taken_again() {
    let Some(mut site) = sealed().await else { return };
    let (caller, daemon) = (site.caller("core-banking").unwrap(), site.daemon_pid());
    assert_verdict(&caller.ask(&good("before")).await.unwrap(), "match");
    let profile = site.places().hsm_profile();
    let sealed = std::fs::read_to_string(&profile).unwrap();
    let stock = site.options().repository.join("hsm-profiles/softhsm.toml");
    site.stop_worker();
    std::fs::copy(stock, &profile).unwrap();
    site.start_worker().await.unwrap();
    let reply = caller.ask(&good("lower")).await.unwrap();
    assert_problem(&reply, 503, "signer-unavailable");
    let (status, why) = within(Duration::from_secs(10), "readiness says why")
        .until(async || Some(site.probe("/readyz").await.unwrap()).filter(|(_, why)| why.contains("grade")))
        .await;
    assert!(status == 503 && why.contains("grade sealed is demanded") && why.contains("grade development"), "{why}");
    site.stop_worker();
    std::fs::write(&profile, sealed).unwrap();
    site.start_worker().await.unwrap();
    within(Duration::from_secs(20), "checks succeed again")
        .until(async || (caller.ask(&good("after")).await.unwrap().status == 200).then_some(()))
        .await;
    assert_eq!(site.daemon_pid(), daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_demand_any_grade_is_taken() {
    let site = site().await;
    assert_verdict(&site.caller("core-banking").unwrap().ask(&good("any")).await.unwrap(), "match");
    assert_eq!(site.ledger_records().unwrap()[0].text("/context/grade"), "development");
}
