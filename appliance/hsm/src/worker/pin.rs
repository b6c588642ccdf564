use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cryptoki::types::{AuthPin, RawAuthPin};
use zeroize::Zeroizing;

/// Octets of a PIN at most.
const MAX_PIN: usize = 255;

/// Where the PIN comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinSource {
    /// A file that only its owner can read.
    File(PathBuf),
    /// A systemd credential: a file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// The PIN cannot be read, or should not have been readable.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    #[error("$CREDENTIALS_DIRECTORY is not set: pin_credential works under systemd only; use pin_file")]
    NoCredentials,
    #[error("the PIN file {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the PIN file {path} has mode {mode:03o}: others may read it; chmod 600 it", path = path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("the PIN file {path} belongs to uid {uid}, neither the worker's nor root's", path = path.display())]
    Owner { path: PathBuf, uid: u32 },
    #[error("the PIN file {path} does not hold UTF-8", path = path.display())]
    Encoding { path: PathBuf },
    #[error("the PIN file {path} must hold 1 to {MAX_PIN} octets in one line", path = path.display())]
    Form { path: PathBuf },
}

/// A PIN: wiped when dropped, never printed.
pub(crate) struct Pin(Zeroizing<Vec<u8>>);

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

impl Pin {
    #[cfg(test)]
    pub(crate) fn from_octets(octets: &[u8]) -> Self {
        Self(Zeroizing::new(octets.to_vec()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A copy in the type that initialising a token takes; none when it is not UTF-8.
    pub(crate) fn to_text(&self) -> Option<AuthPin> {
        std::str::from_utf8(&self.0).ok().map(AuthPin::from)
    }

    /// A copy in the type that `C_Login` takes; it is wiped too.
    pub(crate) fn to_auth(&self) -> RawAuthPin {
        RawAuthPin::new(Box::new(self.0.to_vec()))
    }
}

impl PinSource {
    /// The file, for messages too.
    pub(crate) fn path(&self) -> Result<PathBuf, PinError> {
        match self {
            Self::File(path) => Ok(path.clone()),
            Self::Credential(name) => {
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or(PinError::NoCredentials)?;
                Ok(Path::new(&directory).join(name))
            }
        }
    }

    /// Reads the PIN: one line, its end not included.
    pub(crate) fn read(&self) -> Result<Pin, PinError> {
        let path = self.path()?;
        let failed = |source| PinError::Read { path: path.clone(), source };
        let mut file = File::open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        // systemd guards credentials by the directory and by ACLs, which show up as group bits.
        if matches!(self, Self::File(_)) {
            let mode = metadata.mode() & 0o7777;
            if mode & 0o077 != 0 {
                return Err(PinError::Exposed { path, mode });
            }
            let uid = metadata.uid();
            if uid != 0 && uid != rustix::process::geteuid().as_raw() {
                return Err(PinError::Owner { path, uid });
            }
        }
        // Full size at once: a growing vector would leave copies behind.
        let mut octets = Zeroizing::new(vec![0; MAX_PIN + 3]);
        let mut length = 0;
        while length < octets.len() {
            match file.read(&mut octets[length..]) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let line = &octets[..length];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.len() > MAX_PIN || line.iter().any(|octet| matches!(octet, b'\n' | b'\r' | 0)) {
            return Err(PinError::Form { path });
        }
        let mut pin = Zeroizing::new(Vec::with_capacity(line.len()));
        pin.extend_from_slice(line);
        Ok(Pin(pin))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(content: &[u8], mode: u32) -> Result<Vec<u8>, PinError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pin");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        PinSource::File(path).read().map(|pin| pin.as_bytes().to_vec())
    }

    #[test]
    fn one_line_is_read_without_its_end() {
        for content in [&b"123456"[..], b"123456\n", b"123456\r\n"] {
            assert_eq!(read(content, 0o600).unwrap(), b"123456");
        }
        assert_eq!(read(&[b'7'; 255], 0o400).unwrap().len(), 255);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        for mode in [0o640, 0o604, 0o660, 0o610] {
            assert!(matches!(read(b"123456", mode), Err(PinError::Exposed { .. })), "{mode:o}");
        }
    }

    #[test]
    fn a_file_without_one_line_is_refused() {
        for content in [&b""[..], b"\n", b"12\n34\n", b"12\0", &[b'7'; 256], &[b'7'; 300]] {
            assert!(matches!(read(content, 0o600), Err(PinError::Form { .. })));
        }
    }

    #[test]
    fn a_pin_is_never_printed() {
        assert_eq!(format!("{:?}", Pin::from_octets(b"123456")), "Pin(..)");
    }
}
