//! The demo as a newcomer meets it: it ends well, can be interrupted at any moment, and leaves nothing behind.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::within;

fn demo(home: &Path) -> Command {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("yanqian-demo");
    assert!(program.exists(), "{} is missing: build it with -p yanqian-demo", program.display());
    let mut command = Command::new(program);
    // Its temporary directory is ours, so that we see what is left.
    command.env("TMPDIR", home).stdin(Stdio::null());
    command
}

/// A directory that the site's users can enter, too.
fn home() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    home
}

/// Processes whose command line names a directory.
fn processes_of(home: &Path) -> Vec<String> {
    let name = home.display().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&name))
        .collect()
}

fn left_in(home: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_all_three_services_and_a_receipt_and_ends_well() {
    let home = home();
    let output = demo(home.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains('\u{1b}'), "colour is for terminals");
    for needed in [
        "403 agreement-purpose, 0 signed",
        "502 platform-signer-revoked",
        "for real-person about a prc-passport",
        "for chip-reading about a prc-passport",
        "opened by the token, given once",
        "422 portrait-encoding, 0 signed",
        "502 platform-reading",
        "ledger verifies",
        "yanqian-verify receipt.json",
        "all 21 lines",
    ] {
        assert!(text.contains(needed), "{needed} is not in\n{text}");
    }
    assert!(!text.contains("WRONG"), "{text}");
    assert_eq!((left_in(home.path()), processes_of(home.path())), (Vec::new(), Vec::new()));
}

/// A running demo, which ends with the test, however that ends.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.arg("--keep-running").process_group(0).spawn().unwrap())
    }

    /// To the one process, or to its whole group, as a terminal does.
    fn signal(&self, name: &str, whole_group: bool) {
        let group = if whole_group { "-" } else { "" };
        let line = format!("kill -{name} {group}{}", self.0.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    }

    async fn code(&mut self) -> Option<i32> {
        within(Duration::from_secs(20), "the demo ends").until(async || self.0.try_wait().unwrap()).await.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.signal("TERM", false);
            let _ = self.0.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_at_any_moment_it_leaves_nothing_behind() {
    for (number, wait) in [20, 100, 150, 200, 300, 350, 400, 500, 600, 900].into_iter().enumerate() {
        let home = home();
        let mut running = Running::start(demo(home.path()).stdout(Stdio::null()));
        tokio::time::sleep(Duration::from_millis(wait)).await;
        running.signal(if number % 2 == 0 { "INT" } else { "TERM" }, number % 3 == 0);
        // Before it listens to signals it has made nothing, and simply ends.
        let code = running.code().await;
        assert!(code.is_none_or(|code| code == 130), "{code:?} after {wait} ms");
        assert_eq!((left_in(home.path()), processes_of(home.path())), (Vec::new(), Vec::new()), "after {wait} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_to_paste_work() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        // Nobody can paste them here.
        return;
    }
    let home = home();
    let out = home.path().join("out");
    let file = std::fs::File::create(&out).unwrap();
    let mut running = Running::start(demo(home.path()).stdout(file));
    let text = within(Duration::from_secs(30), "the lines are printed")
        .until(async || std::fs::read_to_string(&out).ok().filter(|text| text.contains("removed with Ctrl-C")))
        .await;
    let text = text.replace("\\\n", "");
    let run = |line: &str| {
        let output = Command::new("sh").args(["-c", line]).current_dir(home.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let mut asks = text.lines().filter(|line| line.contains("real-name"));
    let matched = run(asks.next().unwrap());
    assert!(matched.contains("\"verdict\":\"match\""), "{matched}");
    let id = serde_json::from_str::<serde_json::Value>(&matched).unwrap()["id"].as_str().unwrap().to_owned();
    assert!(run(asks.next().unwrap()).contains("\"verdict\":\"mismatch\""));
    let refused = run(asks.next().unwrap());
    assert!(refused.contains("agreement-purpose"), "{refused}");
    let mut later =
        text.lines().filter(|line| line.contains("/verifications/ID") || line.contains("receipt.json --trust"));
    let mut with_id = || run(&later.next().unwrap().replace("/ID", &format!("/{id}")));
    assert_eq!(with_id(), matched, "the earlier check, as it was given");
    assert_eq!(with_id(), "", "the receipt goes into a file");
    let proof = with_id();
    assert!(proof.contains('✔') && !proof.contains('✘'), "{proof}");
    run(text.lines().find(|line| line.contains("/control")).unwrap());
    assert!(run(text.lines().find(|line| line.contains("real-name")).unwrap()).contains("platform-signature"));
    assert!(run(text.lines().find(|line| line.ends_with("/metrics")).unwrap()).contains("yanqian_verdicts_total"));
    assert!(run(text.lines().find(|line| line.contains("ledger verify")).unwrap()).contains("ledger verifies"));
    running.signal("INT", false);
    assert_eq!(running.code().await, Some(130));
}
