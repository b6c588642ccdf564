//! The command: its exit status and what it prints.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::{Site, Story};

fn run(site: &Site, receipt: &str, more: &[&str]) -> Output {
    let file = site.path().join("receipt.json");
    std::fs::write(&file, receipt).unwrap();
    Command::new(env!("CARGO_BIN_EXE_yanqian-verify"))
        .arg(&file)
        .arg("--trust")
        .arg(site.layout.trust())
        .args(more)
        .output()
        .unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

#[test]
fn the_exit_status_is_0_for_a_proven_receipt_and_1_for_any_other() {
    let site = Site::new();
    let json = Story::of(&site).receipt().to_json();
    let good = run(&site, &json, &[]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stdout));
    assert!(text(&good.stdout).lines().last().unwrap().starts_with("proven: verification "));
    let bad = run(&site, &json.replacen("\"salt\":\"5a", "\"salt\":\"5b", 1), &[]);
    assert_eq!(bad.status.code(), Some(0), "without what was asked, the salt opens nothing");
    for (from, to) in [("\"v\":1", "\"v\":9"), ("\"leaf_hashes\":[\"", "\"leaf_hashes\":[\"0")] {
        let bad = run(&site, &json.replacen(from, to, 1), &[]);
        assert_eq!(bad.status.code(), Some(1));
        assert!(text(&bad.stdout).contains("✘ format"), "{}", text(&bad.stdout));
        assert!(text(&bad.stdout).ends_with("NOT PROVEN\n"));
    }
    let late = run(&site, &json, &["--at", "2099-01-01T00:00:00Z"]);
    assert_eq!(late.status.code(), Some(1));
    assert!(text(&late.stdout).contains("✘ entity-chain"));
}

#[test]
fn what_was_asked_opens_the_commitment() {
    let site = Site::new();
    let json = Story::of(&site).receipt().to_json();
    let file = site.path().join("asked.json");
    let with = |asked: &str| {
        std::fs::write(&file, asked).unwrap();
        run(&site, &json, &["--fields", file.to_str().unwrap(), "--json"])
    };
    let good = with(support::ASKED);
    assert_eq!(good.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!(report["proven"], true);
    let commitment = report["checks"].as_array().unwrap().iter().find(|check| check["step"] == "commitment").unwrap();
    assert_eq!(commitment["finding"], "proven");
    let bad = with(&support::ASKED.replacen("张伟", "张玮", 1));
    assert_eq!(bad.status.code(), Some(1));
    assert!(!text(&bad.stdout).contains("张"));
    let malformed = with("{\"document\":{\"type\":\"prc-passport\",\"number\":17}}");
    assert_eq!(malformed.status.code(), Some(2));
    assert!(!text(&malformed.stderr).contains("17"), "no value is printed: {}", text(&malformed.stderr));
}

#[test]
fn wrong_use_and_files_that_cannot_be_read_end_with_2() {
    let site = Site::new();
    let json = Story::of(&site).receipt().to_json();
    for more in
        [&["--at", "yesterday"][..], &["--no-such-option"], &["--portrait", "x.jpg"], &["--fields", "/nonexistent"]]
    {
        assert_eq!(run(&site, &json, more).status.code(), Some(2), "{more:?}");
    }
    let bare = |arguments: &[&Path]| {
        Command::new(env!("CARGO_BIN_EXE_yanqian-verify")).args(arguments).output().unwrap().status.code()
    };
    let trust = site.layout.trust();
    assert_eq!(bare(&[]), Some(2));
    assert_eq!(bare(&[Path::new("/nonexistent"), Path::new("--trust"), &trust]), Some(2));
    let receipt = site.path().join("receipt.json");
    assert_eq!(bare(&[&receipt, Path::new("--trust"), Path::new("/nonexistent")]), Some(2));
    std::fs::write(trust.join("signers.toml"), "format_version = 2\nsigner = []\n").unwrap();
    assert_eq!(run(&site, &json, &[]).status.code(), Some(2));
}
