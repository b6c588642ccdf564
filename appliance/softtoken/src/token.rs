//! The token as a whole: initialising it, its PINs, logging in and out.

use cryptoki_sys::{
    CK_FLAGS, CK_SESSION_HANDLE, CK_USER_TYPE, CKF_LOGIN_REQUIRED, CKF_RNG, CKF_TOKEN_INITIALIZED,
    CKF_USER_PIN_INITIALIZED, CKR_ARGUMENTS_BAD, CKR_OPERATION_NOT_INITIALIZED, CKR_PIN_INCORRECT, CKR_SESSION_EXISTS,
    CKR_SESSION_READ_ONLY, CKR_SESSION_READ_ONLY_EXISTS, CKR_TOKEN_NOT_RECOGNIZED, CKR_USER_ALREADY_LOGGED_IN,
    CKR_USER_ANOTHER_ALREADY_LOGGED_IN, CKR_USER_NOT_LOGGED_IN, CKR_USER_TYPE_INVALID, CKU_CONTEXT_SPECIFIC, CKU_SO,
    CKU_USER,
};

use crate::format::{FORMAT, RetryFile, TokenFile, TokenId};
use crate::module::{Login, Module};
use crate::pin;
use crate::rv::{Outcome, Rv};
use crate::seal::{MasterKey, Role, random};
use crate::store::{Locked, hexadecimal};
use crate::table::Table;

/// What `C_GetTokenInfo` says beyond constants.
pub(crate) struct TokenState {
    /// Blank-padded.
    pub(crate) label: [u8; 32],
    /// 16 lowercase hexadecimal digits of the token's id; blank before `C_InitToken`.
    pub(crate) serial: [u8; 16],
    pub(crate) flags: CK_FLAGS,
    pub(crate) sessions: usize,
    pub(crate) writable_sessions: usize,
}

fn serial(token: &TokenId) -> [u8; 16] {
    let mut serial = [b'0'; 16];
    for (place, digit) in serial.iter_mut().zip(hexadecimal(token).bytes()) {
        *place = digit;
    }
    serial
}

/// The token, or `CKR_TOKEN_NOT_RECOGNIZED` before `C_InitToken`.
fn initialised(store: &Locked<'_>) -> Outcome<TokenFile> {
    store.token()?.ok_or(Rv(CKR_TOKEN_NOT_RECOGNIZED))
}

impl Module {
    pub(crate) fn token_state(&self) -> Outcome<TokenState> {
        let (sessions, writable_sessions) = {
            let state = self.read()?;
            (state.sessions.len(), state.sessions.values().filter(|session| session.writable).count())
        };
        let mut answer = TokenState {
            label: [b' '; 32],
            serial: [b' '; 16],
            flags: CKF_RNG | CKF_LOGIN_REQUIRED,
            sessions,
            writable_sessions,
        };
        let store = self.store.shared()?;
        if let Some(token) = store.token()? {
            answer.label = token.label;
            answer.serial = serial(&token.token);
            answer.flags |= CKF_TOKEN_INITIALIZED | pin::flags(store.retries(&token.token)?);
            if token.user.is_some() {
                answer.flags |= CKF_USER_PIN_INITIALIZED;
            }
        }
        Ok(answer)
    }

    /// `C_InitToken`: a new master key and no objects. An initialised token asks for its SO PIN first.
    pub(crate) fn init_token(&self, so_pin: &[u8], label: &[u8; 32]) -> Outcome<()> {
        let _administration = self.administration()?;
        if !self.read()?.sessions.is_empty() {
            return Err(Rv(CKR_SESSION_EXISTS));
        }
        std::str::from_utf8(label).map_err(|_| Rv(CKR_ARGUMENTS_BAD))?;
        let store = self.store.exclusive()?;
        match store.token()? {
            Some(token) => drop(pin::check(&store, &token, Role::So, so_pin)?),
            None => pin::acceptable(so_pin)?,
        }
        let token = random()?;
        let so = MasterKey::generate()?.wrap(&token, Role::So, so_pin)?;
        store.put_retries(&token, RetryFile { format: FORMAT, so: 0, user: 0 })?;
        store.put_token(&TokenFile { format: FORMAT, token, label: *label, so, user: None })?;
        store.sweep(&token)?;
        drop(store);
        let mut state = self.write()?;
        state.objects = Table::default();
        state.token = Some(token);
        Ok(())
    }

    /// `C_InitPIN`: the SO sets the user's PIN, also when it is locked or forgotten. Objects survive, because the SO
    /// PIN opens the master key too.
    pub(crate) fn init_pin(&self, session: CK_SESSION_HANDLE, new: &[u8]) -> Outcome<()> {
        let _administration = self.administration()?;
        pin::acceptable(new)?;
        let store = self.store.exclusive()?;
        let state = self.read()?;
        state.session(session)?;
        let login = state.login.as_ref().filter(|login| login.role == Role::So).ok_or(Rv(CKR_USER_NOT_LOGGED_IN))?;
        let mut token = initialised(&store)?;
        if state.token != Some(token.token) {
            return Err(Rv(CKR_USER_NOT_LOGGED_IN));
        }
        token.user = Some(login.master.wrap(&token.token, Role::User, new)?);
        store.put_token(&token)?;
        pin::forgive(&store, &token, Role::User)
    }

    /// `C_SetPIN`: the SO's own PIN in an SO session, else the user's.
    pub(crate) fn set_pin(&self, session: CK_SESSION_HANDLE, old: &[u8], new: &[u8]) -> Outcome<()> {
        let _administration = self.administration()?;
        let role = {
            let state = self.read()?;
            if !state.session(session)?.writable {
                return Err(Rv(CKR_SESSION_READ_ONLY));
            }
            state.role().unwrap_or(Role::User)
        };
        pin::acceptable(new)?;
        let store = self.store.exclusive()?;
        let mut token = initialised(&store)?;
        let wrap = pin::check(&store, &token, role, old)?.wrap(&token.token, role, new)?;
        match role {
            Role::So => token.so = wrap,
            Role::User => token.user = Some(wrap),
        }
        Ok(store.put_token(&token)?)
    }

    /// `C_Login`. Counts for every session of the application (PKCS#11 v2.40 §5.6).
    pub(crate) fn login(&self, session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: &[u8]) -> Outcome<()> {
        let _administration = self.administration()?;
        let role = match user {
            CKU_SO => Role::So,
            CKU_USER => Role::User,
            // No key here asks for its own authentication, so no operation can be waiting for it.
            CKU_CONTEXT_SPECIFIC => return Err(Rv(CKR_OPERATION_NOT_INITIALIZED)),
            _ => return Err(Rv(CKR_USER_TYPE_INVALID)),
        };
        {
            let state = self.read()?;
            state.session(session)?;
            match state.role() {
                Some(current) if current == role => return Err(Rv(CKR_USER_ALREADY_LOGGED_IN)),
                Some(_) => return Err(Rv(CKR_USER_ANOTHER_ALREADY_LOGGED_IN)),
                None => {}
            }
            if role == Role::So && state.sessions.values().any(|session| !session.writable) {
                return Err(Rv(CKR_SESSION_READ_ONLY_EXISTS));
            }
        }
        // An empty PIN cannot be right and must not cost a try.
        if pin.is_empty() {
            return Err(Rv(CKR_PIN_INCORRECT));
        }
        let (master, token) = {
            let store = self.store.exclusive()?;
            let token = initialised(&store)?;
            (pin::check(&store, &token, role, pin)?, token.token)
        };
        let store = self.store.shared()?;
        let mut state = self.write()?;
        state.refresh(&store)?;
        state.session(session)?;
        if state.token != Some(token) {
            return Err(Rv(CKR_TOKEN_NOT_RECOGNIZED));
        }
        state.login = Some(Login { role, master });
        let opened = state.refresh(&store);
        if opened.is_err() {
            state.log_out()?;
        }
        opened
    }

    /// `C_Logout`.
    pub(crate) fn logout(&self, session: CK_SESSION_HANDLE) -> Outcome<()> {
        let mut state = self.write()?;
        state.session(session)?;
        if state.login.is_none() {
            return Err(Rv(CKR_USER_NOT_LOGGED_IN));
        }
        state.log_out()
    }
}
