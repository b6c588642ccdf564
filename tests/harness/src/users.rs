//! Who runs what. With root's rights a site gets users of its own, so that file permissions separate the processes as they
//! do on a real host; without, everything runs under the one user who started it.

use std::path::Path;

use crate::error::{Doing as _, HarnessError};

/// A user and a group by number; neither needs a name on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// The users of a site's processes; none: the user who started the harness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Users {
    /// `yanqian serve`
    pub daemon: Option<User>,
    /// `yanqian hsm-worker`
    pub worker: Option<User>,
    /// The platform simulator: whoever runs the platform is neither.
    pub platform: Option<User>,
}

const fn user(uid: u32, gid: u32) -> User {
    User { uid, gid }
}

impl Users {
    /// Three users outside the ranges that distributions give away. Daemon and worker share a group, to which the worker's
    /// socket belongs; no file does.
    pub const SEPARATE: Self = Self {
        daemon: Some(user(64_001, 64_000)),
        worker: Some(user(64_002, 64_000)),
        platform: Some(user(64_003, 64_003)),
    };
    /// Everything under the present user.
    pub const SAME: Self = Self { daemon: None, worker: None, platform: None };

    /// [`Self::SEPARATE`] where that is possible: for root.
    pub fn for_this_process() -> Self {
        if rustix::process::geteuid().is_root() { Self::SEPARATE } else { Self::SAME }
    }

    /// Whether daemon and worker run under users of their own.
    pub fn are_separate(&self) -> bool {
        self.daemon.is_some() && self.daemon != self.worker
    }

    /// What to tell the person who is watching.
    pub fn describe(&self) -> String {
        match (self.daemon, self.worker, self.platform) {
            (Some(daemon), Some(worker), Some(platform)) => {
                format!(
                    "daemon as uid {}, HSM worker as uid {}, platform as uid {}",
                    daemon.uid, worker.uid, platform.uid
                )
            }
            _ => format!(
                "everything under one user (uid {}); as root, daemon and worker get users of their own",
                rustix::process::geteuid().as_raw()
            ),
        }
    }
}

/// Gives a file or directory to a user; without one it stays whose it is.
pub(crate) fn give(path: &Path, user: Option<User>) -> Result<(), HarnessError> {
    let Some(user) = user else { return Ok(()) };
    std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)).doing(|| format!("giving away {}", path.display()))
}

/// As [`give`], with everything below.
pub(crate) fn give_tree(path: &Path, user: Option<User>) -> Result<(), HarnessError> {
    if user.is_none() {
        return Ok(());
    }
    give(path, user)?;
    if path.is_dir() {
        for entry in std::fs::read_dir(path).doing(|| path.display().to_string())? {
            give_tree(&entry.doing(|| path.display().to_string())?.path(), user)?;
        }
    }
    Ok(())
}
