//! The main job over every family of tokens: the same site, its token speaking one dialect after the other.

use std::path::Path;

use yanqian_harness::Site;

use crate::support::{assert_verdict, good, site};

/// Profile and dialect.
const FAMILIES: [(&str, &str); 11] = [
    ("softhsm-sm2", "softhsm-sm2"),
    ("sansec-e-raw", "sansec"),
    ("sansec-e-der", "sansec"),
    ("sansec-message", "sansec"),
    ("tass", "tass"),
    ("koal", "koal"),
    ("ibm-ep11", "ibm-ep11"),
    ("ibm-ep11-message", "ibm-ep11"),
    ("westone-2018", "westone-2018"),
    ("westone-card", "westone-card"),
    ("wosign-key", "wosign-key"),
];

/// Puts a shipped profile in place, and the dialect that it is for. What plays the token says of itself that it is software, so the
/// profile is of development grade here; and it opens ciphertexts, as the daemon wants of the encryption pair, where the family's
/// mechanism for that is not known.
fn speak(site: &Site, repository: &Path, profile: &str, dialect: &str) {
    let read = |path: &str| std::fs::read_to_string(repository.join(path)).unwrap();
    let mut text = read(&format!("hsm-profiles/{profile}.toml"))
        .replacen("grade = \"hsm\"", "grade = \"development\"", 1)
        .replacen("manufacturer = \"SoftHSM project\"", "", 1)
        .replacen("model = \"SoftHSM v2\"", "", 1);
    let mut spoken = read(&format!("appliance/softtoken/dialects/{dialect}.toml"));
    if !text.contains("[unseal]") {
        text.push_str("\n[unseal]\nmechanism = 0x80008200\nciphertext = \"der\"\n");
        spoken.push_str("\n[cipher]\nmechanism = 0x80008200\nform = \"der\"\n");
    }
    std::fs::write(site.places().hsm_profile(), text).unwrap();
    let file = site.places().hsm_profile().with_file_name("dialect.toml");
    std::fs::write(&file, spoken).unwrap();
    let worker = std::fs::read_to_string(site.places().worker_config()).unwrap();
    let variable = format!("YANQIAN_SOFTTOKEN_DIALECT = {:?}", file.display().to_string());
    if !worker.contains("YANQIAN_SOFTTOKEN_DIALECT") {
        let changed = worker.replacen("[module_env]\n", &format!("[module_env]\n{variable}\n"), 1);
        assert_ne!(changed, worker, "the worker's configuration has a [module_env]");
        std::fs::write(site.places().worker_config(), changed).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_is_done_over_every_familys_dialect() {
    let mut site = site().await;
    let repository = site.options().repository.clone();
    for (profile, dialect) in FAMILIES {
        site.stop_worker();
        speak(&site, &repository, profile, dialect);
        site.start_worker().await.unwrap_or_else(|error| panic!("{profile}: {error}"));
        // Whether the token wants messages is read when the daemon starts.
        site.stop_daemon();
        site.start_daemon().await.unwrap_or_else(|error| panic!("{profile}: {error}"));
        let caller = site.caller("core-banking").unwrap();
        let reply = caller.ask(&good(profile)).await.unwrap();
        assert_verdict(&reply, "match");
        assert_eq!(site.worker_status().unwrap()["profile"], profile);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_probed_and_measured_while_its_worker_serves() {
    let site = site().await;
    let caller = site.caller("core-banking").unwrap();
    let config = site.places().worker_config().display().to_string();
    let profiles = site.options().repository.join("hsm-profiles").display().to_string();
    let checks = tokio::spawn(async move {
        for number in 0..20 {
            assert_verdict(&caller.ask(&good(&format!("meanwhile {number}"))).await.unwrap(), "match");
        }
    });
    let probed = site.yanqian_as_worker(&["hsm", "probe", "--config", &config, "--profiles", &profiles]).unwrap();
    assert_eq!(probed.code, Some(0), "{}", probed.all());
    for line in [
        "mechanism = 0x80008105",
        "input = \"e\"",
        "evidence = \"proven\"",
        "mechanism 0x80008102: SM2 over message-with-z",
    ] {
        assert!(probed.all().contains(line), "{line}: {}", probed.all());
    }
    let bench = ["hsm", "bench", "--config", &config, "--seconds", "1", "--sessions", "2"];
    let measured = site.yanqian_as_worker(&bench).unwrap();
    assert_eq!(measured.code, Some(0), "{}", measured.all());
    assert!(measured.all().contains("threads = "), "{}", measured.all());
    checks.await.unwrap();
    let status = site.worker_status().unwrap();
    assert_eq!((&status["reinitialisations_total"], &status["logins_total"]), (&0.into(), &1.into()), "{status}");
}
