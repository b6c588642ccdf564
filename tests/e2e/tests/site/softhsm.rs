//! The main job with a token that is not ours: SoftHSM with SM2, which `tests/softhsm-sm2/build` builds where it can.

use std::path::PathBuf;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use serde_json::Value;
use yanqian_harness::{Options, Site, Token};

use crate::checks::every_document_is_verified;
use crate::support::{assert_problem, good, within};

/// Where the build leaves the module; none where it could not be built.
fn module() -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let module = test.ancestors().nth(3).unwrap().join("softhsm-sm2/libsofthsm2.so");
    if module.exists() {
        return Some(module.canonicalize().unwrap());
    }
    eprintln!("SKIPPED: {} is not there; tests/softhsm-sm2/build makes it", module.display());
    None
}

async fn site() -> Option<Site> {
    let mut options = Options::for_test().unwrap_or_else(|error| panic!("{error}"));
    options.binaries.token_module = module()?;
    options.token = Token::SoftHsm;
    Some(Site::build(options).await.unwrap_or_else(|error| panic!("{error}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_type_is_verified_with_a_token_that_is_not_ours() {
    let Some(site) = site().await else { return };
    every_document_is_verified(&site).await;
    let status = site.worker_status().unwrap();
    assert_eq!(status["token_manufacturer"], "SoftHSM project", "{status}");
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

/// SoftHSM never says that its token is gone: keys are not found, and stay so for the application when the token is back.
#[tokio::test(flavor = "multi_thread")]
async fn its_token_goes_away_and_comes_back_without_a_restart_of_the_daemon() {
    let Some(site) = site().await else { return };
    let (caller, daemon) = (site.caller("core-banking").unwrap(), site.daemon_pid());
    assert_eq!(caller.ask(&good("before")).await.unwrap().status, 200);
    let away = site.places().root().join("token-away");
    std::fs::rename(site.places().token(), &away).unwrap();
    let reply = within(Duration::from_secs(30), "checks without a token are refused")
        .until(async || Some(caller.ask(&good("away")).await.unwrap()).filter(|reply| reply.status != 200))
        .await;
    assert_problem(&reply, 503, "signer-unavailable");
    std::fs::rename(&away, site.places().token()).unwrap();
    within(Duration::from_secs(30), "the token is back")
        .until(async || (caller.ask(&good("after")).await.unwrap().status == 200).then_some(()))
        .await;
    assert_eq!(site.daemon_pid(), daemon);
    assert_eq!(site.sim().stats().await.unwrap().refused, 0);
}

/// Label of the pair that the child makes.
const LABEL: &str = "opening";
/// Environment variable that turns the test into the child process that makes a pair: `SoftHSM` reads its own environment.
const CHILD: &str = "YANQIAN_TEST_SOFTHSM_CHILD";

/// An encryption pair as a vendor's tool would make it, through `SoftHSM`'s own interface.
fn make_encryption_pair(pin: &str) {
    let pkcs11 = Pkcs11::new(module().unwrap()).unwrap();
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = pkcs11.get_slots_with_initialized_token().unwrap()[0];
    let session = pkcs11.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::new(pin.into()))).unwrap();
    let curve = Attribute::EcParams(vec![0x06, 0x08, 0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x82, 0x2D]);
    let both = [Attribute::Token(true), Attribute::Label(LABEL.into()), Attribute::Id(vec![0x0E])];
    let public = [&both[..], &[curve, Attribute::Encrypt(true), Attribute::Verify(false)]].concat();
    let private = [&both[..], &[Attribute::Private(true), Attribute::Decrypt(true), Attribute::Sign(false)]].concat();
    session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encryption_key_of_its_own_opens_what_software_seals_to_it() {
    if let Ok(pin) = std::env::var(CHILD) {
        return make_encryption_pair(&pin);
    }
    let Some(site) = site().await else { return };
    let made = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["softhsm::an_encryption_key_of_its_own_opens_what_software_seals_to_it", "--exact"])
        .env(CHILD, site.pin().unwrap())
        .env("SOFTHSM2_CONF", site.places().hsm().join("softhsm2.conf"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    if let Some(worker) = site.options().users.worker {
        for file in std::fs::read_dir(site.places().token())
            .unwrap()
            .flat_map(|token| std::fs::read_dir(token.unwrap().path()).unwrap().map(|file| file.unwrap().path()))
        {
            std::os::unix::fs::chown(file, Some(worker.uid), Some(worker.gid)).unwrap();
        }
    }
    // Keys are proven at the worker's start: here, by opening what software has sealed to the token's public key.
    site.kill_worker();
    within(Duration::from_secs(30), "another worker").until(async || (site.worker_starts() > 1).then_some(())).await;
    site.worker_ready().await.unwrap();
    let config = site.places().worker_config().display().to_string();
    let listed = site.yanqian_as_worker(&["hsm", "list", "--config", &config, "--json"]).unwrap();
    let keys = listed.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let key = keys.into_iter().find(|key| key["label"] == LABEL).unwrap_or_else(|| panic!("{}", listed.all()));
    assert_eq!((&key["usage"], &key["proven"]), (&"encrypt".into(), &true.into()), "{key}");
}
