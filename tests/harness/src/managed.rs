//! What systemd does for the units, where no systemd runs: it makes the listeners and hands them over (`LISTEN_FDS`,
//! `sd_listen_fds(3)`), keeps them while a program starts again, and lays the PIN into a directory of credentials.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Doing as _, HarnessError};
use crate::places::{Places, write_private};
use crate::users::{User, give};

/// The credential's name in `yanqian-hsm.service`.
pub(crate) const CREDENTIAL: &str = "hsm-pin";

/// The sockets of a site's two socket units.
#[derive(Debug)]
pub(crate) struct Sockets {
    api: TcpListener,
    worker: UnixListener,
}

impl Sockets {
    pub(crate) fn open(places: &Places) -> Result<Self, HarnessError> {
        let api = TcpListener::bind(("127.0.0.1", 0)).doing(|| "listening in the daemon's place".to_owned())?;
        let path = places.socket();
        let what = || format!("listening on {}", path.display());
        let worker = UnixListener::bind(&path).doing(what)?;
        // Where systemd would give the socket to a group that daemon and worker share.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).doing(what)?;
        Ok(Self { api, worker })
    }

    pub(crate) fn api(&self) -> Result<OwnedFd, HarnessError> {
        Ok(self.api.try_clone().doing(|| "copying a listener".to_owned())?.into())
    }

    pub(crate) fn worker(&self) -> Result<OwnedFd, HarnessError> {
        Ok(self.worker.try_clone().doing(|| "copying a listener".to_owned())?.into())
    }
}

/// `program` with `listener` as its descriptor 3. A shell in between knows the process id that must stand in `LISTEN_PID`.
pub(crate) fn activated(program: &Path, listener: OwnedFd) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", r#"exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@""#, "sh"]).arg(program);
    command.stdin(Stdio::from(listener));
    command
}

/// The PIN as `LoadCredentialEncrypted=` would lay it out, decrypted, for the worker only.
pub(crate) fn lay_credential(places: &Places, worker: Option<User>) -> Result<(), HarnessError> {
    let directory = places.credentials();
    let what = || directory.display().to_string();
    std::fs::create_dir(&directory).doing(what)?;
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).doing(what)?;
    give(&directory, worker)?;
    let pin = std::fs::read(places.pin()).doing(what)?;
    write_private(&directory.join(CREDENTIAL), &pin, worker)?;
    std::fs::remove_file(places.pin()).doing(what)
}
