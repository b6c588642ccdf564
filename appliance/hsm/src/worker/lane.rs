//! One thread's session, and what is done when it fails: what the table of outcomes says.
//!
//! Every error costs the session: modules leave half-finished operations behind that make the next call fail for ever. A
//! new one is opened before the old one is closed, because closing an application's last session logs it out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use cryptoki::object::ObjectHandle;
use cryptoki::slot::Slot;
use cryptoki_sys as ck;
use yanqian_sm::{DistinguishingId, E, Signature};

use super::engine::{Engine, KnownKey, Proof, count, unavailable};
use super::fit::{decode, misfit};
use super::health::PATIENCE;
use super::keep_alive::KeepAlive;
use super::keys;
use super::login::LoginError;
use super::recover::Attempts;
use super::unseal::no_table;
use crate::binding::{BindingError, Caller, Mark, Pkcs11Error, Remedy, TokenSession};
use crate::profile::{Recovery, SignForm, SignInput};
use crate::protocol::{Outcome, Refusal, codes};

/// Tries of one request before the module is initialised again: the first, one on a new session, one after a login.
const TRIES: u32 = 3;
/// The same where a device is in trouble: a new session helps at once or not at all.
const DEVICE_TRIES: u32 = 2;

/// Why a piece of work failed.
#[derive(Debug)]
pub(super) enum Problem {
    Token(BindingError),
    Login(Box<LoginError>),
    /// The module gave something that is no signature.
    NoSignature(String),
    Refused(Refusal),
    /// Recovery has been tried already; this is the answer.
    Answered(Box<Outcome>),
}

impl From<BindingError> for Problem {
    fn from(error: BindingError) -> Self {
        Self::Token(error)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(super) struct Lane {
    pub(super) engine: Arc<Engine>,
    pub(super) caller: Caller,
    /// The thread that manages: its session may write, and it brings the token back.
    manages: bool,
    /// Where the token is, and under which initialisation of the module the rest is valid.
    pub(super) slot: Slot,
    pub(super) epoch: u64,
    /// Within [`Lane::run`], which may nest: inside the module, as [`Health`](super::health::Health) counts.
    inside: bool,
    /// Bringing the token back: nobody else is inside, and nothing is recovered from.
    pub(super) recovering: bool,
    pub(super) attempts: Attempts,
    pub(super) kept_alive: KeepAlive,
    session: Option<TokenSession>,
    /// Replaced, but not closed yet.
    old: Option<TokenSession>,
    /// How many of the two are counted in the engine.
    counted: u32,
    /// Private keys found by this session.
    handles: HashMap<String, ObjectHandle>,
}

impl Lane {
    pub(super) fn new(engine: Arc<Engine>, caller: Caller, manages: bool) -> Self {
        let slot = engine.slot();
        let kept_alive = KeepAlive::new(engine.keep_alive);
        Self {
            engine,
            kept_alive,
            caller,
            manages,
            slot,
            epoch: 0,
            inside: false,
            recovering: false,
            attempts: Attempts::default(),
            session: None,
            old: None,
            counted: 0,
            handles: HashMap::new(),
        }
    }

    /// Enters the module, unless inside already; what belongs to an earlier initialisation is forgotten.
    fn enter(&mut self) -> Result<(), Outcome> {
        if self.inside || self.recovering {
            return Ok(());
        }
        let epoch = self.engine.health.enter().map_err(|away| unavailable(&away))?;
        self.inside = true;
        if epoch != self.epoch {
            self.forget_session();
            self.slot = self.engine.slot();
            self.epoch = epoch;
        }
        Ok(())
    }

    /// Keeps the count of open sessions true.
    fn recount(&mut self) {
        let open = u32::from(self.session.is_some()) + u32::from(self.old.is_some());
        let sessions = &self.engine.counters.sessions;
        if open > self.counted {
            sessions.fetch_add(open - self.counted, Ordering::Relaxed);
        } else if open < self.counted {
            sessions.fetch_sub(self.counted - open, Ordering::Relaxed);
        }
        self.counted = open;
    }

    pub(super) fn leave(&mut self) {
        if std::mem::take(&mut self.inside) {
            self.engine.health.leave();
        }
    }

    /// Forgets a session whose handle has died with the module's initialisation. Closing it could close another's.
    pub(super) fn forget_session(&mut self) {
        self.session = None;
        self.old = None;
        self.handles.clear();
        self.recount();
    }

    /// The session, opened and logged in when there is none.
    pub(super) fn session(&mut self) -> Result<&TokenSession, Problem> {
        if self.session.is_none() {
            let opened = match self.caller.open(self.slot, self.manages) {
                // No room for both: the old one has to go first.
                Err(error) if error.remedy() == Remedy::NextToken && self.old.is_some() => {
                    self.close_old();
                    self.caller.open(self.slot, self.manages)
                }
                other => other,
            };
            let opened = opened?;
            self.close_old();
            // Kept before the login: a session that is open must be closed some day.
            let session = self.session.insert(opened);
            let logged_in = self.engine.log_in(&self.caller, session).map_err(|error| match error {
                LoginError::Token(error) => Problem::Token(error),
                latch @ LoginError::Latch(_) => Problem::Login(Box::new(latch)),
            });
            self.recount();
            logged_in?;
        }
        // Just opened if it was not there.
        self.session.as_ref().ok_or_else(|| Problem::Refused(Refusal::new(codes::TOKEN, "no session")))
    }

    /// One that is open, or was replaced and keeps its place.
    pub(super) const fn has_session(&self) -> bool {
        self.session.is_some() || self.old.is_some()
    }

    fn close_old(&mut self) {
        if let Some(Err(error)) = self.old.take().map(TokenSession::close) {
            tracing::debug!(%error, "a replaced session does not close");
        }
    }

    /// Gives the session up after an error.
    pub(super) fn replace(&mut self, error: &BindingError) {
        self.handles.clear();
        match self.session.take() {
            Some(session) if !error.is(Mark::SessionDead) => self.old = Some(session),
            _ => {}
        }
        self.recount();
    }

    /// Closes what is open, at the end of the process.
    pub(super) fn end(mut self) {
        self.close_old();
        self.old = self.session.take();
        self.close_old();
    }

    /// Does a piece of work, with the recovery that the table of outcomes says. What is left becomes the answer.
    pub(super) fn run<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T, Problem>) -> Result<T, Outcome> {
        let outermost = !self.inside;
        let result = self.run_inside(&mut work);
        if outermost {
            self.leave();
        }
        result
    }

    fn run_inside<T>(&mut self, work: &mut impl FnMut(&mut Self) -> Result<T, Problem>) -> Result<T, Outcome> {
        let mut attempt = 0;
        let mut reinitialised = false;
        loop {
            self.enter()?;
            attempt += 1;
            let error = match work(self) {
                Ok(value) => return Ok(value),
                Err(Problem::Refused(refusal)) => return Err(Outcome::Refused(refusal)),
                Err(Problem::Answered(outcome)) => return Err(*outcome),
                Err(Problem::Login(error)) => return Err(self.engine.refused_pin(&error)),
                Err(Problem::NoSignature(what)) => {
                    tracing::warn!(%what, attempt, "the module gave no signature");
                    if attempt >= TRIES {
                        return Err(Outcome::Unavailable(what));
                    }
                    continue;
                }
                Err(Problem::Token(error)) => error,
            };
            self.replace(&error);
            let remedy = error.remedy();
            if remedy == Remedy::LogIn && self.engine.profile.key.sealed.is_some() {
                // What was read under a login goes with it.
                self.engine.forget_keys();
            }
            tracing::warn!(%error, remedy = remedy.as_str(), attempt, "a token call failed");
            match remedy {
                Remedy::NewSession | Remedy::FindKey | Remedy::LogIn if attempt < TRIES => {
                    count(&self.engine.counters.sessions_reopened);
                }
                Remedy::Reinitialise if attempt < DEVICE_TRIES => count(&self.engine.counters.sessions_reopened),
                Remedy::NewSession | Remedy::FindKey | Remedy::LogIn | Remedy::Reinitialise => {
                    self.report_away(&error, reinitialised)?;
                    reinitialised = true;
                    attempt = 0;
                }
                Remedy::Respawn => return Err(self.engine.module_lost(&error)),
                Remedy::NextToken => return Err(Outcome::Busy),
                Remedy::NeverRetry => return Err(self.engine.refused_pin(&error)),
                Remedy::Profile => {
                    return Err(Outcome::Refused(Refusal::new(codes::PROFILE, misfit(&self.engine.profile, &error))));
                }
                Remedy::Fail => return Err(Outcome::Refused(Refusal::new(codes::TOKEN, error.to_string()))),
            }
        }
    }

    /// New sessions do not help: the token is brought back by the thread that manages, and this request waits for that once.
    fn report_away(&mut self, error: &BindingError, waited: bool) -> Result<(), Outcome> {
        if self.recovering {
            return Err(Outcome::Unavailable(error.to_string()));
        }
        if self.engine.profile.session.recovery == Recovery::Respawn {
            return Err(self.engine.module_lost(error));
        }
        self.leave();
        if self.engine.health.report(self.epoch, error.to_string()) {
            tracing::error!(%error, "the token is away; the module is initialised again");
            self.engine.queue.call_for_recovery();
        }
        if waited {
            return Err(Outcome::Unavailable(format!("the token came back and failed again: {error}")));
        }
        if self.manages {
            self.recover(Some(Instant::now() + PATIENCE));
        }
        Ok(())
    }

    /// The key with this label as this session finds it, of an algorithm that may be used.
    pub(super) fn key(&mut self, label: &str) -> Result<(ObjectHandle, Arc<KnownKey>), Problem> {
        let (handle, key) = self.look_up(label)?;
        self.engine.admit(&key)?;
        Ok((handle, key))
    }

    /// As [`Self::key`], for keys of any algorithm: to look at and to destroy.
    pub(super) fn look_up(&mut self, label: &str) -> Result<(ObjectHandle, Arc<KnownKey>), Problem> {
        let known = self.engine.known_key(label);
        if let (Some(handle), Some(known)) = (self.handles.get(label), &known) {
            return Ok((*handle, Arc::clone(known)));
        }
        let engine = Arc::clone(&self.engine);
        let form = &engine.profile.key;
        let located = engine.locate(label)?;
        let session = self.session()?;
        let handles = session.find(&located)?;
        let [handle] = handles.as_slice() else {
            if !handles.is_empty() {
                let message = format!("{} private keys have the label {label:?}; one must be renamed", handles.len());
                return Err(Refusal::new(codes::DUPLICATE_LABEL, message).into());
            }
            // Private objects are invisible, not an error, when the login is gone.
            let missing =
                |rv, remedy| Problem::Token(Pkcs11Error { function: "C_FindObjects".into(), rv, remedy }.into());
            if !engine.guard.is_there(session)? {
                return Err(missing(ck::CKR_USER_NOT_LOGGED_IN, Remedy::LogIn));
            }
            if known.is_some() {
                return Err(missing(ck::CKR_OBJECT_HANDLE_INVALID, Remedy::FindKey));
            }
            return Err(Refusal::new(codes::UNKNOWN_KEY, format!("the token has no private key {label:?}")).into());
        };
        let found = keys::describe(session, *handle, form)?;
        let known = self.engine.remember_key(label, found.public?, found.id, found.usage);
        self.handles.insert(label.to_owned(), *handle);
        Ok((*handle, known))
    }

    /// Forgets a key that is no longer there.
    pub(super) fn forget(&mut self, label: &str) {
        self.handles.remove(label);
        self.engine.forget_key(label);
    }

    /// One signature by a proven key. One that does not verify goes nowhere, and its key has to prove itself again.
    pub(super) fn sign_verified(
        &mut self,
        key: &KnownKey,
        e: &E,
        message: Option<&[u8]>,
    ) -> Result<Signature, Problem> {
        let signature = self.sign_unproven(&key.label, e, message)?;
        if key.verifies(e, &signature) {
            return Ok(signature);
        }
        count(&self.engine.counters.defective);
        tracing::error!(label = key.label, "the token gave a signature that does not verify");
        key.set_proof(Proof::Unproven);
        Err(Problem::NoSignature("the token gave a signature that does not verify".into()))
    }

    /// One signature by a key that may not have been proven yet.
    pub(super) fn sign_unproven(&mut self, label: &str, e: &E, message: Option<&[u8]>) -> Result<Signature, Problem> {
        let (form, signed) = self.sign_octets(label, e, message)?;
        decode(form.encoding, &signed.given).map_err(Problem::NoSignature)
    }

    /// What the module gives for a digest, handed over as the profile says.
    pub(super) fn sign_octets(
        &mut self,
        label: &str,
        e: &E,
        message: Option<&[u8]>,
    ) -> Result<(SignForm, Signed), Problem> {
        let (handle, key) = self.key(label)?;
        if self.engine.profile.key.sealed.is_some() {
            self.engine.usage.take(&key.account)?;
            self.kept_alive.used();
            let signature = self.sign_sealed(handle, &key, e);
            let counters = &self.engine.counters;
            let given = signature.inspect_err(|_| count(&counters.sign_failures))?.to_raw().to_vec();
            count(&counters.signatures);
            counters.succeeded();
            return Ok((SignForm::in_memory(), Signed { handed: e.as_bytes().to_vec(), given }));
        }
        let sign = self.engine.profile.sign.clone().ok_or_else(|| no_table(&self.engine.profile, "sign"))?;
        let needed = || {
            let why = format!("the profile's sign.input is {}: the message is needed", sign.input.as_str());
            Refusal::new(codes::TBS_REQUIRED, why)
        };
        let handed = match sign.input {
            SignInput::E => e.as_bytes().to_vec(),
            SignInput::MessageWithZ => message.ok_or_else(needed)?.to_vec(),
            SignInput::MessageWithoutZ => {
                let z = key.sm2()?.z_value(&DistinguishingId::default());
                [z.as_bytes(), message.ok_or_else(needed)?].concat()
            }
        };
        if let Some(most) = sign.max_input.filter(|most| handed.len() > *most) {
            let why =
                format!("tbs: with Z, where the profile adds it, at most {most} octets (the profile's sign.max_input)");
            return Err(Refusal::new(codes::BAD_REQUEST, why).into());
        }
        // Before it is made: what the token may have made is counted.
        self.session()?;
        self.engine.usage.take(&key.account)?;
        self.kept_alive.used();
        let session = self.session()?;
        let began = Instant::now();
        let given = session.sign(handle, &sign, &handed);
        let counters = &self.engine.counters;
        counters.sign_latency.took(began.elapsed());
        let given = given.inspect_err(|_| count(&counters.sign_failures))?;
        count(&counters.signatures);
        counters.succeeded();
        Ok((sign, Signed { handed, given }))
    }
}

/// What went into the module and what came out.
pub(super) struct Signed {
    pub(super) handed: Vec<u8>,
    pub(super) given: Vec<u8>,
}
