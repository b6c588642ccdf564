//! What the documents promise is there: tests, files, alerts, metrics, checks.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Files below the repository's own directories with this extension, build products and foreign code left out.
fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![repository()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "third_party", "node_modules"].contains(&&*name) {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|ending| ending == extension) {
                found.push(path);
            }
        }
    }
    found
}

/// Every function of the workspace that is a test: marked as one, or within `proptest!`; and the receipt page's.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files("ts") {
        let text = std::fs::read_to_string(&file).unwrap();
        let titles = text.lines().filter_map(|line| line.strip_prefix("test(\"")?.split('"').next());
        names.extend(titles.map(str::to_owned));
    }
    for file in files("rs") {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate() {
            if !(line.starts_with("#[test]") || line.starts_with("#[tokio::test")) {
                continue;
            }
            let function =
                lines[number + 1..].iter().find_map(|line| line.split_once("fn ").map(|(_, rest)| rest)).unwrap();
            names.insert(function.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_threat_has_a_control_and_tests_that_exist() {
    let threats = read("THREATS.md");
    let tests = tests();
    assert!(tests.len() > 400, "{}", tests.len());
    let rows: Vec<&str> = threats.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 25, "{}", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 3, "threat, control, tests: {row}");
        let named: Vec<&str> = in_backticks(cells[2]).collect();
        assert!(!named.is_empty(), "no test: {row}");
        for name in named {
            assert!(tests.contains(name), "`{name}` is no test: {row}");
        }
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut seen = 0;
    for file in files("md") {
        let text = std::fs::read_to_string(&file).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("https://") || target.starts_with('#') {
                continue;
            }
            seen += 1;
            let path = target.split('#').next().unwrap();
            assert!(file.parent().unwrap().join(path).exists(), "{}: {target}", file.display());
        }
    }
    assert!(seen > 40, "{seen}");
}

/// The name of a metric family, and not a series of one.
fn is_family(text: &str) -> bool {
    text.starts_with("yanqian_") && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_')
}

#[test]
fn every_alert_and_every_metric_is_explained() {
    let operation = read("docs/operation.md");
    let explained: BTreeSet<&str> = in_backticks(&operation).collect();
    let rules = read("observability/alerts.yml");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 8);
    for alert in alerts {
        assert!(explained.contains(alert), "docs/operation.md does not say what to do about {alert}");
    }
    let sources = [
        "gateway/src/metrics.rs",
        "daemon/src/fetch/metrics.rs",
        "daemon/src/gauges/latency.rs",
        "daemon/src/gauges/mod.rs",
        "daemon/src/gauges/tokens.rs",
        "daemon/src/grade.rs",
        "daemon/src/key_gauges.rs",
        "daemon/src/key_usage.rs",
        "daemon/src/link.rs",
        "daemon/src/verification.rs",
    ];
    let sources = sources.map(|file| read(&format!("appliance/{file}"))).concat();
    let families: BTreeSet<&str> = sources.split('"').filter(|text| is_family(text)).collect();
    assert!(families.len() > 20, "{families:?}");
    for family in families {
        assert!(explained.contains(family), "docs/operation.md does not list {family}");
    }
}
