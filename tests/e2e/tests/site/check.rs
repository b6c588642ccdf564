//! `yanqian check`: each line of its table fails or warns for its own cause, and for nothing else's.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use time::OffsetDateTime;
use yanqian_harness::Site;

use crate::support::site;

type Results = BTreeMap<String, String>;

/// The worker's configuration where the daemon's user can read it, as in `/etc/yanqian-hsm`; a site keeps it with the token.
fn worker_config(site: &Site) -> PathBuf {
    let directory = site.places().agreement().with_file_name("worker");
    if !directory.exists() {
        std::fs::create_dir(&directory).unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
        let beside = directory.display().to_string();
        let hsm = site.places().hsm().display().to_string();
        for file in [site.places().worker_config(), site.places().hsm_profile()] {
            let text = std::fs::read_to_string(&file).unwrap();
            let copy = directory.join(file.file_name().unwrap());
            std::fs::write(&copy, text.replace(&format!("{hsm}/hsm-profile"), &format!("{beside}/hsm-profile")))
                .unwrap();
            std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
    directory.join(site.places().worker_config().file_name().unwrap())
}

/// What `check --json` says of each piece, after it was compared with the exit status and the totals.
fn results(site: &Site) -> Results {
    let (daemon, worker) = (site.places().daemon_config(), worker_config(site));
    let [daemon, worker] = [daemon, worker].map(|file| file.display().to_string());
    let output = site.yanqian(&["check", "--config", &daemon, "--worker-config", &worker, "--json"]).unwrap();
    let told: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{}", output.all()));
    let text = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    let results: Results =
        told["checks"].as_array().unwrap().iter().map(|one| (text(one, "check"), text(one, "result"))).collect();
    let count = |wanted: &str| results.values().filter(|result| *result == wanted).count();
    assert_eq!((&told["warnings"], &told["failures"]), (&count("warn").into(), &count("fail").into()));
    assert_eq!(output.code, Some(if count("fail") == 0 { 0 } else { 78 }), "{}", output.all());
    results
}

/// The lines that are not as on a good site.
fn changed(good: &Results, now: &Results) -> Vec<(String, String)> {
    let mut changed: Vec<_> = now
        .iter()
        .filter(|(name, result)| good.get(*name) != Some(result))
        .map(|(a, b)| (a.clone(), b.clone()))
        .collect();
    changed.extend(good.keys().filter(|name| !now.contains_key(*name)).map(|name| (name.clone(), "gone".to_owned())));
    changed
}

/// Changes one file, runs the check, and puts the file back.
#[track_caller]
fn assert_changes(site: &Site, good: &Results, file: &Path, content: &str, expected: &[(&str, &str)]) {
    let before = std::fs::read(file).unwrap();
    std::fs::write(file, content).unwrap();
    let found = changed(good, &results(site));
    std::fs::write(file, before).unwrap();
    let expected: Vec<_> = expected.iter().map(|(name, result)| ((*name).to_owned(), (*result).to_owned())).collect();
    assert_eq!(found, expected, "{}:\n{content}", file.display());
}

fn replaced(file: &Path, from: &str, to: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from} is not in\n{text}");
    text.replace(from, to)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_the_check_has_its_own_cause() {
    let site = site().await;
    let good = results(&site);
    let not_ok: Vec<_> = good.iter().filter(|(_, result)| *result != "ok").map(|(name, _)| name.as_str()).collect();
    // What this machine's limits and disk make of it is not ours to say.
    assert!(not_ok.contains(&"token") && !good.values().any(|result| result == "fail"), "{good:?}");
    let places = site.places();

    let agreement = places.agreement();
    let text = std::fs::read_to_string(&agreement).unwrap();
    let ends = |day: OffsetDateTime| {
        let line = text.lines().find(|line| line.starts_with("effective_until")).unwrap();
        text.replace(line, &format!("effective_until = {}", day.date()))
    };
    let now = OffsetDateTime::now_utc();
    assert_changes(&site, &good, &agreement, &ends(now - time::Duration::days(3)), &[("agreement", "fail")]);
    assert_changes(&site, &good, &agreement, &ends(now + time::Duration::days(9)), &[("agreement", "warn")]);
    let nonsense = [("agreement", "fail"), ("services", "fail")];
    assert_changes(&site, &good, &agreement, "version = 1", &nonsense);

    let profile = places.platform_profile();
    let without = replaced(&profile, "chip-reading = ", "another-service = ");
    let broken = [("platform-link", "fail"), ("platform-profile", "fail"), ("services", "fail")];
    assert_changes(&site, &good, &profile, &without, &broken);

    let config = places.daemon_config();
    let text = std::fs::read_to_string(&config).unwrap();
    let without: Vec<_> = text.lines().filter(|line| !line.starts_with("encryption_")).collect();
    let gone = [("services", "fail"), ("encryption-certificate", "gone"), ("encryption-key", "gone")];
    assert_changes(&site, &good, &config, &without.join("\n"), &gone);
    let elsewhere = replaced(&config, "state_dir = \"", "state_dir = \"/nonexistent");
    assert_changes(&site, &good, &config, &elsewhere, &[("disk", "fail"), ("state-directory", "fail")]);
    assert_changes(&site, &good, &places.state_key(), "0123", &[("state-key", "fail")]);

    for (days, result) in [(-1, "fail"), (9, "warn")] {
        let begins = now + time::Duration::days(days - 365);
        let request = std::fs::read(places.hsm().join("yanqian-sign.csr")).unwrap();
        let signing = yanqian_devpki::issue_entity_signing(&places.pki(), &request, begins, 365).unwrap();
        let encryption = yanqian_devpki::issue_entity_encryption(&places.pki(), &signing, begins, 365).unwrap();
        // The key of another certificate of the same request is the same; the certificate beside it in the token is not.
        let expected = [("signing-certificate", result), ("signing-key", "warn")];
        let pem = String::from_utf8(signing.clone()).unwrap();
        assert_changes(&site, &good, &places.signing_certificate(), &pem, &expected);
        // A new encryption pair has a new key.
        let pem = String::from_utf8(encryption.certificate.clone()).unwrap();
        let expected = [("encryption-certificate", result), ("encryption-key", "fail")];
        assert_changes(&site, &good, &places.encryption_certificate(), &pem, &expected);
    }

    let worker = worker_config(&site);
    let other = replaced(&worker, "module = \"", "module = \"/nonexistent");
    assert_changes(&site, &good, &worker, &other, &[("pkcs11-module", "fail")]);
    let other = replaced(&worker, "profile = \"", "profile = \"/nonexistent");
    let expected = [("token-profile", "fail"), ("worker-configuration", "fail")];
    assert_changes(&site, &good, &worker, &other, &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_sees_permissions_the_clock_and_a_token_that_is_away() {
    let mut site = site().await;
    let good = results(&site);
    let config = site.places().daemon_config();
    let line = |name: &str, result: &str| vec![(name.to_owned(), result.to_owned())];

    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(changed(&good, &results(&site)), line("permissions", "fail"));
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();

    let file = std::fs::File::options().write(true).open(&config).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_hours(1)).unwrap();
    // Nobody vouches for the clock of a site, so it has a warning in any case; this one comes first.
    assert_eq!(good["clock"], "warn");
    let told = site.yanqian(&["check", "--config", &config.display().to_string()]).unwrap().all();
    assert!(told.contains("the configuration was changed after that"), "{told}");
    file.set_modified(SystemTime::now()).unwrap();

    site.reconfigure("limits.max_connections", 1_000_000).unwrap();
    assert_eq!(results(&site)["open-files"], "warn");
    site.reconfigure("limits.max_connections", 100).unwrap();

    site.stop_worker();
    let away = results(&site);
    assert_eq!(away["token"], "fail");
    assert!(
        !away.contains_key("signing-key") && !away.contains_key("encryption-key"),
        "nothing is said of what is not seen"
    );
}
