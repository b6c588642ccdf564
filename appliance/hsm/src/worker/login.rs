use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use cryptoki_sys as ck;

use super::latch::{Latch, LatchError, Permit, TokenTries};
use super::pin::Pin;
use crate::binding::{BindingError, Mark, Remedy, TokenSession, code_name};

/// No login.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    /// Stays so until a person acts.
    #[error(transparent)]
    Latch(#[from] LatchError),
    /// Says nothing about the PIN.
    #[error(transparent)]
    Token(#[from] BindingError),
}

/// Tells the latch how a call ended that gave the token a PIN.
pub(crate) fn settle(permit: Permit<'_>, outcome: Result<(), BindingError>) -> Result<(), LoginError> {
    let Err(error) = outcome else { return Ok(permit.clear()?) };
    match error.rv() {
        Some(_) if error.is(Mark::PinUnseen) => {
            permit.not_tried()?;
            Err(error.into())
        }
        Some(rv) if error.remedy() == Remedy::NeverRetry => Err(permit.refused(code_name(rv)).into()),
        // The latch stays set: the try may have been counted.
        _ => Err(error.into()),
    }
}

/// The only way to `C_Login` as user: one thread at a time, behind the latch.
pub(crate) struct LoginGuard {
    latch: Latch,
    pin: Pin,
    user: u64,
    turn: Mutex<()>,
    logins: AtomicU64,
    /// Sessions of this module show no login even right after one.
    hides_login: AtomicBool,
}

impl LoginGuard {
    pub(crate) fn new(latch: Latch, pin: Pin, user: u64) -> Self {
        Self { latch, pin, user, turn: Mutex::new(()), logins: AtomicU64::new(0), hides_login: AtomicBool::new(false) }
    }

    /// Calls of `C_Login` so far.
    pub(crate) fn logins(&self) -> u64 {
        self.logins.load(Ordering::Relaxed)
    }

    /// Logs in unless the application is logged in already. The login counts for all its sessions.
    pub(crate) fn ensure(
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
        match session.login_user(self.user, &self.pin.to_auth()) {
            // Somebody was faster, or the module's sessions do not show the login that it has.
            Err(error) if error.rv() == Some(ck::CKR_USER_ALREADY_LOGGED_IN) => permit.not_tried()?,
            outcome => settle(permit, outcome)?,
        }
        self.look(session)
    }

    /// After a login: whether sessions show it.
    fn look(&self, session: &TokenSession) -> Result<(), LoginError> {
        self.hides_login.store(!session.logged_in()?, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the login is there, as far as can be told: a module that hides it is believed, since its sessions log in when they
    /// are opened.
    pub(crate) fn is_there(&self, session: &TokenSession) -> Result<bool, BindingError> {
        Ok(self.hides_login.load(Ordering::Relaxed) || session.logged_in()?)
    }
}
