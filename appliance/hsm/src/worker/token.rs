//! Which token of the module is the worker's.

use cryptoki::slot::{Slot, TokenInfo};

use super::exit::WorkerExit;
use super::latch::TokenTries;
use crate::binding::{BindingError, Caller};

/// What the token says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(super) label: String,
    pub(super) serial: String,
    pub(super) model: String,
    pub(super) manufacturer: String,
}

impl From<&TokenInfo> for Token {
    fn from(info: &TokenInfo) -> Self {
        Self {
            label: info.label().to_owned(),
            serial: info.serial_number().to_owned(),
            model: info.model().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
        }
    }
}

/// Why there is no token to use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoToken {
    #[error(transparent)]
    Module(#[from] BindingError),
    #[error("no token has the label {label:?}; there are: [{others}]")]
    Away { label: String, others: String },
    #[error("{count} tokens have the label {label:?}")]
    Several { label: String, count: usize },
}

impl From<NoToken> for WorkerExit {
    fn from(error: NoToken) -> Self {
        match error {
            NoToken::Several { .. } => Self::Config(error.to_string()),
            NoToken::Module(_) | NoToken::Away { .. } => Self::Token(error.to_string()),
        }
    }
}

/// The one token with this label, in whatever slot it is now.
pub(crate) fn find(caller: &Caller, label: &str) -> Result<(Slot, TokenInfo), NoToken> {
    let mut found = Vec::new();
    let mut others = Vec::new();
    for slot in caller.slots()? {
        // A slot that fails to answer is not ours, or will be missed below.
        let Ok(info) = caller.token_info(slot) else { continue };
        if info.label() == label {
            found.push((slot, info));
        } else {
            others.push(format!("{:?}", info.label()));
        }
    }
    let label = || label.to_owned();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(NoToken::Away { label: label(), others: others.join(", ") }),
        count => Err(NoToken::Several { label: label(), count }),
    }
}

/// What the token reports about wrong PINs of the security officer.
pub(crate) fn officer_tries(info: &TokenInfo) -> TokenTries {
    // A token without a security officer: SoftHSM says of one that the PIN is locked.
    if !info.token_initialized() {
        return TokenTries::default();
    }
    TokenTries {
        wrong_before: info.so_pin_count_low() || info.so_pin_final_try(),
        final_try: info.so_pin_final_try(),
        locked: info.so_pin_locked(),
    }
}

/// What the token reports about wrong PINs of the user.
pub(crate) fn tries(info: &TokenInfo) -> TokenTries {
    TokenTries {
        wrong_before: info.user_pin_count_low() || info.user_pin_final_try(),
        final_try: info.user_pin_final_try(),
        locked: info.user_pin_locked(),
    }
}
