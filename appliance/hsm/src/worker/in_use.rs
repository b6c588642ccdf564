//! Who uses the token of a state directory: any number of processes at once, or one that initialises it and destroys its keys.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// Held as long as the token is used; ends with the process at the latest.
#[derive(Debug)]
pub(crate) struct InUse {
    _lock: File,
}

impl InUse {
    /// One of several; none while the token is being initialised.
    pub(crate) fn share(state_dir: &Path) -> io::Result<Option<Self>> {
        Self::lock(state_dir, FlockOperation::NonBlockingLockShared)
    }

    /// The only one; none while a worker or a measurement uses the token.
    pub(crate) fn alone(state_dir: &Path) -> io::Result<Option<Self>> {
        Self::lock(state_dir, FlockOperation::NonBlockingLockExclusive)
    }

    fn lock(state_dir: &Path, operation: FlockOperation) -> io::Result<Option<Self>> {
        let file = state_dir.join("token-in-use.lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file)?;
        match rustix::fs::flock(&lock, operation) {
            Ok(()) => Ok(Some(Self { _lock: lock })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn many_use_a_token_or_one_initialises_it() {
        let directory = tempfile::tempdir().unwrap();
        let users = [(); 2].map(|()| InUse::share(directory.path()).unwrap().unwrap());
        assert!(InUse::alone(directory.path()).unwrap().is_none());
        drop(users);
        let _alone = InUse::alone(directory.path()).unwrap().unwrap();
        assert!(InUse::share(directory.path()).unwrap().is_none());
    }
}
