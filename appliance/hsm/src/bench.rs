//! How many signatures a second a token makes with how many sessions, and how many threads to give the worker.
//!
//! Signs with a key pair that lives as long as the session, or with a key that the operator names; what is signed is a
//! self-proof's digest either way, so no platform could take it for a request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::slot::Slot;

use crate::binding::{BindingError, CallRules, Caller, Module, TokenSession, ffi};
use crate::profile::{Profile, ProfileError, SignForm, SignInput};
use crate::self_proof::self_proof_message;
use crate::worker::hardening;
use crate::worker::in_use::InUse;
use crate::worker::latch::{Latch, LatchError};
use crate::worker::locate;
use crate::worker::login::{LoginError, LoginGuard};
use crate::worker::management::{self, KeyKind};
use crate::worker::token::{self, tries};
use crate::worker::{EXIT_HANG, PinError, WorkerConfig};

/// More sessions count as worth while when they bring more than this part of the best rate.
const WORTH: f64 = 0.95;
const LABEL: &str = "yanqian-bench";

/// No measurement.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Binding(#[from] BindingError),
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The PIN was refused, or must not be tried.
    #[error(transparent)]
    Latch(#[from] LatchError),
    #[error("{0}")]
    Other(String),
}

impl From<LoginError> for BenchError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Latch(error) => Self::Latch(error),
            LoginError::Token(error) => Self::Binding(error),
        }
    }
}

/// What to measure.
#[derive(Debug)]
pub struct Bench {
    /// Module, profile, token, PIN and latch.
    pub config: WorkerConfig,
    /// A key of the token; without it one is made for the session.
    pub key: Option<String>,
    /// Sessions at most.
    pub most: usize,
    /// For each number of sessions.
    pub time: Duration,
}

/// One number of sessions.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub sessions: usize,
    pub signatures: u64,
    pub failures: u64,
    pub per_second: f64,
}

/// Measures 1, 2, 4, … sessions. Once per process.
pub fn bench(order: &Bench) -> Result<Vec<Step>, BenchError> {
    let config = &order.config;
    let environment = config.module_env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    ffi::set_environment(environment).map_err(|why| BenchError::Other(format!("module_env: {why}")))?;
    hardening::apply();
    hardening::prepare_directory(&config.state_dir).map_err(BenchError::Other)?;
    let _in_use = InUse::share(&config.state_dir)
        .map_err(|error| BenchError::Other(format!("state_dir {}: {error}", config.state_dir.display())))?
        .ok_or_else(|| BenchError::Other("the token is being initialised".into()))?;
    let profile = Profile::load(&config.profile)?;
    let form = profile.sign.clone().ok_or_else(|| BenchError::Other("the profile has no [sign]".into()))?;
    let (pin_path, pin) = (config.pin.path()?, config.pin.read()?);
    let rules = CallRules::of(&profile, config.call_timeout);
    let caller = Module::load_watched(&config.module, rules, EXIT_HANG)?.caller();
    let (slot, info) =
        token::find(&caller, &config.token_label).map_err(|error| BenchError::Other(error.to_string()))?;
    profile.fits(info.manufacturer_id(), info.model()).map_err(BenchError::Other)?;
    let library = || caller.library().map(|library| library.library_version().into());
    profile.fits_library(library, info.firmware_version().into()).map_err(BenchError::Other)?;

    let anchor = caller.open(slot, false)?;
    let latch = Latch::new(&config.state_dir, info.label(), info.serial_number(), pin_path);
    LoginGuard::new(latch, pin, profile.login_user).ensure(&anchor, || Ok(tries(&caller.token_info(slot)?)))?;
    let key = match &order.key {
        Some(label) => {
            let template = locate::template(profile.key.locator, &config.keys, label);
            one(&anchor, &template.map_err(|refusal| BenchError::Other(refusal.message))?, label)?
        }
        None => session_key(&anchor, &profile)?,
    };
    // The anchor is a session, too.
    let room = profile.session.max.map_or(usize::MAX, |most| (most as usize).saturating_sub(1));
    let most = order.most.min(room).max(1);
    let mut steps = Vec::new();
    let mut sessions = 1;
    while sessions <= most {
        match measure(&caller, slot, &form, key, sessions, order.time) {
            Ok(step) => steps.push(step),
            Err(error) if !steps.is_empty() => {
                tracing::warn!(sessions, %error, "the token gives no more sessions");
                break;
            }
            Err(error) => return Err(error.into()),
        }
        sessions *= 2;
    }
    if let Err(error) = caller.finalise() {
        tracing::debug!(%error, "the module does not finalise");
    }
    Ok(steps)
}

/// The fewest sessions that come near the best rate: what to write as `threads`.
pub fn advice(steps: &[Step]) -> Option<usize> {
    let best = steps.iter().map(|step| step.per_second).fold(0.0, f64::max);
    steps.iter().find(|step| step.per_second > 0.0 && step.per_second >= best * WORTH).map(|step| step.sessions)
}

fn one(session: &TokenSession, template: &[Attribute], label: &str) -> Result<ObjectHandle, BenchError> {
    match session.find(template)?.as_slice() {
        [key] => Ok(*key),
        found => Err(BenchError::Other(format!("{} private keys are {label:?}", found.len()))),
    }
}

fn session_key(session: &TokenSession, profile: &Profile) -> Result<ObjectHandle, BenchError> {
    let mechanism = profile.key.keygen_mechanism.ok_or_else(|| {
        BenchError::Other("the profile has no key.keygen_mechanism; name a key of the token by its label".into())
    })?;
    let kind = KeyKind { on_token: false, unwraps: false };
    let (public, private) = management::templates(&profile.key, kind, LABEL, LABEL.as_bytes());
    session.generate_key_pair(mechanism, &public, &private)?;
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(LABEL.as_bytes().to_vec())];
    one(session, &template, LABEL)
}

fn measure(
    caller: &Caller,
    slot: Slot,
    form: &SignForm,
    key: ObjectHandle,
    sessions: usize,
    time: Duration,
) -> Result<Step, BindingError> {
    // A caller of its own for each thread: the watchdog tells calls apart by it.
    let opened = (0..sessions).map(|_| caller.another().open(slot, false)).collect::<Result<Vec<_>, _>>()?;
    let stop = AtomicBool::new(false);
    let started = Instant::now();
    let counts = std::thread::scope(|scope| {
        let stop = &stop;
        let threads: Vec<_> =
            opened.into_iter().map(|session| scope.spawn(move || work(session, form, key, stop))).collect();
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap_or((0, 1))).collect::<Vec<_>>()
    });
    let seconds = started.elapsed().as_secs_f64();
    let (signatures, failures) = counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    // Far below 2^52.
    #[allow(clippy::cast_precision_loss)]
    let per_second = signatures as f64 / seconds;
    Ok(Step { sessions, signatures, failures, per_second })
}

/// Signs until told to stop; signatures and failures. A failed session is given up: what it left behind is unknown.
fn work(session: TokenSession, form: &SignForm, key: ObjectHandle, stop: &AtomicBool) -> (u64, u64) {
    let message = self_proof_message(LABEL.as_bytes());
    let data = match form.input {
        SignInput::E => yanqian_sm::sm3(&[&message]).to_vec(),
        SignInput::MessageWithZ | SignInput::MessageWithoutZ => message,
    };
    let mut made = 0;
    while !stop.load(Ordering::Relaxed) {
        if session.sign(key, form, &data).is_err() {
            return (made, 1);
        }
        made += 1;
    }
    if let Err(error) = session.close() {
        tracing::debug!(%error, "a session does not close");
    }
    (made, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_sessions_near_the_best_rate_are_advised() {
        let steps = |rates: &[f64]| {
            let step = |(index, rate): (usize, &f64)| Step {
                sessions: 1 << index,
                signatures: 1,
                failures: 0,
                per_second: *rate,
            };
            rates.iter().enumerate().map(step).collect::<Vec<_>>()
        };
        assert_eq!(advice(&steps(&[100.0, 190.0, 370.0, 380.0, 375.0])), Some(4));
        assert_eq!(advice(&steps(&[100.0, 99.0])), Some(1));
        assert_eq!(advice(&steps(&[0.0])), None);
        assert_eq!(advice(&[]), None);
    }
}
