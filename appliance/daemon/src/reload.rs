//! Taking over at run time what may be taken over: the entity's key pairs and the agreement. All of a reload counts, or nothing
//! of it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use yanqian_evidence::{Context, Der, Label, Management};
use yanqian_gateway::{Clock, Core, KeyPair, PairState, PairUsage, Pairs, SystemClock};
use yanqian_platform::PlatformClient;
use yanqian_trust::SharedTrust;
use yanqian_vocabulary::{ContentDigest, KeyId, Timestamp, TrustHash};

use crate::config::Config;
use crate::keys::{self, Lists, Prover, is_needed};
use crate::link::TLS_KEY_GRADE;
use crate::parts;
use crate::tokens;

/// Keys of the configuration file that a reload takes over; a change of any other needs a restart.
pub(crate) const RELOADED: [&str; 6] = [
    "hsm.signing_key",
    "hsm.signing_certificate",
    "hsm.encryption_key",
    "hsm.encryption_certificate",
    "hsm.signing",
    "hsm.encryption",
];

/// What became of a reload, for whoever asked for it: the file `reload.json` in the state directory.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    v: u32,
    /// Reloads since the daemon's start.
    pub(crate) count: u64,
    /// SM3 of the configuration file as the reload read it; empty when it could not be read.
    pub(crate) configuration: String,
    /// Why it was refused; absent when it was applied.
    pub(crate) refused: Option<String>,
}

impl Report {
    pub(crate) fn file(config: &Config) -> PathBuf {
        config.state_dir.join("reload.json")
    }

    /// The last one, if there is any.
    pub(crate) fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(file).ok()?).ok()
    }

    /// Written under another name first, so that no reader sees half a report.
    fn write(&self, file: &Path) -> std::io::Result<()> {
        let unfinished = file.with_extension("json.new");
        let mut out = std::fs::File::create(&unfinished)?;
        writeln!(out, "{}", serde_json::to_string(self)?)?;
        std::fs::rename(unfinished, file)
    }
}

/// Reads the configuration again when asked.
pub(crate) struct Reloader {
    config: Config,
    core: Arc<Core>,
    prover: Prover,
    trust: Arc<SharedTrust>,
    count: u64,
    /// Told once what follows from the reload is told too.
    report: Option<Report>,
}

impl Reloader {
    /// `config` is what the daemon runs with.
    pub(crate) fn new(config: Config, core: Arc<Core>, prover: Prover, trust: Arc<SharedTrust>) -> Self {
        // A report of a former run is none of this one's.
        let _ = std::fs::remove_file(Report::file(&config));
        Self { config, core, prover, trust, count: 0, report: None }
    }

    /// Applies the whole file or nothing of it; says why not.
    pub(crate) async fn reload(&mut self) -> Result<(), String> {
        self.count += 1;
        let read = Config::load(&self.config.file).map_err(|error| error.to_string());
        let configuration = read.as_ref().map(|config| hex::encode(config.hash())).unwrap_or_default();
        let applied = match read {
            Ok(config) => self.apply(config).await,
            Err(problem) => Err(problem),
        };
        match &applied {
            Ok(()) => tracing::info!("configuration loaded again"),
            Err(problem) => tracing::error!("reload refused, nothing was changed: {problem}"),
        }
        self.report = Some(Report { v: 1, count: self.count, configuration, refused: applied.clone().err() });
        applied
    }

    /// Tells whoever asked for the reload, and the service manager, that it is over.
    pub(crate) fn finish(&mut self) {
        let Some(report) = self.report.take() else { return };
        if let Err(error) = report.write(&Report::file(&self.config)) {
            tracing::error!(%error, "the reload's result cannot be written");
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    }

    async fn apply(&mut self, config: Config) -> Result<(), String> {
        let fixed = changed_keys(&self.config.text, &config.text);
        if !fixed.is_empty() {
            return Err(format!("a change of {} needs a restart", fixed.join(", ")));
        }
        let text = |error: parts::PartError| error.to_string();
        parts::permissions(&config).map_err(text)?;
        let (agreement, hash) = parts::agreement(&config).map_err(text)?;
        let (profile, ..) = parts::platform(&config, &self.prover.verifier).map_err(text)?;
        parts::services(&config, &agreement, &profile).map_err(text)?;
        let now = SystemClock.now();
        let Lists { signing, encryption } = keys::load(&config, now).map_err(text)?;
        let loaded = self.core.in_force();
        let base = Context { agreement: hash, ..(*loaded.context).clone() };
        let unchanged = loaded.context.agreement == hash;
        let agreement = if unchanged { Arc::clone(&loaded.agreement) } else { Arc::new(agreement) };
        let pairs = Pairs::new(&base, &agreement, signing, encryption).map_err(|error| error.to_string())?;
        let tokens = self.prover.tokens.clone();
        // Those of both files, until it is decided which counts.
        let mut kept = tokens::needed(&self.core.pairs(), now);
        kept.extend(tokens::needed(&pairs, now).into_iter().filter(|key| !kept.contains(key)).collect::<Vec<_>>());
        tokens.keep(kept);
        let taken = self.take_over(config, pairs, now).await;
        tokens.keep(tokens::needed(&self.core.pairs(), now));
        taken
    }

    /// Proves the pairs and puts them into force.
    async fn take_over(&mut self, config: Config, pairs: Pairs, now: Timestamp) -> Result<(), String> {
        self.prove(&pairs, now).await?;

        keys::keep_tables(&self.prover.verifier, pairs.of(PairUsage::Signing));
        let (core, kept) = (Arc::clone(&self.core), Arc::new(pairs));
        let archived = Arc::clone(&kept);
        let archiving = tokio::task::spawn_blocking(move || core.archive_pairs(&archived));
        archiving.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let in_force = Arc::clone(kept.at(now));
        let loaded = configuration_loaded(&config, &self.trust, &in_force.signing, self.core.platform_client());
        // What the ledger does not know of does not come into force.
        let recorded = self.core.append_under(&in_force.context, loaded.into()).await;
        recorded.map_err(|error| format!("the load cannot be recorded: {error}"))?;
        let agreed_otherwise = self.core.in_force().context.agreement != in_force.context.agreement;
        self.core.replace_pairs(kept);
        self.config = config;
        if agreed_otherwise {
            tracing::info!(agreement = %in_force.context.agreement, version = in_force.agreement.version, "another agreement is in force");
            // What was set aside under the other's limits; what does not come back is lost to the day, and nothing is gained.
            if let Err(error) = self.core.return_leases().await {
                tracing::error!(%error, "what is left of the day's quotas cannot be returned");
            }
        }
        Ok(())
    }

    /// Every pair that is new or in use has proven itself: by the proof that it had already, or now. One that was listed before and
    /// does not serve now is tried again later.
    async fn prove(&self, pairs: &Pairs, now: Timestamp) -> Result<(), String> {
        let loaded = self.core.pairs();
        for (usage, pair, state) in pairs.told(now) {
            if !is_needed(usage, pair, state, now) {
                continue;
            }
            let known = loaded.of(usage).iter().find(|known| known.is_same_pair(pair));
            if known.is_some_and(|known| known.is_proven()) {
                pair.set_proven(true);
                continue;
            }
            let proven = self.prover.prove_and_record(&self.core, pairs, usage, pair).await;
            if known.is_none() || state == PairState::InUse {
                proven?;
            }
        }
        Ok(())
    }
}

/// The record of a load.
pub(crate) fn configuration_loaded(
    config: &Config,
    trust: &SharedTrust,
    signing: &KeyPair,
    client: &PlatformClient,
) -> Management {
    Management::ConfigurationLoaded {
        configuration: ContentDigest::new(config.hash()),
        trust: trust.current().ok().map(|store| TrustHash::new(*store.hash())),
        certificate: Der::new(signing.certificate.as_der()).ok(),
        transport: Some(Label::new(client.transport())),
        tls_key: client.shown().map(|shown| KeyId::new(shown.key_id())),
        tls_key_grade: client.shown().map(|_| Label::new(TLS_KEY_GRADE)),
    }
}

/// Keys that the two files set to different values and that only a restart takes over.
fn changed_keys(one: &str, other: &str) -> Vec<String> {
    let read = |text: &str| {
        let mut keys = BTreeMap::new();
        if let Ok(table) = text.parse::<toml::Table>() {
            flatten("", table, &mut keys);
        }
        keys
    };
    let (one, other) = (read(one), read(other));
    let mut changed: Vec<String> = one
        .keys()
        .chain(other.keys())
        .filter(|key| !RELOADED.contains(&key.as_str()) && one.get(*key) != other.get(*key))
        .map(|key| format!("`{key}`"))
        .collect();
    changed.sort();
    changed.dedup();
    changed
}

fn flatten(prefix: &str, table: toml::Table, keys: &mut BTreeMap<String, toml::Value>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(table) => flatten(&path, table, keys),
            value => drop(keys.insert(path, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_a_reload_does_not_take_over_need_a_restart() {
        let file = "[hsm]\nsigning_key = \"a\"\nsocket = \"s\"\n[limits]\nbody_ms = 1\n";
        assert_eq!(changed_keys(file, file), [""; 0]);
        assert_eq!(changed_keys(file, &format!("# said otherwise\n{}", file.replace("\"a\"", "\"b\""))), [""; 0]);
        let list = "[hsm]\nsocket = \"s\"\n[[hsm.signing]]\nkey = \"a\"\n[limits]\nbody_ms = 1\n";
        assert_eq!(changed_keys(file, list), [""; 0]);
        let other = "[hsm]\nsocket = \"t\"\nworker_uid = 1\n[limits]\n";
        assert_eq!(changed_keys(file, other), ["`hsm.socket`", "`hsm.worker_uid`", "`limits.body_ms`"]);
    }
}
