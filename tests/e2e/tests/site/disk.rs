//! The disk beneath the ledger is full, hangs, or loses a file: checks end with 503, on record where that is possible, and whoever
//! looks is told why.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use yanqian_harness::{File, Record, Site};

use crate::support::{assert_problem, assert_verdict, good, site, site_with, within};

const NAMESPACE: &str = "YANQIAN_TEST_IN_MOUNT_NAMESPACE";

fn run(program: &str, arguments: &[&str]) {
    let ran = Command::new(program).args(arguments).output().unwrap();
    assert!(ran.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Runs this test again where mounts are its own and go with it; false where that is not permitted.
fn in_mount_namespace(name: &str) -> bool {
    let permitted = Command::new("unshare").args(["--mount", "--propagation", "private", "true"]).output();
    if !permitted.is_ok_and(|ran| ran.status.success()) {
        eprintln!(
            "NOT TESTED HERE: {name} needs a mount namespace, which takes root; the ledger's own tests fill a disk in memory"
        );
        return false;
    }
    let test = text(&std::env::current_exe().unwrap());
    let ran = Command::new("unshare")
        .args(["--mount", "--propagation", "private", &test, "--exact", name, "--nocapture"])
        .env(NAMESPACE, "1")
        .status();
    assert!(ran.unwrap().success(), "{name} in a mount namespace");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_checks_on_record_says_so_and_heals_by_itself() {
    if std::env::var_os(NAMESPACE).is_none() {
        in_mount_namespace("disk::a_full_disk_refuses_checks_on_record_says_so_and_heals_by_itself");
        return;
    }
    let mut site = site_with(|options| {
        let options = options.with(File::Daemon, "ledger.segment_bytes", 65_536_i64);
        options.with(File::Daemon, "ledger.reserve_bytes", 65_536_i64)
    })
    .await;
    site.stop_daemon().expect("an orderly stop");
    // The ledger moves to a real file system of its own, which is small.
    let (ledger, kept) = (site.places().ledger(), site.places().root().join("ledger-kept"));
    run("cp", &["-a", &text(&ledger), &text(&kept)]);
    run("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs", &text(&ledger)]);
    run("cp", &["-a", &format!("{}/.", text(&kept)), &text(&ledger)]);
    site.start_daemon().await.unwrap();
    assert_verdict(&site.caller("core-banking").unwrap().ask(&good("before")).await.unwrap(), "match");
    let filler = ledger.join("filler");
    let full = std::fs::write(&filler, vec![1; 4 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);

    let caller = site.caller("core-banking").unwrap();
    let mut refused = None;
    for n in 0..200 {
        let reply = caller.ask(&good(&format!("fills-{n}"))).await.unwrap();
        if reply.status != 200 {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("a full disk takes no check");
    assert_problem(&refused, 503, "evidence-unavailable");
    assert!(refused.header("retry-after").parse::<u32>().is_ok());
    // The refusal itself is in the reserve, durable like every other record.
    let kinds: Vec<_> = site.records_of(&refused.id()).unwrap().iter().map(Record::kind).collect();
    assert_eq!(kinds, ["refusal"]);
    within(Duration::from_secs(20), "readiness and metrics say so")
        .until(async || {
            let (status, why) = site.probe("/readyz").await.unwrap();
            (status == 503 && why.contains("ledger: refusals-only")).then_some(())
        })
        .await;
    let metrics = site.metrics().await.unwrap();
    assert_eq!(metrics.value("yanqian_ledger_state{state=\"refusals-only\"}"), Some(1.0));
    assert_eq!(metrics.value("yanqian_component_up{component=\"ledger\"}"), Some(0.0));

    std::fs::remove_file(&filler).unwrap();
    within(Duration::from_secs(20), "space again, and no restart")
        .until(async || (caller.ask(&good("after")).await.unwrap().status == 200).then_some(()))
        .await;
    let events: Vec<_> =
        site.ledger_records().unwrap().iter().map(Record::event).filter(|event| !event.is_empty()).collect();
    assert!(events.iter().any(|event| event == "reserve-released"), "{events:?}");
    assert!(events.iter().any(|event| event == "reserve-restored"), "{events:?}");

    // Full once more, and stopped: the stop's own record is in the reserve, and the end is an orderly one.
    let full = std::fs::write(&filler, vec![1; 4 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    assert!(site.stop_daemon().expect("an orderly stop").success());
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
    let last = site.ledger_records().unwrap().pop().unwrap();
    assert_eq!(last.event(), "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_ends_checks_with_503_and_serves_again() {
    let site = site_with(|options| options.with(File::Daemon, "ledger.patience_ms", 300_i64)).await;
    let caller = site.caller("core-banking").unwrap();
    assert_verdict(&caller.ask(&good("before")).await.unwrap(), "match");
    let segment = text(&site.places().ledger().join("00000001.seg"));
    let pid = site.daemon_pid().unwrap().to_string();
    // Every sync of the segment takes twenty seconds.
    let mut strace = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-P", &segment, "-e", "trace=fdatasync"])
        .args(["-e", "inject=fdatasync:delay_enter=20000000", "-p", &pid])
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace, which tools/prerequisites installs");
    let mut said = std::io::BufReader::new(strace.stderr.take().unwrap());
    let mut line = String::new();
    while std::io::BufRead::read_line(&mut said, &mut line).unwrap() > 0 && !line.contains("attached") {}
    if !line.contains("attached") {
        strace.wait().unwrap();
        eprintln!(
            "NOT TESTED HERE: no process may be traced ({line}); the ledger's own tests hang a disk through its seam"
        );
        return;
    }
    let began = Instant::now();
    let asked: Vec<_> = (0..8)
        .map(|n| {
            let caller = caller.clone();
            tokio::spawn(async move { caller.ask(&good(&format!("hangs-{n}"))).await.unwrap() })
        })
        .collect();
    for reply in asked {
        assert_problem(&reply.await.unwrap(), 503, "evidence-unavailable");
    }
    // Behind a write that hangs, a new check is not even queued.
    assert_problem(&caller.ask(&good("behind")).await.unwrap(), 503, "evidence-unavailable");
    assert!(began.elapsed() < Duration::from_secs(20), "they waited for the disk: {:?}", began.elapsed());
    within(Duration::from_secs(15), "the metric tells of the hang")
        .until(async || {
            let metrics = site.metrics().await.unwrap();
            metrics.value("yanqian_ledger_stalled_seconds").is_some_and(|seconds| seconds > 0.3).then_some(())
        })
        .await;
    strace.kill().unwrap();
    strace.wait().unwrap();
    within(Duration::from_secs(40), "the disk answers again")
        .until(async || (caller.ask(&good("after")).await.unwrap().status == 200).then_some(()))
        .await;
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

async fn file_changed(site: &Site) {
    within(Duration::from_secs(10), "the ledger notices")
        .until(async || {
            let (status, why) = site.probe("/readyz").await.unwrap();
            (status == 503 && why.contains("ledger: failed-file-changed")).then_some(())
        })
        .await;
    assert_problem(
        &site.caller("core-banking").unwrap().ask(&good("changed")).await.unwrap(),
        503,
        "evidence-unavailable",
    );
    let metrics = site.metrics().await.unwrap();
    assert_eq!(metrics.value("yanqian_ledger_state{state=\"failed-file-changed\"}"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_vanishes_or_is_replaced_stops_checks_until_an_operator_acts() {
    let mut site = site().await;
    assert_verdict(&site.caller("core-banking").unwrap().ask(&good("before")).await.unwrap(), "match");
    let ledger = site.places().ledger();
    let (segment, away) = (ledger.join("00000001.seg"), ledger.join("away"));
    std::fs::rename(&segment, &away).unwrap();
    file_changed(&site).await;
    // Put back, it is not trusted without anyone's look: who moved it may have done more. The daemon tries every two seconds.
    std::fs::rename(&away, &segment).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    file_changed(&site).await;
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
    site.start_daemon().await.unwrap();
    assert_verdict(&site.caller("core-banking").unwrap().ask(&good("after")).await.unwrap(), "match");

    let moved = ledger.with_extension("moved");
    std::fs::rename(&ledger, &moved).unwrap();
    file_changed(&site).await;
    std::fs::rename(&moved, &ledger).unwrap();
    site.start_daemon().await.unwrap();
    assert_verdict(&site.caller("core-banking").unwrap().ask(&good("again")).await.unwrap(), "match");
    assert_eq!(site.ledger_verify().unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_verification_names_what_has_changed_and_draws_no_bar_into_a_file() {
    let mut site = site().await;
    assert_verdict(&site.caller("core-banking").unwrap().ask(&good("v")).await.unwrap(), "match");
    site.stop_daemon().expect("an orderly stop");
    let ledger = text(&site.places().ledger());
    for depth in ["--fast", "--full"] {
        let output = site.yanqian(&["ledger", "verify", depth, &ledger]).unwrap();
        assert_eq!(output.code, Some(0), "{}", output.all());
        assert!(output.stdout.contains("records/s") && output.stdout.contains("archive"), "{}", output.stdout);
        assert!(output.stderr.is_empty() && !output.stdout.contains('\r'), "{}", output.all());
    }
    let archived = site.places().state().join("archive/certificates");
    let file = std::fs::read_dir(&archived).unwrap().next().unwrap().unwrap().path();
    let mut octets = std::fs::read(&file).unwrap();
    octets[100] ^= 1;
    std::fs::write(&file, octets).unwrap();
    let output = site.yanqian(&["ledger", "verify", "--fast", &ledger]).unwrap();
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains(&*file.file_name().unwrap().to_string_lossy()), "{}", output.stderr);
}
