//! Initialising a token: an action of administrators, done once, in a process of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use crate::binding::{BindingError, CallRules, Caller, Module, Watchdog, ffi};

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
        }
    }
}

/// What to initialise.
pub struct InitToken {
    pub module: PathBuf,
    /// Environment of the module. Unless empty, the process must have one thread only.
    pub module_env: BTreeMap<String, String>,
    pub label: String,
    pub so_pin: Zeroizing<String>,
    pub user_pin: Zeroizing<String>,
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

/// Initialises a token and sets its user PIN. Each PIN is tried once. The module cannot be loaded again by this process.
pub fn init_token(order: &InitToken) -> Result<TokenIdentity, ProvisionError> {
    if !(1..=32).contains(&order.label.len()) || order.label.chars().any(char::is_control) {
        return Err(ProvisionError::Label);
    }
    let environment = order.module_env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    ffi::set_environment(environment).map_err(ProvisionError::Environment)?;
    let rules = CallRules { limit: CALL_LIMIT, serialise: true, remedies: BTreeMap::new() };
    let caller = Module::load(&order.module, rules, Arc::new(Watchdog::default()))?.caller();
    let slot = choose(&caller, order)?;
    let so_pin = AuthPin::from(order.so_pin.as_str());
    caller.init_token(slot, &so_pin, &order.label)?;
    // Some modules move a fresh token to another slot.
    let (slot, info) = tokens(&caller)?
        .into_iter()
        .find(|(_, info)| info.token_initialized() && info.label() == order.label)
        .ok_or_else(|| ProvisionError::Lost(order.label.clone()))?;
    let session = caller.open(slot, true)?;
    session.login_officer(&so_pin)?;
    session.init_user_pin(&AuthPin::from(order.user_pin.as_str()))?;
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
