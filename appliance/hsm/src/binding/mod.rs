//! PKCS#11: one module per process, loaded and initialised once, every call watched and every error classified.
//!
//! The ordinary part goes through the crate `cryptoki`; what that crate cannot do goes through `ffi`. Sessions are opened
//! without close-on-drop: a session dropped after its handle has died would close somebody else's (the numbers return).

mod codes;
mod error;
#[allow(unsafe_code)]
pub(crate) mod ffi;
mod session;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, Rv, RvError};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

pub(crate) use codes::code_from_name;
pub use codes::{ErrorClass, code_name, default_class};
pub use error::{BindingError, Pkcs11Error};
pub(crate) use session::TokenSession;
pub(crate) use watch::{WatchSlot, Watchdog};

use self::ffi::{RawError, RawModule};

static LOADED: AtomicBool = AtomicBool::new(false);

/// What a profile decides about calling a module.
#[derive(Debug, Clone)]
pub(crate) struct CallRules {
    /// Limit of one call.
    pub(crate) limit: Duration,
    /// One call at a time in the whole process, for modules that are not thread-safe whatever they say.
    pub(crate) serialise: bool,
    /// Classes that differ from the table.
    pub(crate) classes: BTreeMap<u64, ErrorClass>,
}

/// The loaded and initialised module.
pub(crate) struct Module {
    pkcs11: Pkcs11,
    raw: RawModule,
    rules: CallRules,
    turn: Mutex<()>,
    watchdog: Arc<Watchdog>,
}

impl Module {
    /// Loads and initialises. Once per process: the crate and many modules misbehave on a second initialisation.
    pub(crate) fn load(path: &Path, rules: CallRules, watchdog: Arc<Watchdog>) -> Result<Arc<Self>, BindingError> {
        if LOADED.swap(true, Ordering::SeqCst) {
            return Err(BindingError::AlreadyLoaded);
        }
        let failed = |reason: String| BindingError::Load { path: path.to_owned(), reason };
        let pkcs11 = Pkcs11::new(path).map_err(|error| failed(error.to_string()))?;
        let raw = RawModule::load(path).map_err(failed)?;
        let module = Arc::new(Self { pkcs11, raw, rules, turn: Mutex::new(()), watchdog });
        let caller = module.caller();
        caller.call("C_Initialize", |module| {
            module.pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        })?;
        Ok(module)
    }

    /// A caller for one thread.
    pub(crate) fn caller(self: &Arc<Self>) -> Caller {
        Caller { module: Arc::clone(self), slot: self.watchdog.slot() }
    }

    fn class(&self, rv: u64) -> ErrorClass {
        self.rules.classes.get(&rv).copied().unwrap_or_else(|| default_class(rv))
    }

    fn pkcs11_error(&self, function: impl Into<std::borrow::Cow<'static, str>>, rv: u64) -> BindingError {
        BindingError::Pkcs11(Pkcs11Error { function: function.into(), rv, class: self.class(rv) })
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
        known => codes::TABLE
            .iter()
            .find(|(code, ..)| Rv::from(*code) == Rv::Error(known))
            .map_or(cryptoki_sys::CKR_GENERAL_ERROR, |(code, ..)| *code),
    }
}

/// One thread's way into the module: every call is watched and its error classified.
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

    /// `C_Finalize`, for an orderly end only.
    pub(crate) fn finalise(&self) -> Result<(), BindingError> {
        self.call("C_Finalize", |module| module.pkcs11.clone().finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_way_through_the_crate() {
        for (code, name, _) in codes::TABLE {
            let Rv::Error(error) = Rv::from(*code) else { panic!("{name} is an error") };
            assert_eq!(number(error), *code, "{name}");
        }
        for code in [0x8000_0384, 0x777] {
            let Rv::Error(error) = Rv::from(code) else { panic!("{code:#x} is an error") };
            assert_eq!(number(error), code);
        }
    }
}
