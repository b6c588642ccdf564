//! A module that nobody has a profile for: what the probe finds out, and that the profile it prints serves.

use std::path::Path;
use std::process::Output;

use crate::support::{LABEL, Site, dialect, digest, program, verifies};

/// Runs the probe over the site's token. The families are those of the repository, or none.
fn probe(site: &Site, with_families: bool, more: &[&str]) -> Output {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hsm-profiles");
    let families = if with_families { shipped } else { site.path("none") };
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let mut command = program();
    for (name, value) in &site.environment {
        command.env(name, value);
    }
    std::fs::create_dir_all(site.path("state")).unwrap();
    command
        .env("YANQIAN_SOFTTOKEN_DIR", site.path("token"))
        .args(["probe", &text(&site.module), LABEL, &text(&site.path("pin")), &text(&site.path("state"))])
        .arg(families)
        .args(more)
        .output()
        .unwrap()
}

/// A site whose token speaks this dialect and holds a key `sign`.
async fn with_key(spoken: &str) -> Site {
    let mut site = Site::new();
    let worker = site.start();
    site.client().generate_key("sign").await.unwrap();
    drop(worker);
    site.speak(spoken);
    site
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The printed profile serves, and says this of its signing mechanism.
async fn serves(site: &Site, profile: &str, expected: &[&str]) {
    std::fs::write(site.path("profile.toml"), profile).unwrap();
    let worker = site.start();
    let client = site.client();
    let key = client.public_key("sign").await.unwrap();
    for number in 0..20_u8 {
        let e = digest(&key, &[number]);
        let signature = client.sign("sign", &e, Some(&[number])).await.unwrap();
        assert!(verifies(&key, &e, &signature), "{profile}");
    }
    for line in expected {
        assert!(profile.contains(line), "{line} is not in\n{profile}");
    }
    drop(worker);
}

macro_rules! probed {
    ($($name:ident: $dialect:literal => $expected:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let site = with_key(&dialect($dialect)).await;
            let profile = printed(&probe(&site, true, &[]));
            serves(&site, &profile, &$expected).await;
        }
    )*};
}

probed! {
    a_sansec_is_recognised: "sansec" => [
        "mechanism = 0x80008105", "input = \"e\"", "encoding = \"raw\"", "keygen_mechanism = 0x80008001", "[unseal]",
        "mechanism 0x80008100: SM2 over message-without-z, raw", "mechanism 0x80008103: SM2 over message-with-z, der-lax",
    ];
    a_tass_is_recognised: "tass" => ["mechanism = 0x80008000", "encoding = \"der\"", "ec_point = \"uncompressed\""];
    an_ep11_is_recognised: "ibm-ep11" => [
        "mechanism = 0x8005000b", "mechanism 0x8005000c: SM2 over message-with-z, raw, with the id as parameter",
    ];
    a_westone_is_recognised: "westone-2018" => ["mechanism = 0x80000002", "x_attribute = 0x80000002", "max = 1"];
    a_wosign_key_is_recognised: "wosign-key" => ["mechanism = 0x00010002", "y_attribute = 0x00010003"];
    a_patched_softhsm_is_recognised: "softhsm-sm2" => [
        "mechanism = 0x80008105", "mechanism 0x00001041: ECDSA over the SM2 curve",
    ];
}

#[tokio::test]
async fn numbers_that_no_family_has_are_found_too() {
    let strange = dialect("softtoken")
        .replace("0x80008102", "0x8000AAAA")
        .replace("0x80008105", "0x8000BBBB")
        .replace("type = 0x80000004", "type = 0x8000CCCC");
    let site = with_key(&strange).await;
    let profile = printed(&probe(&site, false, &[]));
    serves(&site, &profile, &["mechanism = 0x8000bbbb", "type = 0x8000cccc", "# keygen_mechanism ="]).await;
}

#[tokio::test]
async fn a_token_without_sm2_gets_no_profile_and_its_ecdsa_its_name() {
    let site = with_key(&dialect("softhsm")).await;
    let output = probe(&site, true, &[]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{log}");
    assert!(output.stdout.is_empty() && log.contains("no SM2 signature"), "{log}");
}

#[test]
fn an_empty_token_is_probed_with_a_key_of_the_session_only_when_asked_and_stays_empty() {
    let site = Site::new();
    let output = probe(&site, true, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    let profile = printed(&probe(&site, true, &["make"]));
    assert!(profile.contains("mechanism = 0x80008105"), "{profile}");
    assert_eq!(std::fs::read_dir(site.path("token").join("objects")).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_measurement_advises_threads_and_leaves_nothing() {
    let mut site = Site::new();
    site.change_profile("[session]", "[session]\nmax = 5");
    site.extra = "threads = 2".into();
    let output = program().args(["bench", site.write_config().to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let sessions: Vec<&str> = printed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(sessions[..3], ["1", "2", "4"], "the anchor and four: {printed}");
    assert!(printed.contains("threads = "), "{printed}");
    assert_eq!(std::fs::read_dir(site.path("token").join("objects")).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_wrong_pin_is_tried_once_by_probe_and_worker_together() {
    let site = Site::faulty();
    site.write_pin("wrong-pin");
    for _ in 0..2 {
        let output = probe(&site, true, &[]);
        assert_eq!(output.status.code(), Some(77), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut worker = site.spawn();
    assert_eq!(worker.ended().code(), Some(77), "{}", worker.log());
    assert_eq!(site.calls("C_Login"), 1);
}
