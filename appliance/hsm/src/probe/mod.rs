//! Finding out what a module is: slots, mechanisms without any filter, keys, and what each signing mechanism really does, from
//! which a profile follows.
//!
//! Nothing is written and nothing destroyed: sessions are read-only, and a key pair is made for the session only, and only when
//! asked for. A PIN is tried once, behind the worker's own latch. What is signed starts like every self-proof, so it can be no
//! request to a platform.

mod keys;
mod report;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cryptoki::slot::{Slot, TokenInfo};

pub use self::keys::{KeyFound, PointForm};
use self::trial::{Bench, candidates};
pub use self::trial::{Meaning, Trial};
use crate::binding::{BindingError, CallRules, Caller, Module, ffi};
use crate::profile::{ModuleForm, Profile};
use crate::worker::hardening;
use crate::worker::in_use::InUse;
use crate::worker::latch::{Latch, LatchError};
use crate::worker::login::{LoginError, LoginGuard};
use crate::worker::token::tries;
use crate::worker::{EXIT_HANG, PinError, PinSource};

/// What to probe.
#[derive(Debug)]
pub struct Probe {
    pub module: PathBuf,
    /// Environment of the module. Unless empty, the process must have one thread only.
    pub module_env: BTreeMap<String, String>,
    /// Which token; may be left out when there is one only.
    pub token_label: Option<String>,
    /// Without it only what is public is looked at.
    pub login: Option<ProbeLogin>,
    /// Known families; where one of them fits, what cannot be seen is taken from it.
    pub families: Vec<Profile>,
    /// A call that takes longer ends the process with [`EXIT_HANG`].
    pub call_limit: Duration,
    /// Also make a key pair that lives as long as the session, when the token has no SM2 key.
    pub session_key: bool,
}

/// How to log in.
#[derive(Debug)]
pub struct ProbeLogin {
    pub pin: PinSource,
    /// The worker's: its latch lies there.
    pub state_dir: PathBuf,
    /// `CKU_…`.
    pub user: u64,
}

/// Nothing could be found out.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    Binding(#[from] BindingError),
    #[error("{0}")]
    Environment(String),
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The PIN was refused, or must not be tried.
    #[error(transparent)]
    Latch(#[from] LatchError),
    #[error("no token{wanted}; there are: [{found}]")]
    NoToken { wanted: String, found: String },
    #[error("several tokens; name one by its label: [{0}]")]
    Several(String),
}

impl ProbeError {
    /// A stable label.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Binding(error) => error.code(),
            Self::Environment(_) => "environment",
            Self::Pin(_) => "pin",
            Self::Latch(_) => "credentials",
            Self::NoToken { .. } => "no-token",
            Self::Several(_) => "several-tokens",
        }
    }
}

impl From<LoginError> for ProbeError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Latch(error) => Self::Latch(error),
            LoginError::Token(error) => Self::Binding(error),
        }
    }
}

/// A mechanism of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MechanismFound {
    pub number: u64,
    /// `CKF_…`; none when the module does not tell.
    pub flags: Option<u64>,
}

/// What was found out.
#[derive(Debug)]
pub struct Findings {
    /// Manufacturer, description and version of the library.
    pub library: String,
    /// One line for each slot with a token.
    pub slots: Vec<String>,
    pub manufacturer: String,
    pub model: String,
    pub label: String,
    /// Sessions that the token says it gives.
    pub max_sessions: Option<u64>,
    pub mechanisms: Vec<MechanismFound>,
    pub keys: Vec<KeyFound>,
    /// For the key that was tried.
    pub trials: Vec<Trial>,
    pub tried: Option<KeyFound>,
    /// Names of families whose key type or mechanisms the token shows.
    pub families: Vec<String>,
    /// A profile to use, if a signature verified; with all findings as comments before it.
    pub profile: Option<String>,
}

/// Looks at the module. Once per process.
pub fn probe(order: &Probe) -> Result<Findings, ProbeError> {
    let environment = order.module_env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    ffi::set_environment(environment).map_err(|why| ProbeError::Environment(format!("module environment: {why}")))?;
    if let Some(login) = &order.login {
        hardening::apply();
        hardening::prepare_directory(&login.state_dir).map_err(ProbeError::Environment)?;
    }
    let in_use = order.login.as_ref().map(|login| InUse::share(&login.state_dir)).transpose();
    if let Some(None) = in_use.as_ref().map_err(|error| ProbeError::Environment(format!("state_dir: {error}")))? {
        return Err(ProbeError::Environment("the token is being initialised".into()));
    }
    let pin =
        order.login.as_ref().map(|login| Ok::<_, PinError>((login.pin.path()?, login.pin.read()?))).transpose()?;
    let rules = CallRules {
        limit: order.call_limit,
        serialise: true,
        remedies: BTreeMap::new(),
        module: ModuleForm::default(),
    };
    let caller = Module::load_watched(&order.module, rules, EXIT_HANG)?.caller();
    let info = caller.library()?;
    let version = info.library_version();
    let library =
        format!("{}, {}, {}.{}", info.manufacturer_id(), info.library_description(), version.major(), version.minor());
    let tokens = tokens(&caller)?;
    let slots = tokens.iter().map(|(slot, info)| line(*slot, info)).collect();
    let (slot, token) = choose(&tokens, order.token_label.as_deref())?;
    let mechanisms: Vec<_> = caller
        .mechanisms(slot)?
        .into_iter()
        .map(|number| MechanismFound { number, flags: caller.mechanism_flags(slot, number) })
        .collect();

    let mut bench = Bench::open(caller.clone(), slot)?;
    if let (Some(login), Some((path, pin))) = (&order.login, pin) {
        let latch = Latch::new(&login.state_dir, token.label(), token.serial_number(), path);
        let guard = LoginGuard::new(latch, pin, login.user);
        guard.ensure(bench.anchor(), || Ok(tries(&caller.token_info(slot)?)))?;
    }
    let keys = bench.keys(&order.families)?;
    let listed: BTreeSet<u64> = mechanisms.iter().map(|found| found.number).collect();
    let mut tried = keys.iter().find(|key| key.can_be_tried()).cloned();
    if tried.is_none() && order.session_key && order.login.is_some() {
        tried = bench.session_key(&order.families, &listed);
    }
    let trials = match &tried {
        Some(key) => bench.try_all(key, &keys, &candidates(&mechanisms, &order.families, key)),
        None => Vec::new(),
    };
    let mut findings = Findings {
        library,
        slots,
        manufacturer: token.manufacturer_id().to_owned(),
        model: token.model().to_owned(),
        label: token.label().to_owned(),
        max_sessions: match token.max_session_count() {
            cryptoki::slot::Limit::Max(most) => Some(most),
            _ => None,
        },
        families: similar(&order.families, &keys, &listed),
        mechanisms,
        keys,
        trials,
        tried,
        profile: None,
    };
    findings.profile = report::profile(&findings, &order.families);
    if let Err(error) = caller.finalise() {
        tracing::debug!(%error, "the module does not finalise");
    }
    Ok(findings)
}

fn tokens(caller: &Caller) -> Result<Vec<(Slot, TokenInfo)>, BindingError> {
    // A slot that does not answer is none to use.
    Ok(caller.slots()?.into_iter().filter_map(|slot| Some((slot, caller.token_info(slot).ok()?))).collect())
}

fn line(slot: Slot, info: &TokenInfo) -> String {
    let state = if info.token_initialized() { "" } else { ", not initialised" };
    format!(
        "slot {slot}: label {:?}, manufacturer {:?}, model {:?}, serial {:?}{state}",
        info.label(),
        info.manufacturer_id(),
        info.model(),
        info.serial_number()
    )
}

fn choose(tokens: &[(Slot, TokenInfo)], label: Option<&str>) -> Result<(Slot, TokenInfo), ProbeError> {
    let fit: Vec<_> = tokens
        .iter()
        .filter(|(_, info)| info.token_initialized() && label.is_none_or(|label| info.label() == label))
        .collect();
    let names = || tokens.iter().map(|(_, info)| format!("{:?}", info.label())).collect::<Vec<_>>().join(", ");
    match fit.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(ProbeError::NoToken {
            wanted: label.map(|label| format!(" has the label {label:?}")).unwrap_or_default(),
            found: names(),
        }),
        _ => Err(ProbeError::Several(names())),
    }
}

/// Families of which the token has the signing mechanism, or a key of the type.
fn similar(families: &[Profile], keys: &[KeyFound], listed: &BTreeSet<u64>) -> Vec<String> {
    let fits = |family: &&Profile| {
        family.sign.as_ref().is_some_and(|sign| listed.contains(&sign.mechanism))
            && (keys.is_empty() || keys.iter().any(|key| key.key_type == Some(family.key.key_type)))
    };
    families.iter().filter(fits).map(|family| family.name.clone()).collect()
}

/// Every profile of a directory. One that cannot be read is an error, by its name.
pub fn families(directory: &Path) -> Result<Vec<Profile>, String> {
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", directory.display());
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .map_err(|error| fail(&error))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files.iter().map(|file| Profile::load(file).map_err(|error| error.to_string())).collect()
}
