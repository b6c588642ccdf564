//! From a configuration to a token that is logged in, with its keys proven.

use std::sync::Arc;

use cryptoki::slot::{Limit, Slot, TokenInfo};

use super::config::WorkerConfig;
use super::engine::Engine;
use super::exit::{EXIT_HANG, WorkerExit};
use super::hardening;
use super::in_use::InUse;
use super::lane::Lane;
use super::latch::Latch;
use super::login::LoginGuard;
use super::prove::prove_all;
use super::token::{self, Token};
use super::usage::Usage;
use crate::binding::{BindingError, CallRules, Caller, Module};
use crate::profile::{Grade, Profile, SealedForm};
use crate::protocol::Outcome;

/// A worker that is ready to serve.
pub(super) struct Ready {
    pub(super) engine: Arc<Engine>,
    /// Holds the anchor session, which keeps the application logged in, and does management.
    pub(super) anchor: Lane,
    /// One for each signing thread; empty when the token gives one session only.
    pub(super) signers: Vec<Lane>,
    pub(super) caller: Caller,
    /// Nobody initialises the token meanwhile.
    pub(super) in_use: InUse,
}

/// Loads, logs in, opens sessions, proves keys. `beside` are the sessions of a predecessor that goes on serving meanwhile.
pub(super) fn start(config: &WorkerConfig, beside: Option<u32>) -> Result<Ready, WorkerExit> {
    let profile = Profile::load(&config.profile).map_err(|error| WorkerExit::Config(error.to_string()))?;
    let pin_path = config.pin.path().map_err(|error| WorkerExit::Credentials(error.to_string()))?;
    let pin = config.pin.read().map_err(|error| WorkerExit::Credentials(error.to_string()))?;
    hardening::prepare_directory(&config.state_dir).map_err(WorkerExit::Config)?;

    must_have_room(&profile, beside)?;
    let in_use = InUse::share(&config.state_dir)
        .map_err(|error| WorkerExit::Config(format!("state_dir {}: {error}", config.state_dir.display())))?
        .ok_or_else(|| WorkerExit::Token("the token is being initialised".into()))?;
    let module = load(config, &profile)?;
    let caller = module.caller();
    let (slot, info) = token::find(&caller, &config.token_label)?;
    let token = Token::from(&info);
    profile.fits(&token.manufacturer, &token.model).map_err(WorkerExit::Config)?;
    let library = || caller.library().map(|library| library.library_version().into());
    profile.fits_library(library, info.firmware_version().into()).map_err(WorkerExit::Config)?;
    must_be_as_good_as_said(&profile, &token)?;
    announce(&profile, &token);
    warn_of_missing_mechanisms(&caller, slot, &profile);

    let sessions = sessions(&profile, &info, config.threads);
    let latch = Latch::new(&config.state_dir, &token.label, &token.serial, pin_path);
    let guard = LoginGuard::new(latch, pin, profile.login_user);
    let wanted = u32::try_from(sessions).unwrap_or(u32::MAX);
    let usage = Usage::new(&config.state_dir, config.keys.clone())
        .map_err(|error| WorkerExit::Config(format!("a thread for the keys' counts: {error}")))?;
    let engine = Engine::new(
        (profile, config.algorithms.clone()),
        module.caller(),
        (slot, token),
        guard,
        config,
        (usage, wanted),
    );
    let engine = Arc::new(engine);

    let mut anchor = Lane::new(Arc::clone(&engine), module.caller(), true);
    anchor.run(|lane| lane.session().map(|_| ())).map_err(|outcome| not_started(&engine, &outcome))?;
    let mut signers = Vec::new();
    let mut opened = 0;
    for number in 0..sessions {
        let mut lane = Lane::new(Arc::clone(&engine), module.caller(), false);
        // After the first that gets none, the others wait for theirs.
        if opened == number {
            match lane.run(|lane| lane.session().map(|_| ())) {
                Ok(()) => opened += 1,
                Err(Outcome::Busy) => tracing::warn!(opened, wanted = sessions, "the token gives no more sessions now"),
                Err(outcome) => return Err(not_started(&engine, &outcome)),
            }
        }
        signers.push(lane);
    }
    if opened == 0 {
        // With one session for good where the predecessor has many, clients would be worse off than with a short pause.
        if let Some(held) = beside.filter(|_| sessions > 0) {
            return Err(no_room(held, "the token gives this worker one session"));
        }
        signers.clear();
    }
    prove_all(&mut anchor, &[]).map_err(|outcome| not_started(&engine, &outcome))?;
    if let Some(exit) = engine.exit.reason() {
        return Err(exit);
    }
    Ok(Ready { engine, anchor, signers, caller, in_use })
}

/// A successor needs two sessions at least while its predecessor has all of its own.
fn must_have_room(profile: &Profile, beside: Option<u32>) -> Result<(), WorkerExit> {
    match (profile.session.max, beside) {
        (Some(max), Some(held)) if u64::from(max) < u64::from(held) + 2 => {
            Err(no_room(held, &format!("the profile's session.max is {max}")))
        }
        _ => Ok(()),
    }
}

fn no_room(held: u32, why: &str) -> WorkerExit {
    WorkerExit::Token(format!("{why}, and the worker that serves holds {held}: no room for both; restart instead"))
}

fn load(config: &WorkerConfig, profile: &Profile) -> Result<Arc<Module>, WorkerExit> {
    let rules = CallRules::of(profile, config.call_timeout);
    Module::load_watched(&config.module, rules, EXIT_HANG).map_err(|error| match error {
        BindingError::Pkcs11(_) | BindingError::Watch(_) => WorkerExit::Token(error.to_string()),
        other => WorkerExit::Config(other.to_string()),
    })
}

/// Tokens that say of themselves that they are software, by manufacturer.
pub(crate) const SOFTWARE_TOKENS: [&str; 2] = ["Yanqian project", "SoftHSM project"];

/// Grades stand in records for ever: a software token is no HSM, whatever its profile says.
fn must_be_as_good_as_said(profile: &Profile, token: &Token) -> Result<(), WorkerExit> {
    if profile.grade == Grade::Hsm && SOFTWARE_TOKENS.contains(&token.manufacturer.as_str()) {
        return Err(WorkerExit::Config(format!(
            "profile {:?} ({}): grade is \"hsm\", and the token of {:?} is software",
            profile.name,
            profile.file().display(),
            token.manufacturer
        )));
    }
    Ok(())
}

fn announce(profile: &Profile, token: &Token) {
    let Token { label, serial, model, manufacturer } = token;
    tracing::info!(label, serial, model, manufacturer, profile = profile.name, grade = %profile.grade, "token found");
    match profile.grade {
        Grade::Hsm => {}
        Grade::Sealed => tracing::warn!("token grade SEALED: keys are used in this process's memory, not in an HSM"),
        Grade::Development => {
            tracing::warn!(
                "token grade DEVELOPMENT: keys are in software and protect nothing; never use in production"
            );
        }
    }
}

/// Lists may lie, so this only warns; the signature itself decides.
fn warn_of_missing_mechanisms(caller: &Caller, slot: Slot, profile: &Profile) {
    let Ok(listed) = caller.mechanisms(slot) else { return };
    let wanted = [
        ("sign.mechanism", profile.sign.as_ref().map(|sign| sign.mechanism)),
        ("key.keygen_mechanism", profile.key.keygen_mechanism),
        ("unseal.mechanism", profile.unseal.as_ref().map(|unseal| unseal.mechanism)),
        ("sealed.wrapping", profile.key.sealed.and_then(SealedForm::mechanism)),
        ("import.mechanism", profile.import.as_ref().map(|import| import.mechanism)),
    ];
    let others = profile.algorithms.iter().map(|form| (form.scheme.as_str(), Some(form.mechanism)));
    for (field, number) in wanted.into_iter().chain(others) {
        if let Some(number) = number
            && !listed.contains(&number)
        {
            let profile = &profile.name;
            tracing::warn!(profile, "the module does not list {field} = {number:#x}; it will probably refuse it");
        }
    }
}

/// Signing sessions beside the anchor.
fn sessions(profile: &Profile, info: &TokenInfo, threads: usize) -> usize {
    let by_profile = profile.session.max.map_or(usize::MAX, |max| max as usize);
    let by_token = match info.max_session_count() {
        Limit::Max(max) => usize::try_from(max).unwrap_or(usize::MAX).max(1),
        Limit::Unavailable | Limit::Infinite => usize::MAX,
    };
    let room = by_profile.min(by_token).saturating_sub(1);
    if room < threads {
        tracing::warn!(threads, room, "the token gives fewer sessions than threads are configured");
    }
    threads.min(room)
}

/// The reason that the engine gave for ending, or the outcome itself.
fn not_started(engine: &Engine, outcome: &Outcome) -> WorkerExit {
    engine.exit.reason().unwrap_or_else(|| match outcome {
        Outcome::Refused(refusal) => WorkerExit::Config(refusal.message.clone()),
        Outcome::Unavailable(why) => WorkerExit::Token(why.clone()),
        Outcome::Busy | Outcome::Done(_) => WorkerExit::Token("the token gives no session".into()),
    })
}
