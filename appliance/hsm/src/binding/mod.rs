//! PKCS#11: one module per process, loaded once, every call watched and every error given its remedy.
//!
//! The ordinary part goes through the crate `cryptoki`; what that crate cannot do goes through `ffi`. Sessions are opened
//! without close-on-drop: a session dropped after its handle has died would close somebody else's (the numbers return).

mod error;
#[allow(unsafe_code)]
pub(crate) mod ffi;
#[allow(unsafe_code)]
mod locked;
mod outcomes;
mod session;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cryptoki::context::{Info, Pkcs11};
use cryptoki::error::{Error, Rv, RvError};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

pub use error::{BindingError, Pkcs11Error};
pub(crate) use locked::Locked;
pub(crate) use outcomes::{Mark, code_from_name};
pub use outcomes::{Remedy, code_name, default_remedy, return_codes};
pub(crate) use session::TokenSession;
pub(crate) use watch::{WatchSlot, Watchdog};

pub(crate) use self::ffi::PSS_SHA256;
use self::ffi::{RawError, RawModule};
use crate::profile::{ModuleForm, Profile, Threads};

/// Return codes that are counted at most; the standard has about a hundred.
const MAX_CODES: usize = 256;

/// Looks of the watchdog.
const WATCH_PERIOD: Duration = Duration::from_millis(50);

static LOADED: AtomicBool = AtomicBool::new(false);

/// What a profile decides about calling a module.
#[derive(Debug, Clone)]
pub(crate) struct CallRules {
    /// Limit of one call.
    pub(crate) limit: Duration,
    /// One call at a time in the whole process, for modules that are not thread-safe whatever they say.
    pub(crate) serialise: bool,
    /// Remedies that differ from the table.
    pub(crate) remedies: BTreeMap<u64, Remedy>,
    pub(crate) module: ModuleForm,
}

impl CallRules {
    /// What a profile says; `limit` overrides its own.
    pub(crate) fn of(profile: &Profile, limit: Option<Duration>) -> Self {
        Self {
            limit: limit.unwrap_or(profile.session.call_timeout),
            serialise: profile.session.threads == Threads::Serialise,
            remedies: profile.errors.clone(),
            module: profile.module.clone(),
        }
    }
}

/// The loaded and initialised module.
pub(crate) struct Module {
    pkcs11: Pkcs11,
    raw: RawModule,
    rules: CallRules,
    turn: Mutex<()>,
    /// How often each return code was seen.
    codes: Mutex<BTreeMap<u64, u64>>,
    watchdog: Arc<Watchdog>,
}

impl Module {
    /// Loads and initialises. Once per process: modules keep state for the life of a process.
    pub(crate) fn load(path: &Path, rules: CallRules, watchdog: Arc<Watchdog>) -> Result<Arc<Self>, BindingError> {
        if LOADED.swap(true, Ordering::SeqCst) {
            return Err(BindingError::AlreadyLoaded);
        }
        let failed = |reason: String| BindingError::Load { path: path.to_owned(), reason };
        let pkcs11 = Pkcs11::new(path).map_err(|error| failed(error.to_string()))?;
        let raw = RawModule::load(path).map_err(failed)?;
        let module = Arc::new(Self { pkcs11, raw, rules, turn: Mutex::new(()), codes: Mutex::default(), watchdog });
        module.caller().initialise()?;
        Ok(module)
    }

    /// As [`Self::load`], with a thread that ends the process with `status` when a call goes beyond the limit.
    pub(crate) fn load_watched(path: &Path, rules: CallRules, status: u8) -> Result<Arc<Self>, BindingError> {
        let watchdog = Arc::new(Watchdog::default());
        let dog = Arc::clone(&watchdog);
        let watch = move || {
            dog.watch(WATCH_PERIOD, |function| {
                tracing::error!(function, "a call into the module hangs; this process ends");
                ffi::exit_now(status);
            });
        };
        std::thread::Builder::new()
            .name("watchdog".into())
            .spawn(watch)
            .map_err(|error| BindingError::Watch(error.to_string()))?;
        Self::load(path, rules, watchdog)
    }

    /// A caller for one thread.
    pub(crate) fn caller(self: &Arc<Self>) -> Caller {
        Caller { module: Arc::clone(self), slot: self.watchdog.slot() }
    }

    fn remedy(&self, rv: u64) -> Remedy {
        self.rules.remedies.get(&rv).copied().unwrap_or_else(|| default_remedy(rv))
    }

    fn pkcs11_error(&self, function: impl Into<std::borrow::Cow<'static, str>>, rv: u64) -> BindingError {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        // A module that makes its codes up does not fill the memory.
        if codes.len() < MAX_CODES || codes.contains_key(&rv) {
            *codes.entry(rv).or_default() += 1;
        }
        drop(codes);
        BindingError::Pkcs11(Pkcs11Error { function: function.into(), rv, remedy: self.remedy(rv) })
    }

    fn cryptoki_error(&self, function: &'static str, error: Error) -> BindingError {
        match error {
            // Composite operations fail in one of several functions; the crate knows in which.
            Error::Pkcs11(error, inner) => self.pkcs11_error(format!("C_{inner:?}"), number(error)),
            Error::NullFunctionPointer => BindingError::MissingFunction(function),
            other => BindingError::Nonsense { function, what: other.to_string() },
        }
    }

    fn raw_error(&self, error: RawError) -> BindingError {
        match error {
            RawError::Rv(function, rv) => self.pkcs11_error(function, rv),
            RawError::Missing(function) => BindingError::MissingFunction(function),
            RawError::Length(function, length) => {
                BindingError::Nonsense { function, what: format!("a length of {length}") }
            }
        }
    }

    fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        self.rules.serialise.then(|| self.turn.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The crate's name of an error, back to the number it came from.
fn number(error: RvError) -> u64 {
    match error {
        RvError::VendorDefined(code) | RvError::UnknownErrorCode(code) => code,
        known => outcomes::TABLE
            .iter()
            .find(|row| Rv::from(row.code) == Rv::Error(known))
            .map_or(cryptoki_sys::CKR_GENERAL_ERROR, |row| row.code),
    }
}

/// One thread's way into the module: every call is watched and its error given its remedy.
#[derive(Clone)]
pub(crate) struct Caller {
    module: Arc<Module>,
    slot: Arc<WatchSlot>,
}

impl Caller {
    fn call<T>(
        &self,
        function: &'static str,
        call: impl FnOnce(&Module) -> cryptoki::error::Result<T>,
    ) -> Result<T, BindingError> {
        let _turn = self.module.turn();
        self.slot
            .during(function, self.module.rules.limit, || call(&self.module))
            .map_err(|error| self.module.cryptoki_error(function, error))
    }

    fn raw<T>(
        &self,
        function: &'static str,
        call: impl FnOnce(&RawModule) -> Result<T, RawError>,
    ) -> Result<T, BindingError> {
        let _turn = self.module.turn();
        self.slot
            .during(function, self.module.rules.limit, || call(&self.module.raw))
            .map_err(|error| self.module.raw_error(error))
    }

    /// How often each return code but `CKR_OK` was seen, by number.
    pub(crate) fn return_codes(&self) -> BTreeMap<u64, u64> {
        self.module.codes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A caller for another thread.
    pub(crate) fn another(&self) -> Self {
        self.module.caller()
    }

    /// Slots with a token in them.
    pub(crate) fn slots(&self) -> Result<Vec<Slot>, BindingError> {
        self.call("C_GetSlotList", |module| module.pkcs11.get_slots_with_token())
    }

    pub(crate) fn token_info(&self, slot: Slot) -> Result<TokenInfo, BindingError> {
        self.call("C_GetTokenInfo", |module| module.pkcs11.get_token_info(slot))
    }

    /// All mechanism numbers of a slot, vendors' included.
    pub(crate) fn mechanisms(&self, slot: Slot) -> Result<Vec<u64>, BindingError> {
        self.raw("C_GetMechanismList", |raw| raw.mechanisms(slot.into()))
    }

    /// Flags of a mechanism; none when the module does not tell.
    pub(crate) fn mechanism_flags(&self, slot: Slot, mechanism: u64) -> Option<u64> {
        self.raw("C_GetMechanismInfo", |raw| raw.mechanism_flags(slot.into(), mechanism)).ok()
    }

    pub(crate) fn library(&self) -> Result<Info, BindingError> {
        self.call("C_GetInfo", |module| module.pkcs11.get_library_info())
    }

    pub(crate) fn init_token(&self, slot: Slot, so_pin: &AuthPin, label: &str) -> Result<(), BindingError> {
        self.call("C_InitToken", |module| module.pkcs11.init_token(slot, so_pin, label))
    }

    /// A read-write session when `writable`.
    pub(crate) fn open(&self, slot: Slot, writable: bool) -> Result<TokenSession, BindingError> {
        let session = self.call("C_OpenSession", |module| {
            if writable {
                module.pkcs11.open_rw_session_no_drop(slot)
            } else {
                module.pkcs11.open_ro_session_no_drop(slot)
            }
        })?;
        Ok(TokenSession::new(self.clone(), session))
    }

    /// `C_Initialize`. No other thread may be in the module.
    pub(crate) fn initialise(&self) -> Result<(), BindingError> {
        let ModuleForm { init_args, os_locking } = &self.module.rules.module;
        self.raw("C_Initialize", |raw| raw.initialise(*os_locking, init_args.as_deref()))
    }

    /// `C_Finalize`. Every session, handle and login is gone; no other thread may be in the module.
    pub(crate) fn finalise(&self) -> Result<(), BindingError> {
        self.call("C_Finalize", |module| module.pkcs11.clone().finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_way_through_the_crate() {
        for row in outcomes::TABLE {
            let Rv::Error(error) = Rv::from(row.code) else { panic!("{} is an error", row.name) };
            assert_eq!(number(error), row.code, "{}", row.name);
        }
        for code in [0x8000_0384, 0x777] {
            let Rv::Error(error) = Rv::from(code) else { panic!("{code:#x} is an error") };
            assert_eq!(number(error), code);
        }
    }
}
