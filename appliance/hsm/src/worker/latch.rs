//! The PIN latch: a machine tries a PIN once.
//!
//! Tokens lock after a few wrong PINs, and a service that restarts would use them up in seconds. So before `C_Login` a file
//! says that this PIN is being tried, flushed to disk; only a success takes that back. A PIN that was refused is never
//! tried again, whatever is restarted, until the PIN itself changes.
//!
//! A crash or a kill in the middle of `C_Login` leaves the outcome unknown. Treating that as refused would turn every such
//! crash into a night call, so a PIN whose last login succeeded may be tried again, [`UNDECIDED_LIMIT`] times in all, and
//! only while the token reports no wrong try. A PIN that has not succeeded yet gets no second chance.
//!
//! The file knows the PIN's version by a salted argon2id tag, after a success too: without it, a PIN put in since would
//! inherit the trust that another one earned. The tag tells less than the PIN file, which the same uid reads, and guessing
//! from a backup costs argon2id for each guess. File times would not do: systemd writes credentials anew at every start.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use yanqian_sm::sm3;

use super::pin::Pin;

const FORMAT_VERSION: u32 = 1;
/// Tries in a row whose outcome was never learnt, for a PIN that succeeded before.
pub(crate) const UNDECIDED_LIMIT: u32 = 3;

/// No login is tried.
#[derive(Debug, thiserror::Error)]
pub enum LatchError {
    #[error(
        "the token refused this PIN ({code}); it is not tried again. Put the right PIN into {pin}; if the token's PIN was \
         set to this one since, delete {latch}",
        pin = pin.display(), latch = latch.display()
    )]
    Refused { code: String, pin: PathBuf, latch: PathBuf },
    #[error(
        "a login with this PIN was under way when the worker ended, so it may have been refused; it is not tried again. \
         Check that the PIN in {pin} is right, then delete {latch}",
        pin = pin.display(), latch = latch.display()
    )]
    Undecided { pin: PathBuf, latch: PathBuf },
    #[error("the token says that {0}; no login is tried. Log in by hand, or let the security officer set a new PIN")]
    Token(&'static str),
    #[error("the PIN latch {path} cannot be used, so no login is tried: {reason}", path = path.display())]
    File { path: PathBuf, reason: String },
}

/// What the token reports about tries.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TokenTries {
    /// A wrong PIN was given since the last success. Not every token tells.
    pub(crate) wrong_before: bool,
    /// One more wrong PIN locks it.
    pub(crate) final_try: bool,
    pub(crate) locked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// The last login succeeded.
    Clear,
    /// A login began and has not ended.
    Pending,
    /// The token refused this PIN.
    Refused,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format_version: u32,
    /// Label and serial number, for people.
    token: String,
    state: State,
    /// Whether the login before this one succeeded.
    proven: bool,
    /// Tries in a row without a known outcome, this one included.
    undecided: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    code: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    salt: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    tag: String,
}

/// The latch of one token.
#[derive(Debug)]
pub(crate) struct Latch {
    path: PathBuf,
    token: String,
    pin_path: PathBuf,
}

/// The right to call `C_Login` once. How that ended must be told.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit<'a> {
    latch: &'a Latch,
    content: Content,
    before: Option<Content>,
    /// Held until the login has ended: several processes may share one token and its latch.
    _lock: File,
}

impl Latch {
    /// The latch of a token's user PIN, in the worker's state directory. `pin_path` is for messages.
    pub(crate) fn new(state_dir: &Path, label: &str, serial: &str, pin_path: PathBuf) -> Self {
        Self::named("pin-latch", state_dir, label, serial, pin_path)
    }

    /// The latch of its security officer's PIN, by which it is initialised.
    pub(crate) fn of_officer(state_dir: &Path, label: &str, serial: &str, pin_path: PathBuf) -> Self {
        Self::named("so-pin-latch", state_dir, label, serial, pin_path)
    }

    fn named(kind: &str, state_dir: &Path, label: &str, serial: &str, pin_path: PathBuf) -> Self {
        let token = format!("{label} {serial}");
        // Serial numbers may hold any octet, so the name is made from their digest.
        let name = hex::encode(&sm3(&[token.as_bytes()])[..8]);
        Self { path: state_dir.join(format!("{kind}-{name}.toml")), token, pin_path }
    }

    /// Sets the latch, or says why no login may be tried.
    pub(crate) fn set(&self, pin: &Pin, tries: TokenTries) -> Result<Permit<'_>, LatchError> {
        if tries.locked {
            return Err(LatchError::Token("the PIN is locked"));
        }
        if tries.final_try {
            return Err(LatchError::Token("one more wrong PIN locks it"));
        }
        let mut content = Content {
            format_version: FORMAT_VERSION,
            token: self.token.clone(),
            state: State::Pending,
            proven: false,
            undecided: 1,
            code: String::new(),
            salt: String::new(),
            tag: String::new(),
        };
        let lock = self.lock()?;
        let before = self.read()?;
        if let Some(before) = &before {
            let (pin_path, latch) = (self.pin_path.clone(), self.path.clone());
            match before.state {
                // A file without a tag vouches for no PIN.
                State::Clear => content.proven = !before.tag.is_empty() && self.same_pin(before, pin)?,
                State::Refused if self.same_pin(before, pin)? => {
                    return Err(LatchError::Refused { code: before.code.clone(), pin: pin_path, latch });
                }
                State::Pending if self.same_pin(before, pin)? => {
                    if !before.proven || before.undecided >= UNDECIDED_LIMIT || tries.wrong_before {
                        return Err(LatchError::Undecided { pin: pin_path, latch });
                    }
                    content.proven = true;
                    content.undecided = before.undecided + 1;
                }
                // Another PIN than the one that was tried.
                State::Refused | State::Pending => {}
            }
        }
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| self.error(format!("random numbers: {error}")))?;
        content.tag = self.tag(&salt, pin)?;
        content.salt = hex::encode(salt);
        self.write(&content)?;
        Ok(Permit { latch: self, content, before, _lock: lock })
    }

    /// The security officer has just set the PIN: what is known of it is over.
    pub(crate) fn forget(&self) -> Result<(), LatchError> {
        let _lock = self.lock()?;
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.error(error)),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> Result<File, LatchError> {
        let lock = || {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(self.path.with_extension("lock"))?;
            rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
            Ok::<_, std::io::Error>(file)
        };
        lock().map_err(|error| self.error(error))
    }

    fn same_pin(&self, content: &Content, pin: &Pin) -> Result<bool, LatchError> {
        let salt = hex::decode(&content.salt).map_err(|_| self.error("its salt is not hexadecimal"))?;
        Ok(self.tag(&salt, pin)? == content.tag)
    }

    /// Slow on purpose (19 MiB, 2 passes): PINs are short, and the file may end up in a backup.
    fn tag(&self, salt: &[u8], pin: &Pin) -> Result<String, LatchError> {
        let parameters = Params::new(19 * 1024, 2, 1, Some(16)).map_err(|error| self.error(error))?;
        let mut tag = [0; 16];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(pin.as_bytes(), salt, &mut tag)
            .map_err(|error| self.error(error))?;
        Ok(hex::encode(tag))
    }

    fn read(&self) -> Result<Option<Content>, LatchError> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error(error)),
        };
        let content: Content = toml::from_str(&text).map_err(|error| self.error(error))?;
        if content.format_version != FORMAT_VERSION {
            return Err(self.error("of another format version"));
        }
        Ok(Some(content))
    }

    /// On disk, under its name, when this returns.
    fn write(&self, content: &Content) -> Result<(), LatchError> {
        let text = toml::to_string(content).map_err(|error| self.error(error))?;
        let temporary = self.path.with_extension("new");
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&temporary, &self.path)?;
            File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|error| self.error(error))
    }

    fn error(&self, reason: impl std::fmt::Display) -> LatchError {
        LatchError::File { path: self.path.clone(), reason: reason.to_string() }
    }
}

impl Permit<'_> {
    /// The token took the PIN.
    pub(crate) fn clear(mut self) -> Result<(), LatchError> {
        self.content.state = State::Clear;
        self.content.undecided = 0;
        self.latch.write(&self.content)
    }

    /// The token never looked at the PIN: as if nothing had been tried.
    pub(crate) fn not_tried(self) -> Result<(), LatchError> {
        match &self.before {
            Some(before) => self.latch.write(before),
            None => std::fs::remove_file(&self.latch.path).map_err(|error| self.latch.error(error)),
        }
    }

    /// The token refused the PIN.
    pub(crate) fn refused(mut self, code: String) -> LatchError {
        self.content.state = State::Refused;
        self.content.code.clone_from(&code);
        match self.latch.write(&self.content) {
            Ok(()) => LatchError::Refused { code, pin: self.latch.pin_path.clone(), latch: self.latch.path.clone() },
            // Still pending on disk, which for a PIN that was proven could allow another try: say so.
            Err(error) => error,
        }
    }
}

#[cfg(test)]
mod tests;
