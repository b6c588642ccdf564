//! Public keys by which the checkpoints of a node can be proven, kept beside them: `keys`, one verifier key of C2SP signed-note
//! in each line, never taken away. They tell damage from what was signed; whose keys they are, an auditor must know from elsewhere.

use std::path::{Path, PathBuf};

use yanqian_evidence::{CheckpointError, CheckpointKey, SignatureLine, SignedCheckpoint};

use super::TreeError;
use super::files::{read, write};

/// The file's name in the directory of checkpoints.
const FILE: &str = "keys";
/// Octets of it at most: some thousand keys.
const MAX_FILE: usize = 1 << 20;

/// The keys that were kept beside checkpoints.
#[derive(Debug, Clone)]
pub(super) struct KnownKeys {
    file: PathBuf,
    keys: Vec<CheckpointKey>,
}

impl KnownKeys {
    /// Of a directory of checkpoints; `None` when none was ever kept there.
    pub(super) fn read(checkpoints: &Path) -> Result<Option<Self>, TreeError> {
        let file = checkpoints.join(FILE);
        let Some(octets) = read(&file, MAX_FILE)? else { return Ok(None) };
        let keys = parse(&octets).ok_or_else(|| TreeError::Keys(file.clone()))?;
        Ok(Some(Self { file, keys }))
    }

    /// Keeps those of `keys` that are not there yet; durable when this returns. A damaged file is written anew: checkpoints do not
    /// wait for what can be made again.
    pub(super) fn keep(checkpoints: &Path, keys: &[CheckpointKey]) -> Result<(), TreeError> {
        let present = match Self::read(checkpoints) {
            Err(error @ TreeError::Keys(_)) => {
                tracing::error!(%error, "the keys beside the checkpoints are damaged and are written anew");
                None
            }
            present => present?,
        };
        let mut known = present.unwrap_or_else(|| Self { file: checkpoints.join(FILE), keys: Vec::new() });
        let before = known.keys.len();
        for key in keys {
            if !known.keys.contains(key) {
                known.keys.push(key.clone());
            }
        }
        if known.keys.len() == before {
            return Ok(());
        }
        let mut lines: Vec<String> = known.keys.iter().map(ToString::to_string).collect();
        lines.push(String::new()); // every line ends
        write(checkpoints, &known.file, lines.join("\n").as_bytes())
    }

    /// Proves the ledger's signature, and those of witnesses that are known. Another line says nothing (C2SP signed-note), unless it
    /// has the name or the id of a known key: then it was changed.
    pub(super) fn prove(&self, signed: &SignedCheckpoint) -> Result<(), CheckpointError> {
        for (line, place) in signed.signatures().iter().zip(0..) {
            match self.keys.iter().find(|key| key.is_of(line)) {
                Some(key) => key.verify(&signed.checkpoint, line)?,
                None if place == 0 || self.is_like_a_known(line) => {
                    return Err(CheckpointError::UnknownKey(line.name.clone()));
                }
                None => {}
            }
        }
        Ok(())
    }

    fn is_like_a_known(&self, line: &SignatureLine) -> bool {
        self.keys.iter().any(|key| key.name == line.name || key.id() == line.key_id)
    }
}

/// Every line a key, none twice, and nothing else.
fn parse(octets: &[u8]) -> Option<Vec<CheckpointKey>> {
    let text = std::str::from_utf8(octets).ok()?.strip_suffix('\n')?;
    let keys: Vec<CheckpointKey> = text.split('\n').map(CheckpointKey::from_line).collect::<Option<_>>()?;
    let twice = |at: usize| keys[..at].contains(&keys[at]);
    (!(0..keys.len()).any(twice)).then_some(keys)
}
