//! One thread's session, and what is done when it fails.
//!
//! Every error costs the session: modules leave half-finished operations behind that make the next call fail for ever. A
//! new one is opened before the old one is closed, because closing an application's last session logs it out.

use std::collections::HashMap;
use std::sync::Arc;

use cryptoki::object::ObjectHandle;
use cryptoki_sys as ck;
use yanqian_sm::{DistinguishingId, E, Signature};

use super::engine::{Engine, KnownKey, count};
use super::keys;
use super::login::LoginError;
use crate::binding::{BindingError, Caller, ErrorClass, Pkcs11Error, TokenSession, code_name};
use crate::profile::{LengthQuery, SignEncoding, SignInput};
use crate::protocol::{Outcome, Refusal, codes};

/// Tries of one request: the first, one on a new session, one after a login.
const TRIES: u32 = 3;

/// Codes that say that the session's handle is not ours any more.
const HANDLE_DEAD: [u64; 5] = [
    ck::CKR_SESSION_HANDLE_INVALID,
    ck::CKR_SESSION_CLOSED,
    ck::CKR_CRYPTOKI_NOT_INITIALIZED,
    ck::CKR_DEVICE_REMOVED,
    ck::CKR_TOKEN_NOT_PRESENT,
];

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
    caller: Caller,
    writable: bool,
    session: Option<TokenSession>,
    /// Replaced, but not closed yet.
    old: Option<TokenSession>,
    /// Private keys found by this session.
    handles: HashMap<String, ObjectHandle>,
}

impl Lane {
    pub(super) fn new(engine: Arc<Engine>, caller: Caller, writable: bool) -> Self {
        Self { engine, caller, writable, session: None, old: None, handles: HashMap::new() }
    }

    /// The session, opened and logged in when there is none.
    pub(super) fn session(&mut self) -> Result<&TokenSession, Problem> {
        if self.session.is_none() {
            let opened = match self.caller.open(self.engine.slot, self.writable) {
                // No room for both: the old one has to go first.
                Err(error) if error.class() == ErrorClass::Exhausted && self.old.is_some() => {
                    self.close_old();
                    self.caller.open(self.engine.slot, self.writable)
                }
                other => other,
            };
            let opened = opened?;
            self.close_old();
            // Kept before the login: a session that is open must be closed some day.
            let session = self.session.insert(opened);
            self.engine.log_in(&self.caller, session).map_err(|error| match error {
                LoginError::Token(error) => Problem::Token(error),
                latch @ LoginError::Latch(_) => Problem::Login(Box::new(latch)),
            })?;
        }
        // Just opened if it was not there.
        self.session.as_ref().ok_or_else(|| Problem::Refused(Refusal::new(codes::TOKEN, "no session")))
    }

    fn close_old(&mut self) {
        if let Some(Err(error)) = self.old.take().map(TokenSession::close) {
            tracing::debug!(%error, "a replaced session does not close");
        }
    }

    /// Gives the session up after an error.
    pub(super) fn replace(&mut self, error: &BindingError) {
        self.handles.clear();
        let dead = error.rv().is_some_and(|rv| HANDLE_DEAD.contains(&rv));
        match self.session.take() {
            Some(session) if !dead => self.old = Some(session),
            _ => {}
        }
    }

    /// Closes what is open, at the end of the process.
    pub(super) fn end(mut self) {
        self.close_old();
        self.old = self.session.take();
        self.close_old();
    }

    /// Does a piece of work, with the recovery that each class of error allows. What is left becomes the answer.
    pub(super) fn run<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T, Problem>) -> Result<T, Outcome> {
        for attempt in 1.. {
            let problem = match work(self) {
                Ok(value) => return Ok(value),
                Err(problem) => problem,
            };
            let again = attempt < TRIES;
            match problem {
                Problem::Refused(refusal) => return Err(Outcome::Refused(refusal)),
                Problem::Answered(outcome) => return Err(*outcome),
                Problem::Login(error) => return Err(self.engine.login_failed(&error)),
                Problem::NoSignature(what) => {
                    tracing::warn!(%what, attempt, "the module gave no signature");
                    if !again {
                        return Err(Outcome::Unavailable(what));
                    }
                }
                Problem::Token(error) => {
                    self.replace(&error);
                    let class = error.class();
                    tracing::warn!(%error, class = class.as_str(), attempt, "a token call failed");
                    match class {
                        ErrorClass::Session | ErrorClass::Login | ErrorClass::Key | ErrorClass::Reinit if again => {
                            count(&self.engine.counters.sessions_reopened);
                        }
                        ErrorClass::Session | ErrorClass::Login | ErrorClass::Key | ErrorClass::Reinit => {
                            return Err(self.engine.token_lost(&error));
                        }
                        ErrorClass::Credentials => {
                            return Err(self.engine.login_failed(&LoginError::Token(error)));
                        }
                        ErrorClass::Exhausted => return Err(Outcome::Busy),
                        ErrorClass::Profile => {
                            return Err(Outcome::Refused(Refusal::new(codes::PROFILE, self.profile_message(&error))));
                        }
                        ErrorClass::Fatal => {
                            return Err(Outcome::Refused(Refusal::new(codes::TOKEN, error.to_string())));
                        }
                    }
                }
            }
        }
        unreachable!("the last try returns")
    }

    /// The key with this label as this session finds it.
    pub(super) fn key(&mut self, label: &str) -> Result<(ObjectHandle, Arc<KnownKey>), Problem> {
        let known = self.engine.known_key(label);
        if let (Some(handle), Some(known)) = (self.handles.get(label), &known) {
            return Ok((*handle, Arc::clone(known)));
        }
        let form = self.engine.profile.key.ec_point;
        let session = self.session()?;
        let handles = keys::private_keys(session, Some(label))?;
        let [handle] = handles.as_slice() else {
            if !handles.is_empty() {
                let message = format!("{} private keys have the label {label:?}; one must be renamed", handles.len());
                return Err(Refusal::new(codes::DUPLICATE_LABEL, message).into());
            }
            // Private objects are invisible, not an error, when the login is gone.
            let missing =
                |rv, class| Problem::Token(Pkcs11Error { function: "C_FindObjects".into(), rv, class }.into());
            if !session.logged_in()? {
                return Err(missing(ck::CKR_USER_NOT_LOGGED_IN, ErrorClass::Login));
            }
            if known.is_some() {
                return Err(missing(ck::CKR_OBJECT_HANDLE_INVALID, ErrorClass::Key));
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

    /// One signature by a key that may not have been proven yet.
    pub(super) fn sign_unproven(&mut self, label: &str, e: &E, message: Option<&[u8]>) -> Result<Signature, Problem> {
        let (handle, key) = self.key(label)?;
        let sign = self.engine.profile.sign.clone();
        let needed = || {
            let why = format!("the profile's sign.input is {}: the message is needed", sign.input.as_str());
            Refusal::new(codes::TBS_REQUIRED, why)
        };
        let data = match sign.input {
            SignInput::E => e.as_bytes().to_vec(),
            SignInput::MessageWithZ => message.ok_or_else(needed)?.to_vec(),
            SignInput::MessageWithoutZ => {
                let z = key.public.z_value(&DistinguishingId::default());
                [z.as_bytes(), message.ok_or_else(needed)?].concat()
            }
        };
        let signed = self.session()?.sign(handle, sign.mechanism, &data, sign.length_query == LengthQuery::Allowed);
        let counters = &self.engine.counters;
        let octets = signed.inspect_err(|_| count(&counters.sign_failures))?;
        count(&counters.signatures);
        decode(sign.encoding, &octets).map_err(Problem::NoSignature)
    }

    /// Names the profile's field that the module objects to.
    fn profile_message(&self, error: &BindingError) -> String {
        let profile = &self.engine.profile;
        let (function, rv) = match error {
            BindingError::Pkcs11(error) => (error.function.as_ref(), error.rv),
            _ => ("", 0),
        };
        let field = match (function, rv) {
            ("C_SignInit", ck::CKR_MECHANISM_INVALID | ck::CKR_MECHANISM_PARAM_INVALID) => {
                format!("sign.mechanism = {:#x}", profile.sign.mechanism)
            }
            ("C_SignInit", ck::CKR_KEY_TYPE_INCONSISTENT | ck::CKR_KEY_FUNCTION_NOT_PERMITTED) => {
                format!("sign.mechanism = {:#x}, which is not for this key,", profile.sign.mechanism)
            }
            ("C_Sign", ck::CKR_DATA_LEN_RANGE | ck::CKR_DATA_INVALID) => {
                format!("sign.input = {:?}", profile.sign.input.as_str())
            }
            ("C_DecryptInit", ck::CKR_MECHANISM_INVALID | ck::CKR_MECHANISM_PARAM_INVALID) => {
                format!("unseal.mechanism = {:#x}", profile.unseal.as_ref().map_or(0, |unseal| unseal.mechanism))
            }
            ("C_Decrypt" | "C_DecryptInit", ck::CKR_KEY_TYPE_INCONSISTENT | ck::CKR_KEY_FUNCTION_NOT_PERMITTED) => {
                "unseal.mechanism, which is not for this key,".to_owned()
            }
            ("C_UnwrapKey", ck::CKR_MECHANISM_INVALID | ck::CKR_MECHANISM_PARAM_INVALID) => {
                format!("import.mechanism = {:#x}", profile.import.as_ref().map_or(0, |import| import.mechanism))
            }
            ("C_GenerateKeyPair", ck::CKR_MECHANISM_INVALID | ck::CKR_MECHANISM_PARAM_INVALID) => {
                format!("key.keygen_mechanism = {:#x}", profile.key.keygen_mechanism.unwrap_or_default())
            }
            ("C_GenerateKeyPair", ck::CKR_CURVE_NOT_SUPPORTED | ck::CKR_DOMAIN_PARAMS_INVALID) => {
                "key.ec_params".to_owned()
            }
            ("C_UnwrapKey", _) => "key.type, key.never_send or import.mechanism".to_owned(),
            ("C_GenerateKeyPair", _) => "key.type, key.ec_params or key.never_send".to_owned(),
            _ => "a field".to_owned(),
        };
        format!(
            "{field} of profile {:?} ({}) does not fit this module: {function}: {}",
            profile.name,
            profile.file().display(),
            code_name(rv)
        )
    }
}

/// A signature in the profile's encoding, or what the module gave instead.
fn decode(encoding: SignEncoding, octets: &[u8]) -> Result<Signature, String> {
    let read = match encoding {
        SignEncoding::Raw => octets.try_into().ok().and_then(|raw| Signature::from_raw(raw).ok()),
        SignEncoding::Der => Signature::from_der(octets).ok(),
        SignEncoding::DerLax => Signature::from_der_lax(octets).ok(),
    };
    read.ok_or_else(|| {
        let looks = match octets {
            [0x30, ..] if Signature::from_der(octets).is_ok() => "which is DER",
            [0x30, ..] if Signature::from_der_lax(octets).is_ok() => "which is DER with defects (der-lax)",
            _ if octets.len() == 64 => "which is the length of raw",
            _ => "of no known form",
        };
        format!(
            "the module gave {} octets {looks}, where the profile's sign.encoding is {:?}",
            octets.len(),
            encoding.as_str()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoding_is_read_as_itself_and_named_when_it_is_another() {
        let signature = Signature::from_raw(&[1; 64]).expect("in range");
        let (raw, der) = (signature.to_raw().to_vec(), signature.to_der());
        for (encoding, octets) in [(SignEncoding::Raw, &raw), (SignEncoding::Der, &der), (SignEncoding::DerLax, &der)] {
            assert_eq!(decode(encoding, octets), Ok(signature));
        }
        let error = decode(SignEncoding::Raw, &der).expect_err("DER is not raw");
        assert!(error.contains("which is DER") && error.contains("\"raw\""), "{error}");
        assert!(decode(SignEncoding::Der, &raw).expect_err("raw is not DER").contains("length of raw"));
        assert!(decode(SignEncoding::Raw, &[0; 64]).is_err(), "r and s are never zero");
        assert!(decode(SignEncoding::Raw, &[]).is_err());
    }
}
