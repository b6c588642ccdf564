//! Whom the auditor believes: the same directory that the appliance uses for a platform (`certs/README.md`), with one
//! folder more, `entity-anchors/`, and one file, `ledgers.toml`.

use std::path::{Path, PathBuf};

use yanqian_messages::{Certificate, Pins, certificates_from_pem_or_der};

use crate::ledgers::Ledgers;

/// Files of one folder, and octets of one file, at most.
const MAX_FILES: usize = 256;
const MAX_FILE: u64 = 16 << 20;

/// A trust directory cannot be used. The text names the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct TrustError {
    pub file: PathBuf,
    pub problem: String,
}

/// Anchors and pins.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Roots of the platform's signers.
    pub anchors: Vec<Certificate>,
    /// Roots of the entity's own signing certificate; empty when the folder is not there.
    pub entity_anchors: Vec<Certificate>,
    /// Who may sign answers.
    pub pins: Pins,
    /// Keys of ledgers and witnesses; absent when the file is not there.
    pub ledgers: Option<Ledgers>,
    /// Seconds that a revocation list may be used past its `nextUpdate`.
    pub grace_seconds: u32,
}

impl Trust {
    /// Reads `anchors/`, `signers.toml` and, where they are there, `entity-anchors/` and `ledgers.toml`. Everything else in the
    /// directory is for the appliance: a receipt brings its own intermediates and lists.
    pub fn load(directory: &Path, grace_seconds: u32) -> Result<Self, TrustError> {
        let entity = directory.join("entity-anchors");
        let anchors = certificates(&directory.join("anchors"))?;
        if anchors.is_empty() {
            return Err(error(&directory.join("anchors"), "holds no anchor"));
        }
        Ok(Self {
            anchors,
            entity_anchors: if entity.is_dir() { certificates(&entity)? } else { Vec::new() },
            pins: pins(&directory.join("signers.toml"))?,
            ledgers: ledgers(&directory.join("ledgers.toml"))?,
            grace_seconds,
        })
    }
}

#[allow(clippy::needless_pass_by_value)] // texts and errors alike, as `map_err` gives them
fn error(file: &Path, problem: impl ToString) -> TrustError {
    TrustError { file: file.to_owned(), problem: problem.to_string() }
}

fn read(file: &Path) -> Result<Vec<u8>, TrustError> {
    let size = std::fs::metadata(file).map_err(|problem| error(file, problem))?.len();
    if size > MAX_FILE {
        return Err(error(file, "larger than 16 MiB"));
    }
    std::fs::read(file).map_err(|problem| error(file, problem))
}

/// Every certificate of every file but hidden ones.
fn certificates(directory: &Path) -> Result<Vec<Certificate>, TrustError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|problem| error(directory, problem))? {
        let file = entry.map_err(|problem| error(directory, problem))?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && file.is_file() {
            files.push(file);
        }
        if files.len() > MAX_FILES {
            return Err(error(directory, "more than 256 files"));
        }
    }
    files.sort();
    let mut all = Vec::new();
    for file in files {
        for certificate in certificates_from_pem_or_der(&read(&file)?).map_err(|problem| error(&file, problem))? {
            if !certificate.is_ca() {
                return Err(error(&file, "is not the certificate of a certification authority"));
            }
            all.push(certificate);
        }
    }
    Ok(all)
}

fn pins(file: &Path) -> Result<Pins, TrustError> {
    Pins::from_toml(&read_text(file)?).map_err(|problem| error(file, problem))
}

fn ledgers(file: &Path) -> Result<Option<Ledgers>, TrustError> {
    if !file.try_exists().map_err(|problem| error(file, problem))? {
        return Ok(None);
    }
    Ledgers::from_toml(&read_text(file)?).map(Some).map_err(|problem| error(file, problem))
}

fn read_text(file: &Path) -> Result<String, TrustError> {
    String::from_utf8(read(file)?).map_err(|problem| error(file, problem))
}
