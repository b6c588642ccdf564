use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use crate::error::TrustError;
use crate::store::{TrustSettings, TrustStore};

/// A trust store that follows its directory. What cannot be loaded is not trusted: the old content is not kept, because
/// an operator who takes an anchor away must not find it still in use.
#[derive(Debug)]
pub struct SharedTrust {
    directory: PathBuf,
    settings: TrustSettings,
    current: RwLock<Result<Arc<TrustStore>, TrustError>>,
    seen: Mutex<Fingerprint>,
}

/// What a look at the directory found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// Only what was fetched: the store's own files, and its hash, are the same.
    RevocationData,
    /// The store in force is now another one, or none.
    Store,
}

/// Names, sizes, times and inodes of all files below the directory.
type Fingerprint = Vec<(PathBuf, u64, i64, i64, u64)>;

fn fingerprint(directory: &Path, settings: &TrustSettings) -> Fingerprint {
    let mut all = Vec::new();
    let mut pending = vec![directory.to_owned()];
    pending.extend(settings.fetched.clone());
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            // Follows links, as loading does.
            let Ok(metadata) = std::fs::metadata(&path) else { continue };
            if metadata.is_dir() && all.len() < 4096 {
                pending.push(path);
            } else {
                all.push((path, metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino()));
            }
        }
    }
    all.sort();
    all
}

impl SharedTrust {
    /// Loads the store; a store that cannot be loaded is an error here and an unusable store later.
    pub fn open(directory: &Path, settings: TrustSettings) -> Result<Self, TrustError> {
        let seen = fingerprint(directory, &settings);
        let store = TrustStore::open(directory, &settings)?;
        Ok(Self {
            directory: directory.to_owned(),
            settings,
            current: RwLock::new(Ok(Arc::new(store))),
            seen: Mutex::new(seen),
        })
    }

    /// The store in force, or why there is none.
    pub fn current(&self) -> Result<Arc<TrustStore>, TrustError> {
        match self.current.read() {
            Ok(current) => current.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }

    /// Loads again if any file changed.
    pub fn refresh(&self) -> Change {
        let found = fingerprint(&self.directory, &self.settings);
        let Ok(mut seen) = self.seen.lock() else { return Change::Nothing };
        if *seen == found {
            return Change::Nothing;
        }
        let mut loaded = TrustStore::open(&self.directory, &self.settings);
        let before = self.current();
        if let (Ok(store), Ok(before)) = (&mut loaded, &before) {
            store.met = before.met.handed_on();
        }
        let loaded = loaded.map(Arc::new);
        let same = matches!((&loaded, &before), (Ok(store), Ok(before)) if store.hash() == before.hash());
        match &loaded {
            Ok(_) if same => tracing::debug!("revocation data loaded"),
            Ok(store) => tracing::info!(hash = ?store, "trust store loaded"),
            Err(error) => tracing::error!(%error, "trust store cannot be used; every answer will be refused"),
        }
        *seen = found;
        if let Ok(mut current) = self.current.write() {
            *current = loaded;
        }
        if same { Change::RevocationData } else { Change::Store }
    }
}
