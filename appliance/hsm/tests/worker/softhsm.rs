//! A module that is not ours: stock SoftHSM 2, which has no SM2. It tests the plumbing.

use std::path::{Path, PathBuf};

use yanqian_hsm::WorkerError;
use yanqian_hsm::protocol::codes;

use crate::support::{LABEL, PIN, Site};

fn module() -> Option<PathBuf> {
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"]
        .iter()
        .map(PathBuf::from)
        .find(|path| Path::exists(path))
}

/// A site with an initialised `SoftHSM` token; none where it is not installed.
#[allow(clippy::print_stderr)]
pub(crate) fn site() -> Option<Site> {
    let Some(module) = module() else {
        eprintln!("SKIPPED: softhsm2 is not installed");
        return None;
    };
    let mut site = Site::bare();
    std::fs::create_dir(site.path("tokens")).unwrap();
    let conf = site.path("softhsm2.conf");
    std::fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", site.path("tokens").display()))
        .unwrap();
    site.write_pin(PIN);
    site.module = module;
    site.environment = vec![("SOFTHSM2_CONF", conf.to_str().unwrap().to_owned())];
    let output = site.init_token(&[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(site)
}

/// The same, with the soft token's numbers.
fn misfitted() -> Option<Site> {
    let site = site()?;
    site.change_profile("manufacturer = \"Yanqian project\"", "manufacturer = \"SoftHSM project\"");
    site.change_profile("model = \"SOFT development\"", "model = \"SoftHSM v2\"");
    Some(site)
}

#[tokio::test]
async fn a_foreign_module_is_driven_through_its_life() {
    let Some(site) = misfitted() else { return };
    let mut worker = site.start();
    let client = site.client();
    let status = client.status().await.unwrap();
    assert_eq!((status.token_label.as_str(), status.logins_total), (LABEL, 1));
    assert_eq!(client.random(64).await.unwrap().len(), 64);
    assert_eq!(client.list_keys().await.unwrap(), []);
    worker.signal(rustix::process::Signal::TERM);
    assert_eq!(worker.ended().code(), Some(0), "{}", worker.log());
}

#[tokio::test]
async fn a_mechanism_that_a_module_lacks_is_a_profile_error_that_names_the_field() {
    let Some(site) = misfitted() else { return };
    let worker = site.start();
    let error = site.client().generate_key("signing").await.unwrap_err();
    let WorkerError::Refused { code, message } = error else { panic!("{error}") };
    assert_eq!(code, codes::PROFILE);
    assert!(message.contains("key.keygen_mechanism = 0x80008001"), "{message}");
    assert!(message.contains("CKR_MECHANISM_INVALID") && message.contains("profile.toml"), "{message}");
    assert!(worker.log().contains("sign.mechanism = 0x80008105"), "{}", worker.log());
}

#[tokio::test]
async fn ecdsa_over_an_sm2_key_is_not_served() {
    let Some(site) = misfitted() else { return };
    // SoftHSM makes keys on the SM2 curve and signs with ECDSA: 64 octets that look right and are not SM2.
    site.change_profile("type = 0x80000004", "type = 3");
    site.change_profile("keygen_mechanism = 0x80008001", "keygen_mechanism = 0x1040");
    site.change_profile("mechanism = 0x80008105", "mechanism = 0x1041");
    let _worker = site.start();
    let error = site.client().generate_key("signing").await.unwrap_err();
    let WorkerError::Refused { code, message } = error else { panic!("{error}") };
    assert_eq!(code, codes::SELF_PROOF, "{message}");
    assert!(message.contains("ECDSA") && message.contains("stock SoftHSM"), "{message}");
}

#[test]
fn a_wrong_pin_is_tried_once_there_too() {
    let Some(site) = misfitted() else { return };
    site.write_pin("wrong-pin");
    for _ in 0..2 {
        let mut worker = site.spawn();
        assert_eq!(worker.ended().code(), Some(77), "{}", worker.log());
    }
    let refusals = std::fs::read_to_string(site.path("log")).unwrap();
    assert!(refusals.contains("CKR_PIN_INCORRECT"), "{refusals}");
}
