//! Checkpoints over a real site: receipts that become anchored, proofs, and a witness that notices a restored snapshot.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use yanqian_harness::{File, Options, Site};

use crate::support::{assert_verdict, good, site_with, within};

fn with_checkpoints(mut options: Options) -> Options {
    options.checkpoints = Some(1);
    options
}

async fn anchored(site: &Site, key: &str) -> Value {
    let caller = site.caller("core-banking").unwrap();
    let reply = caller.ask(&good(key)).await.unwrap();
    assert_verdict(&reply, "match");
    within(Duration::from_mins(1), "an anchored receipt")
        .until(async || {
            let receipt = caller.receipt(&reply.id()).await.unwrap().json();
            (receipt["state"] == "anchored").then_some(receipt)
        })
        .await
}

fn config(site: &Site) -> String {
    site.places().daemon_config().display().to_string()
}

fn run(site: &Site, arguments: &[&str]) -> String {
    let output = site.yanqian(arguments).unwrap();
    assert_eq!(output.code, Some(0), "{arguments:?}: {}", output.all());
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_pending_and_then_anchored_and_prove_offline() {
    let site = site_with(with_checkpoints).await;
    let receipt = anchored(&site, "anchored").await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("receipt.json");
    std::fs::write(&file, receipt.to_string()).unwrap();
    let proven = site.verify_receipt(&file, &[]).unwrap();
    assert_eq!(proven.code, Some(0), "{}", proven.all());
    assert!(proven.stdout.contains("✔ anchor"), "{}", proven.stdout);
    // Another tree, or nobody to vouch for the ledger.
    let mut other = receipt.clone();
    let index = other["anchor"]["proofs"][0]["index"].as_u64().unwrap();
    other["anchor"]["proofs"][0]["index"] = (index + 1).into();
    std::fs::write(&file, other.to_string()).unwrap();
    assert_eq!(site.verify_receipt(&file, &[]).unwrap().code, Some(1));

    let config = config(&site);
    let shown = run(&site, &["ledger", "checkpoint", "show", "--config", &config]);
    assert!(shown.starts_with("example-bank/node-1\n"), "{shown}");
    let sequence = (index + 1).to_string();
    let proof = run(&site, &["ledger", "prove", "inclusion", "--config", &config, "--sequence", &sequence]);
    let proof: Value = serde_json::from_str(&proof).unwrap();
    assert_eq!((proof["from"].as_u64(), &proof["leaf_hash"]), (Some(index), &receipt["leaf_hashes"][0]));
    run(&site, &["ledger", "prove", "consistency", "--config", &config, "--from", "1"]);
    let ledger = site.places().state().join("ledger").display().to_string();
    let verified = run(&site, &["ledger", "verify", &ledger]);
    assert!(verified.contains("checkpoints") && verified.contains("tiles"), "{verified}");
    let metrics = site.metrics().await.unwrap();
    assert!(metrics.value("yanqian_ledger_checkpoints_total") >= Some(1.0));
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success());
}

/// The site's configuration with more in `[checkpoints]`, in a file beside it.
fn variant(site: &Site, name: &str, more: &str) -> String {
    let text = std::fs::read_to_string(site.places().daemon_config()).unwrap();
    let file: PathBuf = site.places().etc().join(name);
    std::fs::write(&file, text.replace("[checkpoints]\n", &format!("[checkpoints]\n{more}"))).unwrap();
    file.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_snapshot_of_a_witnessed_ledger_is_not_served() {
    let mut site = site_with(with_checkpoints).await;
    let other = site_with(|options| with_checkpoints(options).with(File::Daemon, "entity.node", "node-2")).await;
    let (shared, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let snapshot = backup.path().join("snapshot");
    let open = |path: &Path| Command::new("chmod").arg("-R").arg("a+rwX").arg(path).status().unwrap();
    open(shared.path());
    let at = |name: &str| shared.path().join(name).display().to_string();
    let ledgers = |site: &Site| std::fs::read_to_string(site.places().trust().join("ledgers.toml")).unwrap();
    let keys = ledgers(&site);
    let witnesses =
        ledgers(&other).replace("[[ledgers]]", "[[witnesses]]").replace("origin = \"example-bank/node-2\"\n", "");
    std::fs::write(other.places().etc().join("peers.toml"), keys).unwrap();
    std::fs::write(site.places().etc().join("peers.toml"), witnesses).unwrap();
    let more = format!("trust = \"peers.toml\"\nwitness_dir = \"{}\"\n", at("witness"));
    let witness = variant(&other, "witness.toml", &more);
    // Where nobody else can put another file, as a start demands.
    let vault = tempfile::tempdir().unwrap();
    if let Some(user) = site.options().users.daemon {
        chown(vault.path(), Some(user.uid), Some(user.gid)).unwrap();
    }
    let file = vault.path().join("cosigned");
    let cosigned = format!("trust = \"peers.toml\"\ncosigned_file = \"{}\"\nwitness_required = true\n", file.display());
    let watched = variant(&site, "watched.toml", &cosigned);

    anchored(&site, "before").await;
    site.stop_daemon().unwrap();
    copy(&site.places().state(), &snapshot);
    let refused = site.yanqian(&["serve", "--config", &watched]).unwrap();
    assert_eq!(refused.code, Some(78), "{}", refused.all());
    assert!(refused.all().contains("witness_required"), "{}", refused.all());

    site.start_daemon().await.unwrap();
    anchored(&site, "after").await;
    let config = config(&site);
    let cosign = |site: &Site, name: &str| {
        let shown = run(site, &["ledger", "checkpoint", "show", "--config", &config]);
        std::fs::write(at(name), shown).unwrap();
        let tiles = at("tiles");
        let _ = std::fs::remove_dir_all(&tiles);
        copy(&site.places().state().join("tree"), Path::new(&tiles));
        open(shared.path());
        let out = at(&format!("{name}.cosigned"));
        let arguments =
            ["ledger", "witness", "--config", &witness, "--checkpoint", &at(name), "--tiles", &tiles, "--out", &out];
        (other.yanqian(&arguments).unwrap(), out)
    };
    let (first, out) = cosign(&site, "first");
    assert_eq!(first.code, Some(0), "{}", first.all());
    run(&site, &["ledger", "checkpoint", "take", "--config", &watched, &out]);
    anchored(&site, "later").await;
    let (second, _) = cosign(&site, "second");
    assert_eq!(second.code, Some(0), "it grew: {}", second.all());

    site.stop_daemon().unwrap();
    std::fs::remove_dir_all(site.places().state()).unwrap();
    copy(&snapshot, &site.places().state());
    let refused = site.yanqian(&["serve", "--config", &watched]).unwrap();
    assert_eq!(refused.code, Some(78), "{}", refused.all());
    assert!(refused.all().contains("it was rolled back; restore the ledger"), "{}", refused.all());
    // Without the file it would go on, and the witness would see it.
    site.start_daemon().await.unwrap();
    for key in ["fork-1", "fork-2", "fork-3", "fork-4"] {
        anchored(&site, key).await;
    }
    let (forked, _) = cosign(&site, "forked");
    assert_eq!(forked.code, Some(1), "{}", forked.all());
    assert!(forked.all().contains("FORKED") || forked.all().contains("was cosigned before"), "{}", forked.all());
}
