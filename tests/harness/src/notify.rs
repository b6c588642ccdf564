//! The service manager's notification socket (`sd_notify(3)`), as far as a worker uses it: which process is the main one.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, getpid, set_child_subreaper};

use crate::error::{Doing as _, HarnessError};

#[derive(Debug)]
pub(crate) struct Notify {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Notify {
    /// Listens at a path that every user may write to. From now on this process inherits what its children leave behind, as the
    /// service manager does.
    pub(crate) fn listen(path: &Path) -> Result<Self, HarnessError> {
        let what = || format!("listening on {}", path.display());
        let _ = std::fs::remove_file(path);
        let socket = UnixDatagram::bind(path).doing(what)?;
        socket.set_nonblocking(true).doing(what)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).doing(what)?;
        set_child_subreaper(Some(getpid()))
            .map_err(std::io::Error::from)
            .doing(|| "becoming a subreaper".to_owned())?;
        Ok(Self { socket, path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The process that was last named the main one since the last call.
    pub(crate) fn main_process(&self) -> Option<Pid> {
        let mut main = None;
        let mut message = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut message) {
            let text = String::from_utf8_lossy(&message[..length]).into_owned();
            let named = text.lines().filter_map(|line| line.strip_prefix("MAINPID=")?.parse().ok());
            main = named.filter_map(Pid::from_raw).next_back().or(main);
        }
        main
    }
}
