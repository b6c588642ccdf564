//! The archive beside a serving daemon: segments go there, are held and released, and an archive that is away costs no check.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use yanqian_harness::{File, Output, Site};

use crate::support::{assert_verdict, good, site_with, within};

const ENOUGH: Duration = Duration::from_mins(1);

/// A site with an archive in a directory, and segments that are soon full.
async fn site(archive: &Path) -> Site {
    let site = site_with(|options| {
        let mut options = options
            .with(File::Daemon, "ledger.segment_bytes", 65_536)
            .with(File::Daemon, "retention.archive", archive.display().to_string())
            .with(File::Daemon, "retention.key_file", "state.key");
        options.checkpoints = Some(1);
        options
    });
    site.await
}

fn archive(site: &Site, command: &[&str]) -> Output {
    let config = site.places().daemon_config().display().to_string();
    let arguments: Vec<&str> =
        ["archive"].iter().chain(command).copied().chain(["--config", config.as_str()]).collect();
    site.yanqian(&arguments).unwrap()
}

#[track_caller]
fn done(output: &Output) -> Value {
    assert_eq!(output.code, Some(0), "{}", output.all());
    serde_json::from_str(&output.stdout).unwrap_or(Value::Null)
}

/// Checks until this many segments are sealed.
async fn fill(site: &Site, segments: u64) {
    let caller = site.caller("core-banking").unwrap();
    for number in 0..400 {
        if site.places().ledger().join(format!("{:08}.seg", segments + 1)).exists() {
            return;
        }
        assert_verdict(&caller.ask(&good(&format!("a-{number}"))).await.unwrap(), "match");
    }
    panic!("segments are not full after 400 checks");
}

fn room(site_user_may_write: &tempfile::TempDir) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let place = site_user_may_write.path().join("archive");
    std::fs::create_dir(&place).unwrap();
    for directory in [site_user_may_write.path(), &place] {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_segments_are_exported_proven_held_and_released() {
    let directory = tempfile::tempdir().unwrap();
    let site = site(&room(&directory)).await;
    fill(&site, 2).await;
    within(ENOUGH, "two segments in the archive")
        .until(async || {
            let output = archive(&site, &["export", "--wait", "5"]);
            (output.code == Some(0)).then_some(())
        })
        .await;
    let list = done(&archive(&site, &["list", "--json"]));
    assert_eq!(list["waiting"], 0, "{list}");
    let segments = list["segments"].as_array().unwrap();
    assert!(segments.len() >= 2 && segments.iter().all(|segment| segment["place"] == "both"), "{list}");
    let verified = done(&archive(&site, &["verify", "--json"]));
    assert_eq!((&verified["segments"], &verified["signed"]), (&segments.len().into(), &true.into()), "{verified}");
    assert_eq!(verified["checkpoints"], segments.len(), "{verified}");
    within(ENOUGH, "the count of what is in the archive")
        .until(async || {
            let exported = site.metrics().await.unwrap().sum("yanqian_archive_segments");
            (exported == segments.len() as u64).then_some(())
        })
        .await;

    done(&archive(&site, &["hold", "--reason", "case 17", "--first", "1", "--last", "9"]));
    let holds = done(&archive(&site, &["holds", "--json"]));
    assert_eq!((&holds["holds"][0]["reason"], &holds["holds"][0]["released"]), (&"case 17".into(), &Value::Null));
    done(&archive(&site, &["release", "1", "--reason", "closed"]));
    let events: Vec<_> = site.ledger_records().unwrap().iter().map(yanqian_harness::Record::event).collect();
    assert!(events.iter().any(|event| event == "hold-placed") && events.iter().any(|event| event == "hold-released"));
    let again = archive(&site, &["release", "1", "--reason", "closed"]);
    assert!(again.code == Some(1) && again.stderr.contains("no hold 1 is in force"), "{}", again.all());

    done(&archive(&site, &["restore", "1"]));
    let expired = archive(&site, &["expire", "--yes"]);
    assert!(expired.stdout.contains("0 segments deleted, 0 kept"), "{}", expired.all());
    let verify = site.ledger_verify().unwrap();
    assert_eq!(verify.code, Some(0), "{}", verify.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_away_makes_segments_wait_and_no_check() {
    let directory = tempfile::tempdir().unwrap();
    let place = room(&directory);
    let site = site(&place).await;
    let away = directory.path().join("away");
    std::fs::rename(&place, &away).unwrap();
    // A file where the directory was: nothing can be put there.
    std::fs::write(&place, b"").unwrap();
    fill(&site, 1).await;
    let output = archive(&site, &["export", "--wait", "2"]);
    assert_eq!(output.code, Some(1), "{}", output.all());
    within(ENOUGH, "a segment that waits")
        .until(async || (site.metrics().await.unwrap().sum("yanqian_archive_segments_waiting") >= 1).then_some(()))
        .await;
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("meanwhile")).await.unwrap(), "match");
    std::fs::remove_file(&place).unwrap();
    std::fs::rename(&away, &place).unwrap();
    within(ENOUGH, "the segment in the archive once it is back")
        .until(async || (archive(&site, &["export", "--wait", "5"]).code == Some(0)).then_some(()))
        .await;

    // What an archive loses is put there again as long as the node has it; and no hold is placed meanwhile that would hold nothing.
    let object = || objects(&place).into_iter().find(|file| file.ends_with("segments/00000001.yqa"));
    std::fs::remove_file(object().unwrap()).unwrap();
    let hold = archive(&site, &["hold", "--reason", "case 18", "--first", "1", "--last", "9"]);
    assert!(hold.code != Some(0) && hold.stderr.contains("segment 1 is not in the archive"), "{}", hold.all());
    archive(&site, &["export", "--wait", "5"]);
    within(ENOUGH, "the lost segment in the archive again").until(async || object()).await;
}

/// Every file below a directory.
fn objects(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(objects(&path)) } else { found.push(path) }
    }
    found
}
