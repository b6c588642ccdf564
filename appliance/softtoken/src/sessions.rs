//! Opening and closing sessions. Closing the last one logs out.

use std::sync::Arc;

use cryptoki_sys::{
    CK_FLAGS, CK_SESSION_HANDLE, CK_SESSION_INFO, CKF_RW_SESSION, CKF_SERIAL_SESSION, CKR_SESSION_COUNT,
    CKR_SESSION_PARALLEL_NOT_SUPPORTED, CKR_SESSION_READ_WRITE_SO_EXISTS, CKR_TOKEN_NOT_RECOGNIZED,
};

use crate::module::{Module, SLOT};
use crate::rv::{Outcome, Rv};
use crate::seal::Role;
use crate::session::{self, Session};
use crate::table::fresh_handle;

/// Most sessions of one application. Far beyond any pool, near enough to catch a leak.
const MAX_SESSIONS: usize = 4096;

impl Module {
    /// `C_OpenSession`. An uninitialised token has nothing to open.
    pub(crate) fn open_session(&self, flags: CK_FLAGS) -> Outcome<CK_SESSION_HANDLE> {
        if flags & CKF_SERIAL_SESSION == 0 {
            return Err(Rv(CKR_SESSION_PARALLEL_NOT_SUPPORTED));
        }
        let writable = flags & CKF_RW_SESSION != 0;
        let initialised = self.store.initialised()?;
        let mut state = self.write()?;
        if !initialised {
            return Err(Rv(CKR_TOKEN_NOT_RECOGNIZED));
        }
        if !writable && state.role() == Some(Role::So) {
            return Err(Rv(CKR_SESSION_READ_WRITE_SO_EXISTS));
        }
        if state.sessions.len() >= self.max_sessions() {
            return Err(Rv(CKR_SESSION_COUNT));
        }
        let handle = fresh_handle();
        state.sessions.insert(handle, Session { writable, operations: Arc::default() });
        Ok(handle)
    }

    /// Sessions that the dialect gives an application.
    pub(crate) fn max_sessions(&self) -> usize {
        self.dialect.behaviour.max_sessions.map_or(MAX_SESSIONS, |most| most.min(MAX_SESSIONS))
    }

    /// `C_CloseSession`.
    pub(crate) fn close_session(&self, handle: CK_SESSION_HANDLE) -> Outcome<()> {
        let mut state = self.write()?;
        state.session(handle)?;
        state.sessions.remove(&handle);
        state.objects.forget_session(handle);
        if state.sessions.is_empty() { state.log_out() } else { Ok(()) }
    }

    /// `C_CloseAllSessions`.
    pub(crate) fn close_all_sessions(&self) -> Outcome<()> {
        let mut state = self.write()?;
        let handles: Vec<_> = state.sessions.keys().copied().collect();
        // Log out first: it ends what threads still do in sessions that they hold on to.
        state.log_out()?;
        state.sessions.clear();
        for handle in handles {
            state.objects.forget_session(handle);
        }
        Ok(())
    }

    /// `C_GetSessionInfo`.
    pub(crate) fn session_info(&self, handle: CK_SESSION_HANDLE) -> Outcome<CK_SESSION_INFO> {
        let state = self.read()?;
        let writable = state.session(handle)?.writable;
        Ok(CK_SESSION_INFO {
            slotID: SLOT,
            state: session::state(writable, state.role().filter(|_| !self.dialect.behaviour.hides_login)),
            flags: CKF_SERIAL_SESSION | if writable { CKF_RW_SESSION } else { 0 },
            ulDeviceError: 0,
        })
    }
}
