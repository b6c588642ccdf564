//! Initialising a token: an action of administrators, done once, in a process of its own, which nobody may share the token with.
//! The security officer's PIN has a latch as the user's has: one that was refused is not tried again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

use crate::binding::{BindingError, CallRules, Caller, Module, Watchdog, ffi};
use crate::profile::ModuleForm;
use crate::worker::hardening;
use crate::worker::in_use::InUse;
use crate::worker::latch::{Latch, LatchError};
use crate::worker::login::{LoginError, settle};
use crate::worker::pin::Pin;
use crate::worker::token::officer_tries;
use crate::worker::{PinError, PinSource};

/// How long one call may take; initialising some devices takes minutes.
const CALL_LIMIT: Duration = Duration::from_mins(10);

/// A token was not initialised.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    #[error(transparent)]
    Binding(#[from] BindingError),
    #[error("module environment: {0}")]
    Environment(String),
    #[error("label: 1 to 32 octets without control characters")]
    Label,
    #[error("a token {0:?} is there already; initialising it again destroys its keys (use force)")]
    AlreadyInitialised(String),
    #[error("no slot holds a token that is not initialised yet; name one by its label and use force")]
    NoSlot,
    #[error("the token initialised under the label {0:?} cannot be found again")]
    Lost(String),
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The security officer's PIN was refused, or must not be tried.
    #[error(transparent)]
    Latch(#[from] LatchError),
    #[error("a worker or a measurement uses the token (state_dir {state_dir}); stop it first: initialising destroys keys", state_dir = state_dir.display())]
    InUse { state_dir: PathBuf },
    #[error("state_dir: {0}")]
    State(String),
}

impl From<LoginError> for ProvisionError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Latch(error) => Self::Latch(error),
            LoginError::Token(error) => Self::Binding(error),
        }
    }
}

impl ProvisionError {
    /// A stable label.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Binding(error) => error.code(),
            Self::Environment(_) => "environment",
            Self::Label => "label",
            Self::AlreadyInitialised(_) => "already-initialised",
            Self::NoSlot => "no-slot",
            Self::Lost(_) => "lost",
            Self::Pin(_) => "pin",
            Self::Latch(_) => "credentials",
            Self::InUse { .. } => "in-use",
            Self::State(_) => "state",
        }
    }
}

/// What to initialise.
pub struct InitToken {
    pub module: PathBuf,
    /// Environment of the module. Unless empty, the process must have one thread only.
    pub module_env: BTreeMap<String, String>,
    /// How the module is initialised, as the profile says.
    pub init: ModuleForm,
    pub label: String,
    /// The security officer's.
    pub so_pin: PinSource,
    /// The one that the worker will log in with.
    pub user_pin: PinSource,
    /// The worker's, for the latches.
    pub state_dir: PathBuf,
    /// Also when a token with this label is there: its keys are destroyed.
    pub force: bool,
}

impl std::fmt::Debug for InitToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InitToken").field("module", &self.module).field("label", &self.label).finish_non_exhaustive()
    }
}

/// A token as it names itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIdentity {
    pub label: String,
    pub serial: String,
    pub model: String,
    pub manufacturer: String,
}

/// Initialises a token and sets its user PIN. Each PIN is tried once, by whichever process. The module cannot be loaded again by
/// this process.
pub fn init_token(order: &InitToken) -> Result<TokenIdentity, ProvisionError> {
    if !(1..=32).contains(&order.label.len()) || order.label.chars().any(char::is_control) {
        return Err(ProvisionError::Label);
    }
    let environment = order.module_env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    ffi::set_environment(environment).map_err(ProvisionError::Environment)?;
    hardening::apply();
    hardening::prepare_directory(&order.state_dir).map_err(ProvisionError::State)?;
    let officer = Officer::new(&order.so_pin)?;
    let user_pin = text(&order.user_pin.read()?, &order.user_pin.path()?)?;
    let _alone = InUse::alone(&order.state_dir)
        .map_err(|error| ProvisionError::State(format!("{}: {error}", order.state_dir.display())))?
        .ok_or_else(|| ProvisionError::InUse { state_dir: order.state_dir.clone() })?;
    let rules = CallRules { limit: CALL_LIMIT, serialise: true, remedies: BTreeMap::new(), module: order.init.clone() };
    let caller = Module::load(&order.module, rules, Arc::new(Watchdog::default()))?.caller();
    let slot = choose(&caller, order)?;
    officer
        .tries(&order.state_dir, &caller.token_info(slot)?, || caller.init_token(slot, &officer.text, &order.label))?;
    // Some modules move a fresh token to another slot, or give it another serial number.
    let (slot, info) = tokens(&caller)?
        .into_iter()
        .find(|(_, info)| info.token_initialized() && info.label() == order.label)
        .ok_or_else(|| ProvisionError::Lost(order.label.clone()))?;
    let session = caller.open(slot, true)?;
    officer.tries(&order.state_dir, &info, || session.login_officer(&officer.text))?;
    session.init_user_pin(&user_pin)?;
    Latch::new(&order.state_dir, info.label(), info.serial_number(), order.user_pin.path()?).forget()?;
    session.logout()?;
    session.close()?;
    caller.finalise()?;
    Ok(TokenIdentity {
        label: info.label().to_owned(),
        serial: info.serial_number().to_owned(),
        model: info.model().to_owned(),
        manufacturer: info.manufacturer_id().to_owned(),
    })
}

/// The security officer's PIN, and the only way to give it to a token.
struct Officer {
    pin: Pin,
    path: PathBuf,
    text: AuthPin,
}

impl Officer {
    fn new(source: &PinSource) -> Result<Self, PinError> {
        let (pin, path) = (source.read()?, source.path()?);
        let text = text(&pin, &path)?;
        Ok(Self { pin, path, text })
    }

    fn tries(
        &self,
        state_dir: &Path,
        info: &TokenInfo,
        call: impl FnOnce() -> Result<(), BindingError>,
    ) -> Result<(), LoginError> {
        let latch = Latch::of_officer(state_dir, info.label(), info.serial_number(), self.path.clone());
        let permit = latch.set(&self.pin, officer_tries(info))?;
        settle(permit, call())
    }
}

/// Initialising takes text.
fn text(pin: &Pin, path: &Path) -> Result<AuthPin, PinError> {
    pin.to_text().ok_or_else(|| PinError::Encoding { path: path.to_owned() })
}

fn tokens(caller: &Caller) -> Result<Vec<(Slot, TokenInfo)>, BindingError> {
    caller.slots()?.into_iter().map(|slot| Ok((slot, caller.token_info(slot)?))).collect()
}

fn choose(caller: &Caller, order: &InitToken) -> Result<Slot, ProvisionError> {
    let tokens = tokens(caller)?;
    let there = tokens.iter().find(|(_, info)| info.token_initialized() && info.label() == order.label);
    match there {
        Some((slot, _)) if order.force => Ok(*slot),
        Some(_) => Err(ProvisionError::AlreadyInitialised(order.label.clone())),
        None => {
            tokens.iter().find(|(_, info)| !info.token_initialized()).map(|(slot, _)| *slot).ok_or_else(|| match tokens
                .first()
            {
                Some((_, info)) => ProvisionError::AlreadyInitialised(info.label().to_owned()),
                None => ProvisionError::NoSlot,
            })
        }
    }
}
