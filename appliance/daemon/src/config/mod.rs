//! The daemon's configuration file: strict TOML, every error with file, line and key.

mod checkpoints;
mod clock;
mod hsm;
mod ledger_files;
mod limits;
mod link;
mod pairs;
mod raw;
#[cfg(test)]
mod reference;
mod retention;
mod revocation;
mod search;
mod verification;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use yanqian_gateway::{BodyLimits, ServerLimits};
use yanqian_trust::VerifierSettings;
use yanqian_vocabulary::{EntityId, KeyLine, NodeId, PlatformId, TokenGrade};

pub(crate) use checkpoints::CheckpointConfig;
pub(crate) use clock::{ClockConfig, ClockSource};
pub(crate) use ledger_files::LedgerFiles;
pub(crate) use link::{Link, Transport};
pub(crate) use pairs::{PairEntries, PairEntry};
pub(crate) use raw::{parse, schema};
pub(crate) use retention::{ArchiveSite, RetentionConfig};
pub(crate) use revocation::{HttpUrl, Responder, Revocation};
pub(crate) use search::SearchConfig;

/// The configuration could not be used. The text names the file and, where it can, line and key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{file}: {source}")]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{file}: {source}")]
    Syntax { file: PathBuf, source: toml::de::Error },
    #[error("{file}{line}: key `{key}`: {problem}")]
    Value { file: PathBuf, line: KeyLine, key: &'static str, problem: String },
}

/// A validated configuration. Relative paths in the file are relative to the file's own directory.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) file: PathBuf,
    /// The file as it was read.
    pub(crate) text: String,
    pub(crate) entity: EntityId,
    /// Of the form of GB 32100-2015.
    pub(crate) credit_code: Option<String>,
    pub(crate) node: NodeId,
    pub(crate) state_dir: PathBuf,
    pub(crate) state_key_file: PathBuf,
    pub(crate) agreement: PathBuf,
    pub(crate) listen: Listen,
    pub(crate) metrics_address: SocketAddr,
    pub(crate) platform: Platform,
    /// Directory of country signing authorities; none: chips are not authenticated here.
    pub(crate) chip_anchors: Option<PathBuf>,
    pub(crate) hsm: Hsm,
    /// The key of checkpoints; without it there are none.
    pub(crate) checkpoints: Option<CheckpointConfig>,
    /// Where tiles and the newest checkpoint lie.
    pub(crate) tree_dir: PathBuf,
    pub(crate) verification: VerifierSettings,
    pub(crate) clock: ClockConfig,
    pub(crate) ledger: LedgerFiles,
    pub(crate) search: SearchConfig,
    pub(crate) retention: RetentionConfig,
    pub(crate) limits: Limits,
}

#[derive(Debug)]
pub(crate) struct Listen {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: PathBuf,
    /// Written with the bound addresses once the daemon serves; for supervisors that asked for port 0.
    pub(crate) ready_file: Option<PathBuf>,
}

#[derive(Debug)]
pub(crate) struct Platform {
    pub(crate) id: PlatformId,
    pub(crate) profile: PathBuf,
    pub(crate) link: Link,
    pub(crate) trust: PathBuf,
    pub(crate) customer_number: String,
    pub(crate) application: String,
    /// Seconds that revocation data may be used past its `nextUpdate` (I6).
    pub(crate) revocation_grace_seconds: u32,
    pub(crate) revocation: Revocation,
}

#[derive(Debug)]
pub(crate) struct Hsm {
    /// At least one.
    pub(crate) tokens: Vec<Token>,
    /// The least that must protect the tokens' keys.
    pub(crate) grade: Option<TokenGrade>,
    pub(crate) pairs: PairEntries,
}

/// A token and its worker.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) socket: PathBuf,
    pub(crate) worker_uid: Option<u32>,
    /// Labels of keys that are called otherwise in this token, by what the configuration calls them.
    pub(crate) labels: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) max_in_flight: u32,
    /// From a check's head to the platform's answer.
    pub(crate) check: Duration,
    pub(crate) body: BodyLimits,
    pub(crate) server: ServerLimits,
    /// How long final replies and idempotency keys are kept.
    pub(crate) reply_retention: Duration,
    /// How long receipts, with the salts of their commitments, can be asked for.
    pub(crate) receipt_retention: Duration,
}

impl Config {
    pub(crate) fn load(file: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
        parse(&text, file)
    }

    /// SM3 of the file as it was read.
    pub(crate) fn hash(&self) -> [u8; 32] {
        yanqian_sm::sm3(&[self.text.as_bytes()])
    }
}
