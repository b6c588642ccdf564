//! `[search]` of the configuration file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// The keys with which records are found by a document; all optional.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSearch {
    /// Calendar months (Asia/Shanghai) after which another key is begun. The finer the epochs, the less a destroyed key makes
    /// unsearchable. 0: only on an operator's order.
    epoch_months: u32,
    /// Directory of the keys, one file for each epoch, made with mode 0700; `search-keys` in `state_dir` when it is not set. What
    /// is copied from there outlives its destruction here.
    keys_dir: Option<PathBuf>,
}

impl Default for RawSearch {
    fn default() -> Self {
        Self { epoch_months: 3, keys_dir: None }
    }
}

/// How search keys are kept.
#[derive(Debug, Clone)]
pub(crate) struct SearchConfig {
    /// None: only on an operator's order.
    pub(crate) epoch_months: Option<std::num::NonZeroU32>,
    pub(crate) keys_dir: PathBuf,
}

impl RawSearch {
    /// `resolve` makes a path of the file absolute; `default` stands in for one that is not set.
    pub(super) fn into_config(self, resolve: impl FnOnce(PathBuf) -> PathBuf, default: PathBuf) -> SearchConfig {
        SearchConfig {
            epoch_months: std::num::NonZeroU32::new(self.epoch_months),
            keys_dir: self.keys_dir.map_or(default, resolve),
        }
    }
}
