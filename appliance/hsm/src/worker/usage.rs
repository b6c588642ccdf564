//! How often each key has signed, across restarts, and the limit that an operator sets.
//!
//! A count lies in the state directory under the key's id (SM3 of its `SubjectPublicKeyInfo`), so another key under the same
//! label starts at zero, and the same key under another label does not. No signature waits for the disk: signatures are set aside
//! in blocks ahead of their use, flushed to disk before the first of a block is used, and what is left of a block goes back when the
//! worker ends in order. So a count is never too low. It is too high by what is set aside by running workers, and for good by that
//! of one that was killed: [`BLOCK`] and a half at most, for a key with a limit at most a sixty-fourth of the limit.
//! Several workers over one directory share the counts.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::config::KeyRule;
use crate::protocol::{KeyCount, Refusal, codes};

/// Signatures set aside at once. At a thousand a second the disk has half a second for the next block.
pub(super) const BLOCK: u64 = 1024;
/// A limited key's block is at most this part of its limit.
const PART: u64 = 128;
/// At the limit, between looks whether another worker has given signatures back; also after the file could not be used.
const PAUSE: Duration = Duration::from_secs(1);
const FORMAT_VERSION: u32 = 1;

/// What a count's file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format_version: u32,
    /// The label that the key had last, for people.
    label: String,
    /// Made and set aside.
    signatures: u64,
}

/// All counts of a state directory.
pub(super) struct Usage {
    directory: PathBuf,
    rules: BTreeMap<String, KeyRule>,
    accounts: Mutex<HashMap<[u8; 32], Arc<Account>>>,
    /// To the thread that sets the next blocks aside.
    ahead: Sender<Arc<Account>>,
}

/// One key's count.
pub(super) struct Account {
    path: PathBuf,
    key_id: [u8; 32],
    label: String,
    rule: KeyRule,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// As the file had it last: all workers' signatures, made and set aside.
    total: u64,
    /// Of those, set aside here and not used yet.
    left: u64,
    /// A block is being set aside.
    reserving: bool,
    /// Nothing was to be had; not asked again before.
    refused_until: Option<Instant>,
    /// Why the file could not be used last time.
    problem: Option<String>,
    warned: bool,
}

impl Usage {
    /// `rules` are by label.
    pub(super) fn new(directory: &Path, rules: BTreeMap<String, KeyRule>) -> std::io::Result<Self> {
        let (ahead, orders) = mpsc::channel::<Arc<Account>>();
        std::thread::Builder::new().name("key-usage".into()).spawn(move || {
            for account in orders {
                account.reserve();
            }
        })?;
        Ok(Self { directory: directory.to_owned(), rules, accounts: Mutex::default(), ahead })
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account of a key, which has this label now.
    pub(super) fn account(&self, key_id: [u8; 32], label: &str) -> Arc<Account> {
        let mut accounts = self.accounts();
        if let Some(account) = accounts.get(&key_id).filter(|account| account.label == label) {
            return Arc::clone(account);
        }
        if let Some(renamed) = accounts.remove(&key_id) {
            renamed.give_back();
        }
        let account = Arc::new(Account {
            path: self.directory.join(format!("key-usage-{}.toml", hex::encode(key_id))),
            key_id,
            label: label.to_owned(),
            rule: self.rules.get(label).cloned().unwrap_or_default(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        account.look();
        accounts.insert(key_id, Arc::clone(&account));
        account
    }

    /// Counts one signature that is about to be asked of the token.
    pub(super) fn take(&self, account: &Arc<Account>) -> Result<(), Refusal> {
        if account.take()? {
            // Ends with this value.
            let _ = self.ahead.send(Arc::clone(account));
        }
        Ok(())
    }

    /// Gives back what is set aside and not used. No signature may be asked for afterwards.
    pub(super) fn give_back(&self) {
        for account in self.accounts().values() {
            account.give_back();
        }
    }

    /// By label.
    pub(super) fn counts(&self) -> Vec<KeyCount> {
        let mut counts: Vec<KeyCount> = self.accounts().values().map(|account| account.count()).collect();
        counts.sort_by(|one, other| one.label.cmp(&other.label));
        counts
    }
}

impl Account {
    fn state(&self) -> MutexGuard<'_, State> {
        // Numbers that are changed together under the lock, without anything between that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn block(&self) -> u64 {
        self.rule.max_signatures.map_or(BLOCK, |limit| (limit / PART).clamp(1, BLOCK))
    }

    /// Takes one signature of those set aside; true when it is time to set more aside.
    fn take(&self) -> Result<bool, Refusal> {
        let mut state = self.state();
        loop {
            if state.left > 0 {
                state.left -= 1;
                let soon = !state.reserving && state.left < self.block() / 2 && state.may_ask();
                state.reserving |= soon;
                return Ok(soon);
            }
            if state.reserving {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else if state.may_ask() {
                // Nothing left, and nobody on it: a first use, or a disk slower than the signatures.
                state.reserving = true;
                drop(state);
                self.reserve();
                state = self.state();
            } else if self.rule.max_signatures.is_none() {
                // A count that cannot be kept costs no check.
                return Ok(false);
            } else {
                return Err(Refusal::new(codes::KEY_LIMIT, self.at_limit(&state)));
            }
        }
    }

    fn at_limit(&self, state: &State) -> String {
        let limit = self.rule.max_signatures.unwrap_or_default();
        match &state.problem {
            Some(problem) => {
                format!("key {:?} has a limit of {limit} signatures, and its count is lost: {problem}", self.label)
            }
            None => {
                format!("key {:?} has made the {limit} signatures that it may make (keys.max_signatures)", self.label)
            }
        }
    }

    /// Sets a block aside on disk. Whoever calls this has set `reserving`.
    fn reserve(&self) {
        let block = self.block();
        let mut granted = 0;
        let written = self.change(|total| {
            granted = self.rule.max_signatures.map_or(block, |limit| limit.saturating_sub(total).min(block));
            total.saturating_add(granted)
        });
        let mut state = self.state();
        state.reserving = false;
        match written {
            Ok(total) => {
                state.total = total;
                state.left += granted;
                state.problem = None;
                state.refused_until = (granted == 0).then(|| Instant::now() + PAUSE);
            }
            Err(problem) => {
                tracing::error!(label = self.label, problem, "signatures of a key cannot be counted");
                state.problem = Some(problem);
                state.refused_until = Some(Instant::now() + PAUSE);
            }
        }
        if self.rule.warns_at().is_some_and(|warn| state.made() >= warn) && !std::mem::replace(&mut state.warned, true)
        {
            let (made, limit) = (state.made(), self.rule.max_signatures);
            tracing::warn!(label = self.label, made, limit, "a key comes close to the signatures that it may make");
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Looks what the file says, for a start.
    fn look(&self) {
        match self.read() {
            Ok(content) => self.state().total = content.map_or(0, |content| content.signatures),
            Err(problem) => self.state().problem = Some(problem),
        }
    }

    fn give_back(&self) {
        let reserving = |state: &mut State| state.reserving;
        let waited = self.changed.wait_timeout_while(self.state(), PAUSE, reserving);
        let left = std::mem::take(&mut waited.unwrap_or_else(PoisonError::into_inner).0.left);
        if left > 0 {
            match self.change(|total| total.saturating_sub(left)) {
                Ok(total) => self.state().total = total,
                Err(problem) => tracing::warn!(label = self.label, problem, "a key's count stays too high"),
            }
        }
    }

    fn count(&self) -> KeyCount {
        let state = self.state();
        KeyCount {
            label: self.label.clone(),
            key_id: self.key_id,
            signatures_total: state.made(),
            limit: self.rule.max_signatures,
            warns_at: self.rule.warns_at(),
        }
    }

    /// Signatures so far, and the limit.
    pub(super) fn signatures(&self) -> (u64, Option<u64>) {
        (self.state().made(), self.rule.max_signatures)
    }

    /// Why the key signs no more, if so.
    pub(super) fn exhausted(&self) -> Option<String> {
        let state = self.state();
        let over = self.rule.max_signatures.is_some_and(|limit| state.made() >= limit);
        over.then(|| self.at_limit(&state))
    }

    /// Changes the count under the lock that all workers of the directory share. Gives what stands on disk afterwards.
    fn change(&self, with: impl FnOnce(u64) -> u64) -> Result<u64, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", self.path.display());
        let lock = || {
            let lock = self.path.with_file_name("key-usage.lock");
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock)?;
            rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
            Ok::<_, std::io::Error>(file)
        };
        let _lock = lock().map_err(|error| failed(&error))?;
        let before = self.read()?.map_or(0, |content| content.signatures);
        let signatures = with(before);
        if signatures != before {
            let content = Content { format_version: FORMAT_VERSION, label: self.label.clone(), signatures };
            let text = toml::to_string(&content).map_err(|error| failed(&error))?;
            write(&self.path, &text).map_err(|error| failed(&error))?;
        }
        Ok(signatures)
    }

    fn read(&self) -> Result<Option<Content>, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", self.path.display());
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let content: Content = toml::from_str(&text).map_err(|error| failed(&error))?;
        if content.format_version != FORMAT_VERSION {
            return Err(failed(&"of another format version"));
        }
        Ok(Some(content))
    }
}

impl State {
    const fn made(&self) -> u64 {
        self.total.saturating_sub(self.left)
    }

    fn may_ask(&self) -> bool {
        self.refused_until.is_none_or(|until| Instant::now() >= until)
    }
}

/// On disk, under its name, when this returns.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests;
