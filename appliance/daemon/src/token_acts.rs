//! What administrators have the tokens' workers do (`yanqian hsm keygen`, `csr` and so on), put on record: each worker keeps a journal of
//! it, and the daemon, which alone writes the ledger, reads on where it ended. A crash between a record and the note of how far was
//! read makes the record twice, never not at all.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use yanqian_evidence::{Label, Management};
use yanqian_gateway::Core;
use yanqian_hsm::WorkerClient;
use yanqian_hsm::protocol::Act;
use yanqian_vocabulary::{ContentDigest, KeyId, Timestamp};

use crate::config::Config;
use crate::tokens;

/// Between looks at the journals.
const LOOK: Duration = Duration::from_secs(2);

/// How far a worker's journal was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Read {
    /// Hexadecimal digits.
    journal: Option<String>,
    next: u64,
}

pub(crate) struct TokenActs {
    core: Arc<Core>,
    clients: Vec<(String, WorkerClient)>,
    file: PathBuf,
    /// By the token's name.
    read: BTreeMap<String, Read>,
}

impl TokenActs {
    pub(crate) fn new(config: &Config, core: Arc<Core>) -> Self {
        let client = |token| WorkerClient::new(tokens::client(config, token));
        let clients = config.hsm.tokens.iter().map(|token| (token.name.clone(), client(token))).collect();
        let file = config.state_dir.join("token-acts.json");
        // A note that is lost or broken has everything recorded once more.
        let read = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { core, clients, file, read }
    }

    /// Records what was done while the daemon was away, as far as the workers answer in time.
    pub(crate) async fn begin(mut self) -> Self {
        for at in 0..self.clients.len() {
            let _ = tokio::time::timeout(LOOK, self.follow(at)).await;
        }
        self
    }

    /// Runs until its task is aborted.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::time::sleep(LOOK).await;
            for at in 0..self.clients.len() {
                if let Err(why) = self.follow(at).await {
                    tracing::debug!(token = self.clients[at].0, why, "a worker's journal");
                }
            }
        }
    }

    /// Records what is new in a token's journal.
    async fn follow(&mut self, at: usize) -> Result<(), String> {
        let (name, client) = &self.clients[at];
        let before = self.read.get(name).cloned().unwrap_or_default();
        let id = before.journal.as_ref().and_then(|digits| hex::decode(digits).ok()?.try_into().ok());
        let page = client.journal(id, before.next).await.map_err(|error| error.to_string())?;
        let token = Label::of_name(name).map_err(|error| error.to_string())?;
        for act in &page.acts {
            let Some(record) = record(&token, act) else {
                tracing::error!(token = name, "a worker's journal holds what is no act");
                continue;
            };
            self.core.append(record.into()).await.map_err(|error| error.to_string())?;
        }
        let after = Read { journal: page.id.map(hex::encode), next: page.next };
        if after != before {
            self.read.insert(name.clone(), after);
            write(&self.file, &self.read).map_err(|error| format!("{}: {error}", self.file.display()))?;
        }
        Ok(())
    }
}

/// None when the worker says what no worker of ours would.
fn record(token: &Label, act: &Act) -> Option<Management> {
    Some(Management::TokenAdministered {
        token: token.clone(),
        operation: Label::of_name(&act.operation).ok()?,
        result: Label::of_name(&act.result).ok()?,
        key: act.key_id.map(KeyId::new),
        object: act.object.map(ContentDigest::new),
        operator: act.operator,
        at: Timestamp::try_from_unix_millis(i64::try_from(act.at_ms).ok()?).ok()?,
    })
}

/// On disk, under its name, when this returns.
fn write(file: &Path, read: &BTreeMap<String, Read>) -> std::io::Result<()> {
    let unfinished = file.with_extension("json.new");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).open(&unfinished)?;
    out.write_all(&serde_json::to_vec(read)?)?;
    out.sync_all()?;
    std::fs::rename(unfinished, file)?;
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}
