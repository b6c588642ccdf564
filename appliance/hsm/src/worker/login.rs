use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use cryptoki_sys as ck;

use super::latch::{Latch, LatchError, TokenTries};
use super::pin::Pin;
use crate::binding::{BindingError, ErrorClass, TokenSession, code_name};

/// Codes that a token gives before it looks at a PIN. Every other failure may have cost a try.
const PIN_NOT_SEEN: [u64; 14] = [
    ck::CKR_SESSION_HANDLE_INVALID,
    ck::CKR_SESSION_CLOSED,
    ck::CKR_CRYPTOKI_NOT_INITIALIZED,
    ck::CKR_SLOT_ID_INVALID,
    ck::CKR_TOKEN_NOT_PRESENT,
    ck::CKR_DEVICE_REMOVED,
    ck::CKR_TOKEN_NOT_RECOGNIZED,
    ck::CKR_HOST_MEMORY,
    ck::CKR_DEVICE_MEMORY,
    ck::CKR_ARGUMENTS_BAD,
    ck::CKR_FUNCTION_NOT_SUPPORTED,
    ck::CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
    ck::CKR_USER_TOO_MANY_TYPES,
    ck::CKR_OPERATION_ACTIVE,
];

/// No login.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    /// Stays so until a person acts.
    #[error(transparent)]
    Latch(#[from] LatchError),
    /// Says nothing about the PIN.
    #[error(transparent)]
    Token(#[from] BindingError),
}

/// The only way to `C_Login` as user: one thread at a time, behind the latch.
pub(super) struct LoginGuard {
    latch: Latch,
    pin: Pin,
    turn: Mutex<()>,
    logins: AtomicU64,
}

impl LoginGuard {
    pub(super) fn new(latch: Latch, pin: Pin) -> Self {
        Self { latch, pin, turn: Mutex::new(()), logins: AtomicU64::new(0) }
    }

    /// Calls of `C_Login` so far.
    pub(super) fn logins(&self) -> u64 {
        self.logins.load(Ordering::Relaxed)
    }

    /// Logs in unless the application is logged in already. The login counts for all its sessions.
    pub(super) fn ensure(
        &self,
        session: &TokenSession,
        tries: impl FnOnce() -> Result<TokenTries, BindingError>,
    ) -> Result<(), LoginError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if session.logged_in()? {
            return Ok(());
        }
        let permit = self.latch.set(&self.pin, tries()?)?;
        self.logins.fetch_add(1, Ordering::Relaxed);
        let error = match session.login_user(&self.pin.to_auth()) {
            Ok(()) => return Ok(permit.clear()?),
            Err(error) => error,
        };
        match error.rv() {
            // Somebody was faster, for example another thread of a module that reports the state late.
            Some(ck::CKR_USER_ALREADY_LOGGED_IN) => Ok(permit.not_tried()?),
            Some(rv) if PIN_NOT_SEEN.contains(&rv) => {
                permit.not_tried()?;
                Err(error.into())
            }
            Some(rv) if error.class() == ErrorClass::Credentials => Err(permit.refused(code_name(rv)).into()),
            // The latch stays set: the try may have been counted.
            _ => Err(error.into()),
        }
    }
}
