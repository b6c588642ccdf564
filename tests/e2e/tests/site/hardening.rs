//! What daemon and worker refuse before they read a secret, and what the kernel says of them afterwards.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use yanqian_harness::Site;

use crate::support::site;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn mode_of(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The daemon does not start while `file` has this mode, and says so by the file's name.
async fn assert_refused_with(site: &mut Site, file: &Path, mode: u32) {
    let before = mode_of(file);
    set_mode(file, mode);
    let error = site.start_daemon().await.expect_err("it must not start").to_string();
    let name = file.file_name().unwrap().to_string_lossy();
    assert!(error.contains("78") && error.contains(&*name), "{name} with {mode:o}: {error}");
    set_mode(file, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_others_can_read_or_change_keep_the_daemon_from_starting() {
    let mut site = site().await;
    site.stop_daemon().expect("an orderly stop");
    let places = site.places().clone();
    let etc = places.daemon_config().parent().unwrap().to_owned();
    for secret in [places.state_key(), etc.join("tls/server.key")] {
        assert_refused_with(&mut site, &secret, 0o640).await;
        assert_refused_with(&mut site, &secret, 0o604).await;
    }
    let public = [
        places.daemon_config(),
        places.agreement(),
        places.platform_profile(),
        places.signing_certificate(),
        places.encryption_certificate(),
        etc.join("tls/callers-ca.pem"),
        places.trust().join("signers.toml"),
        places.trust().join("anchors/root.pem"),
    ];
    for file in public {
        assert_refused_with(&mut site, &file, 0o664).await;
        assert_refused_with(&mut site, &file, 0o646).await;
    }
    set_mode(&etc, 0o777);
    let error = site.start_daemon().await.expect_err("another file could be put in its place").to_string();
    assert!(error.contains("78") && error.contains("yanqian.toml"), "{error}");
    set_mode(&etc, 0o755);
    site.start_daemon().await.unwrap();
}

/// Only where this test may be root; elsewhere nobody can start anything as root.
#[tokio::test(flavor = "multi_thread")]
async fn neither_daemon_nor_worker_runs_as_root() {
    let site = site().await;
    if !site.options().users.are_separate() {
        return;
    }
    let (daemon, worker) = (site.places().daemon_config(), site.places().worker_config());
    for (command, file) in [("serve", daemon), ("hsm-worker", worker)] {
        let output = Command::new(site.program()).args([command, "--config"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(78), "{command}: {said}");
        assert!(said.contains("root"), "{command}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_leaves_a_core_file() {
    let site = site().await;
    for pid in [site.daemon_pid().unwrap(), site.worker_pid().unwrap()] {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"));
        // A process that is not dumpable belongs to root in /proc: others may not even look.
        let Ok(limits) = limits else { continue };
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let values: Vec<_> = core.split_whitespace().rev().take(3).collect();
        assert_eq!(values[1..], ["0", "0"], "{core}");
        let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{pid}/mem")).unwrap());
        assert_eq!(owner, 0, "dumpable: /proc/{pid} belongs to its user");
    }
}
