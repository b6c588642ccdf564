use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use crate::error::TrustError;
use crate::store::TrustStore;

/// A trust store that follows its directory. What cannot be loaded is not trusted: the old content is not kept, because
/// an operator who takes an anchor away must not find it still in use.
#[derive(Debug)]
pub struct SharedTrust {
    directory: PathBuf,
    grace_seconds: u32,
    current: RwLock<Result<Arc<TrustStore>, TrustError>>,
    seen: Mutex<Fingerprint>,
}

/// Names, sizes, times and inodes of all files below the directory.
type Fingerprint = Vec<(PathBuf, u64, i64, i64, u64)>;

fn fingerprint(directory: &Path) -> Fingerprint {
    let mut all = Vec::new();
    let mut pending = vec![directory.to_owned()];
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
    pub fn open(directory: &Path, grace_seconds: u32) -> Result<Self, TrustError> {
        let seen = fingerprint(directory);
        let store = TrustStore::load(directory, grace_seconds)?;
        Ok(Self {
            directory: directory.to_owned(),
            grace_seconds,
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

    /// Loads again if any file changed. True when the store in force is now another one, or none.
    pub fn refresh_if_changed(&self) -> bool {
        let found = fingerprint(&self.directory);
        let Ok(mut seen) = self.seen.lock() else { return false };
        if *seen == found {
            return false;
        }
        let loaded = TrustStore::load(&self.directory, self.grace_seconds).map(Arc::new);
        match &loaded {
            Ok(store) => tracing::info!(hash = ?store, "trust store loaded"),
            Err(error) => tracing::error!(%error, "trust store cannot be used; every answer will be refused"),
        }
        *seen = found;
        if let Ok(mut current) = self.current.write() {
            *current = loaded;
        }
        true
    }
}
