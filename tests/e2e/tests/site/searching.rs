//! What the tests of searching share: orders to the ledger's commands, and looks at what is on the disk.

use std::path::{Path, PathBuf};

use serde_json::Value;
use yanqian_harness::{Output, Record, Site};

/// A file that says which document is meant, for the daemon's user to read.
pub(crate) struct Meant(tempfile::NamedTempFile);

impl Meant {
    pub(crate) fn document(request: &Value) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        let [document_type, number] = ["type", "number"].map(|name| request["document"][name].as_str().unwrap());
        std::fs::write(file.path(), format!("{document_type}:{number}\n")).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        Self(file)
    }

    pub(crate) fn file(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

/// `yanqian ledger …` on the site's ledger.
pub(crate) fn ledger(site: &Site, command: &[&str]) -> Output {
    let directory = site.places().ledger().display().to_string();
    let arguments: Vec<&str> = ["ledger"].iter().chain(command).copied().chain([directory.as_str()]).collect();
    site.yanqian(&arguments).unwrap()
}

/// `yanqian ledger …` with an order to the daemon.
pub(crate) fn order(site: &Site, command: &[&str]) -> Output {
    let config = site.places().daemon_config().display().to_string();
    let arguments: Vec<&str> = ["ledger"].iter().chain(command).copied().chain(["--config", config.as_str()]).collect();
    site.yanqian(&arguments).unwrap()
}

#[track_caller]
pub(crate) fn json(output: &Output) -> Value {
    assert_eq!(output.code, Some(0), "{}", output.all());
    serde_json::from_str(&output.stdout).unwrap()
}

/// What a search finds, through the index and by reading everything.
#[track_caller]
pub(crate) fn found(site: &Site, conditions: &[&str]) -> Vec<String> {
    let of = |more: &[&str]| {
        let command: Vec<&str> = ["search", "--json"].iter().chain(more).chain(conditions).copied().collect();
        let told = json(&ledger(site, &command));
        let ids =
            told["checks"].as_array().unwrap().iter().map(|check| check["verification"].as_str().unwrap().to_owned());
        let mut ids: Vec<String> = ids.collect();
        ids.sort_unstable();
        ids
    };
    let found = of(&[]);
    assert_eq!(found, of(&["--scan"]), "{conditions:?}");
    found
}

pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.is_file())
        .collect()
}

/// Files of the site that hold these octets.
pub(crate) fn holding(site: &Site, octets: &[u8]) -> Vec<PathBuf> {
    let own = site.places();
    let all = [own.state(), own.etc(), own.logs()].into_iter().flat_map(|directory| files(&directory));
    let holds = |file: &PathBuf| std::fs::read(file).unwrap().windows(octets.len()).any(|window| window == octets);
    all.filter(holds).collect()
}

pub(crate) fn events(site: &Site, event: &str) -> Vec<Record> {
    site.ledger_records().unwrap().into_iter().filter(|record| record.event() == event).collect()
}
