//! The socket: handed over by the service manager, inherited from a predecessor, or made here. One made here appears complete,
//! under its final mode, and never takes a living worker's place.

use std::fs::{File, OpenOptions, Permissions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use rustix::fs::FlockOperation;
use tokio::net::UnixListener;

use super::exit::WorkerExit;
use super::heritage::Heritage;

/// The listening socket.
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    /// None when the service manager made the socket: file and permissions are its own.
    file: Option<SocketFile>,
}

/// The file and the lock of a socket that was made here; both go with it.
struct SocketFile {
    path: PathBuf,
    lock: File,
    /// Another worker has both.
    left: bool,
}

impl Socket {
    /// The socket that the service manager passed (`LISTEN_FDS`), if it passed one; else a new one.
    pub(super) fn open(path: &Path, gid: Option<u32>) -> Result<Self, WorkerExit> {
        let failed = |error: &dyn std::fmt::Display| {
            WorkerExit::Socket(format!("the socket that the service manager passed: {error}"))
        };
        let Some(listener) = ListenFd::from_env().take_unix_listener(0).map_err(|error| failed(&error))? else {
            return Self::bind(path, gid);
        };
        Self::listening(listener, None).map_err(|error| failed(&error))
    }

    /// The socket that a predecessor leaves, with its file and lock where it had made it. Until [`Self::own`] they are the
    /// predecessor's, who may go on with them.
    pub(super) fn inherit(heritage: Heritage) -> Result<Self, WorkerExit> {
        let file = heritage.made.map(|(path, lock)| SocketFile { path, lock: lock.into(), left: true });
        Self::listening(heritage.listener.into(), file)
            .map_err(|error| WorkerExit::Socket(format!("the socket that the predecessor left: {error}")))
    }

    fn listening(listener: StdListener, file: Option<SocketFile>) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, file })
    }

    /// What a successor needs of it. `sessions` are those that this worker holds.
    pub(super) fn heritage(&self, sessions: u32) -> std::io::Result<Heritage> {
        let copied =
            |file: &SocketFile| Ok::<_, std::io::Error>((file.path.clone(), OwnedFd::from(file.lock.try_clone()?)));
        let made = self.file.as_ref().map(copied).transpose()?;
        Ok(Heritage { listener: self.listener.as_fd().try_clone_to_owned()?, made, sessions })
    }

    /// The predecessor has left it for good.
    pub(super) const fn own(&mut self) {
        if let Some(file) = &mut self.file {
            file.left = false;
        }
    }

    /// A successor serves it: nothing of it is removed here.
    pub(super) fn leave(mut self) {
        if let Some(file) = &mut self.file {
            file.left = true;
        }
    }

    /// Binds under a temporary name in the same directory, sets the mode, then renames.
    fn bind(path: &Path, gid: Option<u32>) -> Result<Self, WorkerExit> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            WorkerExit::Socket(format!("socket {}: {what}: {error}", path.display()))
        };
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&name)
            .map_err(|error| failed("lock file", &error))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| failed("another worker serves it", &error))?;
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(failed("in the way", &"a file that is no socket"));
            }
            _ => {}
        }
        let temporary = path.with_extension(format!("{}.new", std::process::id()));
        let _ = std::fs::remove_file(&temporary);
        let listener = UnixListener::bind(&temporary).map_err(|error| failed("bind", &error))?;
        let publish = || {
            if let Some(gid) = gid {
                rustix::fs::chown(&temporary, None, Some(rustix::fs::Gid::from_raw(gid)))?;
            }
            std::fs::set_permissions(&temporary, Permissions::from_mode(0o660))?;
            std::fs::rename(&temporary, path)
        };
        if let Err(error) = publish() {
            let _ = std::fs::remove_file(&temporary);
            return Err(failed("publish", &error));
        }
        Ok(Self { listener, file: Some(SocketFile { path: path.to_owned(), lock, left: false }) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // While the lock is held here only, the file is ours.
        if !self.left {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
