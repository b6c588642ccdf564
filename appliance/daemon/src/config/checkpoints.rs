//! `[checkpoints]` of the configuration file: the key that signs checkpoints, and who watches them.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::limits::n32;

/// Checkpoints of the ledger (docs/ledger-format.md). Without a key there are none, and receipts stay pending.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCheckpoints {
    /// Label of the key pair in the token that signs checkpoints and cosigns those of others; 1 to 64 octets. Never a key of `[hsm]`.
    pub(super) key: Option<String>,
    /// Its public half, or a certificate for it, PEM or DER; `yanqian ledger key --pem` writes it.
    pub(super) public_key: Option<PathBuf>,
    /// Seconds between checkpoints while records come; one is made at each seal of a segment, too.
    pub(super) interval_seconds: NonZeroU32,
    /// Directory of tiles and the newest checkpoint, for any static file server; `tree/` in the state directory when absent.
    pub(super) tree_dir: Option<PathBuf>,
    /// `ledgers.toml` with the ledgers that this node cosigns, and the witnesses whose cosignatures it takes
    /// (docs/receipt-format.md).
    pub(super) trust: Option<PathBuf>,
    /// The last checkpoint of this ledger that a witness cosigned, where no snapshot or backup of this node reaches. A ledger that
    /// does not go on from it is not served.
    pub(super) cosigned_file: Option<PathBuf>,
    /// Whether the daemon refuses to start without `cosigned_file`.
    pub(super) witness_required: bool,
    /// Directory of what this node cosigned of others; `witness/` in the state directory when absent.
    pub(super) witness_dir: Option<PathBuf>,
}

impl Default for RawCheckpoints {
    fn default() -> Self {
        Self {
            key: None,
            public_key: None,
            interval_seconds: n32(60),
            tree_dir: None,
            trust: None,
            cosigned_file: None,
            witness_required: false,
            witness_dir: None,
        }
    }
}

/// The ledger key and what is done with it.
#[derive(Debug)]
pub(crate) struct CheckpointConfig {
    pub(crate) label: String,
    pub(crate) public_key: PathBuf,
    pub(crate) interval: Duration,
    pub(crate) trust: Option<PathBuf>,
    pub(crate) cosigned: Option<PathBuf>,
    pub(crate) witness_required: bool,
    pub(crate) witness_dir: PathBuf,
}

impl RawCheckpoints {
    /// The key, if there is one, and the directory of the tree.
    pub(super) fn read(
        self,
        base: &Path,
        state: &Path,
    ) -> Result<(Option<CheckpointConfig>, PathBuf), (&'static str, &'static str)> {
        let tree = self.tree_dir.map_or_else(|| state.join("tree"), |tree| base.join(tree));
        let (label, public_key) = match (self.key, self.public_key) {
            (Some(label), Some(file)) => (label, base.join(file)),
            (None, None) if self.witness_required => {
                return Err((
                    "checkpoints.witness_required",
                    "needs `checkpoints.key`: without it nothing can be cosigned",
                ));
            }
            (None, None) => return Ok((None, tree)),
            (Some(_), None) => {
                return Err(("checkpoints.public_key", "is missing; `yanqian ledger key --pem` writes it"));
            }
            (None, Some(_)) => return Err(("checkpoints.key", "is missing: the label of the key in the token")),
        };
        if label.is_empty() || label.len() > 64 || label.chars().any(char::is_control) {
            return Err(("checkpoints.key", "1 to 64 octets without control characters"));
        }
        if self.witness_required && self.cosigned_file.is_none() {
            return Err(("checkpoints.witness_required", "needs `checkpoints.cosigned_file`"));
        }
        let key = CheckpointConfig {
            label,
            public_key,
            interval: Duration::from_secs(self.interval_seconds.get().into()),
            trust: self.trust.map(|file| base.join(file)),
            cosigned: self.cosigned_file.map(|file| base.join(file)),
            witness_required: self.witness_required,
            witness_dir: self.witness_dir.map_or_else(|| state.join("witness"), |directory| base.join(directory)),
        };
        Ok((Some(key), tree))
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const SAMPLE: &str = include_str!("../../../../samples/yanqian.toml");

    fn with(ledger: &str) -> Result<Option<CheckpointConfig>, String> {
        let (before, rest) = SAMPLE.split_once("[checkpoints]").expect("the sample has the table");
        let (_, after) = rest.split_once("\n[verification]").expect("and the next");
        let text = format!("{before}[checkpoints]\n{ledger}\n[verification]{after}");
        let parsed = parse(&text, Path::new("/etc/yanqian/yanqian.toml"));
        parsed.map(|config| config.checkpoints).map_err(|error| error.to_string())
    }

    #[test]
    fn a_ledger_key_is_whole_or_absent_and_none_of_the_pairs() {
        assert!(with("").expect("no key is fine").is_none());
        let key = with("key = \"l\"\npublic_key = \"l.pem\"").expect("a key").expect("it is there");
        assert_eq!((key.interval.as_secs(), key.public_key.to_str()), (60, Some("/etc/yanqian/l.pem")));
        assert_eq!(key.witness_dir.to_str(), Some("/var/lib/yanqian/witness"));
        for (ledger, problem) in [
            ("key = \"l\"", "key `checkpoints.public_key`: is missing"),
            ("public_key = \"l.pem\"", "key `checkpoints.key`: is missing"),
            ("key = \"\"\npublic_key = \"l.pem\"", "key `checkpoints.key`: 1 to 64 octets"),
            ("witness_required = true", "key `checkpoints.witness_required`: needs `checkpoints.key`"),
            ("key = \"l\"\npublic_key = \"l.pem\"\nwitness_required = true", "needs `checkpoints.cosigned_file`"),
            (
                "key = \"yanqian-sign\"\npublic_key = \"l.pem\"",
                "key `checkpoints.key`: is the label of a key pair in `[hsm]`",
            ),
            ("interval_seconds = 0", "interval_seconds"),
        ] {
            let error = with(ledger).expect_err(ledger);
            assert!(error.contains(problem), "{error}");
        }
    }
}
