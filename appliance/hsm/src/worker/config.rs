use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use yanqian_vocabulary::KeyLine;

use super::pin::PinSource;
use crate::profile::KEEP_ALIVE_RANGE;
use crate::protocol::{KeyAlgorithm, MAX_LABEL};

const FORMAT_VERSION: u32 = 1;
/// Three hundred years of a hundred thousand signatures a second.
const MOST_SIGNATURES: u64 = 1_000_000_000_000_000;
/// Octets of a `CKA_ID`.
const MAX_ID: usize = 64;

/// The worker's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{file}: {source}", file = file.display())]
    Read { file: PathBuf, source: std::io::Error },
    /// Not TOML, a key missing, unknown, or of the wrong type; the source names line and key.
    #[error("{file}: {source}", file = file.display())]
    Syntax { file: PathBuf, source: Box<toml::de::Error> },
    #[error("{file}{line}: {key}: {problem}", file = file.display())]
    Value { file: PathBuf, line: KeyLine, key: &'static str, problem: String },
}

/// The worker's configuration. `samples/hsm-worker.toml` explains each key.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    pub socket: PathBuf,
    /// Group of the socket; none leaves the process's own.
    pub socket_gid: Option<u32>,
    /// Uids that may ask for signatures and read state, besides root and the worker's own.
    pub client_uids: Vec<u32>,
    /// Uids that may also make keys, import certificates and make certification requests.
    pub admin_uids: Vec<u32>,
    pub profile: PathBuf,
    pub module: PathBuf,
    /// Environment variables that the module reads.
    pub module_env: BTreeMap<String, String>,
    /// `CK_TOKEN_INFO.label` without padding.
    pub token_label: String,
    pub pin: PinSource,
    /// For the PIN latch; must outlive restarts and reboots.
    pub state_dir: PathBuf,
    /// Threads that sign, each with one session.
    pub threads: usize,
    /// Requests that may wait.
    pub queue: usize,
    /// Overrides the profile's.
    pub call_timeout: Option<Duration>,
    /// Overrides the profile's; zero switches it off.
    pub keep_alive: Option<Duration>,
    /// By label.
    pub keys: BTreeMap<String, KeyRule>,
    pub max_connections: usize,
    /// What the worker's keys may be.
    pub algorithms: Vec<KeyAlgorithm>,
}

/// What holds for one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRule {
    /// Signatures, self-proofs included, after which the key signs no more.
    pub max_signatures: Option<u64>,
    pub warn_signatures: Option<u64>,
    /// `CKA_ID`, 1 to 64 octets.
    pub id: Option<Vec<u8>>,
}

impl KeyRule {
    /// Signatures from which on the limit is near: nine tenths of it when nothing else is said.
    pub fn warns_at(&self) -> Option<u64> {
        self.warn_signatures.or_else(|| self.max_signatures.map(|max| max - max / 10))
    }
}

/// The worker's configuration, `/etc/yanqian-hsm/worker.toml`. Relative paths are relative to its directory.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "hsm-worker.toml")]
struct RawConfig {
    /// Version of this file's form: 1.
    format_version: u32,
    /// Unix socket, mode 0660; appears when the worker is ready to sign. Not made when the service manager hands one over.
    socket: PathBuf,
    /// Group of the socket, when the daemon shares it; without it the process's own.
    socket_gid: Option<u32>,
    /// Who may ask for signatures and read state, besides root and the worker's own uid.
    #[serde(default)]
    client_uids: Vec<u32>,
    /// Who may also make keys, requests and proofs, and import certificates and encryption pairs.
    #[serde(default)]
    admin_uids: Vec<u32>,
    /// The token's dialect as data (hsm-profiles/README.md).
    profile: PathBuf,
    /// The vendor's PKCS#11 module. A bare name is left to the loader's search path.
    module: PathBuf,
    /// Environment variables that the module reads.
    #[serde(default)]
    module_env: BTreeMap<String, String>,
    /// Label of the token (`CK_TOKEN_INFO.label`), without padding; 1 to 32 octets.
    token_label: String,
    /// File of the PIN, readable by the worker only; a line's end is not part of it. This or `pin_credential`.
    pin_file: Option<PathBuf>,
    /// Name of a systemd credential that holds the PIN: a file in `$CREDENTIALS_DIRECTORY`. This or `pin_file`.
    pin_credential: Option<String>,
    /// Holds the PIN latch; must outlive restarts and reboots.
    state_dir: PathBuf,
    /// Signing threads, each with one session, 1 to 256.
    #[serde(default = "default_threads")]
    threads: usize,
    /// Requests that may wait, 1 to 65536; beyond it the answer is "busy".
    #[serde(default = "default_queue")]
    queue: usize,
    /// A call into the module that takes longer, in milliseconds, ends the worker, 100 to 600000; without it the profile's.
    call_timeout_ms: Option<u64>,
    /// Connections at once, 1 to 4096.
    #[serde(default = "default_connections")]
    max_connections: usize,
    /// A session that was not used for this long signs a self-proof, in seconds, 10 to 86400; 0 for never; without it the
    /// profile's.
    keep_alive_seconds: Option<u64>,
    /// What holds for single keys.
    #[serde(default)]
    keys: Vec<RawKeyRule>,
    /// What its keys may be, `sm2` only without it; a key of another algorithm is listed with the reason and never used.
    #[serde(default = "default_algorithms")]
    algorithms: Vec<KeyAlgorithm>,
}

fn default_algorithms() -> Vec<KeyAlgorithm> {
    vec![KeyAlgorithm::Sm2]
}

/// What holds for one key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawKeyRule {
    /// The key's label in the token.
    label: String,
    /// Signatures that it may make, self-proofs included, 1 to 10^15; at the limit it is refused with "key-limit". Counted in
    /// `state_dir` by the key itself, not by its label.
    max_signatures: Option<u64>,
    /// Signatures from which on the limit is near, below `max_signatures`; without it nine tenths of that.
    warn_signatures: Option<u64>,
    /// `CKA_ID` in hexadecimal digits, 1 to 64 octets: finds the key where the profile's `key.locator` says so, and is given to a key
    /// that is made.
    id: Option<String>,
}

const fn default_threads() -> usize {
    4
}

const fn default_queue() -> usize {
    256
}

const fn default_connections() -> usize {
    64
}

impl WorkerConfig {
    /// What may stand in the file, as JSON Schema.
    pub fn schema() -> Schema {
        schema_for!(RawConfig)
    }

    /// Reads a configuration file. Relative paths are relative to its directory.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
        Self::parse(&text, file)
    }

    /// As [`Self::load`], from text; `file` is named in errors and the base of relative paths.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = toml::from_str(text)
            .map_err(|source| ConfigError::Syntax { file: file.to_owned(), source: Box::new(source) })?;
        let wrong = |key: &'static str, problem: &str| ConfigError::Value {
            file: file.to_owned(),
            line: KeyLine::find(text, key),
            key,
            problem: problem.to_owned(),
        };
        if raw.format_version != FORMAT_VERSION {
            return Err(wrong("format_version", "this version of yanqian reads format_version = 1"));
        }
        if !(1..=32).contains(&raw.token_label.len()) || raw.token_label.chars().any(char::is_control) {
            return Err(wrong("token_label", "1 to 32 octets without control characters"));
        }
        if !(1..=256).contains(&raw.threads) {
            return Err(wrong("threads", "1 to 256"));
        }
        if !(1..=65_536).contains(&raw.queue) {
            return Err(wrong("queue", "1 to 65536"));
        }
        if raw.algorithms.is_empty() {
            return Err(wrong("algorithms", "at least one"));
        }
        if !(1..=4096).contains(&raw.max_connections) {
            return Err(wrong("max_connections", "1 to 4096"));
        }
        if raw.call_timeout_ms.is_some_and(|limit| !(100..=600_000).contains(&limit)) {
            return Err(wrong("call_timeout_ms", "100 to 600000"));
        }
        if raw.keep_alive_seconds.is_some_and(|after| after != 0 && !KEEP_ALIVE_RANGE.contains(&after)) {
            return Err(wrong("keep_alive_seconds", "10 to 86400, or 0 for never"));
        }
        let keys = key_rules(raw.keys).map_err(|(key, problem)| wrong(key, &problem))?;
        let base = file.parent().unwrap_or(Path::new(""));
        let pin = match (raw.pin_file, raw.pin_credential) {
            (Some(path), None) => PinSource::File(base.join(path)),
            (None, Some(name)) if !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != ".." => {
                PinSource::Credential(name)
            }
            (None, Some(_)) => return Err(wrong("pin_credential", "a file name without directory")),
            (Some(_), Some(_)) => return Err(wrong("pin_file", "pin_file and pin_credential exclude each other")),
            (None, None) => return Err(wrong("pin_file", "one of pin_file and pin_credential is needed")),
        };
        Ok(Self {
            socket: base.join(raw.socket),
            socket_gid: raw.socket_gid,
            client_uids: raw.client_uids,
            admin_uids: raw.admin_uids,
            profile: base.join(raw.profile),
            // A bare name is left to the loader's search path.
            module: if raw.module.components().count() > 1 { base.join(raw.module) } else { raw.module },
            module_env: raw.module_env,
            token_label: raw.token_label,
            pin,
            state_dir: base.join(raw.state_dir),
            threads: raw.threads,
            queue: raw.queue,
            call_timeout: raw.call_timeout_ms.map(Duration::from_millis),
            max_connections: raw.max_connections,
            keep_alive: raw.keep_alive_seconds.map(Duration::from_secs),
            keys,
            algorithms: raw.algorithms,
        })
    }
}

/// Rules by label. Else the key that is wrong, and why.
fn key_rules(raw: Vec<RawKeyRule>) -> Result<BTreeMap<String, KeyRule>, (&'static str, String)> {
    let mut rules = BTreeMap::new();
    for RawKeyRule { label, max_signatures, warn_signatures, id } in raw {
        if !(1..=MAX_LABEL).contains(&label.len()) || label.chars().any(char::is_control) {
            return Err(("label", format!("1 to {MAX_LABEL} octets without control characters")));
        }
        if max_signatures.is_some_and(|max| !(1..=MOST_SIGNATURES).contains(&max)) {
            return Err(("max_signatures", format!("1 to {MOST_SIGNATURES}, or left out")));
        }
        if warn_signatures.is_some_and(|warn| warn == 0 || max_signatures.is_none_or(|max| warn >= max)) {
            return Err(("warn_signatures", "at least 1 and below max_signatures".into()));
        }
        let id = id.map(|digits| hex::decode(digits).ok().filter(|id| (1..=MAX_ID).contains(&id.len())).ok_or(()));
        let id = id.transpose().map_err(|()| ("id", format!("1 to {MAX_ID} octets in hexadecimal digits")))?;
        if id.is_some() && rules.values().any(|rule: &KeyRule| rule.id == id) {
            return Err(("id", "two keys cannot have one id".into()));
        }
        if rules.insert(label.clone(), KeyRule { max_signatures, warn_signatures, id }).is_some() {
            return Err(("keys", format!("{label:?} stands twice")));
        }
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../../samples/hsm-worker.toml");

    fn parse(text: &str) -> Result<WorkerConfig, ConfigError> {
        WorkerConfig::parse(text, Path::new("/etc/yanqian/hsm-worker.toml"))
    }

    fn refused(from: &str, to: &str) -> String {
        assert!(SAMPLE.contains(from), "{from:?} is not in the sample");
        parse(&SAMPLE.replacen(from, to, 1)).expect_err("must be refused").to_string()
    }

    #[test]
    fn the_sample_is_valid_and_its_paths_are_relative_to_the_file() {
        let config = parse(SAMPLE).expect("the sample is valid");
        assert_eq!(config.profile, Path::new("/etc/yanqian/hsm-profiles/softtoken.toml"));
        assert_eq!(config.pin, PinSource::File("/etc/yanqian/hsm.pin".into()));
    }

    #[test]
    fn wrong_values_are_refused_by_file_and_key() {
        for (from, to, key) in [
            ("format_version = 1", "format_version = 9", "format_version"),
            ("threads = 4", "threads = 0", "threads"),
            ("queue = 256", "queue = 0", "queue"),
            ("pin_file = \"hsm.pin\"", "", "pin_file"),
            ("pin_file = \"hsm.pin\"", "pin_credential = \"../pin\"", "pin_credential"),
            ("token_label = \"yanqian\"", "token_label = \"\"", "token_label"),
            ("threads = 4", "threads = 4\ncolour = 1", "colour"),
            ("threads = 4", "threads = 4\nkeep_alive_seconds = 9", "keep_alive_seconds"),
            ("max_signatures = 10000000", "max_signatures = 0", "max_signatures"),
            ("warn_signatures = 9000000", "warn_signatures = 10000000", "warn_signatures"),
            ("label = \"yanqian-sign\"", "label = \"\"", "label"),
            ("[[keys]]", "[[keys]]\nlabel = \"yanqian-sign\"\n[[keys]]", "yanqian-sign"),
            ("[[keys]]", "[[keys]]\ncolour = 1", "colour"),
            ("[[keys]]", "[[keys]]\nid = \"xy\"", "id"),
            ("[[keys]]", "[[keys]]\nid = \"\"", "id"),
            ("[[keys]]", "[[keys]]\nlabel = \"other\"\nid = \"01\"\n[[keys]]\nid = \"01\"", "two keys"),
            ("threads = 4", "threads = 4\nalgorithms = []", "algorithms"),
            ("threads = 4", "threads = 4\nalgorithms = [\"sm2\", \"rsa-1024\"]", "rsa-1024"),
        ] {
            let error = refused(from, to);
            assert!(error.contains("/etc/yanqian/hsm-worker.toml") && error.contains(key), "{error}");
        }
    }
}
