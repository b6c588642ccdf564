//! The application's one instance of the module: from `C_Initialize` to `C_Finalize`, in one process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cryptoki_sys::{
    CK_SESSION_HANDLE, CK_SLOT_ID, CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DEVICE_REMOVED,
    CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR, CKR_SESSION_HANDLE_INVALID, CKR_SLOT_ID_INVALID, CKR_USER_NOT_LOGGED_IN,
};

use crate::dialect::Dialect;
use crate::format::TokenId;
use crate::rv::{Outcome, Rv};
use crate::seal::{MasterKey, Role};
use crate::session::{Operations, Session};
use crate::store::{Locked, Store, complain};
use crate::table::Table;

/// Names the token directory.
pub(crate) const DIRECTORY_VARIABLE: &str = "YANQIAN_SOFTTOKEN_DIR";

/// Names the dialect's file; the module's own dialect when not set.
const DIALECT_VARIABLE: &str = "YANQIAN_SOFTTOKEN_DIALECT";

/// Whether calls must not overlap, and whether one is under way. Beside the instance, because every call asks first.
static SERIAL_ONLY: AtomicBool = AtomicBool::new(false);
static INSIDE: AtomicBool = AtomicBool::new(false);

/// The only slot.
pub(crate) const SLOT: CK_SLOT_ID = 0;

static MODULE: RwLock<Option<Arc<Module>>> = RwLock::new(None);

/// Everything between `C_Initialize` and `C_Finalize`.
///
/// Lock order: `administration`, the file lock, `state`, a session's operations. The file lock comes before `state`
/// because another process may hold it through a PIN check, and signing must not wait for that.
pub(crate) struct Module {
    process: u32,
    pub(crate) store: Store,
    pub(crate) dialect: Dialect,
    /// Serialises what checks PINs, so that argon2 runs without `state` and signing goes on meanwhile.
    administration: Mutex<()>,
    state: RwLock<State>,
}

/// Who is logged in.
pub(crate) struct Login {
    pub(crate) role: Role,
    pub(crate) master: MasterKey,
}

/// The application's view of the token.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) sessions: BTreeMap<CK_SESSION_HANDLE, Session>,
    pub(crate) login: Option<Login>,
    pub(crate) objects: Table,
    /// The initialisation of the token that `objects` and `login` belong to.
    pub(crate) token: Option<TokenId>,
}

/// `C_Initialize`, after its arguments have been checked.
pub(crate) fn initialize() -> Outcome<()> {
    let mut slot = MODULE.write().unwrap_or_else(PoisonError::into_inner);
    // After a fork the child holds the parent's instance. It is another application and starts afresh.
    if slot.as_ref().is_some_and(|module| module.process == std::process::id()) {
        return Err(Rv(CKR_CRYPTOKI_ALREADY_INITIALIZED));
    }
    let Some(directory) = std::env::var_os(DIRECTORY_VARIABLE).filter(|value| !value.is_empty()) else {
        complain(&format_args!("the environment variable {DIRECTORY_VARIABLE} must name the token directory"));
        return Err(Rv(CKR_GENERAL_ERROR));
    };
    let store = Store::open(PathBuf::from(directory)).map_err(|error| {
        complain(&error);
        Rv(CKR_GENERAL_ERROR)
    })?;
    let file = std::env::var_os(DIALECT_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dialect = Dialect::load(file.as_deref()).map_err(|problem| {
        complain(&problem);
        Rv(CKR_GENERAL_ERROR)
    })?;
    SERIAL_ONLY.store(dialect.behaviour.serial_only, Ordering::SeqCst);
    *slot = Some(Arc::new(Module {
        process: std::process::id(),
        store,
        dialect,
        administration: Mutex::new(()),
        state: RwLock::default(),
    }));
    Ok(())
}

/// `C_Finalize`. Calls that are under way in other threads finish on their own reference.
pub(crate) fn finalize() -> Outcome<()> {
    module()?;
    let taken = MODULE.write().unwrap_or_else(PoisonError::into_inner).take();
    taken.map_or(Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED)), |module| module.end())
}

/// A call's turn, for dialects of modules that fail when calls overlap.
pub(crate) struct Turn(bool);

impl Turn {
    pub(crate) fn take() -> Outcome<Self> {
        if !SERIAL_ONLY.load(Ordering::SeqCst) {
            return Ok(Self(false));
        }
        if INSIDE.swap(true, Ordering::SeqCst) { Err(Rv(CKR_FUNCTION_FAILED)) } else { Ok(Self(true)) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.0 {
            INSIDE.store(false, Ordering::SeqCst);
        }
    }
}

/// The running instance; `CKR_CRYPTOKI_NOT_INITIALIZED` before `C_Initialize` and in a forked child.
pub(crate) fn module() -> Outcome<Arc<Module>> {
    let slot = MODULE.read().unwrap_or_else(PoisonError::into_inner);
    match slot.as_ref() {
        Some(module) if module.process == std::process::id() => Ok(Arc::clone(module)),
        _ => Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED)),
    }
}

/// The slot must be ours.
pub(crate) fn check_slot(slot: CK_SLOT_ID) -> Outcome<()> {
    if slot == SLOT { Ok(()) } else { Err(Rv(CKR_SLOT_ID_INVALID)) }
}

// A lock is poisoned only by a panic under it. What it guards cannot be trusted then, until C_Finalize and C_Initialize.
fn poisoned<T>(_: PoisonError<T>) -> Rv {
    Rv(CKR_GENERAL_ERROR)
}

impl Module {
    pub(crate) fn read(&self) -> Outcome<RwLockReadGuard<'_, State>> {
        self.state.read().map_err(poisoned)
    }

    pub(crate) fn write(&self) -> Outcome<RwLockWriteGuard<'_, State>> {
        self.state.write().map_err(poisoned)
    }

    pub(crate) fn administration(&self) -> Outcome<MutexGuard<'_, ()>> {
        self.administration.lock().map_err(poisoned)
    }

    /// Runs something on a session's operations without holding the application's state.
    pub(crate) fn within<T>(
        &self,
        session: CK_SESSION_HANDLE,
        work: impl FnOnce(&mut Operations) -> Outcome<T>,
    ) -> Outcome<T> {
        let operations = Arc::clone(&self.read()?.session(session)?.operations);
        let mut operations = operations.lock().map_err(poisoned)?;
        work(&mut operations)
    }

    fn end(&self) -> Outcome<()> {
        let mut state = self.write()?;
        state.log_out()?;
        state.sessions.clear();
        Ok(())
    }
}

impl State {
    pub(crate) fn session(&self, handle: CK_SESSION_HANDLE) -> Outcome<&Session> {
        self.sessions.get(&handle).ok_or(Rv(CKR_SESSION_HANDLE_INVALID))
    }

    pub(crate) fn role(&self) -> Option<Role> {
        self.login.as_ref().map(|login| login.role)
    }

    /// The master key, if the user is logged in. The SO's login never opens objects.
    pub(crate) fn master(&self) -> Option<&MasterKey> {
        self.login.as_ref().filter(|login| login.role == Role::User).map(|login| &login.master)
    }

    /// As `master`, or `CKR_USER_NOT_LOGGED_IN`.
    pub(crate) fn user(&self) -> Outcome<&MasterKey> {
        self.master().ok_or(Rv(CKR_USER_NOT_LOGGED_IN))
    }

    /// Ends the login, whatever depends on it, and every private handle.
    pub(crate) fn log_out(&mut self) -> Outcome<()> {
        self.login = None;
        self.objects.forget_private();
        for session in self.sessions.values() {
            session.operations.lock().map_err(poisoned)?.log_out();
        }
        Ok(())
    }

    /// Brings the objects in line with the directory.
    ///
    /// Finding another initialisation of the token than the one this application has been using is the removal of that token.
    pub(crate) fn refresh(&mut self, store: &Locked<'_>) -> Outcome<()> {
        let token = store.token()?.map(|token| token.token);
        if self.token != token {
            let used = self.token.is_some();
            self.log_out()?;
            self.objects = Table::default();
            self.token = token;
            if used {
                self.sessions.clear();
                return Err(Rv(CKR_DEVICE_REMOVED));
            }
        }
        let Some(token) = token else { return Ok(()) };
        let Self { objects, login, .. } = self;
        let master = login.as_ref().filter(|login| login.role == Role::User).map(|login| &login.master);
        Ok(objects.refresh(store, &token, master)?)
    }
}
