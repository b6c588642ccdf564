//! Where a site's files lie, and who may read which. With separate users the kernel keeps them apart: the daemon cannot
//! read the PIN or the token, the worker cannot read the daemon's state, and neither can read the platform's keys.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use yanqian_devpki::Layout;

use crate::error::{Doing as _, HarnessError};
use crate::users::{User, Users, give};

/// The directories of a site.
#[derive(Debug, Clone)]
pub struct Places {
    root: PathBuf,
    /// The directory of the token and its worker; others of theirs begin with its name.
    hsm: &'static str,
}

impl Places {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), hsm: "hsm" }
    }

    /// The same site, but of its second token.
    pub(crate) fn of_second_token(&self) -> Self {
        Self { hsm: "hsm-b", ..self.clone() }
    }

    fn beside_hsm(&self, what: &str) -> PathBuf {
        self.root.join(format!("{}-{what}", self.hsm))
    }

    /// The site's own directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The development PKI, private keys included.
    pub fn pki(&self) -> Layout {
        Layout::at(self.root.join("pki"))
    }

    /// The daemon's configuration, agreement, profile, TLS files and state key.
    pub fn etc(&self) -> PathBuf {
        self.root.join("etc")
    }

    pub fn daemon_config(&self) -> PathBuf {
        self.etc().join("yanqian.toml")
    }

    pub fn agreement(&self) -> PathBuf {
        self.etc().join("agreement.toml")
    }

    pub fn platform_profile(&self) -> PathBuf {
        self.etc().join("platform-profile.toml")
    }

    /// The daemon's trust store; `certs/README.md` describes it.
    pub fn trust(&self) -> PathBuf {
        self.etc().join("trust")
    }

    pub fn signing_certificate(&self) -> PathBuf {
        self.etc().join("entity-signing.pem")
    }

    pub fn encryption_certificate(&self) -> PathBuf {
        self.etc().join("entity-encryption.pem")
    }

    pub fn state_key(&self) -> PathBuf {
        self.etc().join("state.key")
    }

    /// `ledger/` and `state.sqlite`.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    pub fn ledger(&self) -> PathBuf {
        self.state().join("ledger")
    }

    /// The daemon's ready file.
    pub fn daemon_ready(&self) -> PathBuf {
        self.root.join("run").join("ready.json")
    }

    /// The worker's configuration, PINs, latch and token.
    pub fn hsm(&self) -> PathBuf {
        self.root.join(self.hsm)
    }

    pub fn worker_config(&self) -> PathBuf {
        self.hsm().join("worker.toml")
    }

    pub fn hsm_profile(&self) -> PathBuf {
        self.hsm().join("hsm-profile.toml")
    }

    pub fn token(&self) -> PathBuf {
        self.hsm().join("token")
    }

    /// Orders to the module that fails on demand, and its counts; the worker's user writes there, everybody reads.
    pub(crate) fn chaos(&self) -> PathBuf {
        self.beside_hsm("chaos")
    }

    /// The worker's own state: the PIN latch.
    pub fn worker_state(&self) -> PathBuf {
        self.hsm().join("state")
    }

    pub fn pin(&self) -> PathBuf {
        self.hsm().join("pin")
    }

    /// Stands in for systemd's directory of the worker's credentials.
    pub(crate) fn credentials(&self) -> PathBuf {
        self.hsm().join("credentials")
    }

    pub fn so_pin(&self) -> PathBuf {
        self.hsm().join("so-pin")
    }

    /// The worker's socket, in a directory that others may enter.
    pub fn socket(&self) -> PathBuf {
        self.beside_hsm("run").join("worker.sock")
    }

    /// Where the worker tells which process is the main one.
    pub(crate) fn notify_socket(&self) -> PathBuf {
        self.root.join("hsm-run").join("notify")
    }

    pub fn platform_ready(&self) -> PathBuf {
        self.root.join("platform").join("ready.json")
    }

    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub fn daemon_log(&self) -> PathBuf {
        self.logs().join("daemon.log")
    }

    pub fn worker_log(&self) -> PathBuf {
        self.logs().join(if self.hsm == "hsm" { "worker.log" } else { "worker-b.log" })
    }

    pub fn platform_log(&self) -> PathBuf {
        self.logs().join("sim.log")
    }

    pub(crate) fn binaries(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// Makes the directories.
    pub(crate) fn create(&self, users: &Users) -> Result<(), HarnessError> {
        let open = 0o755;
        let closed = 0o700;
        mode(&self.root, open)?;
        let directories: [(&str, u32, Option<User>); 7] = [
            ("bin", open, None),
            ("pki", open, None),
            ("etc", open, None),
            ("etc/tls", open, None),
            ("state", closed, users.daemon),
            ("run", open, users.daemon),
            ("platform", open, users.platform),
        ];
        for (name, bits, owner) in directories {
            make(&self.root.join(name), bits, owner)?;
        }
        self.create_token(users)?;
        let logs = self.logs();
        std::fs::create_dir(&logs).doing(|| format!("making {}", logs.display()))
    }

    /// Makes the directories of a token and its worker.
    pub(crate) fn create_token(&self, users: &Users) -> Result<(), HarnessError> {
        make(&self.hsm(), 0o700, users.worker)?;
        make(&self.worker_state(), 0o700, users.worker)?;
        make(&self.beside_hsm("run"), 0o755, users.worker)?;
        make(&self.chaos(), 0o755, users.worker)
    }
}

fn make(path: &Path, bits: u32, owner: Option<User>) -> Result<(), HarnessError> {
    std::fs::create_dir(path).doing(|| format!("making {}", path.display()))?;
    mode(path, bits)?;
    give(path, owner)
}

fn mode(path: &Path, bits: u32) -> Result<(), HarnessError> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).doing(|| format!("chmod {}", path.display()))
}

/// Writes a file that everybody may read.
pub(crate) fn write_public(path: &Path, content: &[u8]) -> Result<(), HarnessError> {
    std::fs::write(path, content).doing(|| format!("writing {}", path.display()))?;
    mode(path, 0o644)
}

/// Writes a file that only `owner` may read.
pub(crate) fn write_private(path: &Path, content: &[u8], owner: Option<User>) -> Result<(), HarnessError> {
    std::fs::write(path, content).doing(|| format!("writing {}", path.display()))?;
    mode(path, 0o600)?;
    give(path, owner)
}

/// Copies a directory of public files.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<(), HarnessError> {
    let what = || format!("copying {}", from.display());
    std::fs::create_dir_all(to).doing(what)?;
    mode(to, 0o755)?;
    for entry in std::fs::read_dir(from).doing(what)? {
        let path = entry.doing(what)?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_tree(&path, &target)?;
        } else {
            write_public(&target, &std::fs::read(&path).doing(what)?)?;
        }
    }
    Ok(())
}
